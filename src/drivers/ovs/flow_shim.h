/* The door to libopenvswitch's OpenFlow: one connection to one bridge of ovs-vswitchd, and the flows on it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One connection. All functions on one are for one thread; deadlines are ctl_ovs_now()'s. */
struct ctl_switch;

/* Connects to "unix:/run/openvswitch/BRIDGE.mgmt". 0, or an errno: ENOENT and ECONNREFUSED when nobody is there, EPROTO when
 * the bridge does not speak OpenFlow 1.4. */
int ctl_switch_open(const char* target, int64_t deadline, struct ctl_switch** connected);
void ctl_switch_close(struct ctl_switch* sw);

/* Names for numbers of ports, in what is read and written from now on: forget all, then tell each. */
void ctl_switch_forget_ports(struct ctl_switch* sw);
void ctl_switch_name_port(struct ctl_switch* sw, const char* name, int64_t number);

/* A flow as "priority=5,ip,in_port=web0 actions=NORMAL", the table in front unless it is 0. Lives for the visit only. */
typedef void ctl_flow_visitor(void* context, uint64_t cookie, const char* text);
/* All flows whose cookie has these bits. 0 or an errno; the connection has to be closed after one. */
int ctl_switch_visit_flows(struct ctl_switch* sw, uint64_t cookie, uint64_t mask, int64_t deadline, ctl_flow_visitor* visit,
                           void* context);

/* Puts these flows in place of all with the cookie, all or nothing. 0 or an errno; after EINVAL ctl_switch_complaint() says
 * what the matter is with which flow, after others the connection has to be closed. */
int ctl_switch_replace_flows(struct ctl_switch* sw, uint64_t cookie, const char* const* flows, size_t n, int64_t deadline);
const char* ctl_switch_complaint(const struct ctl_switch* sw);

/* Asks to be told of changes that others make to flows whose cookie has these bits. 0 or an errno, as above. */
int ctl_switch_subscribe(struct ctl_switch* sw, uint64_t cookie, uint64_t mask, int64_t deadline);
/* Takes in what the bridge sent: 1 if such flows changed, 0 if not, -1 when the connection is lost. */
int ctl_switch_run(struct ctl_switch* sw);
/* Lets the thread's next ctl_ovs_block return when there is something to take in. */
void ctl_switch_wait(struct ctl_switch* sw);

#ifdef __cplusplus
}
#endif
