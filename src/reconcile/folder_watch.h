#pragma once

#include <filesystem>

#include "base/fd.h"
#include "base/result.h"

namespace ctl::reconcile {

/// Notices edits of the manifests (*.yaml, *.yml) in a folder, and the folder itself going away or being exchanged.
class FolderWatch {
public:
    /// Error not_found when there is no such folder; io when the kernel has no watches left.
    [[nodiscard]] static Result<FolderWatch> open(const std::filesystem::path& folder);

    /// Readable when there is something to drain.
    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Reads what has come; true if manifests may have changed. Watches the folder again when it has come back.
    [[nodiscard]] bool drain();

private:
    FolderWatch(Fd fd, std::filesystem::path folder) : fd_(std::move(fd)), folder_(std::move(folder)) {}
    [[nodiscard]] Status watch_folder();

    Fd fd_;
    std::filesystem::path folder_;
    int folder_watch_ = -1;
    int parent_watch_ = -1;
};

}  // namespace ctl::reconcile
