#pragma once

#include <string>

#include "reconcile/plan.h"
#include "reconcile/run_report.h"

namespace ctl::cli {

/// The table after a run: one line per object with its outcome, and the totals.
[[nodiscard]] std::string run_to_text(const reconcile::Plan& plan, const reconcile::RunReport& report);

/// {"format":"ctl.run/1","stack":…,"steps":[{"object","verb","outcome","seconds","error"}],"summary":{…}}
[[nodiscard]] std::string run_to_json(const reconcile::Plan& plan, const reconcile::RunReport& report);

/// What failed, what it blocked and what preflight refused, on standard error.
void print_failures(const reconcile::Plan& plan, const reconcile::RunReport& report);

}  // namespace ctl::cli
