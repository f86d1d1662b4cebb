#include "drivers/proxy/driver.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "drivers/api/container_files.h"
#include "drivers/api/mark.h"
#include "drivers/proxy/config_text.h"

namespace ctl::drivers {

namespace {

using namespace std::chrono_literals;
using diff::Change;
using diff::Verb;
using model::ObjectId;
using model::ObjectKind;

constexpr auto start_deadline = 10s;
constexpr int end_patience = 10'000;  ///< milliseconds
constexpr std::string_view suffix = ".conf";

std::string container_of(const ObjectId& id) { return id.name.substr(0, id.name.find(':')); }

/// The names of containers and devices are checked; a slash in one would lead elsewhere.
bool is_proxy_name(const std::string& name) {
    const std::size_t colon = name.find(':');
    return colon != std::string::npos && is_container_name(name.substr(0, colon)) && colon + 1 < name.size() &&
           name.find('/') == std::string::npos && name.size() < 200;
}

class ProxyDriver final : public Driver {
public:
    explicit ProxyDriver(const DriverContext& context)
        : files_{context.state_dir + "/containers", context.run_dir, context.helper_dir},
          directory_(context.run_dir + "/proxies"),
          helper_(context.helper_dir + "/ctl-proxy") {}

    [[nodiscard]] const DriverInfo& info() const override { return info_; }

    [[nodiscard]] Result<model::HostState> observe(const Interest& interest, std::stop_token /*stop*/) override {
        model::HostState state;
        std::error_code error;
        for (std::filesystem::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error)) {
            const std::string file = it->path().filename().native();
            if (!file.ends_with(suffix)) continue;
            const ObjectId id{ObjectKind::proxy, file.substr(0, file.size() - suffix.size())};
            if (!interest.all && !interest.ids.contains(id)) continue;
            if (auto entry = look(id)) state.emplace(id, *std::move(entry));
        }
        return state;
    }

    [[nodiscard]] std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        for (const auto& change : changes)
            if (auto fault = check(change); !fault) errors.push_back(diff::refusal(std::move(fault).error(), change));
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        for (std::size_t i = 0; i < changes.size(); ++i) {
            if (stop.stop_requested()) report(i, Error(ErrorCode::cancelled, "interrupted before it began"));
            else report(i, make(changes[i]));
        }
    }

    [[nodiscard]] std::vector<EventSource> events() override { return {}; }
    [[nodiscard]] bool drain(int /*fd*/) override { return false; }

private:
    [[nodiscard]] std::string config(const ObjectId& id) const {
        return fmt::format("{}/{}{}", directory_, id.name, suffix);
    }
    [[nodiscard]] std::string pid_file(const ObjectId& id) const { return fmt::format("{}/{}.pid", directory_, id.name); }

    /// The kernel's number of the container's network; 0 while there is none.
    [[nodiscard]] std::uint64_t network_of(const ObjectId& id) const {
        struct stat info {};
        return ::stat(files_.network(container_of(id)).c_str(), &info) == 0 ? info.st_ino : 0;
    }

    [[nodiscard]] std::optional<model::Entry> look(const ObjectId& id) const {
        const auto text = read_file(config(id), 65536);
        if (!text || !is_proxy_name(id.name)) return std::nullopt;
        auto parsed = proxy::parse_config(*text);
        parsed.proxy.running = static_cast<bool>(process(id)) && parsed.namespace_number == network_of(id);
        model::Entry entry;
        if (auto owner = read_mark(parsed.mark, id)) {
            entry.mark = model::Mark::complete;
            entry.owner = *std::move(owner);
        }
        entry.object = std::move(parsed.proxy);
        return entry;
    }

    /// The forwarder, if it runs: by its command line, whatever the file with its number says. The descriptor is opened
    /// first: what is read of /proc then is of the process that it stands for.
    [[nodiscard]] Fd process(const ObjectId& id) const {
        const auto text = read_file(pid_file(id), 64);
        if (!text) return {};
        const auto word = trimmed(*text);
        pid_t pid = -1;
        std::from_chars(word.data(), word.data() + word.size(), pid);
        if (pid <= 0) return {};
        Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        const auto line = read_file(fmt::format("/proc/{}/cmdline", pid), 65536);
        const std::string expected = fmt::format("{}{}{}{}{}{}", helper_, '\0', config(id), '\0', pid_file(id), '\0');
        if (!fd || !line || *line != expected || has_ended(fd, 0)) return {};
        return fd;
    }

    static bool has_ended(const Fd& pidfd, int milliseconds) {
        pollfd look{pidfd.get(), POLLIN, 0};
        return ::poll(&look, 1, milliseconds) > 0;
    }

    [[nodiscard]] Status check(const Change& change) const {
        if (::geteuid() != 0) return Error(ErrorCode::permission, "proxies need root").hint("run ctl with sudo");
        if (!is_proxy_name(change.id.name))
            return Error(ErrorCode::invalid, fmt::format("{} can't be a proxy's name", ctl::quoted(change.id.name)));
        if (::access(helper_.c_str(), X_OK) != 0)
            return Error(ErrorCode::missing_driver, fmt::format("the helper program {} is missing", helper_))
                .hint("reinstall ctl");
        return ok();
    }

    Status make(const Change& change) {
        CTL_TRY(check(change));
        switch (change.verb) {
            case Verb::create:
            case Verb::update:
            case Verb::adopt: return start(change);
            case Verb::remove: return remove(change.id);
            case Verb::stop: return end(change.id);
            case Verb::forget: return ok();
            case Verb::replace: break;
        }
        return Error(ErrorCode::internal, "the proxy driver was asked to replace a proxy in one step");
    }

    Status start(const Change& change) {
        if (!change.desired) return Error(ErrorCode::internal, "a proxy without what it shall be");
        std::error_code error;
        std::filesystem::create_directories(directory_, error);
        if (error) return system_error(error.value(), fmt::format("create {}", directory_));
        proxy::ConfigText text;
        text.mark = make_mark(change.desired->owner, change.id);
        text.proxy = std::get<model::Proxy>(change.desired->object);
        text.container = container_of(change.id);
        text.lxcpath = files_.lxcpath;
        text.network = files_.network(text.container);
        text.namespace_number = network_of(change.id);
        CTL_ASSIGN(const auto content, proxy::render(text));
        CTL_TRY(end(change.id));
        CTL_TRY(write_file_atomically(config(change.id), content, 0600));
        CTL_ASSIGN(const auto ended, run_process({helper_, config(change.id), pid_file(change.id)}, start_deadline));
        if (ended.exit_code == 0) return ok();
        return Error(ErrorCode::io, fmt::format("{}: {}", escaped(change.id.str()), escaped(trimmed(ended.err))));
    }

    Status end(const ObjectId& id) {
        if (const Fd running = process(id)) {
            ::syscall(SYS_pidfd_send_signal, running.get(), SIGKILL, nullptr, 0);
            if (!has_ended(running, end_patience))
                return Error(ErrorCode::timeout, fmt::format("the forwarder of {} doesn't end", escaped(id.str())));
        }
        if (::unlink(pid_file(id).c_str()) != 0 && errno != ENOENT)
            return system_error(errno, fmt::format("delete {}", pid_file(id)));
        return ok();
    }

    Status remove(const ObjectId& id) {
        CTL_TRY(end(id));
        remove_socket(id);
        if (::unlink(config(id).c_str()) != 0 && errno != ENOENT)
            return system_error(errno, fmt::format("delete {}", config(id)));
        ::rmdir(directory_.c_str());
        return ok();
    }

    /// The file that it has listened on, on the host.
    void remove_socket(const ObjectId& id) const {
        constexpr std::string_view prefix = "unix:/";
        const auto text = read_file(config(id), 65536);
        if (!text) return;
        const auto parsed = proxy::parse_config(*text);
        const std::string listen = parsed.proxy.listen.value_or("");
        if (!listen.starts_with(prefix) || parsed.proxy.bind == "container") return;
        const std::string path = listen.substr(prefix.size() - 1);
        struct stat info {};
        if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
    }

    const DriverInfo info_{"proxy", "forwarders between the host and containers", {ObjectKind::proxy}};
    const ContainerFiles files_;
    const std::string directory_;
    const std::string helper_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_proxy_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<ProxyDriver>(context));
}

}  // namespace ctl::drivers
