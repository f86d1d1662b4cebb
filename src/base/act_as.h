#pragma once

#include <sys/types.h>

namespace ctl {

/// As long as it lives, this thread makes files as that user and group, and with all of the process's rights over files:
/// where a mount shifts ids, the host's root has none to give them. Nothing changes for user 0.
class ActAs {
public:
    ActAs(uid_t uid, gid_t gid);
    ~ActAs();
    ActAs(const ActAs&) = delete;
    ActAs& operator=(const ActAs&) = delete;

private:
    bool acts_ = false;
};

}  // namespace ctl
