#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace ctl {

/// A child that sits in new namespaces until it is let go, or we are gone. Its parent does all the work: writes its maps,
/// opens or pins its namespaces.
class NamespaceHolder {
public:
    /// `namespaces`: CLONE_NEWUSER and the like (clone(2)). May be called in a program with threads.
    [[nodiscard]] static Result<std::unique_ptr<NamespaceHolder>> start(int namespaces);
    ~NamespaceHolder();
    NamespaceHolder(const NamespaceHolder&) = delete;
    NamespaceHolder& operator=(const NamespaceHolder&) = delete;

    /// The path of one of its files: "ns/net", "uid_map".
    [[nodiscard]] std::string proc(std::string_view file) const;

    /// Maps users and groups of its user namespace to ours, once only; `map` as user_namespaces(7) says: "0 100000 65536".
    [[nodiscard]] Status map_ids(const std::string& map) const;

private:
    NamespaceHolder() = default;
    static int wait_in_child(void* holder);

    std::unique_ptr<char[]> stack_;
    Fd read_end_;
    Fd write_end_;
    pid_t pid_ = -1;
};

}  // namespace ctl
