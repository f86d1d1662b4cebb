#pragma once

#include <functional>
#include <string>

// A world of its own for tests that start containers: network, mount and process namespaces, cgroups below a directory of
// its own, and an empty /run. All of it is gone when the program ends.

namespace ctl::test {

/// Runs `tests` in that world and returns what it returned; 77 with the reason on standard output where it is impossible.
int run_in_own_world(const std::function<int()>& tests);

/// Below it tests may write what they like; it is a tmpfs.
inline const std::string scratch = "/run/scratch";

/// A root file system that busybox boots, whose files belong to `owner`.
void make_busybox_rootfs(const std::string& path, unsigned owner);

/// What the netlink driver makes: network (and for "0:HOST:COUNT" user) namespaces, pinned below RUN_DIR/namespaces/NAME.
void pin_namespaces(const std::string& run_dir, const std::string& name, const std::string& idmap);

/// Directories of that name in any cgroup hierarchy, at any depth below our own.
int count_cgroups(const std::string& name);

}  // namespace ctl::test
