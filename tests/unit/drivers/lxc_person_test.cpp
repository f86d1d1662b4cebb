#include <doctest/doctest.h>

#include "drivers/lxc/person.h"

namespace ctl::drivers::lxc {
namespace {

const std::string passwd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "broken line\n"
    "big:x:99999999999:1::/:\n"
    "web:x:33:34:Web,,,:/var/www:\n";
const std::string group = "root:x:0:\nwww:x:34:\nshared:x:50:root,web\nlog:x:51:web\nweb:x:bad:web\n";

}  // namespace

TEST_CASE("a person is found by name or number, with home, shell and groups") {
    const auto web = find_person("web", passwd, group);
    REQUIRE(web);
    CHECK(web->uid == 33);
    CHECK(web->gid == 34);
    CHECK(web->home == "/var/www");
    CHECK(web->shell == "/bin/sh");
    CHECK(web->groups == std::vector<gid_t>{50, 51});
    CHECK(find_person("33", passwd, group)->name == "web");
    CHECK(find_person("0", passwd, group)->shell == "/bin/bash");
}

TEST_CASE("a number needs no line of its own, and may come with a group") {
    const auto stranger = find_person("1000", passwd, group);
    REQUIRE(stranger);
    CHECK(stranger->uid == 1000);
    CHECK(stranger->gid == 1000);
    CHECK(stranger->home == "/");
    CHECK(stranger->name.empty());
    CHECK(find_person("33:1001", passwd, group)->gid == 1001);
    CHECK(find_person("33:1001", passwd, group)->groups.empty());
}

TEST_CASE("what names nobody is nobody") {
    for (const std::string user : {"stranger", "broken line", "big", "4294967295", "-1", "1:", "1:x", "1:2:3", ""})
        CHECK_MESSAGE(!find_person(user, passwd, group), user);
}

}  // namespace ctl::drivers::lxc
