#include <config.h>

#include "flow_shim.h"

#include <errno.h>
#include <stdlib.h>

#include "byte-order.h"
#include "flow.h"
#include "openflow/openflow.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-bundle.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/ofp-flow.h"
#include "openvswitch/ofp-monitor.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofp-port.h"
#include "openvswitch/ofp-protocol.h"
#include "openvswitch/ofp-util.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vconn.h"
#include "timeval.h"
#include "util.h"

/* The oldest version with bundles; actions read the same in it whoever put the flow there. */
static const enum ofp_version version = OFP14_VERSION;
static const enum ofputil_protocol protocol = OFPUTIL_P_OF14_OXM;

struct ctl_switch {
    struct vconn* vconn;
    struct ofputil_port_map ports;
    ovs_be32 awaited;        /* number of the request whose replies are kept */
    struct ovs_list replies; /* struct ofpbuf */
    char* complaint;         /* the first error since begin() */
    uint64_t watched_cookie;
    uint64_t watched_mask;
    bool has_changed;
};

/* ---- messages */

static bool is_watched(const struct ctl_switch* sw, const struct ofputil_flow_update* update) {
    if (update->event == OFPFME_ABBREV) return false; /* what we did ourselves */
    return update->event > OFPFME_ABBREV || (ntohll(update->cookie) & sw->watched_mask) == sw->watched_cookie;
}

static void take_updates(struct ctl_switch* sw, struct ofpbuf* message) {
    struct ofpbuf actions;
    ofpbuf_init(&actions, 0);
    for (;;) {
        struct ofputil_flow_update update = {.event = OFPFME_PAUSED};
        const int status = ofputil_decode_flow_update(&update, message, &actions);
        if (status == EOF) break;
        if (status != 0 || is_watched(sw, &update)) sw->has_changed = true;
        if (status != 0) break;
    }
    ofpbuf_uninit(&actions);
}

static void take_error(struct ctl_switch* sw, const struct ofpbuf* message) {
    const enum ofperr error = ofperr_decode_msg(message->data, NULL);
    if (sw->complaint == NULL) sw->complaint = xstrdup(error != 0 ? ofperr_get_description(error) : "an unknown error");
}

static void take_in(struct ctl_switch* sw, struct ofpbuf* message) {
    const struct ofp_header* header = message->data;
    enum ofptype type;
    if (ofptype_decode(&type, header) != 0) type = OFPTYPE_HELLO;
    if (type == OFPTYPE_ERROR) take_error(sw, message);
    /* What comes unasked has the number 0. */
    if (sw->awaited != 0 && header->xid == sw->awaited) {
        ovs_list_push_back(&sw->replies, &message->list_node);
        return;
    }
    if (type == OFPTYPE_FLOW_MONITOR_STATS_REPLY) take_updates(sw, message);
    if (type == OFPTYPE_FLOW_MONITOR_PAUSED || type == OFPTYPE_FLOW_MONITOR_RESUMED) sw->has_changed = true;
    if (type == OFPTYPE_ECHO_REQUEST) {
        struct ofpbuf* answer = ofputil_encode_echo_reply(header);
        /* A lost answer costs a connection at worst, and that is noticed. */
        if (vconn_send(sw->vconn, answer) != 0) ofpbuf_delete(answer);
    }
    ofpbuf_delete(message);
}

/* Takes in all that is there. 0, or an errno when the connection is lost. */
static int receive(struct ctl_switch* sw) {
    vconn_run(sw->vconn);
    for (;;) {
        struct ofpbuf* message;
        const int error = vconn_recv(sw->vconn, &message);
        if (error == EAGAIN) return 0;
        if (error != 0) return error == EOF ? ECONNRESET : error;
        take_in(sw, message);
    }
}

static int receive_more(struct ctl_switch* sw, int64_t deadline) {
    if (time_msec() >= deadline) return ETIMEDOUT;
    vconn_run_wait(sw->vconn);
    vconn_recv_wait(sw->vconn);
    poll_timer_wait_until(deadline);
    poll_block();
    return receive(sw);
}

static int send_message(struct ctl_switch* sw, struct ofpbuf* message, int64_t deadline) {
    ofpmsg_update_length(message);
    for (;;) {
        int error = vconn_send(sw->vconn, message);
        if (error == 0) return 0;
        if (error == EAGAIN) {
            vconn_wait(sw->vconn, WAIT_SEND);
            error = receive_more(sw, deadline);
        }
        if (error == 0) continue;
        ofpbuf_delete(message);
        return error;
    }
}

static void drop_replies(struct ctl_switch* sw) {
    struct ofpbuf* reply;
    LIST_FOR_EACH_POP(reply, list_node, &sw->replies) ofpbuf_delete(reply);
    sw->awaited = 0;
}

static bool is_answered(const struct ctl_switch* sw) {
    if (ovs_list_is_empty(&sw->replies)) return false;
    const struct ofpbuf* last = CONTAINER_OF(ovs_list_back(&sw->replies), struct ofpbuf, list_node);
    enum ofptype type;
    const bool is_part = ofptype_decode(&type, last->data) == 0 && type == OFPTYPE_FLOW_STATS_REPLY;
    return !is_part || !ofpmp_more(last->data);
}

/* Sends a request and waits for all of its reply, which is in `replies` then. */
static int ask(struct ctl_switch* sw, struct ofpbuf* request, int64_t deadline) {
    drop_replies(sw);
    sw->awaited = ((const struct ofp_header*)request->data)->xid;
    int error = send_message(sw, request, deadline);
    while (error == 0 && !is_answered(sw)) error = receive_more(sw, deadline);
    return error;
}

static void begin(struct ctl_switch* sw) {
    free(sw->complaint);
    sw->complaint = NULL;
}

/* ---- connection */

int ctl_switch_open(const char* target, int64_t deadline, struct ctl_switch** connected) {
    struct vconn* vconn;
    int error = vconn_open(target, 1u << version, 0, &vconn);
    if (error != 0) return error;
    while ((error = vconn_connect(vconn)) == EAGAIN && time_msec() < deadline) {
        vconn_run(vconn);
        vconn_run_wait(vconn);
        vconn_connect_wait(vconn);
        poll_timer_wait_until(deadline);
        poll_block();
    }
    if (error != 0) {
        vconn_close(vconn);
        if (error == EAGAIN) return ETIMEDOUT;
        return error == EOF ? ECONNRESET : error;
    }
    struct ctl_switch* sw = xzalloc(sizeof *sw);
    sw->vconn = vconn;
    ovs_list_init(&sw->replies);
    ofputil_port_map_init(&sw->ports);
    *connected = sw;
    return 0;
}

void ctl_switch_close(struct ctl_switch* sw) {
    if (sw == NULL) return;
    drop_replies(sw);
    ofputil_port_map_destroy(&sw->ports);
    vconn_close(sw->vconn);
    free(sw->complaint);
    free(sw);
}

void ctl_switch_forget_ports(struct ctl_switch* sw) {
    ofputil_port_map_destroy(&sw->ports);
    ofputil_port_map_init(&sw->ports);
}

void ctl_switch_name_port(struct ctl_switch* sw, const char* name, int64_t number) {
    if (number > 0 && number < UINT16_MAX) ofputil_port_map_put(&sw->ports, u16_to_ofp((uint16_t)number), name);
}

const char* ctl_switch_complaint(const struct ctl_switch* sw) { return sw->complaint != NULL ? sw->complaint : ""; }

/* ---- reading flows */

static void visit_flow(const struct ctl_switch* sw, const struct ofputil_flow_stats* flow, ctl_flow_visitor* visit,
                       void* context) {
    struct ds text = DS_EMPTY_INITIALIZER;
    if (flow->table_id != 0) ds_put_format(&text, "table=%u,", flow->table_id);
    match_format(&flow->match, &sw->ports, &text, flow->priority);
    ds_put_cstr(&text, " actions=");
    const struct ofpact_format_params params = {.port_map = &sw->ports, .s = &text};
    ofpacts_format(flow->ofpacts, flow->ofpacts_len, &params);
    visit(context, ntohll(flow->cookie), ds_cstr(&text));
    ds_destroy(&text);
}

static int visit_reply(const struct ctl_switch* sw, struct ofpbuf* reply, ctl_flow_visitor* visit, void* context) {
    enum ofptype type;
    if (ofptype_decode(&type, reply->data) != 0 || type != OFPTYPE_FLOW_STATS_REPLY) return EPROTO;
    struct ofpbuf actions;
    ofpbuf_init(&actions, 0);
    int status = 0;
    while (status == 0) {
        struct ofputil_flow_stats flow;
        status = ofputil_decode_flow_stats_reply(&flow, reply, false, &actions);
        if (status == 0) visit_flow(sw, &flow, visit, context);
    }
    ofpbuf_uninit(&actions);
    return status == EOF ? 0 : EPROTO;
}

int ctl_switch_visit_flows(struct ctl_switch* sw, uint64_t cookie, uint64_t mask, int64_t deadline, ctl_flow_visitor* visit,
                           void* context) {
    begin(sw);
    struct ofputil_flow_stats_request request = {.cookie = htonll(cookie),
                                                 .cookie_mask = htonll(mask),
                                                 .out_port = OFPP_ANY,
                                                 .out_group = OFPG_ANY,
                                                 .table_id = OFPTT_ALL};
    match_init_catchall(&request.match);
    int error = ask(sw, ofputil_encode_flow_stats_request(&request, protocol), deadline);
    struct ofpbuf* reply;
    LIST_FOR_EACH(reply, list_node, &sw->replies)
    if (error == 0) error = visit_reply(sw, reply, visit, context);
    drop_replies(sw);
    return error;
}

/* ---- writing flows */

struct bundle {
    struct ctl_switch* sw;
    int64_t deadline;
};

static int control(const struct bundle* bundle, uint16_t type) {
    struct ofputil_bundle_ctrl_msg message = {.bundle_id = 1, .type = type, .flags = OFPBF_ATOMIC};
    const int error = ask(bundle->sw, ofputil_encode_bundle_ctrl_request(version, &message), bundle->deadline);
    if (error != 0) return error;
    return bundle->sw->complaint != NULL ? EINVAL : 0;
}

static int add_flow_mod(const struct bundle* bundle, const struct ofputil_flow_mod* flow) {
    struct ofpbuf* message = ofputil_encode_flow_mod(flow, protocol);
    ofpmsg_update_length(message);
    struct ofputil_bundle_add_msg add = {.bundle_id = 1, .flags = OFPBF_ATOMIC, .msg = message->data};
    struct ofpbuf* request = ofputil_encode_bundle_add(version, &add);
    ofpbuf_delete(message);
    return send_message(bundle->sw, request, bundle->deadline);
}

static int add_deletion(const struct bundle* bundle, uint64_t cookie) {
    struct ofputil_flow_mod flow = {.command = OFPFC_DELETE,
                                    .cookie = htonll(cookie),
                                    .cookie_mask = OVS_BE64_MAX,
                                    .new_cookie = OVS_BE64_MAX,
                                    .table_id = OFPTT_ALL,
                                    .buffer_id = UINT32_MAX,
                                    .out_port = OFPP_ANY,
                                    .out_group = OFPG_ANY};
    minimatch_init_catchall(&flow.match);
    const int error = add_flow_mod(bundle, &flow);
    minimatch_destroy(&flow.match);
    return error;
}

static int add_flow(const struct bundle* bundle, uint64_t cookie, const char* text) {
    struct ofputil_flow_mod flow;
    enum ofputil_protocol usable;
    char* fault = parse_ofp_str(&flow, OFPFC_ADD, text, &bundle->sw->ports, NULL, &usable);
    if (fault != NULL) {
        bundle->sw->complaint = xasprintf("%s: %s", text, fault);
        free(fault);
        return EINVAL;
    }
    flow.new_cookie = htonll(cookie);
    const int error = add_flow_mod(bundle, &flow);
    minimatch_destroy(&flow.match);
    free(flow.ofpacts);
    return error;
}

/* What the bridge dislikes of the messages it says before it answers this. */
static int settle(const struct bundle* bundle) {
    const int error = ask(bundle->sw, ofputil_encode_barrier_request(version), bundle->deadline);
    if (error != 0) return error;
    return bundle->sw->complaint != NULL ? EINVAL : 0;
}

int ctl_switch_replace_flows(struct ctl_switch* sw, uint64_t cookie, const char* const* flows, size_t n, int64_t deadline) {
    const struct bundle bundle = {sw, deadline};
    begin(sw);
    int error = control(&bundle, OFPBCT_OPEN_REQUEST);
    if (error != 0) return error;
    error = add_deletion(&bundle, cookie);
    for (size_t i = 0; i < n && error == 0; ++i) error = add_flow(&bundle, cookie, flows[i]);
    if (error == 0) error = settle(&bundle);
    if (error == 0) error = control(&bundle, OFPBCT_COMMIT_REQUEST);
    else if (error == EINVAL) {
        const int discarded = control(&bundle, OFPBCT_DISCARD_REQUEST);
        if (discarded != 0 && discarded != EINVAL) error = discarded;
    }
    drop_replies(sw);
    return error;
}

/* ---- changes by others */

int ctl_switch_subscribe(struct ctl_switch* sw, uint64_t cookie, uint64_t mask, int64_t deadline) {
    begin(sw);
    sw->watched_cookie = cookie;
    sw->watched_mask = mask;
    struct ofputil_flow_monitor_request monitor = {.id = 1,
                                                   .flags = OFPFMF_ADD | OFPFMF_REMOVED | OFPFMF_MODIFY,
                                                   .out_port = OFPP_NONE,
                                                   .out_group = OFPG_ANY,
                                                   .table_id = OFPTT_ALL};
    match_init_catchall(&monitor.match);
    struct ofpbuf* request = ofpbuf_new(0);
    ofputil_append_flow_monitor_request(&monitor, request, protocol);
    const int error = ask(sw, request, deadline);
    drop_replies(sw);
    if (error != 0) return error;
    return sw->complaint != NULL ? EINVAL : 0;
}

int ctl_switch_run(struct ctl_switch* sw) {
    if (receive(sw) != 0) return -1;
    const bool has_changed = sw->has_changed;
    sw->has_changed = false;
    return has_changed ? 1 : 0;
}

void ctl_switch_wait(struct ctl_switch* sw) {
    vconn_run_wait(sw->vconn);
    vconn_recv_wait(sw->vconn);
}
