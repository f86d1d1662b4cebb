#include "drivers/sysctl/driver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <numeric>
#include <vector>

#include "base/fd.h"
#include "base/text.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using model::ObjectId;
using model::ObjectKind;
using model::Sysctl;

// The kernel hands out and takes in at most a page.
constexpr std::size_t value_limit = 4096;
constexpr std::string_view forward_ipv6 = "net.ipv6.conf.all.forwarding";

/// The value without its line end; nothing if there is no such parameter or it can't be read (some are write-only).
Result<std::optional<std::string>> read_value(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)) return std::optional<std::string>();
    if (!fd) return system_error(errno, "opening " + path);
    std::string value(value_limit, '\0');
    const ssize_t size = ::read(fd.get(), value.data(), value.size());
    if (size < 0 && (errno == EISDIR || errno == ENOENT)) return std::optional<std::string>();
    if (size < 0) return system_error(errno, "reading " + path);
    value.resize(static_cast<std::size_t>(size));
    return std::optional(std::string(trimmed(value)));
}

Status write_value(const std::string& path, const std::string& value) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return system_error(errno, "opening " + path);
    const std::string line = value + "\n";
    if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        return system_error(errno, fmt::format("writing {} to {}", ctl::quoted(value), path));
    return ok();
}

/// net.ipv4.conf.default.forwarding for net.ipv4.conf.br0.forwarding: what a new interface would have.
std::optional<std::string> default_of(std::string_view name) {
    const auto parts = split(name, '.');
    const bool is_of_an_interface = parts.size() == 5 && parts[0] == "net" && (parts[1] == "ipv4" || parts[1] == "ipv6") &&
                                    (parts[2] == "conf" || parts[2] == "neigh") && parts[3] != "all" &&
                                    parts[3] != "default";
    if (!is_of_an_interface) return std::nullopt;
    return fmt::format("net.{}.{}.default.{}", parts[1], parts[2], parts[4]);
}

/// Puts an interface's parameter back to what a new interface would have. What another one was before us nobody knows any
/// more: it stays as it is. The interface may have gone, and its parameters with it.
Status give_back(const Change& change) {
    const auto is_released = [](const diff::FieldChange& field) { return field.name == "value" && !field.to; };
    if (std::none_of(change.fields.begin(), change.fields.end(), is_released)) return ok();
    const auto name = default_of(change.id.name);
    if (!name) return ok();
    CTL_ASSIGN(const std::string source, sysctl_path(*name));
    CTL_ASSIGN(const auto usual, read_value(source));
    CTL_ASSIGN(const std::string path, sysctl_path(change.id.name));
    CTL_ASSIGN(const auto now, read_value(path));
    if (!usual || !now || *now == *usual) return ok();
    return write_value(path, *usual);
}

/// A host that forwards IPv6 no longer listens to its own router, and would lose its way out, unless an interface is told to
/// go on (accept_ra 2). Not so our bridges: there the routers that speak would be containers.
Status go_on_hearing_routers() {
    const std::filesystem::path interfaces = "/proc/sys/net/ipv6/conf";
    std::error_code failure;
    for (const auto& interface : std::filesystem::directory_iterator(interfaces, failure)) {
        const std::string name = interface.path().filename().native();
        if (name == "all" || name == "default" || std::filesystem::exists("/sys/class/net/" + name + "/bridge", failure))
            continue;
        const std::string file = (interface.path() / "accept_ra").native();
        CTL_ASSIGN(const auto now, read_value(file));
        if (now == "1") CTL_TRY(write_value(file, "2"));
    }
    return ok();
}

/// What the kernel copies to every interface goes before what is set on a single one.
bool is_for_all(const std::string& name) {
    return name == "net.ipv4.ip_forward" || name.find(".conf.all.") != std::string::npos ||
           name.find(".conf.default.") != std::string::npos;
}

Status set(const Change& change) {
    const auto* wanted = change.desired ? std::get_if<Sysctl>(&change.desired->object) : nullptr;
    if (wanted == nullptr || !wanted->value) return give_back(change);
    if (wanted->value->size() >= value_limit || wanted->value->find('\n') != std::string::npos)
        return Error(ErrorCode::invalid, fmt::format("{} is no value of a kernel parameter", ctl::quoted(*wanted->value)));
    CTL_ASSIGN(const std::string path, sysctl_path(change.id.name));
    CTL_ASSIGN(const auto now, read_value(path));
    if (now && *now == trimmed(*wanted->value)) return ok();
    if (change.id.name == forward_ipv6 && *wanted->value == "1") CTL_TRY(go_on_hearing_routers());
    return write_value(path, *wanted->value);
}

class SysctlDriver final : public Driver {
public:
    const DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const Interest& interest, std::stop_token /*stop*/) override {
        model::HostState state;
        for (const ObjectId& id : interest.ids) {
            if (id.kind != ObjectKind::sysctl) continue;
            CTL_ASSIGN(const std::string path, sysctl_path(id.name));
            CTL_ASSIGN(auto value, read_value(path));
            if (!value) continue;
            model::Entry entry;
            entry.object = Sysctl{.value = std::move(value)};
            state.emplace(id, std::move(entry));
        }
        return state;
    }

    std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        for (const Change& change : changes) {
            const auto path = sysctl_path(change.id.name);
            if (!path) errors.push_back(diff::refusal(path.error(), change));
            else if (change.desired && ::access(path->c_str(), F_OK) == 0 && ::access(path->c_str(), W_OK) != 0)
                errors.push_back(diff::refusal(system_error(errno, "opening " + *path), change));
        }
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        std::vector<std::size_t> order(changes.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_partition(order.begin(), order.end(), [&](std::size_t i) { return is_for_all(changes[i].id.name); });
        for (const std::size_t i : order) {
            const Change& change = changes[i];
            Status outcome;
            if (stop.stop_requested()) outcome = Error(ErrorCode::cancelled, "interrupted before it began");
            else if (change.verb == Verb::forget) outcome = give_back(change);
            else if (change.verb == Verb::create || change.verb == Verb::update || change.verb == Verb::adopt)
                outcome = set(change);
            if (!outcome) outcome = Error(outcome.error()).while_("setting " + change.id.str());
            report(i, std::move(outcome));
        }
    }

    std::vector<EventSource> events() override { return {}; }
    bool drain(int /*fd*/) override { return false; }

private:
    DriverInfo info_{"sysctl", "kernel parameters", {ObjectKind::sysctl}};
};

}  // namespace

Result<std::string> sysctl_path(std::string_view name) {
    const auto refuse = [&] {
        return Error(ErrorCode::invalid, fmt::format("{} is no name of a kernel parameter", ctl::quoted(name)));
    };
    if (name.starts_with('/')) return refuse();
    std::string path = "/proc/sys";
    for (const std::string_view part : split(name, '.')) {
        std::string file(part);
        for (char& c : file) {
            if (c == '\0') return refuse();
            if (c == '/') c = '.';
        }
        if (file.empty() || file == "." || file == "..") return refuse();
        path += "/" + file;
    }
    return path;
}

Result<std::unique_ptr<Driver>> make_sysctl_driver(const DriverContext& /*context*/) {
    return std::unique_ptr<Driver>(std::make_unique<SysctlDriver>());
}

}  // namespace ctl::drivers
