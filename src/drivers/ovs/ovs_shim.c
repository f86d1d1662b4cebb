#include <config.h>

#include "ovs_shim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fatal-signal.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"
#include "vswitch-idl.h"

struct ctl_ovs {
    struct ovsdb_idl* idl;
};

/* Rows by name: those of the replica and those that the transaction makes. */
struct ctl_ovs_txn {
    struct ovsdb_idl_txn* txn;
    const struct ovsrec_open_vswitch* top;
    struct shash bridges;
    struct shash ports;   /* struct ovsrec_port */
    struct shash parents; /* port's name to struct ovsrec_bridge */
    enum ovsdb_idl_txn_status status;
};

static const char mark_key[] = "ctl";
static const char ifindex_key[] = "ctl-ifindex";

void ctl_ovs_start(void) {
    static const int touched[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM};
    struct sigaction before[ARRAY_SIZE(touched)];
    for (size_t i = 0; i < ARRAY_SIZE(touched); ++i) sigaction(touched[i], NULL, &before[i]);
    fatal_signal_init();
    for (size_t i = 0; i < ARRAY_SIZE(touched); ++i) sigaction(touched[i], &before[i], NULL);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
}

/* The library would try again and again where nobody listens; a plain connect says so at once. */
int ctl_ovs_try(const char* remote) {
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

static void replicate(struct ovsdb_idl* idl) {
    static const struct ovsdb_idl_column* const columns[] = {
        &ovsrec_open_vswitch_col_bridges,  &ovsrec_open_vswitch_col_cur_cfg,
        &ovsrec_open_vswitch_col_next_cfg, &ovsrec_bridge_col_name,
        &ovsrec_bridge_col_ports,          &ovsrec_bridge_col_datapath_type,
        &ovsrec_bridge_col_other_config,   &ovsrec_bridge_col_external_ids,
        &ovsrec_bridge_col_controller,     &ovsrec_bridge_col_fail_mode,
        &ovsrec_controller_col_target,     &ovsrec_port_col_name,
        &ovsrec_port_col_interfaces,       &ovsrec_port_col_tag,
        &ovsrec_port_col_trunks,           &ovsrec_port_col_vlan_mode,
        &ovsrec_port_col_fake_bridge,      &ovsrec_port_col_external_ids,
        &ovsrec_port_col_protected_,       &ovsrec_interface_col_name,
        &ovsrec_interface_col_type,        &ovsrec_interface_col_options,
        &ovsrec_interface_col_mac,         &ovsrec_interface_col_mtu,
        &ovsrec_interface_col_mtu_request, &ovsrec_interface_col_error,
        &ovsrec_interface_col_ofport};
    for (size_t i = 0; i < ARRAY_SIZE(columns); ++i) ovsdb_idl_add_column(idl, columns[i]);
}

struct ctl_ovs* ctl_ovs_open(const char* remote) {
    struct ctl_ovs* ovs = xmalloc(sizeof *ovs);
    /* Without retry one replica is one connection, and what it holds is what the server says now. */
    ovs->idl = ovsdb_idl_create(remote, &ovsrec_idl_class, false, false);
    replicate(ovs->idl);
    return ovs;
}

void ctl_ovs_close(struct ctl_ovs* ovs) {
    if (ovs == NULL) return;
    ovsdb_idl_destroy(ovs->idl);
    free(ovs);
}

int ctl_ovs_run(struct ctl_ovs* ovs) {
    ovsdb_idl_run(ovs->idl);
    return ovsdb_idl_is_alive(ovs->idl);
}

int ctl_ovs_is_complete(const struct ctl_ovs* ovs) { return ovsdb_idl_has_ever_connected(ovs->idl); }

unsigned ctl_ovs_generation(const struct ctl_ovs* ovs) { return ovsdb_idl_get_seqno(ovs->idl); }

void ctl_ovs_block(struct ctl_ovs* ovs, const struct ctl_ovs_txn* txn, int wake_fd, int64_t deadline) {
    if (ovs != NULL) ovsdb_idl_wait(ovs->idl);
    if (txn != NULL) ovsdb_idl_txn_wait(txn->txn);
    if (wake_fd >= 0) poll_fd_wait(wake_fd, POLLIN);
    if (deadline >= 0) poll_timer_wait_until(deadline);
    poll_block();
}

int64_t ctl_ovs_now(void) { return time_msec(); }

static const struct ovsrec_interface* interface_of(const struct ovsrec_port* port) {
    return port != NULL && port->n_interfaces > 0 ? port->interfaces[0] : NULL;
}

static const struct ovsrec_port* local_port(const struct ovsrec_bridge* bridge) {
    for (size_t i = 0; i < bridge->n_ports; ++i)
        if (strcmp(bridge->ports[i]->name, bridge->name) == 0) return bridge->ports[i];
    return NULL;
}

static int64_t mtu_of(const struct ovsrec_interface* interface) {
    if (interface == NULL) return 0;
    if (interface->n_mtu > 0) return *interface->mtu;
    return interface->n_mtu_request > 0 ? *interface->mtu_request : 0;
}

static int64_t ofport_of(const struct ovsrec_interface* interface) {
    return interface != NULL && interface->n_ofport > 0 ? *interface->ofport : 0;
}

void ctl_ovs_visit_bridges(const struct ctl_ovs* ovs, ctl_ovs_bridge_visitor* visit, void* context) {
    const struct ovsrec_bridge* row;
    OVSREC_BRIDGE_FOR_EACH(row, ovs->idl) {
        const char** targets = xmalloc((row->n_controller + 1) * sizeof *targets);
        for (size_t i = 0; i < row->n_controller; ++i) targets[i] = row->controller[i]->target;
        const struct ovsrec_interface* local = interface_of(local_port(row));
        const struct ctl_ovs_bridge bridge = {
            .name = row->name,
            .datapath = row->datapath_type,
            .mac = smap_get(&row->other_config, "hwaddr"),
            .fail_mode = row->fail_mode,
            .mark = smap_get(&row->external_ids, mark_key),
            .controllers = targets,
            .n_controllers = row->n_controller,
            .mtu = mtu_of(local),
            .error = local != NULL ? local->error : NULL,
            /* The local interface has a number of its own, 65534. */
            .ofport = ofport_of(local),
        };
        visit(context, &bridge);
        free(targets);
    }
}

static void visit_port(const struct ovsrec_bridge* bridge, const struct ovsrec_port* row, ctl_ovs_port_visitor* visit,
                       void* context) {
    const struct ovsrec_interface* interface = interface_of(row);
    if (interface == NULL || strcmp(row->name, bridge->name) == 0) return;
    const size_t n_options = smap_count(&interface->options);
    const char** options = xmalloc((2 * n_options + 1) * sizeof *options);
    size_t at = 0;
    const struct smap_node* node;
    SMAP_FOR_EACH(node, &interface->options) {
        options[at] = node->key;
        options[n_options + at++] = node->value;
    }
    const struct ctl_ovs_port port = {
        .name = row->name,
        .bridge = bridge->name,
        .type = interface->type,
        .vlan_mode = row->vlan_mode,
        .mac = interface->mac,
        .mark = smap_get(&row->external_ids, mark_key),
        .option_names = options,
        .option_values = options + n_options,
        .n_options = n_options,
        .trunks = row->trunks,
        .n_trunks = row->n_trunks,
        .tag = row->n_tag > 0 ? *row->tag : -1,
        .mtu = mtu_of(interface),
        .ifindex = smap_get_int(&row->external_ids, ifindex_key, 0),
        .isolated = row->protected_,
        .fake_bridge = row->fake_bridge,
        .error = interface->error,
        .ofport = ofport_of(interface),
    };
    visit(context, &port);
    free(options);
}

void ctl_ovs_visit_ports(const struct ctl_ovs* ovs, ctl_ovs_port_visitor* visit, void* context) {
    const struct ovsrec_bridge* bridge;
    OVSREC_BRIDGE_FOR_EACH(bridge, ovs->idl) {
        for (size_t i = 0; i < bridge->n_ports; ++i) visit_port(bridge, bridge->ports[i], visit, context);
    }
}

int64_t ctl_ovs_current_config(const struct ctl_ovs* ovs) {
    const struct ovsrec_open_vswitch* top = ovsrec_open_vswitch_first(ovs->idl);
    return top != NULL ? top->cur_cfg : -1;
}

struct ctl_ovs_txn* ctl_ovs_begin(struct ctl_ovs* ovs) {
    const struct ovsrec_open_vswitch* top = ovsrec_open_vswitch_first(ovs->idl);
    if (top == NULL) return NULL;
    struct ctl_ovs_txn* txn = xzalloc(sizeof *txn);
    txn->txn = ovsdb_idl_txn_create(ovs->idl);
    txn->top = top;
    shash_init(&txn->bridges);
    shash_init(&txn->ports);
    shash_init(&txn->parents);
    const struct ovsrec_bridge* bridge;
    OVSREC_BRIDGE_FOR_EACH(bridge, ovs->idl) {
        shash_add(&txn->bridges, bridge->name, bridge);
        for (size_t i = 0; i < bridge->n_ports; ++i) {
            shash_add(&txn->ports, bridge->ports[i]->name, bridge->ports[i]);
            shash_add(&txn->parents, bridge->ports[i]->name, bridge);
        }
    }
    ovsdb_idl_txn_add_comment(txn->txn, "ctl");
    ovsdb_idl_txn_increment(txn->txn, &top->header_, &ovsrec_open_vswitch_col_next_cfg, false);
    return txn;
}

static void set_controllers(struct ctl_ovs_txn* txn, const struct ovsrec_bridge* row, const struct ctl_ovs_bridge* bridge) {
    struct ovsrec_controller** controllers = xmalloc((bridge->n_controllers + 1) * sizeof *controllers);
    for (size_t i = 0; i < bridge->n_controllers; ++i) {
        controllers[i] = ovsrec_controller_insert(txn->txn);
        ovsrec_controller_set_target(controllers[i], bridge->controllers[i]);
    }
    ovsrec_bridge_set_controller(row, controllers, bridge->n_controllers);
    free(controllers);
}

static void set_key(struct smap* map, const char* key, const char* value) {
    if (value != NULL && *value != '\0') smap_replace(map, key, value);
    else smap_remove(map, key);
}

static const struct ovsrec_bridge* find_or_make_bridge(struct ctl_ovs_txn* txn, const char* name) {
    const struct ovsrec_bridge* known = shash_find_data(&txn->bridges, name);
    if (known != NULL) return known;
    struct ovsrec_interface* interface = ovsrec_interface_insert(txn->txn);
    ovsrec_interface_set_name(interface, name);
    ovsrec_interface_set_type(interface, "internal");
    struct ovsrec_port* port = ovsrec_port_insert(txn->txn);
    ovsrec_port_set_name(port, name);
    ovsrec_port_set_interfaces(port, &interface, 1);
    struct ovsrec_bridge* row = ovsrec_bridge_insert(txn->txn);
    ovsrec_bridge_set_name(row, name);
    ovsrec_bridge_set_ports(row, &port, 1);
    ovsrec_open_vswitch_update_bridges_addvalue(txn->top, row);
    shash_add(&txn->bridges, name, row);
    shash_add(&txn->ports, name, port);
    shash_add(&txn->parents, name, row);
    return row;
}

static void set_mtu(const struct ovsrec_interface* interface, int64_t mtu) {
    if (interface != NULL) ovsrec_interface_set_mtu_request(interface, &mtu, mtu > 0 ? 1 : 0);
}

void ctl_ovs_put_bridge(struct ctl_ovs_txn* txn, const struct ctl_ovs_bridge* bridge, unsigned fields) {
    const struct ovsrec_bridge* row = find_or_make_bridge(txn, bridge->name);
    if (fields & CTL_OVS_DATAPATH) ovsrec_bridge_set_datapath_type(row, bridge->datapath != NULL ? bridge->datapath : "");
    if (fields & CTL_OVS_FAIL_MODE) ovsrec_bridge_set_fail_mode(row, bridge->fail_mode);
    if (fields & CTL_OVS_CONTROLLERS) set_controllers(txn, row, bridge);
    if (fields & CTL_OVS_MTU) set_mtu(interface_of(shash_find_data(&txn->ports, bridge->name)), bridge->mtu);
    if (fields & CTL_OVS_MAC) {
        struct smap config;
        smap_clone(&config, &row->other_config);
        set_key(&config, "hwaddr", bridge->mac);
        ovsrec_bridge_set_other_config(row, &config);
        smap_destroy(&config);
    }
    if (fields & CTL_OVS_MARK) {
        struct smap ids;
        smap_clone(&ids, &row->external_ids);
        set_key(&ids, mark_key, bridge->mark);
        ovsrec_bridge_set_external_ids(row, &ids);
        smap_destroy(&ids);
    }
}

static const struct ovsrec_port* find_or_make_port(struct ctl_ovs_txn* txn, const char* name) {
    const struct ovsrec_port* known = shash_find_data(&txn->ports, name);
    if (known != NULL) return known;
    struct ovsrec_interface* interface = ovsrec_interface_insert(txn->txn);
    ovsrec_interface_set_name(interface, name);
    struct ovsrec_port* port = ovsrec_port_insert(txn->txn);
    ovsrec_port_set_name(port, name);
    ovsrec_port_set_interfaces(port, &interface, 1);
    shash_add(&txn->ports, name, port);
    return port;
}

static void move_port(struct ctl_ovs_txn* txn, const struct ovsrec_port* row, const char* bridge) {
    const struct ovsrec_bridge* from = shash_find_data(&txn->parents, row->name);
    const struct ovsrec_bridge* to = shash_find_data(&txn->bridges, bridge);
    if (from == to || to == NULL) return;
    if (from != NULL) ovsrec_bridge_update_ports_delvalue(from, row);
    ovsrec_bridge_update_ports_addvalue(to, row);
    shash_replace(&txn->parents, row->name, to);
}

static void set_port_ids(const struct ovsrec_port* row, const struct ctl_ovs_port* port, unsigned fields) {
    struct smap ids;
    smap_clone(&ids, &row->external_ids);
    if (fields & CTL_OVS_MARK) set_key(&ids, mark_key, port->mark);
    if (fields & CTL_OVS_IFINDEX) {
        char text[24] = "";
        if (port->ifindex > 0) snprintf(text, sizeof text, "%" PRId64, port->ifindex);
        set_key(&ids, ifindex_key, text);
    }
    ovsrec_port_set_external_ids(row, &ids);
    smap_destroy(&ids);
}

static void set_options(const struct ovsrec_interface* interface, const struct ctl_ovs_port* port) {
    struct smap options = SMAP_INITIALIZER(&options);
    for (size_t i = 0; i < port->n_options; ++i) smap_add(&options, port->option_names[i], port->option_values[i]);
    ovsrec_interface_set_options(interface, &options);
    smap_destroy(&options);
}

void ctl_ovs_put_port(struct ctl_ovs_txn* txn, const struct ctl_ovs_port* port, unsigned fields) {
    const struct ovsrec_port* row = find_or_make_port(txn, port->name);
    const struct ovsrec_interface* interface = interface_of(row);
    if (fields & CTL_OVS_BRIDGE) move_port(txn, row, port->bridge);
    if (fields & CTL_OVS_TAG) ovsrec_port_set_tag(row, &port->tag, port->tag >= 0 ? 1 : 0);
    if (fields & CTL_OVS_TRUNKS) ovsrec_port_set_trunks(row, port->trunks, port->n_trunks);
    if (fields & CTL_OVS_VLAN_MODE) ovsrec_port_set_vlan_mode(row, port->vlan_mode);
    if (fields & CTL_OVS_ISOLATED) ovsrec_port_set_protected_(row, port->isolated);
    if (fields & CTL_OVS_FAKE_BRIDGE) ovsrec_port_set_fake_bridge(row, port->fake_bridge);
    if (fields & (CTL_OVS_MARK | CTL_OVS_IFINDEX)) set_port_ids(row, port, fields);
    if (interface == NULL) return;
    if (fields & CTL_OVS_TYPE) ovsrec_interface_set_type(interface, port->type != NULL ? port->type : "");
    if (fields & CTL_OVS_MAC) ovsrec_interface_set_mac(interface, port->mac);
    if (fields & CTL_OVS_MTU) set_mtu(interface, port->mtu);
    if (fields & CTL_OVS_OPTIONS) set_options(interface, port);
}

/* Rows that nothing refers to any more go by themselves: a bridge's ports, a port's interface. */
void ctl_ovs_delete_bridge(struct ctl_ovs_txn* txn, const char* name) {
    const struct ovsrec_bridge* row = shash_find_data(&txn->bridges, name);
    if (row != NULL) ovsrec_open_vswitch_update_bridges_delvalue(txn->top, row);
}

void ctl_ovs_delete_port(struct ctl_ovs_txn* txn, const char* name) {
    const struct ovsrec_port* row = shash_find_data(&txn->ports, name);
    const struct ovsrec_bridge* parent = shash_find_data(&txn->parents, name);
    if (row != NULL && parent != NULL) ovsrec_bridge_update_ports_delvalue(parent, row);
}

enum ctl_ovs_outcome ctl_ovs_commit(struct ctl_ovs_txn* txn) {
    txn->status = ovsdb_idl_txn_commit(txn->txn);
    switch (txn->status) {
        case TXN_INCOMPLETE: return CTL_OVS_PENDING;
        case TXN_SUCCESS: return CTL_OVS_DONE;
        case TXN_UNCHANGED: return CTL_OVS_NOTHING;
        case TXN_TRY_AGAIN: return CTL_OVS_AGAIN;
        case TXN_UNCOMMITTED:
        case TXN_ABORTED:
        case TXN_NOT_LOCKED:
        case TXN_ERROR: break;
    }
    return CTL_OVS_FAILED;
}

int64_t ctl_ovs_txn_config(const struct ctl_ovs_txn* txn) { return ovsdb_idl_txn_get_increment_new_value(txn->txn); }

const char* ctl_ovs_txn_error(const struct ctl_ovs_txn* txn) { return ovsdb_idl_txn_get_error(txn->txn); }

void ctl_ovs_end(struct ctl_ovs_txn* txn) {
    if (txn == NULL) return;
    ovsdb_idl_txn_destroy(txn->txn);
    shash_destroy(&txn->bridges);
    shash_destroy(&txn->ports);
    shash_destroy(&txn->parents);
    free(txn);
}
