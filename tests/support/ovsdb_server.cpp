#include "support/ovsdb_server.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>
#include "base/process.h"
#include "support/spawn.h"
#include "support/wait.h"

namespace ctl::testing {

OvsdbServer::OvsdbServer() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ctl-ovsdb-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
    const std::string database = directory_ + "/conf.db";
    const auto made = run_process({"ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema"},
                                  std::chrono::seconds{10});
    REQUIRE(made);
    REQUIRE_MESSAGE(made->exit_code == 0, made->err);
    process_ = spawn_beside({"unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "ovsdb-server", database,
                             "--remote=p" + remote(), "--unixctl=" + directory_ + "/ctl", "--no-chdir"});
    REQUIRE(process_ > 0);
    REQUIRE(wait_until([&] { return ::access((directory_ + "/db.sock").c_str(), F_OK) == 0; }));
    vsctl({"init"});
}

OvsdbServer::~OvsdbServer() {
    if (process_ > 0) {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void OvsdbServer::vsctl(const std::vector<std::string>& arguments) const {
    std::vector<std::string> argv{"ovs-vsctl", "--db=" + remote(), "--no-wait", "--timeout=10"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const auto result = run_process(argv, std::chrono::seconds{15});
    REQUIRE(result);
    REQUIRE_MESSAGE(result->exit_code == 0, result->err);
}

}  // namespace ctl::testing
