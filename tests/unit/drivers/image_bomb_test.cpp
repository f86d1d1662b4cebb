#include <doctest/doctest.h>

#include <filesystem>

#include "base/tree.h"
#include "image_world.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

using namespace ctl;
using namespace ctl::testing;
namespace fs = std::filesystem;

TEST_CASE("endless zeros are stopped early whatever packed them, and once packed or twice") {
    CTL_SKIP_IF(!enter_own_namespaces().empty(), enter_own_namespaces());
    drivers::image::UnpackLimits limits;
    limits.ratio_from = 1 << 20;
    for (const std::string& packer : {std::string("gzip"), std::string("xz -0"), std::string("zstd -q"),
                                      std::string("bzip2"), std::string("gzip | gzip"), std::string("xz -0 | gzip")}) {
        CAPTURE(packer);
        CTL_SKIP_IF(!fs::exists("/usr/bin/" + packer.substr(0, packer.find(' '))), "no " + packer);
        StorageWorld world;
        const std::string bomb = world.dir() + "/bomb";
        const std::string out = world.dir() + "/out";
        fs::create_directories(out);
        sh("mkdir -p " + bomb + "d/bin && cd " + bomb +
           "d && echo x > bin/sh && truncate -s 256M zeros && "
           "tar -cf - bin/sh zeros | " +
           packer + " > " + bomb);
        CHECK(fs::file_size(bomb) < (1 << 20));
        const Fd root = open_directory(out).value();
        const auto unpacked = unpack(bomb, root.get(), limits);
        REQUIRE_FALSE(unpacked.has_value());
        CHECK_MESSAGE(unpacked.error().str().find("times its size") != std::string::npos, unpacked.error().str());
        const auto bytes = std::stol(sh("du -sk --apparent-size " + out + " | cut -f1")) * 1024;
        CHECK(bytes < (64L << 20));
    }
}

TEST_CASE("a bomb behind an image leaves no half-made image") {
    CTL_SKIP_IF(!enter_own_namespaces().empty(), enter_own_namespaces());
    StorageWorld world;
    const std::string bomb = world.dir() + "/bomb.tar.gz";
    // A gigabyte and a half of zeros is packed sixteen megabytes at a time: a gzip file may have many members.
    sh("mkdir -p " + world.dir() + "/d/bin && cd " + world.dir() +
       "/d && echo x > bin/sh && truncate -s 1520M zeros && head -c 16M zeros | gzip > part && "
       "(tar -cf - bin/sh zeros 2>/dev/null | head -c 1536 | gzip; for i in $(seq 95); do cat part; done; "
       "head -c 1024 /dev/zero | gzip) > " +
       bomb);
    const Status outcome = world.apply(diff::Verb::create, "image/evil", image_of("tarball", bomb));
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().code() == ErrorCode::invalid);
    CHECK_FALSE(world.observe("image/evil").has_value());
    CHECK(sh("find " + world.state() + "/images -name '.ctl-tmp-*'; ls " + world.state() + "/images/sha256") == "");
}
