#include <cstdio>
#include <string>
#include <string_view>
#include <tuple>

#include "base/file.h"
#include "base/text.h"
#include "cli/sandbox/scratch.h"
#include "support/host_fingerprint.h"

// ctl-host-fingerprint save FILE | compare FILE: the first and the last thing of a run of the tests that need root.
int main(int argc, char** argv) {
    using namespace ctl;
    const std::string_view verb = argc == 3 ? argv[1] : "";
    // What an earlier sandbox left when it was killed would go in the course of the tests: whoever makes one tidies up
    // first.
    if (verb == "save") {
        if (const auto scratch = cli::make_scratch()) std::ignore = cli::remove_scratch(*scratch);
    }
    const testing::HostFingerprint now = testing::take_host_fingerprint();
    if (verb == "save") {
        std::string text;
        for (const std::string& fact : now) text += fact + "\n";
        return write_file_atomically(argv[2], text) ? 0 : 1;
    }
    if (verb != "compare") {
        std::fprintf(stderr, "usage: ctl-host-fingerprint save FILE | compare FILE\n");
        return 64;
    }
    const auto text = read_file(argv[2]);
    if (!text) {
        std::fprintf(stderr, "%s\n", text.error().str().c_str());
        return 1;
    }
    testing::HostFingerprint before;
    for (const std::string_view line : split(*text, '\n')) {
        if (!line.empty()) before.emplace(line);
    }
    const std::vector<std::string> lines = testing::differences(before, now);
    for (const std::string& line : lines) std::printf("the machine itself changed: %s\n", escaped(line).c_str());
    return lines.empty() ? 0 : 1;
}
