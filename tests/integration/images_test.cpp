#include <doctest/doctest.h>

#include <fmt/format.h>

#include <filesystem>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// Images of whole stacks, with the image server that the example names played by one of ours.

namespace ctl::testing {
namespace {

namespace fs = std::filesystem;

std::string support(const std::string& file) { return fmt::format("{}/tests/support/{}", CTL_SOURCE_DIR, file); }

/// A lab in which images.linuxcontainers.org is served from /run/server/tree, by a server that the system trusts.
class ImageLab : public Lab {
public:
    ImageLab() {
        const std::string key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        must(fmt::format(R"(set -e
mkdir -p /run/server/tree /run/server/r/bin /run/server/r/sbin /run/server/r/etc
cd /run/server
cp /bin/busybox r/bin/busybox
for name in sh ls cat hostname touch; do ln -s busybox r/bin/$name; done
ln -s ../bin/busybox r/sbin/init
mkdir r/proc r/sys r/dev r/tmp r/root
printf '::sysinit:/bin/touch /started\n::shutdown:/bin/sh -c true\n' > r/etc/inittab
openssl req -x509 {0} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority 2>/dev/null
openssl req {0} -keyout server.key -out server.csr -subj /CN=server 2>/dev/null
echo subjectAltName=DNS:images.linuxcontainers.org > names
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names 2>/dev/null
cat /etc/hosts > hosts
echo 127.0.0.1 images.linuxcontainers.org >> hosts
mount --bind hosts /etc/hosts
cat /etc/ssl/certs/ca-certificates.crt ca.pem > trusted
mount --bind trusted /etc/ssl/certs/ca-certificates.crt
(python3 {1} tree 443 server.pem server.key > port 2> server.log & echo $! > server.pid)
)",
                         key, support("web_server.py")));
        REQUIRE(wait_until([&] { return sh("test -s /run/server/port").exit_code == 0; }, std::chrono::seconds{20}));
    }

    /// A version of what the server calls debian/12; its fingerprint.
    std::string offer(const std::string& version) const {
        const std::string both = must(fmt::format("python3 {} /run/server/tree {} debian/12 /run/server/r squashfs",
                                                  support("simplestreams_tree.py"), version));
        return std::string(trimmed(both));
    }

    [[nodiscard]] std::string fingerprint(const std::string& image) const {
        return std::string(trimmed(must("jq -r .fingerprint /var/lib/ctl/images/" + image + "/image.json")));
    }
    /// Names of the trees in the store.
    [[nodiscard]] std::string trees() const { return must("ls /var/lib/ctl/images/sha256"); }
};

std::optional<std::string> why_not() {
    if (auto why = Sandbox::why_impossible()) return why;
    for (const auto* program : {"/usr/bin/tar2sqfs", "/usr/bin/sqfs2tar", "/usr/bin/openssl", "/usr/bin/python3"})
        if (!fs::exists(program)) return std::string("no ") + program;
    return std::nullopt;
}

}  // namespace

TEST_CASE("an image comes from a server by alias, is followed, and a container becomes an image") {
    const auto why = why_not();
    CTL_SKIP_IF(why, *why);
    const ImageLab lab;
    const auto before = lab.traces();
    const std::string example = "manifests/examples/17-images.yaml";
    const std::string first = lab.offer("20240101_01:00");
    lab.must_apply(example);
    CHECK(lab.fingerprint("debian") == first);
    const std::string init = lab.init_pid("web");
    CHECK(init != "-1");
    CHECK(lab.attach("web", "cat /proc/1/comm").out == "init\n");
    CHECK_MESSAGE(wait_until([&] { return lab.attach("web", "ls /started").exit_code == 0; }, std::chrono::seconds{10}),
                  "the image's own init has run");
    CHECK(lab.init_pid("builder") == "-1");
    CHECK_MESSAGE(lab.attach("copy", "stat -c %u:%g /bin").out == "0:0\n", "ids are the container's own again");
    CHECK(lab.must("ls -A /var/lib/ctl/images/downloads 2>/dev/null | wc -l") == "0\n");

    const std::string second = lab.offer("20240202_01:00");
    CHECK(first != second);
    CHECK_MESSAGE(lab.plan(example).exit_code == 0, "only ctl watch follows the server");
    lab.must("cd /var/lib/ctl/images/debian && jq '.looked = .looked - 6 * 3600' image.json > new && mv new image.json");
    CHECK(lab.plan(example).exit_code == 0);
    lab.write("stack.yaml", Lab::source(example));
    const Watch watch(lab);
    CHECK_MESSAGE(wait_until([&] { return lab.fingerprint("debian") == second; }, std::chrono::seconds{20}), watch.log());
    CHECK_MESSAGE(lab.trees().find(first) != std::string::npos, "the container still stands on what it was made from");
    CHECK(lab.init_pid("web") == init);
    CHECK(watch.end() == 0);

    lab.must_delete(example);
    CHECK(lab.trees().empty());
    lab.check_nothing_left(before);
    lab.must("kill $(cat /run/server/server.pid)");
}

TEST_CASE("changing an image's names and notes touches nothing else, and a server that is away keeps nobody from working") {
    const auto why = why_not();
    CTL_SKIP_IF(why, *why);
    const ImageLab lab;
    static_cast<void>(lab.offer("1"));
    const auto stack = [](const std::string& notes, const std::string& image) {
        return fmt::format(R"(stack: one
storage_pools: [{{name: default, driver: dir}}]
images:
- name: debian
  source: {{type: simplestreams, server: https://images.linuxcontainers.org, alias: debian/12}}
  {}
containers: [{{name: web, image: {}, profiles: [], devices: {{root: {{type: disk, path: /, pool: default}}}}}}]
)",
                           notes, image);
    };
    const std::string file = lab.write("stack.yaml", stack("aliases: [{name: stable}]", "stable"));
    lab.must_apply(file);
    const std::string init = lab.init_pid("web");
    lab.write("stack.yaml", stack("properties: {a: b}\n  auto_update: true\n  aliases: [other]\n  public: true", "other"));
    const auto planned = lab.planned(file);
    REQUIRE(planned.size() == 1);
    CHECK(planned.front() == "image/debian update live: aliases, properties, public, auto_update changed");
    lab.must_apply(file);
    CHECK(lab.must("jq -c '[.aliases, .properties, .public, .auto_update]' /var/lib/ctl/images/debian/image.json") ==
          "[[\"other\"],{\"a\":\"b\"},1,1]\n");
    lab.must(
        "kill $(cat /run/server/server.pid); cd /var/lib/ctl/images/debian && jq '.looked = 1' image.json > new && mv "
        "new image.json");
    const Watch watch(lab);
    CHECK_MESSAGE(
        wait_until(
            [&] { return lab.sh("grep -q '\"trouble\": \"while' /var/lib/ctl/images/debian/image.json").exit_code == 0; },
            std::chrono::seconds{30}),
        watch.log());
    CHECK_FALSE(watch.has_said("error:"));
    CHECK(lab.init_pid("web") == init);
    CHECK(watch.end() == 0);
    lab.write("stack.yaml", stack("", "debian"));
    lab.must_apply(file);
    CHECK(lab.must("jq -c '[.aliases, .properties, .public, .auto_update]' /var/lib/ctl/images/debian/image.json") ==
          "[[],{},0,0]\n");
    lab.must_delete(file);
}

}  // namespace ctl::testing
