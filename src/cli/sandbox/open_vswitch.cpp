#include "cli/sandbox/open_vswitch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace ctl::cli {

const char* const open_vswitch_script = R"(set -e
export OVS_RUNDIR=/run/openvswitch OVS_LOGDIR=/run/openvswitch OVS_DBDIR=/run/openvswitch
mkdir -p $OVS_RUNDIR
exec > $OVS_LOGDIR/start.log 2>&1
ovsdb-tool create $OVS_DBDIR/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server $OVS_DBDIR/conf.db --remote=punix:$OVS_RUNDIR/db.sock --detach --pidfile --log-file
ovs-vsctl --no-wait init
ovs-vswitchd unix:$OVS_RUNDIR/db.sock --detach --pidfile --log-file
)";

Status start_open_vswitch(const sigset_t& signals) {
    const pid_t child = ::fork();
    if (child < 0) return system_error(errno, "start Open vSwitch");
    if (child == 0) {
        ::sigprocmask(SIG_SETMASK, &signals, nullptr);
        ::execl("/bin/sh", "sh", "-c", open_vswitch_script, nullptr);
        ::_exit(127);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ok();
    return Error(ErrorCode::missing_driver, "Open vSwitch does not start in the sandbox")
        .hint("apt-get install openvswitch-switch");
}

}  // namespace ctl::cli
