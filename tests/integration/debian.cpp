#include "debian.h"

#include <cstdlib>
#include <filesystem>

#include "base/process.h"

namespace ctl::testing {

namespace {

namespace fs = std::filesystem;

constexpr const char* small = "systemd-sysv,dbus,iproute2";
constexpr const char* cloud =
    "systemd-sysv,dbus,iproute2,ifupdown,isc-dhcp-client,cloud-init,python3-cffi-backend,openssh-server";

std::optional<std::string> make_root(const std::string& name, const std::string& packages, std::string& why) {
    const char* home = std::getenv("HOME");
    const fs::path cache = fs::path(home != nullptr ? home : "/root") / ".cache/ctl" / name;
    if (fs::exists(cache / "usr/lib/systemd/systemd")) return cache.string();
    const fs::path aside = cache.string() + ".new";
    fs::remove_all(aside);
    fs::create_directories(aside);
    // In namespaces of its own: what it mounts in there goes with it.
    const auto made = run_process({"unshare", "--mount", "--pid", "--fork", "--mount-proc", "debootstrap",
                                   "--variant=minbase", "--include=" + packages, "bookworm", aside.string()},
                                  std::chrono::minutes{14});
    if (!made || made->exit_code != 0) {
        why = "debootstrap can't make a Debian here: " + (made ? made->out + made->err : made.error().str());
        fs::remove_all(aside);
        return std::nullopt;
    }
    for (const auto* package_store : {"var/cache/apt/archives", "var/lib/apt/lists"}) fs::remove_all(aside / package_store);
    fs::rename(aside, cache);
    return cache.string();
}

}  // namespace

std::optional<std::string> debian_root(std::string& why) { return make_root("debian-bookworm-systemd", small, why); }

std::optional<std::string> debian_cloud_root(std::string& why) { return make_root("debian-bookworm-cloud", cloud, why); }

}  // namespace ctl::testing
