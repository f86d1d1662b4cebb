#include "support/sandbox.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/sandbox/open_vswitch.h"
#include "cli/sandbox/sandbox.h"
#include "support/spawn.h"
#include "support/wait.h"

namespace ctl::testing {

namespace {

namespace fs = std::filesystem;

const std::string ctl_program = CTL_BINARY_DIR "/ctl";

/// Enters the cgroups named before "--", then becomes what stands behind it.
constexpr const char* enter_cgroups = R"(
while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done
shift
exec "$@"
)";

/// The only process of a sandbox that belongs to us says its id when all is set up, and waits.
constexpr const char* idle_command = R"(echo "$CTL_SANDBOX"; exec sleep infinity)";

std::string read_line(int fd) {
    std::string line;
    char c = 0;
    while (::read(fd, &c, 1) == 1 && c != '\n') line += c;
    return line;
}

fs::path scratch_of(const std::string& id) {
    const char* from_environment = std::getenv("TMPDIR");
    return fs::path(from_environment != nullptr && *from_environment != '\0' ? from_environment : "/var/tmp") /
           "ctl-sandbox" / id;
}

std::string source_path(const std::string& file) { return (fs::path(CTL_SOURCE_DIR) / file).string(); }

}  // namespace

rapidjson::Document Output::json() const {
    rapidjson::Document document;
    document.Parse(out.data(), out.size());
    REQUIRE_MESSAGE(!document.HasParseError(), "not JSON: ", out, err);
    return document;
}

std::optional<std::string> Sandbox::why_impossible() { return cli::why_sandbox_is_impossible(); }

Sandbox::Sandbox() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const Fd read_end(ends[0]);
    Fd write_end(ends[1]);
    ctl_ = spawn_beside({ctl_program, "sandbox", "--", "sh", "-c", idle_command}, write_end.get());
    write_end.reset();
    REQUIRE_MESSAGE(ctl_ > 0, "can't run ", ctl_program);
    const std::string id = read_line(read_end.get());
    REQUIRE_MESSAGE(!id.empty(), "ctl sandbox did not come up");

    scratch_ = scratch_of(id);
    const auto children = read_file("/proc/" + std::to_string(ctl_) + "/task/" + std::to_string(ctl_) + "/children");
    REQUIRE(children);
    init_ = std::atoi(children->c_str());
    REQUIRE(init_ > 0);
    const auto cgroups = read_file(scratch_ + "/cgroups");
    REQUIRE(cgroups);
    for (const std::string_view line : split(*cgroups, '\n')) cgroups_.emplace_back(line);
}

Sandbox::~Sandbox() {
    if (ctl_ <= 0) return;
    ::kill(ctl_, SIGTERM);
    int status = 0;
    const bool ended = wait_until([&] { return ::waitpid(ctl_, &status, WNOHANG) == ctl_; }, std::chrono::seconds{30});
    CHECK_MESSAGE(ended, "ctl sandbox does not end");
    if (!ended) {
        ::kill(ctl_, SIGKILL);
        ::waitpid(ctl_, nullptr, 0);
        return;
    }
    CHECK_MESSAGE((WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM), "ctl sandbox ended with status ", status);
    CHECK_MESSAGE(!fs::exists(scratch_), "left behind: ", scratch_);
    for (const std::string& cgroup : cgroups_) CHECK_MESSAGE(!fs::exists(cgroup), "left behind: ", cgroup);
}

Output Sandbox::run(const std::vector<std::string>& argv, std::chrono::seconds deadline) const {
    std::vector<std::string> full{"sh", "-c", enter_cgroups, "sh"};
    for (const std::string& cgroup : cgroups_) {
        // In the unified hierarchy no process may be where controllers are handed down from.
        full.push_back(fs::exists(cgroup + "/init.scope") ? cgroup + "/init.scope" : cgroup);
    }
    full.insert(full.end(), {"--", "nsenter", "--target", std::to_string(init_), "--mount", "--net", "--pid", "--ipc",
                             "--uts", "--cgroup", "--"});
    full.insert(full.end(), argv.begin(), argv.end());
    const auto result = run_process(full, deadline);
    REQUIRE_MESSAGE(result, joined(argv, " "), ": ", result.error().str());
    return {result->exit_code, result->out, result->err};
}

Output Sandbox::sh(const std::string& script, std::chrono::seconds deadline) const {
    return run({"sh", "-c", script}, deadline);
}

std::string Sandbox::must(const std::string& script, std::chrono::seconds deadline) const {
    const Output output = sh(script, deadline);
    REQUIRE_MESSAGE(output.exit_code == 0, script, ": ", output.out, output.err);
    return output.out;
}

Output Sandbox::ctl(std::vector<std::string> arguments, std::chrono::seconds deadline) const {
    arguments.insert(arguments.begin(), ctl_program);
    return run(arguments, deadline);
}

Output Sandbox::apply(const std::string& file, std::vector<std::string> more) const {
    more.insert(more.begin(), {"apply", "-f", source_path(file), "--yes"});
    return ctl(std::move(more));
}

Output Sandbox::plan(const std::string& file, std::vector<std::string> more) const {
    more.insert(more.begin(), {"plan", "-f", source_path(file), "--detailed-exitcode"});
    return ctl(std::move(more));
}

void Sandbox::add_lan(const std::string& nic, const std::vector<std::string>& host_addresses,
                      const std::vector<std::string>& lan_addresses) const {
    const auto must_run = [&](const std::vector<std::string>& argv) {
        const Output output = run(argv);
        REQUIRE_MESSAGE(output.exit_code == 0, joined(argv, " "), ": ", output.err);
    };
    must_run({"ip", "netns", "add", "lan"});
    must_run({"ip", "link", "add", nic, "type", "veth", "peer", "name", "lan0", "netns", "lan"});
    for (const std::string& address : host_addresses) must_run({"ip", "addr", "add", address, "dev", nic});
    for (const std::string& address : lan_addresses) must_run({"ip", "-n", "lan", "addr", "add", address, "dev", "lan0"});
    must_run({"ip", "link", "set", nic, "up"});
    must_run({"ip", "-n", "lan", "link", "set", "lan0", "up"});
    must_run({"ip", "-n", "lan", "link", "set", "lo", "up"});
}

Output Sandbox::lan_sh(const std::string& script, std::chrono::seconds deadline) const {
    return run({"ip", "netns", "exec", "lan", "sh", "-c", script}, deadline);
}

void Sandbox::start_open_vswitch() const { must(cli::open_vswitch_script); }

}  // namespace ctl::testing
