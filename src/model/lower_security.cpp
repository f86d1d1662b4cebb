#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "model/lower_instance.h"
#include "model/lowering.h"

namespace ctl::model {

namespace {

/// What no container needs and what harms the host where it slips through; liblxc's own list.
constexpr std::string_view default_denials =
    "reject_force_umount\n[all]\nkexec_load errno 1\nopen_by_handle_at errno 1\ninit_module errno 1\n"
    "finit_module errno 1\ndelete_module errno 1\n";

struct Spelling {
    std::string_view name;
    std::string_view older;
};
constexpr Spelling allow_key{"security.syscalls.allow", "security.syscalls.whitelist"};
constexpr Spelling deny_key{"security.syscalls.deny", "security.syscalls.blacklist"};
constexpr Spelling deny_default_key{"security.syscalls.deny_default", "security.syscalls.blacklist_default"};

/// A name of a system call with what becomes of it: "mount", "mount errno 13", "socket errno 97 [0,16,SCMP_CMP_EQ]"; or the
/// processors that the lines below are for: "[x86_64]".
bool is_syscall_line(std::string_view line) {
    const bool printed = std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~' && c != '#'; });
    if (!printed || line.empty()) return false;
    if (line.front() == '[') return line.back() == ']' && line.find(' ') == std::string_view::npos;
    const auto is_name = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    const auto name = line.substr(0, line.find(' '));
    return std::all_of(name.begin(), name.end(), is_name);
}

class SyscallLowering {
public:
    SyscallLowering(const Config& config, Container& object, Places& places, Diagnostics& diagnostics)
        : config_(config), object_(object), places_(places), diagnostics_(diagnostics) {}

    void lower() {
        const Value* raw = find_value(config_, "raw.seccomp");
        const Value* allow = find(allow_key);
        const Value* deny = find(deny_key);
        const Value* by_default = find(deny_default_key);
        if (raw != nullptr) {
            for (const Value* other : {allow, deny, by_default}) refuse_both(raw, "raw.seccomp", other);
            set(raw->text.ends_with('\n') ? raw->text : raw->text + "\n", *raw);
        } else if (allow != nullptr) {
            for (const Value* other : {deny, by_default}) refuse_both(allow, "security.syscalls.allow", other);
            set("2\nallowlist\n[all]\n" + lines_of(*allow, ""), *allow);
        } else if (deny != nullptr || by_default != nullptr) {
            const bool with_default = by_default == nullptr || lowered_bool(deny_default_key);
            std::string policy = "2\ndenylist\n";
            policy += with_default ? default_denials : "[all]\n";
            // A name alone would end the program that calls it; that it may not is enough.
            if (deny != nullptr) policy += lines_of(*deny, " errno 1");
            set(policy, deny != nullptr ? *deny : *by_default);
        }
    }

private:
    const Value* find(const Spelling& key) const {
        const Value* value = find_value(config_, key.name);
        return value != nullptr ? value : find_value(config_, key.older);
    }

    [[nodiscard]] bool lowered_bool(const Spelling& key) const {
        return bool_value(config_, find_value(config_, key.name) != nullptr ? key.name : key.older, true);
    }

    void set(std::string policy, const Value& value) {
        object_.seccomp = std::move(policy);
        places_["seccomp"] = value.where;
    }

    void refuse_both(const Value* one, std::string_view name, const Value* other) {
        if (other == nullptr) return;
        diagnostics_.error("syscalls", fmt::format("{} at {} leaves no room for this key", name, one->where.str()),
                           other->where, fmt::format("write what it asks for into {}, or take that out", name));
    }

    std::string lines_of(const Value& value, std::string_view otherwise) {
        std::string policy;
        for (const auto whole : split(value.text, '\n')) {
            const auto line = trimmed(whole);
            if (line.empty()) continue;
            if (!is_syscall_line(line)) {
                diagnostics_.error("syscalls", fmt::format("{} is no system call", quoted(line)), value.where,
                                   "write one a line, such as keyctl, or keyctl errno 38");
                continue;
            }
            policy += line;
            if (line.front() != '[' && line.find(' ') == std::string_view::npos) policy += otherwise;
            policy += '\n';
        }
        return policy;
    }

    const Config& config_;
    Container& object_;
    Places& places_;
    Diagnostics& diagnostics_;
};

void lower_apparmor(const Config& config, Container& object, Places& places) {
    const Value* value = find_value(config, "raw.apparmor");
    if (value == nullptr) return;
    for (const auto line : split(value->text, '\n'))
        if (!trimmed(line).empty()) object.raw->push_back(fmt::format("lxc.apparmor.raw = {}", trimmed(line)));
    places["raw"] = value->where;
}

}  // namespace

void lower_security(const Config& config, Container& object, Places& places, Diagnostics& diagnostics) {
    SyscallLowering(config, object, places, diagnostics).lower();
    if (!object.raw) object.raw.emplace();
    lower_apparmor(config, object, places);
    if (!bool_value(config, "security.nesting", false)) return;
    // The kernel lets nobody mount a new proc or sysfs who sees none without something mounted over parts of it. liblxc
    // looks for every hierarchy of cgroups, and an init may have mounted some of them only, or none.
    constexpr std::array nesting{"lxc.mount.auto = cgroup:rw:force", "lxc.apparmor.allow_nesting = 1",
                                 "lxc.mount.entry = proc dev/.lxc/proc proc create=dir,optional 0 0",
                                 "lxc.mount.entry = sys dev/.lxc/sys sysfs create=dir,optional 0 0"};
    object.raw->insert(object.raw->end(), nesting.begin(), nesting.end());
    places["raw"] = find_value(config, "security.nesting")->where;
}

}  // namespace ctl::model
