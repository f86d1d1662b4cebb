#include "support/inventory.h"

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "support/wait.h"

namespace ctl::testing {

namespace {

constexpr std::size_t most_told = 40;

}  // namespace

Inventory take_inventory(const Sandbox& sandbox) {
    const std::string text = sandbox.must("sh " CTL_SOURCE_DIR "/tests/support/inventory.sh");
    Inventory found;
    for (const std::string_view line : split(text, '\n'))
        if (!line.empty()) found.emplace(line);
    return found;
}

std::string differences(const Inventory& before, const Inventory& after) {
    std::vector<std::string> gone;
    std::vector<std::string> added;
    std::ranges::set_difference(before, after, std::back_inserter(gone));
    std::ranges::set_difference(after, before, std::back_inserter(added));
    std::string text;
    std::size_t told = 0;
    for (const auto& fact : gone)
        if (++told <= most_told) text += "gone: " + fact + "\n";
    for (const auto& fact : added)
        if (++told <= most_told) text += "new: " + fact + "\n";
    return told <= most_told ? text : text + "…\n";
}

std::string lasting_differences(const Sandbox& sandbox, const Inventory& expected) {
    std::string last;
    (void)wait_until([&] { return (last = differences(expected, take_inventory(sandbox))).empty(); },
                     std::chrono::seconds{5});
    return last;
}

}  // namespace ctl::testing
