#pragma once

#include <memory>
#include <string>

#include "base/activity.h"
#include "reconcile/reporter.h"

namespace ctl::cli {

struct ProgressOptions {
    bool terminal = false;  ///< redraw a status line; otherwise one plain line per event
    bool quiet = false;     ///< nothing at all (the output is for a machine)
    bool colour = false;
};

/// "45.2 MB of 120.0 MB, 12.1 MB/s, 6 s left: downloading https://…"; when it is over "downloading https://…: 120.0 MB in
/// 9.9 s, 12.1 MB/s".
[[nodiscard]] std::string activity_text(const Activity& activity);

/// Live progress on standard output: every step as it ends, with how long it took, and on a terminal what is running now and
/// how far downloads and archives are; elsewhere a line when each of these is through.
[[nodiscard]] std::unique_ptr<reconcile::Reporter> make_progress(const ProgressOptions& options);

}  // namespace ctl::cli
