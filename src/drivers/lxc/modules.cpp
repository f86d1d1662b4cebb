#include "drivers/lxc/modules.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace ctl::drivers::lxc {

namespace {

using namespace std::chrono_literals;

/// Modules spell themselves with either; the kernel knows one of them.
std::string kernel_name(std::string name) {
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

bool is_built_in(const std::string& name) {
    utsname system{};
    if (::uname(&system) != 0) return false;
    const auto list = read_file(fmt::format("/lib/modules/{}/modules.builtin", system.release), std::size_t{1} << 20);
    if (!list) return false;
    for (const auto line : split(*list, '\n')) {
        const auto file = line.substr(line.rfind('/') + 1);
        if (kernel_name(std::string(file)) == kernel_name(name) + ".ko") return true;
    }
    return false;
}

bool is_there(const std::string& name) {
    return ::access(fmt::format("/sys/module/{}", kernel_name(name)).c_str(), F_OK) == 0 || is_built_in(name);
}

Error no_modprobe(const std::string& name) {
    return Error(ErrorCode::unsupported,
                 fmt::format("kernel module {} is not loaded, and there is no modprobe", ctl::quoted(name)))
        .hint("apt install kmod, or take it out of linux.kernel_modules");
}

}  // namespace

Status check_modules(const std::vector<std::string>& names) {
    for (const auto& name : names)
        if (!is_there(name) && !find_program("modprobe")) return no_modprobe(name);
    return ok();
}

Status load_modules(const std::vector<std::string>& names) {
    for (const auto& name : names) {
        if (is_there(name)) continue;
        const auto modprobe = find_program("modprobe");
        if (!modprobe) return no_modprobe(name);
        CTL_ASSIGN(const auto ended, run_process({*modprobe, "-b", "--", name}, 30s));
        if (ended.exit_code != 0)
            return Error(ErrorCode::unsupported,
                         fmt::format("can't load kernel module {}: {}", ctl::quoted(name), escaped(trimmed(ended.err))));
    }
    return ok();
}

}  // namespace ctl::drivers::lxc
