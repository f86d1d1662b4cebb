#pragma once

#include <map>

#include "drivers/netlink/link_job.h"
#include "drivers/netlink/scopes.h"

namespace ctl::drivers::netlink {

/// Brings a batch of independent changes of links about, step by step for all of them together: deletions, births, IPv6
/// switches, settings, addresses. In each step the requests of one namespace go to the kernel in one stream.
class LinkBatch {
public:
    LinkBatch(Scopes& scopes, std::vector<LinkJob> jobs) : scopes_(scopes), jobs_(std::move(jobs)) {}

    /// The jobs with their outcomes.
    [[nodiscard]] std::vector<LinkJob> run();

private:
    /// Requests of one step, by namespace, with the jobs that they are for.
    struct Stream {
        std::vector<Request> requests;
        std::vector<LinkJob*> jobs;
    };
    using Streams = std::map<std::string, Stream>;
    using OnAnswer = void (*)(LinkJob&, const Answer&);

    void put(Streams& streams, const std::string& scope, Request request, LinkJob& job);
    void send(Streams& streams, OnAnswer on_answer);

    [[nodiscard]] Status read(const std::string& scope);
    void read_scopes();
    [[nodiscard]] const LinkRecord* find(const model::ScopedName& name) const;
    [[nodiscard]] bool is_ours(const model::ScopedName& name, const LinkRecord& link) const;

    void remove();
    void check();
    void clear_leftovers();
    void give_birth();
    void borrow(LinkJob& job);
    void put_birth(Streams& streams, LinkJob& job);
    void put_veth(Streams& streams, LinkJob& job);
    void switch_ipv6();
    void change_settings();
    void isolate_ports();
    void limit_rates();
    void switch_checksums();
    void change_addresses();
    void add_missing_addresses();

    Scopes& scopes_;
    std::vector<LinkJob> jobs_;
    std::map<std::string, Snapshot> snapshots_;
    std::set<std::string> born_;  ///< links that this batch makes, the other ends of veths too
};

}  // namespace ctl::drivers::netlink
