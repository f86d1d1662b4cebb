#include "cli/directories.h"

namespace ctl::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view default_state_dir = "/var/lib/ctl";

/// liblxc takes the path of its containers as a plain string: one spelling everywhere, or a running one looks stopped.
std::string canonical(const std::string& path) {
    std::error_code ignored;
    return fs::weakly_canonical(fs::absolute(path, ignored), ignored).native();
}

}  // namespace

std::string state_dir_of(const GlobalOptions& options) { return canonical(options.state_dir); }

std::string run_dir_of(const GlobalOptions& options) {
    if (!options.run_dir.empty()) return canonical(options.run_dir);
    const std::string state_dir = state_dir_of(options);
    return state_dir == canonical(std::string(default_state_dir)) ? canonical("/run/ctl") : state_dir + "/run";
}

}  // namespace ctl::cli
