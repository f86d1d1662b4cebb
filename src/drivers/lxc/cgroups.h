#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace ctl::drivers::lxc {

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

    // Limits of a running container. Absent: none, or not readable.
    [[nodiscard]] std::optional<std::int64_t> memory_limit(const std::string& name) const;  ///< bytes, whole pages
    [[nodiscard]] std::optional<std::int64_t> process_limit(const std::string& name) const;
    /// Absent when it may use all CPUs that we may, unless its config says so itself (`written`).
    [[nodiscard]] std::optional<std::string> cpu_set(const std::string& name,
                                                     const std::optional<std::string>& written) const;

    // Absent value: no limit.
    [[nodiscard]] Status set_memory_limit(const std::string& name, std::optional<std::int64_t> bytes) const;
    [[nodiscard]] Status set_process_limit(const std::string& name, std::optional<std::int64_t> count) const;
    [[nodiscard]] Status set_cpu_set(const std::string& name, const std::optional<std::string>& list) const;

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

    /// The CPUs that a container without a set of its own may use.
    [[nodiscard]] static std::optional<std::string> all_cpus(const Base& base);
    [[nodiscard]] const Base* base_of(const std::string& controller) const;
    [[nodiscard]] std::optional<std::string> limit_file(const std::string& name, const std::string& controller,
                                                        const char* v1, const char* v2) const;
    [[nodiscard]] std::set<pid_t> processes(const std::string& name) const;

    std::vector<Base> bases_;
    std::set<std::string> unified_;
};

}  // namespace ctl::drivers::lxc
