#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "drivers/api/driver.h"
#include "drivers/dnsmasq/config_file.h"
#include "drivers/dnsmasq/process.h"
#include "model/host_state.h"

namespace ctl::drivers::dnsmasq {

/// One network's dnsmasq: its files, and the process that may be running with them.
class Service {
public:
    /// `name` is the interface it serves, and a plain one (see is_plain_name).
    Service(const std::string& state_dir, std::string name);

    /// What there is of it; nothing when it has no directory.
    [[nodiscard]] Result<std::optional<model::Entry>> observe() const;

    /// Its leases, "ADDRESS NAME MAC until UTC" each, and its process.
    [[nodiscard]] Facts facts() const;

    /// What would keep `wanted` from being brought about. With `whole`, dnsmasq is asked what it thinks of the settings.
    [[nodiscard]] Status check(const model::Entry& wanted, bool whole) const;

    /// Makes files and process as `wanted` has them. dnsmasq is started again when its settings or its interface are others;
    /// new reservations and records it takes while it runs. A lease whose reservation goes is given back.
    [[nodiscard]] Status bring_about(const model::Entry& wanted) const;

    /// Ends the process and deletes the files. Errors: conflict when they aren't ours.
    [[nodiscard]] Status remove() const;

    /// Takes the mark off, leaves the rest.
    [[nodiscard]] Status forget() const;

    [[nodiscard]] std::optional<Process> process() const { return find_process(paths_.config(), paths_.pid()); }

private:
    [[nodiscard]] model::ObjectId id() const { return {model::ObjectKind::dns_service, name_}; }
    [[nodiscard]] Result<std::optional<Config>> read_config() const;
    [[nodiscard]] Status write_config(const Config& config) const;
    [[nodiscard]] Status start(const model::DnsService& wanted, const Config& config) const;
    [[nodiscard]] Status update(const model::DnsService& wanted, const Process& process) const;

    std::string state_dir_;
    std::string name_;
    Paths paths_;
};

/// Names of the networks that have a directory.
[[nodiscard]] Result<std::vector<std::string>> service_names(const std::string& state_dir);

}  // namespace ctl::drivers::dnsmasq
