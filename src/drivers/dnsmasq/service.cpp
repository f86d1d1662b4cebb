#include "drivers/dnsmasq/service.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/api/store.h"
#include "drivers/dnsmasq/files.h"
#include "drivers/dnsmasq/lease.h"
#include "drivers/dnsmasq/release.h"

namespace ctl::drivers::dnsmasq {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t config_limit = std::size_t{1} << 20;
constexpr std::size_t leases_limit = std::size_t{16} << 20;

std::string networks_dir(const std::string& state_dir) { return state_dir + "/networks"; }

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::vector<Lease> read_leases(const Paths& paths) {
    const auto text = read_file(paths.leases(), leases_limit);
    return text ? parse_leases(*text) : std::vector<Lease>{};
}

/// dnsmasq reads its hosts files as the user nobody.
Status check_passage(const std::string& directory) {
    for (fs::path path = directory; path.has_relative_path(); path = path.parent_path()) {
        struct stat info {};
        if (::stat(path.c_str(), &info) != 0 || (info.st_mode & S_IXOTH) != 0) continue;
        return Error(ErrorCode::permission,
                     fmt::format("dnsmasq runs as nobody, who can't pass through {}", ctl::quoted(path.native())))
            .hint(fmt::format("chmod o+x {}, or use another --state-dir", path.native()));
    }
    return ok();
}

/// The first word of reservations that were there and will not be: the MACs of NICs that have left.
std::set<std::string> macs_gone(const Lines& before, const Lines& after) {
    const auto mac_of = [](const std::string& line) { return line.substr(0, line.find(',')); };
    std::set<std::string> gone;
    for (const auto& [name, line] : before) gone.insert(mac_of(line));
    for (const auto& [name, line] : after) gone.erase(mac_of(line));
    return gone;
}

/// The address under which dnsmasq is asked for DHCP.
std::optional<std::string> server_address(const std::vector<std::string>& options) {
    constexpr std::string_view key = "listen-address=";
    for (const auto& option : options) {
        if (!option.starts_with(key)) continue;
        const auto address = model::IpAddress::parse(std::string_view(option).substr(key.size()));
        if (address && address->family == model::IpAddress::Family::v4) return address->str();
    }
    return std::nullopt;
}

Status touch(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    return fd ? ok() : Status(system_error(errno, fmt::format("create {}", ctl::quoted(path))));
}

}  // namespace

Service::Service(const std::string& state_dir, std::string name)
    : state_dir_(state_dir), name_(std::move(name)), paths_{networks_dir(state_dir) + "/" + name_} {}

Result<std::optional<Config>> Service::read_config() const {
    auto text = read_file(paths_.config(), config_limit);
    if (!text && text.error().code() == ErrorCode::not_found) return std::optional<Config>();
    if (!text) return std::move(text).error();
    return std::optional(parse_config(*text, name_, paths_));
}

Status Service::write_config(const Config& config) const {
    CTL_ASSIGN(const std::string text, to_text(config, name_, paths_));
    return write_file_atomically(paths_.config(), text, 0600);
}

Result<std::optional<model::Entry>> Service::observe() const {
    if (!is_there(paths_.directory)) return std::optional<model::Entry>();
    CTL_ASSIGN(const auto config, read_config());
    model::Entry entry;
    model::DnsService service;
    if (!config) {
        entry.mark = model::Mark::begun;
    } else if (const auto owner = read_mark(config->mark, id())) {
        entry.mark = model::Mark::complete;
        entry.owner = *owner;
    }
    if (config) service.options = config->options;
    CTL_ASSIGN(service.reservations, read_lines(paths_.hosts()));
    CTL_ASSIGN(service.records, read_lines(paths_.records()));
    const unsigned index = ::if_nametoindex(name_.c_str());
    const bool is_bound = config && index != 0 && config->interface_index == index;
    service.running = is_bound && !is_there(paths_.unread()) && process().has_value();
    entry.object = std::move(service);
    return std::optional(std::move(entry));
}

Facts Service::facts() const {
    std::vector<std::string> leases;
    for (const auto& lease : read_leases(paths_)) leases.push_back(dnsmasq::to_text(lease));
    Facts facts{{"leases", std::move(leases)}};
    if (const auto running = process()) facts.emplace("process", std::int64_t{running->pid});
    return facts;
}

Status Service::check(const model::Entry& wanted, bool whole) const {
    CTL_ASSIGN(const std::string program, find_dnsmasq());
    CTL_TRY(check_passage(paths_.directory));
    if (!whole) return ok();
    const auto& service = std::get<model::DnsService>(wanted.object);
    CTL_ASSIGN(const std::string text, to_text({make_mark(wanted.owner, id()), 0, service.options}, name_, paths_));
    return check_syntax(text, name_);
}

Status Service::bring_about(const model::Entry& wanted) const {
    const auto& service = std::get<model::DnsService>(wanted.object);
    CTL_TRY(make_directories(networks_dir(state_dir_)));
    CTL_TRY(make_open_directory(paths_.directory));
    const unsigned index = ::if_nametoindex(name_.c_str());
    if (index == 0) return Error(ErrorCode::not_found, fmt::format("interface {} is not there to be served", name_));
    CTL_ASSIGN(const auto now, read_config());
    const Config config{make_mark(wanted.owner, id()), index, service.options.value_or(std::vector<std::string>{})};
    const auto running = process();
    const bool is_current = now && now->options == config.options && now->interface_index == index;
    if (running && is_current) {
        if (now->mark != config.mark) CTL_TRY(write_config(config));
        return update(service, *running);
    }
    if (running) CTL_TRY(stop_process(*running));
    return start(service, config);
}

Status Service::start(const model::DnsService& wanted, const Config& config) const {
    CTL_TRY(write_config(config));
    CTL_TRY(write_lines(paths_.hosts(), wanted.reservations.value_or(Lines{})));
    CTL_TRY(write_lines(paths_.records(), wanted.records.value_or(Lines{})));
    CTL_TRY(unlink_if_there(paths_.unread()));
    return start_process(paths_.config());
}

Status Service::update(const model::DnsService& wanted, const Process& process) const {
    const Lines reservations = wanted.reservations.value_or(Lines{});
    const Lines records = wanted.records.value_or(Lines{});
    CTL_ASSIGN(const Lines before, read_lines(paths_.hosts()));
    CTL_ASSIGN(const Lines records_before, read_lines(paths_.records()));
    if (before == reservations && records_before == records && !is_there(paths_.unread())) return ok();
    CTL_TRY(touch(paths_.unread()));
    CTL_TRY(write_lines(paths_.hosts(), reservations));
    CTL_TRY(write_lines(paths_.records(), records));
    CTL_TRY(reload(process));
    CTL_TRY(unlink_if_there(paths_.unread()));
    const auto server = server_address(wanted.options.value_or(std::vector<std::string>{}));
    const auto gone = macs_gone(before, reservations);
    if (!server || gone.empty()) return ok();
    for (const auto& lease : read_leases(paths_))
        if (gone.contains(lease.mac)) CTL_TRY(release_lease(lease, *server));
    return ok();
}

Status Service::remove() const {
    if (!is_there(paths_.directory)) return ok();
    CTL_ASSIGN(const auto config, read_config());
    if (config && !read_mark(config->mark, id()))
        return Error(ErrorCode::conflict, fmt::format("what is at {} is not ours", ctl::quoted(paths_.directory)));
    if (const auto running = process()) CTL_TRY(stop_process(*running));
    // The mark goes last: what an interrupted run leaves is still known to be ours.
    const Fd directory(::open(paths_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return system_error(errno, fmt::format("open directory {}", ctl::quoted(paths_.directory)));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    const std::string config_name = fs::path(paths_.config()).filename().native();
    for (const auto& name : names)
        if (name != config_name) CTL_TRY(remove_tree(directory.get(), name));
    CTL_TRY(unlink_if_there(paths_.config()));
    if (::rmdir(paths_.directory.c_str()) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete directory {}", ctl::quoted(paths_.directory)));
    // With the last network goes what held them all.
    if (::rmdir(networks_dir(state_dir_).c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        return system_error(errno, fmt::format("delete directory {}", ctl::quoted(networks_dir(state_dir_))));
    return ok();
}

Status Service::forget() const {
    CTL_ASSIGN(auto config, read_config());
    if (!config || !read_mark(config->mark, id())) return ok();
    config->mark.clear();
    return write_config(*config);
}

Result<std::vector<std::string>> service_names(const std::string& state_dir) {
    const std::string path = networks_dir(state_dir);
    const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT) return std::vector<std::string>{};
    if (!directory) return system_error(errno, fmt::format("open directory {}", ctl::quoted(path)));
    CTL_ASSIGN(auto names, directory_names(directory.get()));
    std::erase_if(names, [](const std::string& name) { return !is_plain_name(name); });
    return names;
}

}  // namespace ctl::drivers::dnsmasq
