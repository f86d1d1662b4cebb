#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "drivers/api/driver.h"
#include "drivers/lxc/driver.h"
#include "lxc_world.h"

extern char** environ;

namespace {

using namespace ctl;
using namespace std::chrono_literals;
using drivers::Interest;
using model::Container;
using model::ContainerState;
using model::ObjectKind;

using Texts = std::map<std::string, std::string>;

constexpr const char* shifted = "0:100000:65536";

diff::Change change_of(const std::string& name, diff::Verb verb) {
    diff::Change change;
    change.id = {ObjectKind::container, name};
    change.verb = verb;
    return change;
}

diff::Change change_to(const std::string& name, diff::Verb verb, const Container& wanted) {
    auto change = change_of(name, verb);
    change.desired.edit().object = wanted;
    change.desired.edit().owner = {"lab", "Container", name};
    return change;
}

/// A state directory of its own with the lxc driver on it.
struct Host {
    std::string root;
    std::unique_ptr<drivers::Driver> driver;

    Host() {
        static int count = 0;
        root = fmt::format("{}/{}", test::scratch, ++count);
        std::filesystem::create_directories(root + "/state");
        std::filesystem::create_directories(root + "/run");
        auto made = drivers::make_lxc_driver({root + "/state", root + "/run", CTL_BINARY_DIR "/lib/ctl", ""});
        REQUIRE(made);
        driver = *std::move(made);
    }
    ~Host() {
        std::vector<diff::Change> all;
        for (const auto& [id, entry] : observed()) all.push_back(change_of(id.name, diff::Verb::remove));
        for (const auto& outcome : apply(all)) WARN(outcome.has_value());
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    [[nodiscard]] std::string lxcpath() const { return root + "/state/containers"; }
    [[nodiscard]] std::string run_file(const std::string& file) const { return root + "/run/containers/" + file; }

    model::HostState observed() const {
        auto state = driver->observe(Interest{}, {});
        REQUIRE(state);
        return *std::move(state);
    }
    Container seen(const std::string& name) const {
        const auto state = observed();
        const auto it = state.find({ObjectKind::container, name});
        REQUIRE(it != state.end());
        return std::get<Container>(it->second.object);
    }

    /// Its root file system and namespaces, and what would be wanted of it.
    Container prepare(const std::string& name, const char* idmap) const {
        const std::string rootfs = root + "/rootfs/" + name;
        test::make_busybox_rootfs(rootfs, std::string(idmap) == "none" ? 0 : 100000);
        test::pin_namespaces(root + "/run", name, idmap);
        Container wanted;
        wanted.rootfs = rootfs;
        wanted.idmap = idmap;
        wanted.environment.emplace();
        wanted.mounts.emplace();
        wanted.raw.emplace();
        wanted.state = ContainerState::running;
        return wanted;
    }

    std::vector<Status> apply(const std::vector<diff::Change>& changes) const {
        std::vector<Status> outcomes(changes.size());
        driver->apply(changes, [&](std::size_t i, Status outcome) { outcomes[i] = std::move(outcome); }, {});
        return outcomes;
    }
    Status apply_one(const std::string& name, diff::Verb verb, const Container& wanted,
                     std::vector<diff::FieldChange> fields = {}, bool deferred = false) const {
        auto change = change_to(name, verb, wanted);
        change.fields = std::move(fields);
        change.deferred = deferred;
        return apply({change}).front();
    }
    Status create(const std::string& name, const Container& wanted) const {
        return apply_one(name, diff::Verb::create, wanted);
    }

    std::string in(const std::string& name, const std::string& script) const {
        const auto ended = run_process({"lxc-attach", "-P", lxcpath(), "-n", name, "--", "/bin/sh", "-c", script}, 20s);
        REQUIRE(ended);
        return ended->out + ended->err;
    }
    std::string init_pid(const std::string& name) const {
        const auto ended = run_process({"lxc-info", "-P", lxcpath(), "-n", name, "-p", "-H"}, 20s);
        REQUIRE(ended);
        return std::string(trimmed(ended->out));
    }
};

#define REQUIRE_OK(expr)                                                                    \
    do {                                                                                    \
        const auto outcome_of_it = (expr);                                                  \
        REQUIRE_MESSAGE(outcome_of_it, (outcome_of_it ? "" : outcome_of_it.error().str())); \
    } while (false)

template <typename T>
diff::FieldChange to(const char* name, const T& value, model::Effect effect = model::Effect::live) {
    diff::FieldChange change;
    change.name = name;
    change.to = model::to_field_value(value);
    change.effect = effect;
    return change;
}

diff::FieldChange unset(const char* name) {
    diff::FieldChange change;
    change.name = name;
    return change;
}

TEST_CASE("a created container runs, shows what was wanted and is marked as ours") {
    for (const char* idmap : {"none", shifted}) {
        CAPTURE(idmap);
        Host host;
        auto wanted = host.prepare("web", idmap);
        wanted.environment = Texts{{"GREETING", "hello  \"world\" $HOME"}, {"EMPTY", ""}};
        wanted.memory_limit = 50'000'001;
        wanted.process_limit = 99;
        wanted.cpu_set = "0";
        REQUIRE_OK(host.create("web", wanted));
        CHECK(host.seen("web") == wanted);
        const auto state = host.observed();
        CHECK(state.begin()->second.mark == model::Mark::complete);
        CHECK(state.begin()->second.owner == model::ResourceRef{"lab", "Container", "web"});
        CHECK(host.in("web", "hostname") == "web\n");
        CHECK(host.in("web", "touch /made && echo yes") == "yes\n");
        CHECK(host.in("web", "cat /proc/1/environ").find("GREETING=hello  \"world\" $HOME") != std::string::npos);
        struct stat made {};
        REQUIRE(::stat((*wanted.rootfs + "/made").c_str(), &made) == 0);
        CHECK(made.st_uid == (std::string(idmap) == "none" ? 0 : 100000));
        struct stat pinned {};
        struct stat init {};
        REQUIRE(::stat((host.root + "/run/namespaces/web/net").c_str(), &pinned) == 0);
        REQUIRE(::stat(fmt::format("/proc/{}/ns/net", host.init_pid("web")).c_str(), &init) == 0);
        CHECK(pinned.st_ino == init.st_ino);
        REQUIRE_OK(host.create("web", wanted));
    }
}

TEST_CASE("removing a container stops it and leaves nothing but its root file system") {
    Host host;
    const auto wanted = host.prepare("web", shifted);
    REQUIRE_OK(host.create("web", wanted));
    REQUIRE(test::count_cgroups("web") > 0);
    REQUIRE_OK(host.apply_one("web", diff::Verb::remove, wanted));
    CHECK(host.observed().empty());
    CHECK(test::count_cgroups("web") == 0);
    CHECK(test::count_cgroups("ctl") == 0);
    CHECK(std::filesystem::is_empty(host.lxcpath()));
    CHECK(std::filesystem::is_empty(host.root + "/run/containers"));
    CHECK(std::filesystem::exists(*wanted.rootfs + "/bin/busybox"));
    CHECK_FALSE(std::filesystem::exists("/run/lxc/lock" + host.lxcpath() + "/.web"));
    REQUIRE_OK(host.apply_one("web", diff::Verb::remove, wanted));
}

TEST_CASE("states follow each other: stopped, running, frozen, running, stopped") {
    Host host;
    auto wanted = host.prepare("web", shifted);
    wanted.state = ContainerState::stopped;
    REQUIRE_OK(host.create("web", wanted));
    CHECK(host.seen("web") == wanted);
    for (const auto state : {ContainerState::running, ContainerState::frozen, ContainerState::running,
                             ContainerState::frozen, ContainerState::stopped, ContainerState::frozen}) {
        wanted.state = state;
        REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("state", state)}));
        CHECK(host.seen("web").state == state);
    }
}

TEST_CASE("limits change while the container runs and go when they are unset") {
    Host host;
    auto wanted = host.prepare("web", shifted);
    wanted.memory_limit = 64 << 20;
    REQUIRE_OK(host.create("web", wanted));
    const auto init = host.init_pid("web");
    wanted.memory_limit = (32 << 20) + 1;
    wanted.process_limit = 50;
    wanted.cpu_set = "0";
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted,
                              {to("memory_limit", *wanted.memory_limit), to("process_limit", *wanted.process_limit),
                               to("cpu_set", *wanted.cpu_set)}));
    CHECK(host.seen("web") == wanted);
    CHECK(host.in("web", "cat /proc/1/status").find("Cpus_allowed_list:\t0\n") != std::string::npos);
    wanted.memory_limit.reset();
    wanted.process_limit.reset();
    wanted.cpu_set.reset();
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted,
                              {unset("memory_limit"), unset("process_limit"), unset("cpu_set")}));
    CHECK(host.seen("web") == wanted);
    wanted.cpu_set = std::string(trimmed(*read_file("/sys/devices/system/cpu/online")));
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("cpu_set", *wanted.cpu_set)}));
    CHECK(host.seen("web") == wanted);
    CHECK(host.init_pid("web") == init);
}

TEST_CASE("mounts are put into a running container and taken out again") {
    Host host;
    auto wanted = host.prepare("web", shifted);
    std::filesystem::create_directories(host.root + "/da ta/sub");
    std::filesystem::permissions(host.root + "/da ta", std::filesystem::perms::all);
    std::ofstream(host.root + "/da ta/file") << "content\n";
    const std::string data = host.root + "/da\\040ta";
    wanted.mounts = Texts{{"/first", data}};
    REQUIRE_OK(host.create("web", wanted));
    CHECK(host.seen("web") == wanted);
    const auto init = host.init_pid("web");

    wanted.mounts = {
        {"/new dir/deep", data + " ro"}, {"/mnt", data}, {"/etc/file", data + "/file ro"}, {"/none", "/nowhere optional"}};
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("mounts", *wanted.mounts, model::Effect::hotplug)}));
    CHECK(host.seen("web") == wanted);
    CHECK(host.in("web", "cat '/new dir/deep/file' /etc/file") == "content\ncontent\n");
    CHECK(host.in("web", "touch '/new dir/deep/x'").find("Read-only") != std::string::npos);
    CHECK(host.in("web", "touch /mnt/x && echo done") == "done\n");
    CHECK(host.in("web", "ls /first").empty());
    struct stat made {};
    REQUIRE(::stat((*wanted.rootfs + "/new dir").c_str(), &made) == 0);
    CHECK(made.st_uid == 100000);

    SUBCASE("one that somebody unmounts inside is missed and comes back") {
        const auto full = *wanted.mounts;
        REQUIRE(run_process({CTL_BINARY_DIR "/lib/ctl/ctl-lxc-mount", "remove", init, "/mnt"}, 20s)->exit_code == 0);
        CHECK_FALSE(host.seen("web").mounts->contains("/mnt"));
        REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("mounts", full, model::Effect::hotplug)}));
        CHECK(host.seen("web") == wanted);
    }
    SUBCASE("they are there after a restart") {
        REQUIRE_OK(host.apply_one("web", diff::Verb::stop, wanted));
        REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted));
        CHECK(host.seen("web") == wanted);
    }
    SUBCASE("a link in the container leads nowhere") {
        std::filesystem::create_directory_symlink("/../../../../../../run", *wanted.rootfs + "/escape");
        wanted.mounts = Texts{{"/escape/inside", data}};
        CHECK_FALSE(
            host.apply_one("web", diff::Verb::update, wanted, {to("mounts", *wanted.mounts, model::Effect::hotplug)}));
        CHECK_FALSE(std::filesystem::exists("/run/inside"));
        CHECK(host.in("web", "test -e /run/inside || echo none") == "none\n");
        wanted.mounts->clear();
    }
}

TEST_CASE("a change that needs a restart waits for it when it is deferred") {
    Host host;
    auto wanted = host.prepare("web", shifted);
    REQUIRE_OK(host.create("web", wanted));
    const auto before = wanted;
    const auto init = host.init_pid("web");
    wanted.environment = Texts{{"A", "1"}};
    const std::vector fields{to("environment", *wanted.environment, model::Effect::restart)};
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, fields, true));
    CHECK(host.seen("web") == before);
    CHECK(host.init_pid("web") == init);
    REQUIRE_OK(host.apply_one("web", diff::Verb::stop, wanted));
    CHECK(host.seen("web").environment == wanted.environment);
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, fields));
    CHECK(host.seen("web") == wanted);
}

TEST_CASE("a failed start says what liblxc said, leaves nothing, and a retry works") {
    Host host;
    auto wanted = host.prepare("web", "none");
    const auto init = *wanted.rootfs + "/sbin/init";
    std::filesystem::rename(init, init + ".away");
    const auto failed = host.create("web", wanted);
    REQUIRE_FALSE(failed);
    MESSAGE(failed.error().str());
    CHECK(failed.error().message().find("init") != std::string::npos);
    CHECK(failed.error().hint().find("web.log") != std::string::npos);
    CHECK(test::count_cgroups("web") == 0);
    CHECK(host.seen("web").state == ContainerState::stopped);
    std::filesystem::rename(init + ".away", init);
    REQUIRE_OK(host.create("web", wanted));
    CHECK(host.seen("web").state == ContainerState::running);
}

TEST_CASE("a starter or a monitor that is killed leaves nothing that a retry can't handle") {
    Host host;
    auto wanted = host.prepare("web", shifted);
    wanted.state = ContainerState::stopped;
    REQUIRE_OK(host.create("web", wanted));
    wanted.state = ContainerState::running;
    std::vector<std::string> words{CTL_BINARY_DIR "/lib/ctl/ctl-lxc-start", "web", host.lxcpath(), host.run_file("web.conf"),
                                   host.run_file("web.log")};
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    for (const int after : {0, 1, 2, 4, 6, 8, 12}) {
        CAPTURE(after);
        std::filesystem::copy_file(host.lxcpath() + "/web/config", host.run_file("web.conf"));
        pid_t starter = -1;
        REQUIRE(::posix_spawn(&starter, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
        ::poll(nullptr, 0, after);
        ::kill(starter, SIGKILL);
        ::waitpid(starter, nullptr, 0);
        REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("state", ContainerState::running)}));
        CHECK(host.in("web", "echo up") == "up\n");
        REQUIRE_OK(host.apply_one("web", diff::Verb::stop, wanted));
        CHECK(test::count_cgroups("web") == 0);
    }
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("state", ContainerState::running)}));
    const auto status = read_file(fmt::format("/proc/{}/status", host.init_pid("web")));
    REQUIRE(status);
    const pid_t monitor = std::atoi(status->c_str() + status->find("PPid:") + 5);
    ::kill(monitor, SIGKILL);
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("state", ContainerState::running)}));
    CHECK(host.in("web", "echo up") == "up\n");
}

TEST_CASE("the death of a container is an event") {
    Host host;
    const auto wanted = host.prepare("web", shifted);
    REQUIRE_OK(host.create("web", wanted));
    const auto sources = host.driver->events();
    REQUIRE(sources.size() == 1);
    pollfd fd{sources.front().fd, POLLIN, 0};
    REQUIRE(::poll(&fd, 1, 0) == 0);
    ::kill(std::atoi(host.init_pid("web").c_str()), SIGKILL);
    REQUIRE(::poll(&fd, 1, 10'000) == 1);
    CHECK(host.driver->drain(fd.fd));
    CHECK_FALSE(host.driver->drain(fd.fd));
    CHECK(host.seen("web").state == ContainerState::stopped);
    REQUIRE_OK(host.apply_one("web", diff::Verb::update, wanted, {to("state", ContainerState::running)}));
    REQUIRE(host.driver->events().size() == 1);
    CHECK(::poll(&fd, 1, 0) == 0);
    REQUIRE_OK(host.apply_one("web", diff::Verb::stop, wanted));
    CHECK(::poll(&fd, 1, 10'000) == 1);
}

TEST_CASE("a container that is not ours is seen and never changed") {
    Host host;
    const auto wanted = host.prepare("web", "none");
    std::filesystem::create_directories(host.lxcpath() + "/web");
    std::ofstream(host.lxcpath() + "/web/config") << "lxc.rootfs.path = dir:/somewhere\nlxc.net.0.type = empty\n";
    CHECK(host.observed().at({ObjectKind::container, "web"}).mark == model::Mark::none);
    for (const auto verb : {diff::Verb::create, diff::Verb::update, diff::Verb::remove, diff::Verb::stop}) {
        const auto refused = host.apply_one("web", verb, wanted);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == ErrorCode::conflict);
    }
    REQUIRE_OK(host.apply_one("web", diff::Verb::adopt, wanted));
    CHECK(host.seen("web") == wanted);
    REQUIRE_OK(host.apply_one("web", diff::Verb::forget, wanted));
    CHECK(host.observed().at({ObjectKind::container, "web"}).mark == model::Mark::none);
    REQUIRE_OK(host.apply_one("web", diff::Verb::adopt, wanted));
}

TEST_CASE("a name too long for a socket's address is found running all the same") {
    Host host;
    const std::string name(63, 'n');
    const auto wanted = host.prepare(name, "none");
    REQUIRE_OK(host.create(name, wanted));
    CHECK(host.seen(name).state == ContainerState::running);
}

TEST_CASE("preflight tells what would fail before anything is written") {
    Host host;
    Container wanted;
    wanted.rootfs = "/x";
    wanted.raw = {"lxc.no.such.key = 1"};
    auto change = change_to("web", diff::Verb::create, wanted);
    auto faults = host.driver->preflight({&change, 1});
    REQUIRE(faults.size() == 1);
    CHECK(faults.front().message().find("lxc.no.such.key") != std::string::npos);
    std::get<Container>(change.desired.edit().object).raw = {"lxc.signal.stop = SIGKILL"};
    CHECK(host.driver->preflight({&change, 1}).empty());
    change.id.name = "../x";
    CHECK(host.driver->preflight({&change, 1}).size() == 1);
    CHECK_FALSE(std::filesystem::exists(host.lxcpath()));
}

TEST_CASE("twenty containers start and stop together") {
    Host host;
    std::vector<diff::Change> changes;
    for (int i = 0; i < 20; ++i) {
        const std::string name = fmt::format("c{}", i);
        changes.push_back(change_to(name, diff::Verb::create, host.prepare(name, shifted)));
    }
    const auto all = [&] {
        for (const auto& outcome : host.apply(changes)) REQUIRE_OK(outcome);
    };
    all();
    CHECK(host.observed().size() == 20);
    for (auto& change : changes) change.verb = diff::Verb::stop;
    all();
    CHECK(test::count_cgroups("ctl") == 0);
}

}  // namespace

int main(int argc, char** argv) {
    return ctl::test::run_in_own_world([&] { return doctest::Context(argc, argv).run(); });
}
