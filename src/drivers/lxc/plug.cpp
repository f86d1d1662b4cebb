#include "drivers/lxc/plug.h"

#include <chrono>

#include "base/process.h"
#include "base/text.h"

namespace ctl::drivers::lxc {

namespace {

constexpr std::chrono::seconds patience{20};

}  // namespace

Status run_helper(const std::vector<std::string>& argv) {
    CTL_ASSIGN(const auto ended, run_process(argv, patience));
    if (ended.exit_code == 0) return ok();
    return Error(ErrorCode::io, escaped(trimmed(ended.err)));
}

}  // namespace ctl::drivers::lxc
