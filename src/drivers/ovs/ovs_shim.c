#include <config.h>

#include "ovs_shim.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "timeval.h"
#include "vswitch-idl.h"

enum { signal_count = 4 };
static const int touched_signals[signal_count] = {SIGTERM, SIGINT, SIGHUP, SIGALRM};

/* The library would try again and again where nobody listens; a plain connect says so at once. */
static int try_unix_socket(const char* remote) {
    static const char prefix[] = "unix:";
    if (strncmp(remote, prefix, sizeof prefix - 1) != 0) return 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char* path = remote + sizeof prefix - 1;
    if (strlen(path) >= sizeof address.sun_path) return ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    int error = connect(fd, (const struct sockaddr*)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static int wait_for_replica(struct ovsdb_idl* idl, long long deadline) {
    while (!ovsdb_idl_has_ever_connected(idl)) {
        ovsdb_idl_run(idl);
        if (ovsdb_idl_has_ever_connected(idl)) break;
        if (!ovsdb_idl_is_alive(idl)) return EPROTO;
        if (time_msec() >= deadline) return ETIMEDOUT;
        ovsdb_idl_wait(idl);
        poll_timer_wait_until(deadline);
        poll_block();
    }
    return 0;
}

static int visit_bridges(const char* remote, int timeout_ms, ctl_ovs_visitor* visit, void* context) {
    struct ovsdb_idl* idl = ovsdb_idl_create(remote, &ovsrec_idl_class, false, true);
    ovsdb_idl_add_column(idl, &ovsrec_bridge_col_name);
    ovsdb_idl_add_column(idl, &ovsrec_bridge_col_datapath_type);
    ovsdb_idl_add_column(idl, &ovsrec_bridge_col_external_ids);
    int error = wait_for_replica(idl, time_msec() + timeout_ms);
    if (error == 0) {
        const struct ovsrec_bridge* bridge;
        OVSREC_BRIDGE_FOR_EACH(bridge, idl) {
            visit(context, bridge->name, bridge->datapath_type, smap_get(&bridge->external_ids, "ctl"));
        }
    }
    ovsdb_idl_destroy(idl);
    return error;
}

int ctl_ovs_visit_bridges(const char* remote, int timeout_ms, ctl_ovs_visitor* visit, void* context) {
    int error = try_unix_socket(remote);
    if (error != 0) return error;

    struct sigaction before[signal_count];
    for (int i = 0; i < signal_count; ++i) sigaction(touched_signals[i], NULL, &before[i]);
    struct sigaction pipe_action;
    sigaction(SIGPIPE, NULL, &pipe_action);
    if (pipe_action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);

    error = visit_bridges(remote, timeout_ms, visit, context);

    for (int i = 0; i < signal_count; ++i) sigaction(touched_signals[i], &before[i], NULL);
    return error;
}
