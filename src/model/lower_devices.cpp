#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/mount_words.h"
#include "base/text.h"
#include "model/lower_instance.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// "c 1:3 0660 0:0", or with the host's device where its numbers are not written: "c /dev/fuse 0660 0:0 optional".
std::string node_text(const resource::Device& device, const std::string& path) {
    const Value* major = find_value(device.keys, "major");
    const Value* minor = find_value(device.keys, "minor");
    const std::string what = major != nullptr && minor != nullptr ? fmt::format("{}:{}", major->text, minor->text)
                                                                  : fstab_escaped(text_value(device.keys, "source", path));
    std::string mode = text_value(device.keys, "mode", "0660");
    while (mode.size() < 4) mode.insert(mode.begin(), '0');
    return fmt::format("{} {} {} {}:{}{}", device.type.text == "unix-block" ? "b" : "c", what, mode,
                       text_value(device.keys, "uid", "0"), text_value(device.keys, "gid", "0"),
                       bool_value(device.keys, "required", true) ? "" : " optional");
}

constexpr std::array<std::string_view, 4> known_flags{"nodev", "noexec", "nosuid", "ro"};

}  // namespace

bool is_mount_flag(std::string_view option) {
    return std::find(known_flags.begin(), known_flags.end(), option) != known_flags.end();
}

std::set<std::string, std::less<>> mount_flags(const resource::Device& device) {
    std::set<std::string, std::less<>> flags;
    if (const Value* value = find_value(device.keys, "raw.mount.options"))
        for (const auto& option : parse_list(value->text))
            if (is_mount_flag(option)) flags.emplace(option);
    return flags;
}

void lower_devices(const resource::Devices& devices, Container& object, Places& places) {
    for (const auto& [name, device] : devices) {
        if (device.type.text != "unix-char" && device.type.text != "unix-block") continue;
        const std::string path = text_value(device.keys, "path", text_value(device.keys, "source", ""));
        if (path.empty()) continue;
        if (!object.devices) object.devices.emplace();
        object.devices->emplace(path, node_text(device, path));
        places["devices"] = device.where;
    }
}

}  // namespace ctl::model
