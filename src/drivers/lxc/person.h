#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace ctl::drivers::lxc {

/// Whom a command in a container runs as.
struct Person {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
    std::string name;
    std::string home = "/";
    std::string shell = "/bin/sh";
};

/// A name or number of /etc/passwd, or UID[:GID], which need not be in there. `passwd` and `group` are those files' texts:
/// they are read as text and not by the C library, which would load modules of the container's.
[[nodiscard]] std::optional<Person> find_person(const std::string& user, const std::string& passwd,
                                                const std::string& group);

}  // namespace ctl::drivers::lxc
