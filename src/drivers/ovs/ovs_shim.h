/* The one door to libopenvswitch, whose headers are not C++: a replica of an Open_vSwitch database and transactions on it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A bridge, read or to be written. Texts that are not set are NULL, numbers 0. What is read lives for the visit only. */
struct ctl_ovs_bridge {
    const char* name;
    const char* datapath; /* "" is the database's way to say system */
    const char* mac;
    const char* fail_mode;
    const char* mark; /* external_ids:ctl */
    const char* const* controllers;
    size_t n_controllers;
    int64_t mtu; /* read: what the local interface has, or what was asked for */
    const char* error;
    int64_t ofport; /* read: positive once the switch has its local interface */
};

/* A port with its (first) interface. */
struct ctl_ovs_port {
    const char* name;
    const char* bridge;
    const char* type; /* "" is system */
    const char* vlan_mode;
    const char* mac;
    const char* mark; /* external_ids:ctl */
    const char* const* option_names;
    const char* const* option_values;
    size_t n_options;
    const int64_t* trunks;
    size_t n_trunks;
    int64_t tag; /* -1: none */
    int64_t mtu;
    int64_t ifindex; /* external_ids:ctl-ifindex: of the link that was there when the port was made */
    int isolated;    /* the database's word is protected */
    int fake_bridge;
    const char* error; /* read only, as ofport */
    int64_t ofport;
};

/* Columns to write. */
enum ctl_ovs_field {
    CTL_OVS_DATAPATH = 1 << 0,
    CTL_OVS_MAC = 1 << 1,
    CTL_OVS_MTU = 1 << 2,
    CTL_OVS_CONTROLLERS = 1 << 3,
    CTL_OVS_FAIL_MODE = 1 << 4,
    CTL_OVS_MARK = 1 << 5,
    CTL_OVS_BRIDGE = 1 << 6,
    CTL_OVS_TYPE = 1 << 7,
    CTL_OVS_OPTIONS = 1 << 8,
    CTL_OVS_TAG = 1 << 9,
    CTL_OVS_TRUNKS = 1 << 10,
    CTL_OVS_VLAN_MODE = 1 << 11,
    CTL_OVS_FAKE_BRIDGE = 1 << 12,
    CTL_OVS_IFINDEX = 1 << 13,
    CTL_OVS_ISOLATED = 1 << 14
};

enum ctl_ovs_outcome { CTL_OVS_PENDING, CTL_OVS_DONE, CTL_OVS_NOTHING, CTL_OVS_AGAIN, CTL_OVS_FAILED };

/* One connection with its replica. All functions on one are for one thread. */
struct ctl_ovs;
struct ctl_ovs_txn;

/* Once per process, before any other function: silences the library's log and keeps it away from the signals' dispositions.
 * Threads that use a connection must have all signals blocked: the library writes to sockets whose peer may be gone. */
void ctl_ovs_start(void);

/* 0 if somebody serves `remote` ("unix:/path"; others are not tried), else ENOENT, ECONNREFUSED, … */
int ctl_ovs_try(const char* remote);

struct ctl_ovs* ctl_ovs_open(const char* remote);
void ctl_ovs_close(struct ctl_ovs* ovs);

/* Takes in what the server sent. False when the connection is lost: it has to be closed. */
int ctl_ovs_run(struct ctl_ovs* ovs);
/* Whether the replica is complete. */
int ctl_ovs_is_complete(const struct ctl_ovs* ovs);
/* Changes with every change of the replica. */
unsigned ctl_ovs_generation(const struct ctl_ovs* ovs);
/* Waits for the server, the transaction (may be NULL), `wake_fd` or the deadline (as ctl_ovs_now; negative: none). */
void ctl_ovs_block(struct ctl_ovs* ovs, const struct ctl_ovs_txn* txn, int wake_fd, int64_t deadline);
/* Milliseconds on the library's monotonic clock. */
int64_t ctl_ovs_now(void);

typedef void ctl_ovs_bridge_visitor(void* context, const struct ctl_ovs_bridge* bridge);
typedef void ctl_ovs_port_visitor(void* context, const struct ctl_ovs_port* port);
void ctl_ovs_visit_bridges(const struct ctl_ovs* ovs, ctl_ovs_bridge_visitor* visit, void* context);
/* All ports but the bridges' own local ones. */
void ctl_ovs_visit_ports(const struct ctl_ovs* ovs, ctl_ovs_port_visitor* visit, void* context);

/* The configuration number that ovs-vswitchd has brought about last; -1 without a row for it (ovs-vsctl init). */
int64_t ctl_ovs_current_config(const struct ctl_ovs* ovs);

/* A transaction that also raises the configuration number. NULL where ctl_ovs_current_config is -1. */
struct ctl_ovs_txn* ctl_ovs_begin(struct ctl_ovs* ovs);
/* Writes the fields of a bridge or port, made if it isn't there. Only bridges that the replica or the transaction has. */
void ctl_ovs_put_bridge(struct ctl_ovs_txn* txn, const struct ctl_ovs_bridge* bridge, unsigned fields);
void ctl_ovs_put_port(struct ctl_ovs_txn* txn, const struct ctl_ovs_port* port, unsigned fields);
void ctl_ovs_delete_bridge(struct ctl_ovs_txn* txn, const char* name);
void ctl_ovs_delete_port(struct ctl_ovs_txn* txn, const char* name);
/* Sends it at the first call; to be called again after ctl_ovs_run while PENDING. AGAIN: build it anew. */
enum ctl_ovs_outcome ctl_ovs_commit(struct ctl_ovs_txn* txn);
/* After DONE: the configuration number to wait for. */
int64_t ctl_ovs_txn_config(const struct ctl_ovs_txn* txn);
/* After FAILED: the server's words. */
const char* ctl_ovs_txn_error(const struct ctl_ovs_txn* txn);
void ctl_ovs_end(struct ctl_ovs_txn* txn);

#ifdef __cplusplus
}
#endif
