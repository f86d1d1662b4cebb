#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "debian.h"
#include "lab.h"
#include "support/wait.h"

// What containers find in their root filesystem when they start: cloud-init's seed, and files made of their image's
// templates.

namespace ctl::testing {
namespace {

constexpr const char* root = "/var/lib/ctl/pools/default/containers/web/rootfs";
constexpr const char* seed = "/var/lib/ctl/pools/default/containers/web/rootfs/var/lib/cloud/seed/nocloud-net";

std::string stack(const std::string& image, const std::string& container) {
    return fmt::format(R"(stack: seeded
storage_pools: [{{name: default, driver: dir}}]
images: [{{name: small, source: {}}}]
containers:
- name: web
  image: small
  profiles: []
  devices: {{root: {{type: disk, path: /, pool: default}}}}
{})",
                       image, container);
}

/// An example whose image is the root directory given instead of a fresh debootstrap.
std::string with_image(const std::string& example, const std::string& directory) {
    std::string text = Lab::source(example);
    const std::size_t from = text.find("  source:\n    type: debootstrap");
    const std::size_t to = text.find("profiles:\n");
    REQUIRE(from < to);
    return text.replace(from, to - from, fmt::format("  source: {{type: directory, path: {}}}\n", directory));
}

void wait_for_cloud_init(const Lab& lab, const std::string& container) {
    const bool done =
        wait_until([&] { return lab.attach(container, "cloud-init status").out.find("status: done") != std::string::npos; },
                   std::chrono::seconds{120});
    CHECK_MESSAGE(done, lab.attach(container, "cloud-init status --long; tail -n 30 /var/log/cloud-init.log").out);
}

}  // namespace

TEST_CASE("keys for cloud-init become files that only the container's root may read, and go with the keys") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    const std::string busybox = "{type: busybox}";
    const std::string file = lab.write("stack.yaml", stack(busybox, R"(  config:
    user.user-data: "#cloud-config\n{a: old}"
    cloud-init.user-data: |
      #cloud-config
      {a: b}
    user.meta-data: "public-keys: none"
)"));
    lab.must_apply(file);
    CHECK(lab.must(fmt::format("cd {} && stat -c '%n %a %u:%g' * && cat user-data network-config", seed)) ==
          "meta-data 600 100000:100000\nnetwork-config 600 100000:100000\nuser-data 600 100000:100000\nvendor-data 600 "
          "100000:100000\n#cloud-config\n{a: b}\nnetwork: {config: disabled}\n");
    const std::string first = lab.must(fmt::format("cat {}/meta-data", seed));
    CHECK(first.starts_with("instance-id: web-"));
    CHECK(first.ends_with("\nlocal-hostname: web\npublic-keys: none\n"));

    const std::string init = lab.init_pid("web");
    lab.write("stack.yaml", stack(busybox, "  config: {user.user-data: \"#!/bin/sh\\ntrue\"}\n"));
    CHECK(lab.planned(file) == std::vector<std::string>{"container/web update live: seed changed"});
    lab.must_apply(file);
    CHECK_MESSAGE(lab.init_pid("web") == init, "it is for the next start");
    CHECK(lab.must(fmt::format("cat {}/meta-data", seed)) == first);
    lab.write("stack.yaml", stack(busybox, "  config: {user.user-data: \"#!/bin/sh\\ntrue\", environment.A: b}\n"));
    lab.must_apply(file);
    CHECK(lab.must(fmt::format("cat {}/user-data", seed)) == "#!/bin/sh\ntrue\n");
    CHECK_MESSAGE(lab.must(fmt::format("cat {}/meta-data", seed)) != first, "a new instance");

    lab.write("stack.yaml", stack(busybox, "  config: {environment.A: c}\n"));
    lab.must_apply(file);
    CHECK(lab.must(fmt::format("ls {}", seed)).empty());
    lab.must_delete(file);
    lab.check_nothing_left(before);
}

TEST_CASE("a container can't lead what is written for it out of its root filesystem") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string text = stack("{type: busybox}", "  config: {user.user-data: \"#cloud-config\"}\n");
    const std::string file = lab.write("stack.yaml", text + "  state: stopped\n");
    lab.must_apply(file);
    lab.must(
        fmt::format("mkdir -p /run/precious && chmod 777 /run/precious && mkdir -p {0}/var/lib/cloud/seed && ln -s "
                    "/run/precious {0}/var/lib/cloud/seed/nocloud-net",
                    root));
    lab.write("stack.yaml", text);
    const Output refused = lab.apply(file);
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE((refused.out + refused.err).find("symbolic link") != std::string::npos, refused.out, refused.err);
    CHECK(lab.must("ls -A /run/precious").empty());
    lab.must(fmt::format(
        "rm {0}/var/lib/cloud/seed/nocloud-net && mkdir {0}/var/lib/cloud/seed/nocloud-net && chown -R "
        "100000:100000 {0}/var/lib/cloud && ln -s /run/precious/new {0}/var/lib/cloud/seed/nocloud-net/user-data",
        root));
    lab.must_apply(file);
    CHECK_MESSAGE(lab.must("ls -A /run/precious").empty(), "a link in a file's place is replaced, not followed");
    CHECK(lab.must(fmt::format("cat {}/user-data", seed)) == "#cloud-config\n");
    lab.must_delete(file);
}

TEST_CASE("an image's templates are made when its container is, and at each start those that say so") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    lab.must(R"(set -e
mkdir -p /run/image/templates /run/image/rootfs/bin /run/image/rootfs/sbin /run/image/rootfs/etc && cd /run/image
cp /bin/busybox rootfs/bin/busybox && ln -s busybox rootfs/bin/sh && ln -s ../bin/busybox rootfs/sbin/init
mkdir rootfs/proc rootfs/sys rootfs/dev && echo kept > rootfs/etc/kept && printf '::sysinit:/bin/true\n' > rootfs/etc/inittab
cat > metadata.yaml <<END
architecture: $(uname -m)
creation_date: 1
templates:
  /etc/hostname: {when: [create, copy], template: hostname.tpl}
  /etc/kept: {when: [create], template: hostname.tpl, create_only: true}
  /run/started/by: {when: [start], template: start.tpl, properties: {greeting: hello}}
  /var/lib/cloud/seed/nocloud-net/user-data: {when: [start], template: start.tpl}
END
echo '{{ container.name }}' > templates/hostname.tpl
echo '{{ properties.greeting }} {{ trigger }} {{ path }}' > templates/start.tpl
tar -cf image.tar metadata.yaml templates rootfs)");
    const std::string file = lab.write("stack.yaml", stack("{type: file, path: /run/image/image.tar}", ""));
    lab.must_apply(file);
    CHECK(lab.must(fmt::format("cd {} && stat -c '%a %u' etc/hostname && cat etc/hostname etc/kept run/started/by", root)) ==
          "644 100000\nweb\nkept\nhello create /run/started/by\n");
    CHECK_MESSAGE(lab.must(fmt::format("cat {}/user-data", seed)) == "#cloud-config\n{}\n", "that one is ctl's own");
    lab.must(fmt::format("echo mine > {}/etc/hostname", root));
    lab.write("stack.yaml", stack("{type: file, path: /run/image/image.tar}", "  config: {environment.A: b}\n"));
    lab.must_apply(file);
    CHECK(lab.must(fmt::format("cd {} && cat etc/hostname run/started/by", root)) == "mine\nhello start /run/started/by\n");
    lab.must_delete(file);
    lab.check_nothing_left(before);
}

TEST_CASE("an SSH key in a profile lets its owner into a Debian") {
    CTL_SKIP_WITHOUT_SANDBOX();
    std::string why;
    const auto debian = debian_cloud_root(why);
    CTL_SKIP_IF(!debian, why);
    const Lab lab;
    const auto before = lab.traces();
    lab.must("ssh-keygen -q -t ed25519 -N '' -C admin@example -f /run/key");
    const std::string text = with_image("manifests/examples/20-ssh-keys-by-profile.yaml", *debian);
    const std::string key = std::string(trimmed(lab.must("cat /run/key.pub")));
    const std::string file = lab.write(
        "stack.yaml",
        replaced(text, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx admin@example",
                 key));
    lab.must_apply(file);
    const std::string ssh =
        "ssh -i /run/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -o BatchMode=yes "
        "root@10.20.0.10 ";
    Output answer;
    const bool in = wait_until(
        [&] {
            answer = lab.sh(ssh + "hostname");
            return answer.exit_code == 0;
        },
        std::chrono::seconds{120});
    CHECK_MESSAGE(in, answer.err, lab.attach("deb", "cloud-init status --long; systemctl --failed --no-legend").out);
    CHECK(trimmed(answer.out) == "deb");
    CHECK_MESSAGE(lab.attach("deb", "ip -4 addr show eth0").out.find("inet 10.20.0.10/24") != std::string::npos,
                  "its own DHCP client asked");
    CHECK(lab.plan(file).exit_code == 0);
    lab.must_delete(file);
    lab.check_nothing_left(before);
}

TEST_CASE("a Debian has the address that cloud-init.network-config says where there is no DHCP") {
    CTL_SKIP_WITHOUT_SANDBOX();
    std::string why;
    const auto debian = debian_cloud_root(why);
    CTL_SKIP_IF(!debian, why);
    const Lab lab;
    const auto before = lab.traces();
    const std::string file = lab.write("stack.yaml", with_image("manifests/examples/27-cloud-init-address.yaml", *debian));
    lab.must_apply(file);
    CHECK(wait_until([&] { return lab.sh("ping -c 1 -W 1 10.27.0.5").exit_code == 0; }, std::chrono::seconds{120}));
    wait_for_cloud_init(lab, "deb");
    CHECK(lab.attach("deb", "ip -4 addr show eth0").out.find("inet 10.27.0.5/24") != std::string::npos);
    CHECK(lab.attach("deb", "ip route show default").out.find("via 10.27.0.1") != std::string::npos);
    CHECK(lab.attach("deb", "cloud-init query ds.meta_data.local-hostname; cat /run/cloud-init/result.json")
              .out.find("nocloud-net") != std::string::npos);
    CHECK_MESSAGE(lab.plan(file).exit_code == 0, lab.plan(file).out);
    lab.must_delete(file);
    lab.check_nothing_left(before);
}

}  // namespace ctl::testing
