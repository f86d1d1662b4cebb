#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/file.h"
#include "cli/diagnostics_output.h"
#include "model/parse.h"
#include "model/policy.h"
#include "model/validate.h"

// One folder a case: stack.yaml is loaded, checked, validated and held against policy.yaml, if there is one; what `ctl
// validate` would print has to be expected.txt. CTL_ACCEPT=1 rewrites the expected texts and fails the run, so that nobody
// accepts by accident.

namespace {

namespace fs = std::filesystem;

std::vector<std::string> cases() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(CTL_SOURCE_DIR "/tests/golden/errors"))
        if (entry.is_directory()) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

TEST_CASE("every bad manifest gets exactly the messages it deserves") {
    const char* accept = std::getenv("CTL_ACCEPT");
    const bool is_accepting = accept != nullptr && std::string_view(accept) == "1";
    const auto names = cases();
    CHECK(names.size() >= 40);
    for (const auto& name : names) {
        INFO("case: ", name);
        const fs::path folder = fs::path(CTL_SOURCE_DIR "/tests/golden/errors") / name;
        // Messages name the file as it was given, so the test runs beside it.
        fs::current_path(folder);
        const std::vector<fs::path> paths{"stack.yaml"};
        ctl::Diagnostics diagnostics;
        const auto stack = ctl::model::load_stack(paths, diagnostics);
        ctl::model::validate(stack, diagnostics);
        if (fs::exists("policy.yaml"))
            if (const auto policy = ctl::model::load_policy("policy.yaml", diagnostics))
                ctl::model::check_policy(*policy, stack, {.working_dir = "/stacks"}, diagnostics);
        diagnostics.sort_by_place();
        const std::string text = ctl::cli::render_text(diagnostics);
        CHECK(diagnostics.has_errors());
        if (is_accepting) {
            REQUIRE(ctl::write_file_atomically(folder / "expected.txt", text));
            continue;
        }
        const auto expected = ctl::read_file(folder / "expected.txt");
        REQUIRE(expected);
        CHECK(text == *expected);
    }
    CHECK_FALSE_MESSAGE(is_accepting, "the expected texts were rewritten: look at them and run again without CTL_ACCEPT");
}
