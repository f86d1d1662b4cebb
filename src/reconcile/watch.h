#pragma once

#include <chrono>
#include <filesystem>
#include <functional>

#include "base/diagnostics.h"
#include "base/result.h"
#include "model/resource.h"
#include "reconcile/reconciler.h"

namespace ctl::reconcile {

struct WatchOptions {
    std::filesystem::path folder;     ///< of manifests
    std::filesystem::path state_dir;  ///< whose lock is taken for each reconciliation
    std::string command = "ctl watch";
    bool allow_data_loss = false;  ///< containers and volumes may be deleted and replaced
    bool allow_empty = false;      ///< a folder that became empty deletes the stack
    std::optional<model::OnRestartNeeded> on_restart_needed;
    ExecuteOptions execute;
    std::chrono::milliseconds settle{200};      ///< quiet time after the last edit of a manifest
    std::chrono::milliseconds coalesce{20};     ///< time to collect events of the host
    std::chrono::milliseconds resync{300'000};  ///< a look at everything though nothing was heard
    std::chrono::milliseconds first_retry{2'000};
    std::chrono::milliseconds last_retry{300'000};
};

/// Reads the folder's manifests: a stack, valid when `diagnostics` has no errors.
using LoadStack = std::function<model::resource::Stack(Diagnostics& diagnostics)>;

/// Keeps the host as the folder says until `stop_fd` becomes readable: applies, then waits for edits, for events of the
/// drivers and for time, and reconciles again by the same prepare() and apply(). A revision that can't be read, is invalid
/// or empty is reported and the last good one stays in force. Failures are retried with growing pauses. Returns ok after a
/// stop; an error only when waiting itself is impossible (no inotify, the folder isn't there at the start).
[[nodiscard]] Status watch(const Environment& environment, const WatchOptions& options, const LoadStack& load, int stop_fd);

}  // namespace ctl::reconcile
