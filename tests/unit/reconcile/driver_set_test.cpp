#include "reconcile/driver_set.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

using namespace ctl;
using model::ObjectKind;
using reconcile::DriverSet;
namespace fs = std::filesystem;

namespace {

/// A folder of driver modules under chosen names.
struct Folder {
    Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path); }

    /// A copy, because one file is one module however often it is loaded.
    Folder& add(const std::string& name, const std::string& sort) {
        fs::copy_file(fs::path(CTL_BINARY_DIR "/tests/modules") / (sort + ".so"), file(name));
        return *this;
    }
    [[nodiscard]] fs::path file(const std::string& name) const { return fs::path(path) / ("ctl-driver-" + name + ".so"); }
    [[nodiscard]] DriverSet load(const std::string& state_dir = "first") const {
        return DriverSet::load(path, {.state_dir = state_dir, .run_dir = "", .helper_dir = "", .ovs_db = ""});
    }

    std::string path = "/tmp/ctl-modules-XXXXXX";
};

/// Why the module of that name could not be loaded.
std::string reason(const DriverSet& set, const std::string& name) {
    for (const auto& module : set.unavailable())
        if (module.name == name) return module.error.str();
    return "it is not listed";
}

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("a driver is loaded from its module, with its context, and found by its kinds") {
    Folder folder;
    const auto set = folder.add("good", "good").load("/var/lib/there");
    REQUIRE(set.all().size() == 1);
    CHECK(set.all().front()->info().name == "/var/lib/there");
    CHECK(set.for_kind(ObjectKind::link) == set.all().front().get());
    CHECK(set.for_kind(ObjectKind::container) == nullptr);
    CHECK(set.unavailable().empty());
    CHECK(set.require({ObjectKind::link}).has_value());
}

TEST_CASE("a folder that is not there, or has no modules, gives no drivers and no failure") {
    CHECK(DriverSet::load("/nonexistent/drivers", {}).all().empty());
    Folder folder;
    std::ofstream(folder.path + "/README") << "x";
    std::ofstream(folder.path + "/ctl-driver-.so") << "x";
    std::ofstream(folder.path + "/libother.so") << "x";
    const auto set = folder.load();
    CHECK(set.all().empty());
    CHECK(set.unavailable().empty());
}

TEST_CASE("a module of another version of the interface is not called, and says so") {
    Folder folder;
    const auto set = folder.add("old", "old").load();
    CHECK(set.all().empty());
    CHECK_MESSAGE(says(reason(set, "old"), "version"), reason(set, "old"));
}

TEST_CASE("every way in which a module can be bad is told of, and the good one works beside them") {
    Folder folder;
    folder.add("a-fails", "fails").add("b-throws", "throws").add("c-nothing", "makes-nothing");
    folder.add("d-factory", "no-factory").add("e-symbol", "no-symbol").add("z-good", "good");
    std::ofstream(folder.file("f-text")) << "this is no shared library\n";
    fs::create_symlink("/nonexistent/target.so", folder.file("g-dangling"));
    const auto set = folder.load();
    REQUIRE(set.all().size() == 1);
    CHECK(set.unavailable().size() == 7);
    CHECK(says(reason(set, "a-fails"), "no such subsystem"));
    CHECK(says(reason(set, "b-throws"), "thrown by a library"));
    CHECK(says(reason(set, "c-nothing"), "made nothing"));
    CHECK(says(reason(set, "d-factory"), "no factory"));
    CHECK(says(reason(set, "e-symbol"), "no driver module"));
    CHECK(says(reason(set, "f-text"), "can't be loaded"));
    CHECK(says(reason(set, "g-dangling"), "can't be loaded"));
}

TEST_CASE("a missing driver is an error only for what needs it, and names the modules that failed") {
    Folder folder;
    const auto set = folder.add("lxc", "fails").add("net", "good").load();
    CHECK(set.require({}).has_value());
    CHECK(set.require({ObjectKind::link}).has_value());
    const auto missing = set.require({ObjectKind::link, ObjectKind::container});
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().code() == ErrorCode::missing_driver);
    CHECK(says(missing.error().str(), "container"));
    CHECK(says(missing.error().str(), "lxc: no such subsystem"));
}

TEST_CASE("of two drivers for one kind the first by name has it") {
    Folder folder;
    const auto set = folder.add("b", "good").add("a", "good").load();
    REQUIRE(set.all().size() == 2);
    CHECK(set.for_kind(ObjectKind::link) == set.all().front().get());
    CHECK(set.for_kind(ObjectKind::link) != set.all().back().get());
}
