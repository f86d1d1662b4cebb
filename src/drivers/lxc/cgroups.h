#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ctl::drivers::lxc {

/// A file of a controller, by cgroup version; null where that version has none.
struct LimitFile {
    const char* controller;
    const char* v1;
    const char* v2;
};

/// A number from 0 up, whole and nothing else.
[[nodiscard]] std::optional<std::int64_t> parse_number(std::string_view text);

/// Where liblxc puts containers: below the cgroups of process 1, on every mounted hierarchy. Read once.
class Cgroups {
public:
    [[nodiscard]] static Cgroups find();

    /// No hierarchy at all: containers can't start.
    [[nodiscard]] bool empty() const { return bases_.empty(); }
    /// Controllers that are on the version 2 hierarchy.
    [[nodiscard]] const std::set<std::string>& unified_controllers() const { return unified_; }

    /// Do the container's processes live where our configs put them?
    [[nodiscard]] bool has(const std::string& name) const;

    [[nodiscard]] bool has_controller(const std::string& controller) const { return base_of(controller) != nullptr; }
    [[nodiscard]] bool is_unified(const std::string& controller) const { return unified_.contains(controller); }
    /// Does a container's cgroup have that file?
    [[nodiscard]] bool offers(const LimitFile& file) const;
    /// Its name in the version that the controller is on.
    [[nodiscard]] std::string file_name(const LimitFile& file) const;

    // Files of a running container's cgroup. Absent: no such file.
    [[nodiscard]] std::optional<std::string> value(const std::string& name, const LimitFile& file) const;
    /// As the cgroup in there has it that the processes are in: lxc-cgroup(1) reads and writes that one.
    [[nodiscard]] std::optional<std::string> inner_value(const std::string& name, const LimitFile& file) const;
    /// As the cgroup has it that all containers are in.
    [[nodiscard]] std::optional<std::string> inherited(const LimitFile& file) const;
    /// Absent when it may use all CPUs that we may, unless its config says so itself (`written`).
    [[nodiscard]] std::optional<std::string> cpu_set(const std::string& name,
                                                     const std::optional<std::string>& written) const;

    /// `unsupported` where there is no such controller, else what the kernel says.
    [[nodiscard]] Status set(const std::string& name, const LimitFile& file, std::string_view value) const;
    /// The same for the one that the processes are in.
    [[nodiscard]] Status set_inner(const std::string& name, const LimitFile& file, std::string_view value) const;
    /// The same in all cgroups that the container has made inside.
    [[nodiscard]] Status set_below(const std::string& name, const LimitFile& file, std::string_view value) const;
    /// A set of CPUs or memory nodes; absent: all that we may use.
    [[nodiscard]] Status set_list(const std::string& name, const LimitFile& file,
                                  const std::optional<std::string>& list) const;

    [[nodiscard]] bool is_frozen(const std::string& name) const;
    /// Freezes or thaws all processes of the container and waits for it. `timeout` after 10 s.
    [[nodiscard]] Status set_frozen(const std::string& name, bool frozen) const;

    /// Is there at most one process in the container?
    [[nodiscard]] bool is_alone(const std::string& name) const;

    /// Kills what still runs in the container's cgroups and removes them. What a dead monitor leaves is gone afterwards.
    [[nodiscard]] Status remove(const std::string& name) const;
    /// Removes the directories of all containers once nothing is in them. Not while a container starts.
    void tidy() const;

private:
    struct Base {
        std::set<std::string> controllers;  ///< empty for a hierarchy that only names processes
        std::string path;                   ///< where containers' directories are: …/ctl
        bool unified = false;
    };

    /// The CPUs or nodes that a container without a set of its own may use.
    [[nodiscard]] static std::optional<std::string> whole_list(const Base& base, const std::string& file);
    [[nodiscard]] const Base* base_of(const std::string& controller) const;
    /// Where the file is for the container; absent where there is no such controller.
    [[nodiscard]] std::optional<std::string> path_of(const std::string& name, const LimitFile& file,
                                                     std::string_view cgroup = "payload") const;
    [[nodiscard]] std::set<pid_t> processes(const std::string& name) const;

    std::vector<Base> bases_;
    std::set<std::string> unified_;
};

}  // namespace ctl::drivers::lxc
