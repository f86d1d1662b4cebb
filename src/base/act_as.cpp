#include "base/act_as.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ctl {

namespace {

/// setfsuid(2) away from root takes the rights over files with it.
void raise_rights() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
    if (::syscall(SYS_capget, &header, sets) != 0) return;
    for (auto& set : sets) set.effective = set.permitted;
    ::syscall(SYS_capset, &header, sets);
}

}  // namespace

ActAs::ActAs(uid_t uid, gid_t gid) {
    if (uid == 0) return;
    ::setfsgid(gid);
    ::setfsuid(uid);
    raise_rights();
    acts_ = true;
}

ActAs::~ActAs() {
    if (!acts_) return;
    ::setfsuid(::geteuid());
    ::setfsgid(::getegid());
}

}  // namespace ctl
