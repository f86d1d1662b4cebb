#include "support/open_vswitch.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "support/own_namespaces.h"
#include "support/spawn.h"
#include "support/wait.h"

namespace ctl::testing {

namespace {

void end(pid_t& process) {
    if (process <= 0) return;
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
    process = -1;
}

}  // namespace

OpenVswitch::OpenVswitch(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    sh("ovsdb-tool create " + folder_ + "/conf.db /usr/share/openvswitch/vswitch.ovsschema");
    start_server();
    sh("ovs-vsctl --db=" + remote() + " --no-wait init");
    start_switch();
}

OpenVswitch::~OpenVswitch() {
    end(switch_);
    end(server_);
}

std::string OpenVswitch::vsctl(const std::string& arguments) const {
    return sh("ovs-vsctl --db=" + remote() + " --timeout=20 " + arguments);
}

std::string OpenVswitch::tool(const std::string& line) const { return sh("OVS_RUNDIR=" + folder_ + " " + line); }

void OpenVswitch::start_server() {
    server_ = spawn_beside({"ovsdb-server", folder_ + "/conf.db", "--remote=p" + remote(),
                            "--unixctl=" + folder_ + "/server.ctl", "--no-chdir"});
    REQUIRE(server_ > 0);
    REQUIRE(wait_until([&] { return std::filesystem::exists(folder_ + "/db.sock"); }));
}

void OpenVswitch::stop_server() {
    end(server_);
    std::filesystem::remove(folder_ + "/db.sock");
}

void OpenVswitch::start_switch() {
    switch_ = spawn_beside(
        {"env", "OVS_RUNDIR=" + folder_, "ovs-vswitchd", remote(), "--unixctl=" + folder_ + "/switch.ctl", "--no-chdir"});
    REQUIRE(switch_ > 0);
    REQUIRE(wait_until([&] { return std::filesystem::exists(folder_ + "/switch.ctl"); }));
}

void OpenVswitch::stop_switch() {
    end(switch_);
    std::filesystem::remove(folder_ + "/switch.ctl");
}

}  // namespace ctl::testing
