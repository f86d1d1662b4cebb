#include "image_world.h"

#include <doctest/doctest.h>

#include <filesystem>

namespace ctl::testing {

namespace fs = std::filesystem;
using model::Image;

std::string rootfs_of(StorageWorld& world, const std::string& id) {
    const auto entry = world.observe(id);
    REQUIRE(entry.has_value());
    return world.state() + "/images/sha256/" + std::get<Image>(entry->object).fingerprint.value() + "/rootfs";
}

void check_refused(StorageWorld& world, const Image& image, const std::string& reason) {
    const auto outcome = world.apply(diff::Verb::create, "image/evil", image);
    REQUIRE_FALSE(outcome.has_value());
    CHECK_MESSAGE(outcome.error().str().find(reason) != std::string::npos, outcome.error().str());
    CHECK_FALSE(world.observe("image/evil").has_value());
    CHECK_FALSE(fs::exists(world.state() + "/images/evil"));
    CHECK(fs::is_empty(world.state() + "/images/sha256"));
}

Result<drivers::image::Unpacked> unpack(const std::string& path, int root, const drivers::image::UnpackLimits& limits) {
    drivers::image::Fingerprint sum;
    return drivers::image::unpack_file(path, root, sum, limits);
}

}  // namespace ctl::testing
