#pragma once

#include <memory>

#include "reconcile/reporter.h"

namespace ctl::cli {

struct ProgressOptions {
    bool terminal = false;  ///< redraw a status line; otherwise one plain line per event
    bool quiet = false;     ///< nothing at all (the output is for a machine)
    bool colour = false;
};

/// Live progress on standard output: every step as it ends, with how long it took, and on a terminal what is running now.
[[nodiscard]] std::unique_ptr<reconcile::Reporter> make_progress(const ProgressOptions& options);

}  // namespace ctl::cli
