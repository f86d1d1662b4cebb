#pragma once

#include <optional>

#include "base/result.h"
#include "base/tree.h"

namespace ctl {

struct WrittenTreeOptions {
    std::optional<IdShift> shift;  ///< as CopyOptions has it
    bool live = false;             ///< others write meanwhile: what is gone by the time it is read is left out
};

/// Copies all that is in directory `from` into directory `to` as copy_tree() does, with what overlay keeps in
/// trusted.overlay.*: an upper directory is one in the copy too.
[[nodiscard]] Status copy_written_tree(int from, int to, const WrittenTreeOptions& options);

}  // namespace ctl
