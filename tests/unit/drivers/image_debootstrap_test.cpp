#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "image_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Images made by debootstrap, which a script plays here: what it is told, and what becomes of what it makes.

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Image;
namespace fs = std::filesystem;

namespace {

std::string why_not() {
    if (const auto why = enter_own_namespaces(); !why.empty()) return why;
    return fs::exists("/usr/sbin/debootstrap") ? "" : "no /usr/sbin/debootstrap";
}

/// Stands in debootstrap's place for this process and its children.
class Script {
public:
    Script(const std::string& dir, const std::string& body) : path_(dir + "/script") {
        std::ofstream(path_) << "#!/bin/sh\n" << body;
        sh(fmt::format("chmod 755 {0} && mount --bind {0} /usr/sbin/debootstrap", path_));
    }
    ~Script() { sh("umount /usr/sbin/debootstrap"); }
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;

private:
    std::string path_;
};

/// $root is the directory to fill.
constexpr const char* made = R"(
while [ "${1#--}" != "$1" ]; do options="$options $1"; shift; done
root=$2
mkdir -p $root/bin $root/etc/ssh $root/dev $root/var/cache/apt/archives $root/var/lib/apt/lists
echo x > $root/bin/sh
echo "$options|$1|$3|$HOME|$DEBIAN_FRONTEND|$SECRET" > $root/etc/told
echo 123 > $root/etc/machine-id
echo key > $root/etc/ssh/ssh_host_key
echo config > $root/etc/ssh/sshd_config
mknod $root/dev/null c 1 3
echo x > $root/var/cache/apt/archives/x.deb
mkdir $root/mnt && mount -t tmpfs left $root/mnt
)";

}  // namespace

TEST_CASE("debootstrap is told what was declared, and what belongs to one machine is taken out") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Script script(world.dir(), made);
    ::setenv("SECRET", "secret", 1);
    const Image image =
        image_of("debootstrap", "bookworm",
                 {{"packages", "cloud-init,g++"}, {"variant", "minbase"}, {"mirror", "http://mirror/debian"}});
    CHECK(world.preflight("image/web", image).empty());
    world.must(Verb::create, "image/web", image);
    const std::string root = rootfs_of(world, "image/web");
    CHECK(
        sh("cat " + root + "/etc/told") ==
        " --force-check-gpg --variant=minbase --include=cloud-init,g++|bookworm|http://mirror/debian|/root|noninteractive|");
    CHECK(sh("cd " + root + " && find etc dev var mnt -not -type d | sort && wc -c < etc/machine-id") ==
          "etc/machine-id\netc/ssh/sshd_config\netc/told\n0");
    CHECK_MESSAGE(sh("grep -c ' - tmpfs left ' /proc/self/mountinfo || true") == "0",
                  "what it mounted went with its namespace");

    const auto before = fs::last_write_time(root + "/etc/told");
    world.must(Verb::create, "image/again", image);
    CHECK(rootfs_of(world, "image/again") == root);
    CHECK_MESSAGE(fs::last_write_time(root + "/etc/told") == before, "the same is not made twice");
    world.must(Verb::create, "image/other", image_of("debootstrap", "trixie", {{"mirror", "http://mirror/debian"}}));
    CHECK(rootfs_of(world, "image/other") != root);
}

TEST_CASE("a debootstrap that fails says why and leaves nothing") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    const Script script(world.dir(), std::string(made) + "echo 'E: Couldn'\\''t find these debs: nosuch'; exit 1\n");
    check_refused(world, image_of("debootstrap", "bookworm", {{"packages", "nosuch"}}), "Couldn't find these debs: nosuch");
    CHECK(sh("grep -c ' - tmpfs left ' /proc/self/mountinfo || true") == "0");
}

TEST_CASE("words that debootstrap could take for something else are refused before it runs") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    StorageWorld world;
    for (const auto& [suite, options] : {std::pair<std::string, std::map<std::string, std::string>>{"--help", {}},
                                         {"book worm", {}},
                                         {"../x", {}},
                                         {"bookworm", {{"packages", "a b"}}},
                                         {"bookworm", {{"packages", "a,--foo"}}},
                                         {"bookworm", {{"variant", "--foo"}}},
                                         {"bookworm", {{"mirror", "/etc"}}},
                                         {"bookworm", {{"mirror", "http://a b"}}}}) {
        const auto& which = suite;
        CAPTURE(which);
        CHECK(world.preflight("image/x", image_of("debootstrap", suite, options)).size() == 1);
    }
}
