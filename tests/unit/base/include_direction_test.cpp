#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

// The table of folders in docs/ARCHITECTURE.md, as a test: who may include whom, and who may include which foreign headers.

namespace ctl {
namespace {

namespace fs = std::filesystem;

const fs::path source_dir = fs::path(CTL_SOURCE_DIR) / "src";

/// A folder may always include its own headers; a driver's name stands for any of them.
const std::map<std::string, std::set<std::string>> allowed{
    {"base", {}},
    {"model", {"base"}},
    {"diff", {"base", "model"}},
    {"drivers/api", {"base", "model", "diff"}},
    {"drivers/*", {"base", "model", "diff", "drivers/api"}},
    {"reconcile", {"base", "model", "diff", "drivers/api"}},
    {"cli", {"base", "model", "diff", "drivers/api", "reconcile"}},
};

/// Foreign headers that only one place may know.
const std::map<std::string, std::set<std::string>> keepers{
    {"lxc/", {"drivers/lxc"}},         {"netlink/", {"drivers/netlink"}},
    {"openvswitch/", {"drivers/ovs"}}, {"vswitch-idl.h", {"drivers/ovs"}},
    {"ovsdb-idl.h", {"drivers/ovs"}},  {"SQLiteCpp/", {"reconcile"}},
    {"yaml-cpp/", {"model", "cli"}},   {"CLI/", {"cli"}},
};

/// "drivers/lxc" for drivers/lxc/start.cpp, "model" for model/link.h.
std::string folder_of(const fs::path& relative) {
    auto part = relative.begin();
    std::string folder = part->string();
    if (folder == "drivers") folder += "/" + std::next(part)->string();
    return folder;
}

std::optional<std::string> included_in(const std::string& line, char open, char close) {
    const std::size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line.compare(hash, 8, "#include") != 0) return std::nullopt;
    const std::size_t begin = line.find(open, hash + 8);
    if (begin == std::string::npos) return std::nullopt;
    const std::size_t end = line.find(close, begin + 1);
    if (end == std::string::npos) return std::nullopt;
    return line.substr(begin + 1, end - begin - 1);
}

bool may_include(const std::string& from, const std::string& to) {
    if (from == to) return true;
    const auto exact = allowed.find(from);
    const auto rule = exact != allowed.end() ? exact : allowed.find(from.starts_with("drivers/") ? "drivers/*" : from);
    return rule != allowed.end() && rule->second.contains(to);
}

bool may_include_foreign(const std::string& from, const std::string& header) {
    return std::ranges::all_of(
        keepers, [&](const auto& keeper) { return !header.starts_with(keeper.first) || keeper.second.contains(from); });
}

std::vector<std::string> faults_of(const fs::path& file, std::size_t& seen) {
    std::vector<std::string> faults;
    const fs::path relative = file.lexically_relative(source_dir);
    const std::string from = folder_of(relative);
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        if (const auto ours = included_in(line, '"', '"'); ours && fs::exists(source_dir / *ours)) {
            ++seen;
            if (!may_include(from, folder_of(*ours))) faults.push_back(relative.string() + " includes \"" + *ours + "\"");
        }
        for (const auto& header : {included_in(line, '<', '>'), included_in(line, '"', '"')}) {
            if (header && !may_include_foreign(from, *header)) faults.push_back(relative.string() + " includes " + *header);
        }
    }
    return faults;
}

}  // namespace

TEST_CASE("no file includes against the direction of the folders") {
    std::vector<std::string> faults;
    std::size_t seen = 0;
    for (const auto& entry : fs::recursive_directory_iterator(source_dir)) {
        const std::string extension = entry.path().extension();
        if (extension != ".cpp" && extension != ".h" && extension != ".c") continue;
        for (std::string& fault : faults_of(entry.path(), seen)) faults.push_back(std::move(fault));
    }
    for (const std::string& fault : faults) FAIL_CHECK(fault);
    // A test that reads no includes would pass for ever.
    CHECK(seen > 50);
}

TEST_CASE("the rules of direction refuse what they should") {
    CHECK(may_include("cli", "reconcile"));
    CHECK(may_include("drivers/lxc", "drivers/api"));
    CHECK_FALSE(may_include("model", "diff"));
    CHECK_FALSE(may_include("base", "model"));
    CHECK_FALSE(may_include("reconcile", "drivers/lxc"));
    CHECK_FALSE(may_include("drivers/lxc", "drivers/netlink"));
    CHECK_FALSE(may_include("drivers/lxc", "reconcile"));
    CHECK_FALSE(may_include_foreign("cli", "lxc/lxccontainer.h"));
    CHECK(may_include_foreign("drivers/lxc", "lxc/lxccontainer.h"));
}

}  // namespace ctl
