#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/mount_words.h"
#include "base/text.h"
#include "model/cloud_init.h"
#include "model/lower_instance.h"
#include "model/lowering.h"
#include "model/proxy.h"
#include "model/raw_lxc.h"
#include "model/readiness.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// See Container::mounts; the words are in the order in which the driver tells them.
std::string mount_text(const resource::Device& device, const Value& source, bool is_shifted) {
    std::set<std::string, std::less<>> flags = mount_flags(device);
    const bool has_ro = flags.erase("ro") > 0;
    std::string text = fstab_escaped(source.text);
    if (has_ro || bool_value(device.keys, "readonly", false)) text += " ro";
    if (bool_value(device.keys, "recursive", false)) text += " rbind";
    if (!bool_value(device.keys, "required", true) || bool_value(device.keys, "optional", false)) text += " optional";
    if (is_shifted && bool_value(device.keys, "shift", false)) text += " shift";
    const Value* propagation = find_value(device.keys, "propagation");
    if (propagation != nullptr && !propagation->empty() && !propagation->text.ends_with("private"))
        text += " " + propagation->text;
    for (const auto& flag : flags) text += " " + flag;
    return text;
}

/// The directory around a volume's files. Those may be seen through an overlay; it is on the disk.
std::string around(const std::string& path) { return path.substr(0, path.rfind('/')); }

class ContainerLowering {
public:
    ContainerLowering(Lowering& lowering, const resource::Container& container)
        : lowering_(lowering), container_(container), owner_{lowering.stack.name, "Container", container.name.text} {}

    void lower() {
        object_.idmap = lower_idmap(lowering_, container_, places_);
        lower_netns();
        lower_root();
        lower_mounts();
        lower_devices(container_.devices, object_, places_);
        lower_cpu_set();
        lower_limits(container_.config, lowering_.layout.memory, object_, places_, lowering_.diagnostics);
        lower_boot(container_.config, object_, places_, lowering_.diagnostics);
        const RawLxc raw = lower_raw();
        const LoweredNics nics = lower_nics(lowering_, container_, raw.network);
        for (const auto& link : nics.links) needs_.push_back({link, Bond::order});
        lower_router(lowering_, container_, needs_);
        lower_sysctls();
        lower_security(container_.config, object_, places_, lowering_.diagnostics);
        lower_environment(nics.by_dhcp);
        object_.seed = lower_seed(lowering_, container_, nics.by_dhcp, places_);
        object_.state = enum_from<ContainerState>(container_.state.text).value_or(ContainerState::running);
        places_["state"] = container_.state.where;
        lower_depends_on(lowering_, container_, needs_);

        Entry& entry = lowering_.add({ObjectKind::container, name()}, object_, owner_, container_.name.where);
        entry.needs = std::move(needs_);
        entry.places = std::move(places_);
        entry.lifecycle = lifecycle();
        lower_proxies(lowering_, container_);
    }

private:
    [[nodiscard]] Lifecycle lifecycle() const {
        Lifecycle lifecycle = container_.lifecycle;
        lifecycle.prevent_destroy |= bool_value(container_.config, "security.protection.delete", false);
        return lifecycle;
    }

    [[nodiscard]] const std::string& name() const { return container_.name.text; }

    void lower_netns() {
        Entry& entry =
            lowering_.add({ObjectKind::netns, name()}, Netns{.idmap = object_.idmap}, owner_, container_.name.where);
        entry.lifecycle.prune = container_.lifecycle.prune;
        needs_.push_back({{ObjectKind::netns, name()}, Bond::restart});
    }

    void lower_root() {
        const auto root = model::lower_root(lowering_, container_, *object_.idmap, places_["idmap"]);
        if (!root) return;
        needs_.push_back({root->volume, Bond::restart});
        object_.rootfs = root->path;
        Entry& volume = lowering_.desired.at(root->volume);
        volume.lifecycle = lifecycle();
        places_["rootfs"] = volume.where;
        lower_root_limits(root->path);
    }

    void lower_root_limits(const std::string& rootfs) {
        for (const auto& [device_name, device] : container_.devices) {
            const Value* path = find_value(device.keys, "path");
            if (device.type.text == "disk" && path != nullptr && path->text == "/")
                lower_disk_limits(device, around(rootfs), object_, places_);
        }
    }

    void lower_mounts() {
        object_.mounts.emplace();
        for (const auto& [device_name, device] : container_.devices) {
            const Value* path = find_value(device.keys, "path");
            const Value* source = find_value(device.keys, "source");
            if (device.type.text != "disk" || path == nullptr || path->text == "/" || source == nullptr) continue;
            const auto volume = attach_volume(lowering_, container_, device, *object_.idmap);
            if (volume) needs_.push_back({volume->volume, Bond::restart});
            // A volume's files are seen with the container's ids already.
            const bool shifts = !volume && object_.idmap != "none";
            object_.mounts->emplace(path->text,
                                    mount_text(device, volume ? Value{volume->path, source->where} : *source, shifts));
            places_["mounts"] = device.where;
            lower_disk_limits(device, volume ? around(volume->path) : source->text, object_, places_);
        }
    }

    void lower_cpu_set() {
        if (const Value* cpu = find_value(container_.config, "limits.cpu")) {
            places_["cpu_set"] = cpu->where;
            const auto limit = parse_cpu_set(cpu->text);
            if (!limit) return;
            // A plain number asks for that many CPUs; the first ones are pinned, where LXD balances over all of them.
            object_.cpu_set = limit->count == 0   ? limit->list()
                              : limit->count == 1 ? std::string("0")
                                                  : fmt::format("0-{}", limit->count - 1);
        }
    }

    [[nodiscard]] RawLxc lower_raw() {
        object_.raw.emplace();
        const Value* value = find_value(container_.config, "raw.lxc");
        if (value == nullptr) return {};
        RawLxc raw = read_raw_lxc(*value, lowering_.diagnostics);
        object_.raw = raw.lines;
        places_["raw"] = value->where;
        return raw;
    }

    /// liblxc sets them inside, before the container's first process runs.
    void lower_sysctls() {
        constexpr std::string_view prefix = "linux.sysctl.";
        for (const auto& [key, entry] : container_.config) {
            if (!key.starts_with(prefix) || entry.value.empty()) continue;
            const auto is_plain = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '=' && c != '#'; };
            const auto is_printed = [](char c) { return static_cast<unsigned char>(c) >= ' '; };
            if (!std::all_of(key.begin(), key.end(), is_plain) ||
                !std::all_of(entry.value.text.begin(), entry.value.text.end(), is_printed)) {
                lowering_.diagnostics.error("bad-sysctl",
                                            fmt::format("{} can't be set to {}", quoted(key), quoted(entry.value.text)),
                                            entry.key_where, "write for instance linux.sysctl.net.ipv4.ip_forward: 1");
                continue;
            }
            object_.raw->push_back(fmt::format("lxc.sysctl.{} = {}", key.substr(prefix.size()), entry.value.text));
            places_["raw"] = entry.value.where;
        }
    }

    [[nodiscard]] bool is_busybox() const {
        const auto it = lowering_.images.find(container_.image.text);
        return it != lowering_.images.end() && it->second->source.type.text == "busybox";
    }

    void lower_environment(const std::vector<std::string>& by_dhcp) {
        object_.environment.emplace();
        constexpr std::string_view prefix = "environment.";
        for (const auto& [key, entry] : container_.config) {
            if (!key.starts_with(prefix)) continue;
            object_.environment->emplace(key.substr(prefix.size()), entry.value.text);
            places_["environment"] = entry.value.where;
        }
        // The busybox image's start script asks for addresses on these, see its rcS.
        const Value* mode = find_value(container_.config, "user.network_mode");
        if (!is_busybox() || by_dhcp.empty() || (mode != nullptr && mode->text == "link-local")) return;
        object_.environment->emplace("CTL_DHCP", joined(by_dhcp, " "));
    }

    Lowering& lowering_;
    const resource::Container& container_;
    ResourceRef owner_;
    Container object_;
    std::vector<Need> needs_;
    Places places_;
};

}  // namespace

void lower_container(Lowering& lowering, const resource::Container& container) {
    ContainerLowering(lowering, container).lower();
}

}  // namespace ctl::model
