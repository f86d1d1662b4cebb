#pragma once

#include <string>

#include "base/fd.h"
#include "model/host_state.h"

namespace ctl::drivers::image {

/// When images that follow their source look at it: a descriptor that becomes readable at that moment. Only who waits for it
/// is told that an image is overdue; who looks at the host in passing leaves them be.
class UpdateTimer {
public:
    /// Armed for the next image that is due; -1 if that is not possible.
    [[nodiscard]] int arm(const std::string& state_dir);
    /// Reads the descriptor; true if it had fired.
    [[nodiscard]] bool drain();
    /// Where somebody waits, images that are overdue are shown as not following their source: that is to be mended.
    void show_overdue(const std::string& state_dir, model::HostState& observed) const;

private:
    Fd timer_;
};

}  // namespace ctl::drivers::image
