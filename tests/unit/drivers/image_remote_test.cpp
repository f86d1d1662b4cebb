#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "drivers/image/simplestreams.h"
#include "image_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"
#include "support/spawn.h"

// Images from web servers, on this machine and in a network of their own.

using namespace ctl;
using namespace ctl::testing;
using diff::Verb;
using model::Image;
namespace fs = std::filesystem;

namespace {

std::string why_not() {
    if (const auto why = enter_own_namespaces(); !why.empty()) return why;
    for (const auto* program : {"/usr/bin/python3", "/usr/bin/openssl", "/usr/bin/tar2sqfs"})
        if (!fs::exists(program)) return std::string("no ") + program;
    return "";
}

std::string support(const std::string& file) { return fmt::format("{}/tests/support/{}", CTL_SOURCE_DIR, file); }

/// tests/support/web_server.py on DIR/tree, with a certificate for 127.0.0.1 that DIR/ca.pem has signed.
class Server {
public:
    explicit Server(const std::string& dir, bool secure = true) : dir_(dir) {
        fs::create_directories(tree());
        std::vector<std::string> argv{"python3", support("web_server.py"), tree(), "0"};
        if (secure) {
            make_certificates();
            argv.insert(argv.end(), {dir + "/server.pem", dir + "/server.key"});
        }
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        pid_ = spawn_beside(argv, ends[1]);
        ::close(ends[1]);
        char port[16] = {};
        REQUIRE(::read(ends[0], port, sizeof port - 1) > 0);
        ::close(ends[0]);
        address_ = fmt::format("{}://127.0.0.1:{}", secure ? "https" : "http", trimmed(port));
    }
    ~Server() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    [[nodiscard]] std::string tree() const { return dir_ + "/tree"; }
    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] std::string authority() const { return read_file(dir_ + "/ca.pem").value(); }
    /// No answer brings more bytes from now on; 0: all of them.
    void cut(int bytes) const {
        fs::remove(dir_ + "/cut");
        if (bytes != 0) std::ofstream(dir_ + "/cut") << bytes;
    }
    /// What was asked since the last call.
    std::string requests() const {
        const std::string asked = sh("cat " + dir_ + "/requests 2>/dev/null || true");
        fs::remove(dir_ + "/requests");
        return asked;
    }

private:
    void make_certificates() const {
        const std::string key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        sh(fmt::format(
            "cd {} && openssl req -x509 {} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority 2>/dev/null && "
            "openssl req {} -keyout server.key -out server.csr -subj /CN=server 2>/dev/null && "
            "echo subjectAltName=IP:127.0.0.1 > names && openssl x509 -req -in server.csr -CA ca.pem -CAkey "
            "ca.key -CAcreateserial -out server.pem -days 2 -extfile names 2>/dev/null",
            dir_, key, key));
    }

    std::string dir_;
    std::string address_;
    pid_t pid_ = -1;
};

struct World {
    StorageWorld store;
    Server server;

    explicit World(bool secure = true) : server(store.dir(), secure) {
        sh(
            fmt::format("mkdir -p {0}/r/bin && cd {0}/r && echo '#!' > bin/sh && head -c 20000 /dev/urandom > noise && "
                        "tar -cf ../tree/image.tar .",
                        store.dir()));
    }

    [[nodiscard]] std::string sum(const std::string& file) const {
        return sh(fmt::format("sha256sum < {}/{} | cut -d' ' -f1", server.tree(), file));
    }
    [[nodiscard]] Image at(const std::string& file) const {
        return image_of("url", server.address() + "/" + file, {{"certificate", server.authority()}});
    }
    [[nodiscard]] Image alias(const std::string& name) const {
        return image_of("simplestreams", server.address() + " " + name, {{"certificate", server.authority()}});
    }
    /// Adds a version to the server's tree.
    [[nodiscard]] std::string offer(const std::string& version, const std::string& more = "") const {
        return sh(fmt::format("python3 {} {} {} test/1,test {}/r {}", support("simplestreams_tree.py"), server.tree(),
                              version, store.dir(), more));
    }
    [[nodiscard]] std::string downloads() const { return store.state() + "/images/downloads"; }
    [[nodiscard]] std::string fingerprint() {
        const auto entry = store.observe("image/web");
        REQUIRE(entry.has_value());
        return std::get<Image>(entry->object).fingerprint.value();
    }
};

}  // namespace

TEST_CASE("an image is downloaded over TLS from whom is trusted, and from nobody else") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    World world;
    Image image = world.at("image.tar");
    CHECK(world.store.preflight("image/web", image).empty());
    world.store.must(Verb::create, "image/web", image);
    CHECK(world.fingerprint() == world.sum("image.tar"));
    CHECK_FALSE(fs::exists(world.downloads()));
    CHECK(world.server.requests() == "/image.tar - 200");
    world.store.must(Verb::create, "image/web", image);
    CHECK_MESSAGE(world.server.requests().empty(), "what is there is not downloaded again");
    world.store.must(Verb::remove, "image/web", Image{});

    image.options.reset();
    check_refused(world.store, image, "give the certificate");
    check_refused(world.store, world.at("nowhere.tar"), "status 404");
    image.options = {{{"certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}}};
    check_refused(world.store, image, "can't be read");
}

TEST_CASE("a download that is cut goes on where it ended, whatever the byte") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    World world;
    const auto size = static_cast<int>(fs::file_size(world.server.tree() + "/image.tar"));
    for (const int bytes : {997, 4096, size / 2, size - 1}) {
        CAPTURE(bytes);
        world.server.cut(bytes);
        world.store.must(Verb::create, "image/web", world.at("image.tar"));
        CHECK(world.fingerprint() == world.sum("image.tar"));
        const std::string asked = world.server.requests();
        CHECK(asked.starts_with(fmt::format("/image.tar - 200\n/image.tar bytes={}- 206", bytes)));
        CHECK(std::count(asked.begin(), asked.end(), '\n') + 1 == (size + bytes - 1) / bytes);
        world.store.must(Verb::remove, "image/web", Image{});
    }
}

TEST_CASE("a download that a server gave up on is taken up by the next run, unless the file is another one") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    World world;
    Image image = world.at("image.tar");
    for (const bool declared : {false, true}) {
        CAPTURE(declared);
        if (declared) image.fingerprint = world.sum("image.tar");
        const std::string key =
            declared ? *image.fingerprint : sh("printf %s " + *image.source + " | sha256sum | cut -c-64");
        // As a run leaves it that is killed while it downloads.
        fs::create_directories(world.downloads());
        sh(fmt::format("cd {} && head -c 5000 {}/image.tar > {}.part", world.downloads(), world.server.tree(), key));
        const std::string tag = sh("md5sum < " + world.server.tree() + "/image.tar | cut -c-32");
        std::ofstream(fmt::format("{}/{}.validator", world.downloads(), key)) << '"' << tag << '"';
        world.store.must(Verb::create, "image/web", image);
        CHECK(world.server.requests() == "/image.tar bytes=5000- 206");
        world.store.must(Verb::remove, "image/web", Image{});

        fs::create_directories(world.downloads());
        sh(fmt::format("head -c 5000 /dev/urandom > {}/{}.part", world.downloads(), key));
        std::ofstream(fmt::format("{}/{}.validator", world.downloads(), key)) << "\"another\"";
        world.store.must(Verb::create, "image/web", image);
        CHECK(world.server.requests() == "/image.tar bytes=5000- 200");
        world.store.must(Verb::remove, "image/web", Image{});
        CHECK_FALSE(fs::exists(world.downloads()));
    }
}

TEST_CASE("a server that brings nothing more, or something else than was declared, leaves no image") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    World world;
    Image image = world.at("image.tar");
    image.fingerprint = std::string(64, '0');
    check_refused(world.store, image, "has the checksum " + world.sum("image.tar"));
    CHECK(fs::is_empty(world.downloads()));
    std::ofstream(world.server.tree() + "/words") << "this is no archive";
    check_refused(world.store, world.at("words"), "importing");
    CHECK_FALSE(fs::exists(world.downloads()));
    CHECK(world.store.preflight("image/web", image_of("url", "ftp://127.0.0.1/x")).size() == 1);
    CHECK(world.store.preflight("image/web", image_of("url", "https://127.0.0.1/a b")).size() == 1);

    World plain(false);
    Image clear = image_of("url", plain.server.address() + "/image.tar");
    CHECK(plain.store.preflight("image/web", clear).front().str().find("without TLS") != std::string::npos);
    clear.fingerprint = plain.sum("image.tar");
    CHECK(plain.store.preflight("image/web", clear).empty());
    plain.store.must(Verb::create, "image/web", clear);

    // Each file of an image in two counts.
    Image halves = image_of("url", "https://127.0.0.1/metadata.tar");
    halves.options = std::map<std::string, std::string>{{"rootfs", "https://127.0.0.1/root.squashfs"}};
    CHECK(plain.store.preflight("image/web", halves).empty());
    halves.options = std::map<std::string, std::string>{{"rootfs", "http://127.0.0.1/root.squashfs"}};
    const auto refused = plain.store.preflight("image/web", halves);
    REQUIRE(refused.size() == 1);
    CHECK_MESSAGE(refused.front().str().find("\"http://127.0.0.1/root.squashfs\" is got without TLS") != std::string::npos,
                  refused.front().str());
    halves.fingerprint = std::string(64, '0');
    CHECK(plain.store.preflight("image/web", halves).empty());
}

TEST_CASE("a disk that gets full while an image is downloaded keeps what came, for the next try") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    World world;
    sh(fmt::format("cd {0}/r && head -c 6M /dev/urandom > big && tar -cf ../tree/image.tar .", world.store.dir()));
    fs::create_directories(world.store.state());
    sh("mount -t tmpfs -o size=4m,mode=711 t " + world.store.state());
    const auto outcome = world.store.apply(Verb::create, "image/web", world.at("image.tar"));
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().code() == ErrorCode::no_space);
    sh("mount -o remount,size=40m " + world.store.state());
    CHECK(world.server.requests() == "/image.tar - 200");
    world.store.must(Verb::create, "image/web", world.at("image.tar"));
    CHECK(world.server.requests().ends_with(" 206"));
}

TEST_CASE("an image server is asked by alias for the newest version, and is held to its own checksums") {
    CTL_SKIP_IF(!why_not().empty(), why_not());
    World world;
    const std::string old = world.offer("20240101_01:00", "root.tar.xz");
    sh("echo new > " + world.store.dir() + "/r/new");
    const std::string both = world.offer("20240202_01:00");
    CHECK(world.store.preflight("image/web", world.alias("test/1")).empty());
    world.store.must(Verb::create, "image/web", world.alias("test/1"));
    CHECK_MESSAGE(both.starts_with(world.fingerprint()), "the squashfs of the newer version");
    CHECK(fs::exists(rootfs_of(world.store, "image/web") + "/new"));
    CHECK(fs::exists(rootfs_of(world.store, "image/web") + "/../templates/hostname.tpl"));
    static_cast<void>(world.server.requests());
    world.store.must(Verb::create, "image/other", world.alias("test"));
    CHECK_MESSAGE(world.server.requests() == "/streams/v1/index.json - 200\n/streams/v1/images.json - 200",
                  "what the store has already is not downloaded");
    world.store.must(Verb::remove, "image/web", Image{});
    world.store.must(Verb::remove, "image/other", Image{});

    check_refused(world.store, world.alias("test/2"), "offers no image \"test/2\"");
    Image foreign = world.alias("test");
    foreign.options->emplace("architecture", "sparc64");
    check_refused(world.store, foreign, "for \"sparc64\"");
    sh("echo more >> " + world.server.tree() + "/images/test/20240202_01:00/root.squashfs");
    check_refused(world.store, world.alias("test"), "is larger than");
    sh(fmt::format(
        "cd {}/images/test/20240202_01:00 && head -c 100 /dev/urandom > s && tail -c +101 root.squashfs | head -c "
        "-5 >> s && mv s root.squashfs",
        world.server.tree()));
    check_refused(world.store, world.alias("test"), "has the checksum");
    CHECK(world.store.preflight("image/web", image_of("simplestreams", "http://127.0.0.1 x")).size() == 1);
}

TEST_CASE("what a server says is read with care") {
    using namespace drivers::image;
    const auto offer_of = [](const std::string& items) {
        return find_offer(
            R"({"products": {"p": {"aliases": "a, b", "arch": "amd64", "versions": {"1": {"items": )" + items + "}}}}}", "b",
            "amd64");
    };
    const std::string sum(64, 'a');
    const auto item = [&](const std::string& type, const std::string& path) {
        return fmt::format(R"("{0}": {{"ftype": "{0}", "path": "{1}", "size": 5, "sha256": "{2}",
                                "combined_squashfs_sha256": "{2}"}})",
                           type, path, sum);
    };
    const auto both = offer_of("{" + item("lxd.tar.xz", "m") + "," + item("squashfs", "r") + "}");
    REQUIRE(both.has_value());
    REQUIRE(both->has_value());
    CHECK((*both)->rootfs.url == "r");
    CHECK_FALSE(offer_of("{" + item("lxd.tar.xz", "m") + "}")->has_value());
    CHECK_FALSE(offer_of("[]")->has_value());
    CHECK_FALSE(offer_of("{" + item("lxd.tar.xz", "../m") + "," + item("squashfs", "r") + "}").has_value());
    CHECK_FALSE(offer_of("{" + item("lxd.tar.xz", "/m") + "," + item("squashfs", "r") + "}").has_value());
    CHECK_FALSE(find_offer("{", "b", "amd64").has_value());
    CHECK_FALSE(find_offer(std::string(1 << 20, '['), "b", "amd64").has_value());
    CHECK_FALSE(read_index(R"({"index": {"x": {"datatype": "image-downloads", "path": "../x"}}})").has_value());
    CHECK(read_index(R"({"index": {"x": {"datatype": "image-downloads", "path": "s/x"}}})")->front() == "s/x");
}
