#include <doctest/doctest.h>

#include <filesystem>

#include "base/text.h"
#include "lab.h"

// Other people's tools on our containers: lxc's own, and Ansible.

namespace ctl::testing {
namespace {

const std::string example = "manifests/examples/26-ansible.yaml";

struct Host : Lab {
    Host() { must_apply(example); }
};

}  // namespace

TEST_CASE("lxc-ls, lxc-info, lxc-attach and the others take our containers for ordinary ones") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const std::string path = " -P /var/lib/ctl/containers ";
    CHECK(host.line("lxc-ls" + path + "-1 | tr '\\n' ' '") == "db spare web");
    CHECK(host.line("lxc-ls" + path + "-1 --running | tr '\\n' ' '") == "db web");
    CHECK(host.must("lxc-ls" + path + "-f").find("web   RUNNING") != std::string::npos);
    CHECK(host.line("lxc-info" + path + "-n web -sH") == "RUNNING");
    CHECK(host.line("lxc-info" + path + "-n web -pH") == host.line(program + " info web -o json | jq .usage.pid"));
    CHECK(host.line("lxc-attach" + path + "-n web -- hostname") == "web");
    CHECK(std::stol(host.line("lxc-cgroup" + path + "-n web pids.current")) >= 1);
    // Stopped by hand it is started again; started by hand it is the same container, and nothing has to be put right.
    host.must("lxc-stop" + path + "-n web");
    CHECK(host.line("lxc-info" + path + "-n web -sH") == "STOPPED");
    CHECK(host.planned(example).size() == 1);
    host.must("lxc-start" + path + "-n web");
    CHECK(host.line("lxc-info" + path + "-n web -sH") == "RUNNING");
    CHECK(host.planned(example).empty());
    CHECK(host.line("lxc-attach" + path + "-n web -- hostname") == "web");
    host.must("lxc-stop" + path + "-n web");
    host.must_apply(example);
    CHECK(host.line("lxc-attach" + path + "-n web -- hostname") == "web");
}

TEST_CASE("the inventory names every container with its groups and addresses") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Host host;
    const std::string list = program + " get containers -o ansible | jq -c ";
    CHECK(host.line(list + ".running.hosts") == R"(["db","web"])");
    CHECK(host.line(list + ".stopped.hosts") == R"(["spare"])");
    CHECK(host.line(list + ".stack_ansible.hosts") == R"(["db","spare","web"])");
    CHECK(host.line(list + "._meta.hostvars.web.ansible_host") == R"("web")");
    CHECK(host.Sandbox::ctl({"get", "networks", "-o", "ansible"}).exit_code == 64);
}

TEST_CASE("Ansible pings running containers, runs commands in them and copies files into them") {
    CTL_SKIP_WITHOUT_SANDBOX();
    CTL_SKIP_IF(!std::filesystem::exists("/usr/bin/ansible"), "ansible is not installed");
    CTL_SKIP_IF(!std::filesystem::exists("/usr/lib/python3/dist-packages/lxc"), "python3-lxc is not installed");
    const Host host;
    // The sandbox's own: the rest of /etc/lxc isn't needed.
    host.must(
        "mkdir -p /run/etc-lxc /run/home; echo 'lxc.lxcpath = /var/lib/ctl/containers' > /run/etc-lxc/lxc.conf; "
        "mount --bind /run/etc-lxc /etc/lxc");
    host.must("printf '#!/bin/sh\\nexec " + program +
              " get containers -o ansible\\n' > /run/inventory; chmod 755 /run/inventory");
    const std::string ansible =
        "HOME=/run/home ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ansible -i /run/inventory running ";
    const std::string pinged = host.must(ansible + "-m ping");
    for (const std::string name : {"web", "db"})
        CHECK_MESSAGE(pinged.find(name + " | SUCCESS") != std::string::npos, pinged);
    CHECK(pinged.find("spare") == std::string::npos);
    CHECK(host.must(ansible + "-m raw -a hostname").find("\nweb") != std::string::npos);
    host.must("echo 'by ansible' > /run/file; " + ansible + "-m copy -a 'src=/run/file dest=/root/file'");
    CHECK(host.line(program + " exec db -- cat /root/file") == "by ansible");
    host.must_delete(example);
}

}  // namespace ctl::testing
