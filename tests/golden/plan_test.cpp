#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "diff/diff.h"
#include "model/state_json.h"
#include "reconcile/plan.h"

// One folder a case: desired.json, observed.json, recorded.json, others.json (a missing one is empty) and what a person
// reads, expected.txt; with an expected.json also the plan's JSON. CTL_ACCEPT=1 rewrites the expectations and fails.

namespace fs = std::filesystem;
using namespace ctl;

namespace {

const fs::path root = fs::path(CTL_SOURCE_DIR) / "tests/golden/plan";

std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

model::HostState state(const fs::path& path) {
    if (!fs::exists(path)) return {};
    auto parsed = model::state_from_json(read(path));
    REQUIRE_MESSAGE(parsed.has_value(), path.string() << ": " << parsed.error().str());
    return std::move(*parsed);
}

struct Rendered {
    std::string text;
    std::string json;
};

std::string steps_text(const reconcile::Plan& plan) {
    std::string text = "\nSteps:\n";
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        const auto& step = plan.steps[i];
        text += std::to_string(i) + " " + std::string(to_string(step.change.verb)) + " " + step.change.id.str();
        std::string separator = " after ";
        for (const std::size_t first : step.needs) {
            text += separator + std::to_string(first);
            separator = ", ";
        }
        text += '\n';
    }
    return text;
}

Rendered planned(const fs::path& folder) {
    const auto desired = state(folder / "desired.json");
    const auto observed = state(folder / "observed.json");
    const auto recorded = state(folder / "recorded.json");
    const auto others = state(folder / "others.json");
    auto output = diff::diff({desired, observed, recorded, others, "lab", std::nullopt});
    auto plan = reconcile::make_plan("lab", std::move(output.changes));
    if (!plan) return {"cycle: " + plan.error().str() + "\n", ""};
    plan->notes = output.diagnostics;
    return {to_text(*plan, {}) + (plan->empty() ? "" : steps_text(*plan)), to_json(*plan) + "\n"};
}

void compare(const fs::path& path, const std::string& actual) {
    if (read(path) == actual) return;
    if (std::getenv("CTL_ACCEPT") != nullptr) std::ofstream(path, std::ios::binary) << actual;
    FAIL_CHECK(path.string() << ": expected\n" << read(path) << "\nbut got\n" << actual);
}

}  // namespace

TEST_CASE("three states give the plan that their folder expects") {
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(root)) folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    CHECK(folders.size() >= 30);
    for (const auto& folder : folders) {
        CAPTURE(folder.filename().string());
        const Rendered result = planned(folder);
        compare(folder / "expected.txt", result.text);
        if (fs::exists(folder / "expected.json")) compare(folder / "expected.json", result.json);
    }
}
