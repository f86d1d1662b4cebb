#include <doctest/doctest.h>

#include <fmt/format.h>

#include <chrono>

#include "lab.h"
#include "support/wait.h"

// Deleted root disks and custom volumes, which their pool keeps for a while.

namespace ctl::testing {
namespace {

constexpr const char* trash = "/var/lib/ctl/pools/default/trash";

std::string stack(const std::string& pool, const std::string& containers) {
    return replaced(busybox_ground("kept"), "driver: dir", pool) + fmt::format("containers: [{}]\n", containers);
}

std::string both(const std::string& pool = "driver: dir") {
    return stack(pool, "{name: web, image: busybox}, {name: db, image: busybox}");
}

std::string without_web(const std::string& pool = "driver: dir") { return stack(pool, "{name: db, image: busybox}"); }

std::string applied(const Lab& lab, const std::string& text) {
    const std::string file = lab.write("stack.yaml", text);
    lab.must_apply(file, {"--yes"});
    return file;
}

/// Names of what is kept of `owner`, the oldest first.
std::vector<std::string> kept(const Lab& lab, const std::string& owner) {
    const Output listed = lab.ctl({"snapshot", "list", owner});
    std::vector<std::string> names;
    for (std::size_t at = listed.out.find("\ndeleted-"); at != std::string::npos; at = listed.out.find("\ndeleted-", at + 1))
        names.push_back(listed.out.substr(at + 1, listed.out.find(' ', at) - at - 1));
    return names;
}

void must_restore(const Lab& lab, const std::string& owner) {
    const Output restored = lab.ctl({"restore", owner, "--yes"});
    CHECK_MESSAGE(restored.exit_code == 0, restored.out, restored.err);
}

void check_return(const std::string& driver) {
    CAPTURE(driver);
    const Lab lab;
    CTL_SKIP_IF(driver == "btrfs" && !lab.has_btrfs(), "needs btrfs");
    const auto before = lab.traces();
    const std::string pool = driver == "btrfs" ? "driver: btrfs, config: {size: 256MiB}" : "driver: " + driver;
    applied(lab, both(pool));
    const std::string db = lab.init_pid("db");
    CHECK(lab.attach("web", "echo mine > /root/file && rm /etc/passwd").exit_code == 0);
    CHECK(lab.ctl({"snapshot", "web", "first"}).exit_code == 0);
    applied(lab, without_web(pool));
    CHECK(kept(lab, "web").size() == 1);
    CHECK(has(lab.ctl({"get", "snapshots"}).out, "\nweb@deleted-"));
    const Output early = lab.ctl({"restore", "web", "--yes"});
    CHECK(early.exit_code != 0);
    CHECK_MESSAGE(has(early.err, "have it in a manifest again, ctl apply, then ctl restore"), early.err);

    // By its name alone it is another container.
    const std::string file = applied(lab, both(pool));
    CHECK(lab.attach("web", "ls /root/file").exit_code != 0);
    CHECK(lab.attach("web", "echo late > /root/late").exit_code == 0);
    must_restore(lab, "web");
    CHECK(lab.attach("web", "cat /root/file; ls /etc/passwd /root/late 2>/dev/null").out == "mine\n");
    CHECK(lab.attach("web", "touch /root/more && stat -c %u /root/file").out == "0\n");
    CHECK(has(lab.ctl({"snapshot", "list", "web"}).out, "\nfirst "));
    CHECK(lab.init_pid("db") == db);
    CHECK(lab.plan(file).exit_code == 0);

    // What it held in between is kept in its place.
    REQUIRE(kept(lab, "web").size() == 1);
    must_restore(lab, "web");
    CHECK(lab.attach("web", "cat /root/late; ls /root/file 2>/dev/null").out == "late\n");
    CHECK(lab.plan(file).exit_code == 0);

    lab.must_delete(file);
    lab.check_nothing_left(before);
}

}  // namespace

TEST_CASE("what a deleted container held comes back, in a directory") {
    CTL_SKIP_WITHOUT_SANDBOX();
    check_return("dir");
}

TEST_CASE("what a deleted container held comes back, on btrfs") {
    CTL_SKIP_WITHOUT_SANDBOX();
    check_return("btrfs");
}

TEST_CASE("what a deleted custom volume held comes back") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string ground = "stack: kept\nstorage_pools: [{name: default, driver: dir}]\n";
    const std::string volume = "volumes: [{name: data, pool: default, config: {security.unmapped: true}}]\n";
    applied(lab, ground + volume);
    lab.must("echo mine > /var/lib/ctl/pools/default/custom/data/rootfs/file");
    applied(lab, ground);
    CHECK(lab.sh("ls -A /var/lib/ctl/pools/default/custom").out.empty());
    const std::string file = applied(lab, ground + volume);
    must_restore(lab, "default/data");
    CHECK(lab.must("cat /var/lib/ctl/pools/default/custom/data/rootfs/file") == "mine\n");
    CHECK(lab.plan(file).exit_code == 0);
    lab.must_delete(file);
}

TEST_CASE("a pool keeps what was deleted as long as it says, and the image that it needs") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    applied(lab, both());
    const std::string nothing = replaced(without_web(), "images: [{name: busybox, source: {type: busybox}}]\n", "");
    const std::string pool_only = nothing.substr(0, nothing.find("containers:"));
    applied(lab, pool_only);
    CHECK(kept(lab, "web").size() == 1);
    CHECK(lab.line("ls /var/lib/ctl/images/sha256 | wc -l") == "1");
    CHECK(lab.ctl({"snapshot", "delete", "web", kept(lab, "web").at(0), "--yes"}).exit_code == 0);
    CHECK(kept(lab, "web").empty());
    CHECK(lab.line("ls /var/lib/ctl/images/sha256 | wc -l") == "1");

    // A shorter time counts for what is there already.
    const std::string brief = replaced(pool_only, "driver: dir", "driver: dir, trash: 0");
    CHECK(lab.planned(lab.write("stack.yaml", brief)) ==
          std::vector<std::string>{"pool/default update live: trash changed"});
    applied(lab, brief);
    CHECK(kept(lab, "db").empty());
    CHECK(lab.line("ls -A " + std::string(trash) + " | wc -l") == "0");
    applied(lab, both("driver: dir, trash: 0"));
    const std::string file = applied(lab, without_web("driver: dir, trash: 0"));
    CHECK(kept(lab, "web").empty());
    const Output none = lab.ctl({"restore", "db", "--yes"});
    CHECK_MESSAGE(has(none.err, "nothing deleted is kept of"), none.err);
    lab.must_delete(file);
}

TEST_CASE("a watch deletes what has been kept long enough, and nothing else") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("mkdir /run/kept");
    applied(lab, both());
    const std::string file = applied(lab, without_web());
    const std::string name = kept(lab, "web").at(0);
    lab.must(fmt::format("cp -a {0}/containers.web@{1} {0}/containers.web@deleted-20200101-000000", trash, name));
    CHECK(kept(lab, "web").size() == 2);
    lab.must("cp " + file + " /run/kept/stack.yaml");
    const Watch watch(lab, "/run/kept");
    CHECK_MESSAGE(wait_until([&] { return kept(lab, "web").size() == 1; }, std::chrono::seconds(30)), watch.log());
    CHECK_MESSAGE(watch.end() == 0, watch.log());
    CHECK(kept(lab, "web") == std::vector{name});
    lab.must_delete(file);
}

TEST_CASE("a container that a failed apply has deleted comes back with its files") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = applied(lab, both());
    CHECK(lab.attach("web", "echo mine > /root/file").exit_code == 0);
    const std::string bad =
        lab.write("bad.yaml", stack("driver: dir",
                                    "{name: db, image: busybox}, {name: new, image: busybox, config: {raw.lxc: "
                                    "'lxc.init.cmd = /nowhere'}}"));
    const Output failed = lab.ctl({"apply", "-f", bad, "--yes", "--on-failure", "rollback"});
    CHECK_MESSAGE(failed.exit_code != 0, failed.out);
    CHECK_MESSAGE(lab.attach("web", "cat /root/file").out == "mine\n", failed.out, failed.err);
    CHECK(lab.plan(file).exit_code == 0);
    lab.must_delete(file);
}

}  // namespace ctl::testing
