/* The one door to libopenvswitch, whose headers are not C++. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* One row of the Bridge table. The strings live for the call only; mark is NULL without external_ids:ctl. */
typedef void ctl_ovs_visitor(void* context, const char* name, const char* datapath_type, const char* mark);

/* Visits every bridge in the database at `remote` ("unix:/path", "tcp:…"), within `timeout_ms` milliseconds.
 * 0, or ENOENT or ECONNREFUSED when nobody serves a unix socket, ETIMEDOUT, or EPROTO when the server refuses us.
 * The signal dispositions that the library changes are put back. Not to be called by two threads at a time. */
int ctl_ovs_visit_bridges(const char* remote, int timeout_ms, ctl_ovs_visitor* visit, void* context);

#ifdef __cplusplus
}
#endif
