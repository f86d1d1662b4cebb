#pragma once

#include <memory>
#include <utility>

#include "model/host_state.h"

namespace ctl::diff {

/// An entry, or none. Copies share it: the changes of a plan and its steps hold the same entries.
class SharedEntry {
public:
    SharedEntry() = default;
    SharedEntry(model::Entry entry) : entry_(std::make_shared<model::Entry>(std::move(entry))) {}  // NOLINT: it is one

    [[nodiscard]] explicit operator bool() const { return entry_ != nullptr; }
    [[nodiscard]] bool has_value() const { return entry_ != nullptr; }
    [[nodiscard]] const model::Entry& operator*() const { return *entry_; }
    [[nodiscard]] const model::Entry* operator->() const { return entry_.get(); }

    /// The entry to write to, which nobody else sees from now on; an empty one if there was none.
    [[nodiscard]] model::Entry& edit() {
        if (entry_ == nullptr) entry_ = std::make_shared<model::Entry>();
        else if (entry_.use_count() != 1) entry_ = std::make_shared<model::Entry>(*entry_);
        return *entry_;
    }
    void reset() { entry_.reset(); }

private:
    std::shared_ptr<model::Entry> entry_;
};

}  // namespace ctl::diff
