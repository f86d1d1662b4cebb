#include "cli/session.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/directories.h"
#include "reconcile/sqlite_journal.h"

namespace ctl::cli {

namespace fs = std::filesystem;

namespace {

Status make_state_dir(const std::string& path) {
    std::error_code failure;
    const bool made = fs::create_directories(path, failure);
    if (failure)
        return system_error(failure.value(), fmt::format("create {}", path)).while_("preparing the state directory");
    // Others may pass through (a container's root is somebody else to the host), but not look around.
    if (made) fs::permissions(path, fs::perms(0711), failure);
    if (::access(path.c_str(), W_OK) != 0) return system_error(errno, fmt::format("write to {}", path));
    return ok();
}

/// Without asking the kernel, which would load the module for whoever never wants it.
bool has_ovs_datapath() {
    std::error_code ignored;
    utsname kernel{};
    if (fs::exists("/sys/module/openvswitch", ignored)) return true;
    if (::uname(&kernel) != 0) return false;
    const std::string modules = fmt::format("/lib/modules/{}", kernel.release);
    if (fs::exists(modules + "/kernel/net/openvswitch", ignored)) return true;
    const auto built_in = read_file(modules + "/modules.builtin", 1 << 20);
    return built_in && built_in->find("/openvswitch.ko") != std::string::npos;
}

}  // namespace

fs::path library_dir() {
    std::error_code ignored;
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    const fs::path beside = program.parent_path() / "lib" / "ctl";
    return fs::exists(beside, ignored) ? beside : program.parent_path().parent_path() / "lib" / "ctl";
}

fs::path journal_file(const GlobalOptions& options) { return fs::path(state_dir_of(options)) / "state.db"; }

Session::Session(const GlobalOptions& options) : clock_(std::make_unique<reconcile::SystemClock>()) {
    layout_.state_dir = state_dir_of(options);
    layout_.run_dir = run_dir_of(options);
    std::error_code ignored;
    layout_.working_dir = fs::current_path(ignored).native();
    layout_.has_ovs_datapath = has_ovs_datapath();
    layout_.memory = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
    layout_.has_ipv6 = fs::exists("/proc/sys/net/ipv6", ignored);
    if (const auto id = read_file("/etc/machine-id", 64)) layout_.machine_id = trimmed(*id);
}

Status Session::prepare_for_writing() {
    if (::geteuid() != 0)
        return Error(ErrorCode::permission, "changing a host needs root")
            .hint("run it with sudo, or try it in: ctl sandbox -- …");
    return make_state_dir(layout_.state_dir);
}

Status Session::open_journal(const fs::path& file) {
    CTL_ASSIGN(journal_, reconcile::SqliteJournal::open(file, *clock_));
    return ok();
}

void Session::load_drivers(const GlobalOptions& options) {
    drivers::DriverContext context;
    context.state_dir = layout_.state_dir;
    context.run_dir = layout_.run_dir;
    context.helper_dir = library_dir().native();
    context.ovs_db = options.ovs_db;
    const fs::path driver_dir = options.driver_dir.empty() ? library_dir() / "drivers" : fs::path(options.driver_dir);
    drivers_ = reconcile::DriverSet::load(driver_dir, context);
}

Result<Session> Session::open(const GlobalOptions& options) {
    Session session(options);
    const fs::path file = journal_file(options);
    std::error_code ignored;
    const bool is_there = fs::exists(file, ignored);
    if (is_there && ::geteuid() != 0)
        return Error(ErrorCode::permission, fmt::format("{} is for root only", file.native()))
            .hint("run it with sudo, or plan against a described host with --host-state");
    CTL_TRY(session.open_journal(is_there ? file : fs::path(":memory:")));
    session.load_drivers(options);
    return session;
}

Result<Session> Session::open_writable(const GlobalOptions& options) {
    Session session(options);
    CTL_TRY(session.prepare_for_writing());
    CTL_TRY(session.open_journal(journal_file(options)));
    session.load_drivers(options);
    return session;
}

Result<Session> Session::open_exclusive(const GlobalOptions& options, std::chrono::milliseconds wait) {
    Session session(options);
    CTL_TRY(session.prepare_for_writing());
    // Before the journal: whoever holds it up is the holder of the lock, and only the lock knows his name.
    CTL_ASSIGN(auto lock, reconcile::Lock::acquire(session.layout_.state_dir, options.command_line, *session.clock_, wait));
    session.lock_.emplace(std::move(lock));
    CTL_TRY(session.open_journal(journal_file(options)));
    session.load_drivers(options);
    return session;
}

Result<Session> Session::offline(const GlobalOptions& options) {
    Session session(options);
    // The same plan on every machine.
    session.layout_.machine_id.clear();
    session.layout_.has_ovs_datapath = true;
    session.layout_.memory = 0;
    CTL_TRY(session.open_journal(":memory:"));
    return session;
}

reconcile::Environment Session::environment(reconcile::Reporter& reporter) {
    return {drivers_, *journal_, *clock_, reporter, layout_};
}

}  // namespace ctl::cli
