#include <doctest/doctest.h>

#include <fmt/format.h>

#include <regex>

#include "base/text.h"
#include "lab.h"

// ctl image: what is listed, an image that is made of a container by hand, and how far an import is.

namespace ctl::testing {
namespace {

const std::string stack = busybox_ground("published") + R"(containers:
- {name: web, image: busybox}
)";

std::string jq(const Lab& lab, const std::string& query) {
    return lab.line(program + " image list -o json | jq -r '" + query + "'");
}

std::string golden(const Lab& lab, const std::string& what) {
    return jq(lab, ".items[] | select(.name == \"golden\") | " + what);
}

std::string images(const Lab& lab) { return jq(lab, "[.items[].name] | join(\" \")"); }

}  // namespace

TEST_CASE("a container is published by hand, and no apply, rebuild or other stack takes the image away") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string file = lab.write("stack.yaml", stack);
    lab.must_apply(file);
    REQUIRE(lab.attach("web", "echo mine > /etc/mine; chown 7:8 /etc/mine").exit_code == 0);

    const Output running = lab.ctl({"image", "publish", "web", "--alias", "golden"});
    CHECK(running.exit_code == 1);
    CHECK_MESSAGE(has(running.err, "container \"web\" runs"), running.err);
    CHECK_MESSAGE(has(running.err, "ctl stop web"), running.err);
    CHECK(images(lab) == "busybox");

    REQUIRE(lab.ctl({"stop", "web"}).exit_code == 0);
    const Output published = lab.ctl(
        {"image", "publish", "web", "--alias", "golden", "--alias", "gold", "--public", "os=Busybox", "release=1=2"});
    REQUIRE_MESSAGE(published.exit_code == 0, published.out, published.err);
    const std::string fingerprint = golden(lab, ".fingerprint");
    CHECK(fingerprint.size() == 64);
    CHECK(golden(lab, "[.type, .source, .public, .stack, (.aliases | join(\",\"))] | join(\" \")") ==
          "container web true published gold");
    CHECK(golden(lab, ".properties.release") == "1=2");
    CHECK(golden(lab, ".architecture") == trimmed(lab.must("uname -m")));
    const std::string root = "/var/lib/ctl/images/sha256/" + fingerprint + "/rootfs";
    CHECK(lab.must("cat " + root + "/etc/mine; stat -c %u:%g " + root + "/etc/mine") == "mine\n7:8\n");
    CHECK(golden(lab, ".size") == lab.must("find " + root +
                                           " -type f -printf '%s %i\\n' | sort -u -k2 | "
                                           "awk '{s += $1} END {printf \"%d\", s}'"));

    const std::string table = lab.must(program + " image list");
    CHECK_MESSAGE(
        std::regex_search(table, std::regex("NAME +ALIASES +FINGERPRINT +SIZE +TYPE +PUBLIC +ARCHITECTURE +UPLOADED")),
        table);
    CHECK_MESSAGE(std::regex_search(table, std::regex("golden +gold +" + fingerprint.substr(0, 12) +
                                                      " +[0-9.]+ .?B +container +yes +[^ ]+ +20[0-9T:-]+Z +published")),
                  table);
    CHECK(has(lab.must(program + " image list -o yaml"), "fingerprint: " + fingerprint));
    for (const std::string& name : {std::string("gold"), std::string("golden"), fingerprint.substr(0, 9)})
        CHECK(has(lab.must(program + " image info " + name), "Fingerprint    " + fingerprint));
    CHECK(lab.ctl({"image", "info", "silver"}).exit_code == 1);

    for (const std::string name : {"golden", "gold", "busybox"}) {
        const Output again = lab.ctl({"image", "publish", "web", "--alias", name});
        CHECK_MESSAGE(again.exit_code == 1, name);
        CHECK_MESSAGE(has(again.err, "already"), again.err);
    }
    CHECK(lab.ctl({"image", "publish", "web", "--alias", "../x"}).exit_code == 3);
    CHECK(lab.ctl({"image", "publish", "web", "--alias", "x", "nothing"}).exit_code == 64);
    CHECK(lab.ctl({"image", "publish", "nobody", "--alias", "x"}).exit_code == 1);

    // The stack knows nothing of it, with and without its record.
    CHECK(lab.plan(file).exit_code == 0);
    lab.must(program + " state rebuild");
    CHECK(lab.planned(file).empty());
    lab.must_apply(file);
    CHECK_MESSAGE(lab.ctl({"start", "web"}).exit_code == 0, "what a person had stopped is recorded as the manifest has it");
    CHECK(images(lab) == "busybox golden");

    // Once declared it is the stack's, as it is.
    lab.write("stack.yaml", R"(stack: published
storage_pools: [{name: default, driver: dir}]
images:
- {name: busybox, source: {type: busybox}}
- {name: golden, source: {type: container, container: web}, aliases: [gold]}
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- {name: web, image: busybox}
- {name: copy, image: gold}
)");
    CHECK(lab.planned(file).size() > 0);
    lab.must_apply(file);
    CHECK(golden(lab, ".fingerprint") == fingerprint);
    CHECK(lab.attach("copy", "cat /etc/mine; stat -c %u:%g /etc/mine").out == "mine\n7:8\n");
    const Output kept = lab.ctl({"image", "delete", "golden", "--yes"});
    CHECK(kept.exit_code == 1);
    CHECK_MESSAGE(has(kept.err, "declared by stack"), kept.err);
    lab.write("stack.yaml", stack);
    lab.must_apply(file);
    CHECK(images(lab) == "busybox");

    REQUIRE(lab.ctl({"stop", "web"}).exit_code == 0);
    REQUIRE(lab.ctl({"image", "publish", "web", "--alias", "golden"}).exit_code == 0);
    lab.must_delete(file);
    CHECK_MESSAGE(images(lab) == "golden", "nor does it go with its stack");
    REQUIRE(lab.ctl({"image", "delete", "golden", "--yes"}).exit_code == 0);
    CHECK(images(lab).empty());
    CHECK(lab.must("ls /var/lib/ctl/images/sha256").empty());
    lab.check_nothing_left(before);
}

TEST_CASE("an import tells how far it is on a terminal, in one line elsewhere, and a program nothing") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must(
        "mkdir -p /run/r/bin && cp /bin/busybox /run/r/bin/busybox && ln -s busybox /run/r/bin/sh && head -c 60000000 "
        "/dev/urandom > /run/r/noise && "
        "tar -C /run/r -cf - . | xz -0 > /run/r.tar.xz");
    const std::string file = lab.write("stack.yaml", R"(stack: far
images:
- {name: big, source: {type: tarball, path: /run/r.tar.xz}}
)");
    const std::string apply = program + " apply --yes -f " + file;
    const auto again = [&] { lab.must_delete(file); };

    const std::string shown = lab.must("script -qefc '" + apply + "' /dev/null < /dev/null");
    CHECK_MESSAGE(std::regex_search(
                      shown, std::regex("[0-9.]+ MB of 6[01]\\.[0-9] MB, [0-9.]+ MB/s, [0-9]+ s left: unpacking /run/r")),
                  shown);
    again();
    const std::string plain = lab.must(apply);
    CHECK_MESSAGE(
        std::regex_search(plain, std::regex("\nunpacking /run/r.tar.xz: 6[01]\\.[0-9] MB in [0-9.]+ s, [0-9.]+ MB/s\n")),
        plain);
    CHECK_FALSE(has(plain, " left: "));
    CHECK_FALSE(has(plain, "\033[K"));
    again();
    CHECK(lab.must(apply + " -o json | jq -r type") == "object\n");
    again();
}

}  // namespace ctl::testing
