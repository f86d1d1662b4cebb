#include "reconcile/backoff.h"

#include <algorithm>

namespace ctl::reconcile {

void Backoff::tried(const std::string& signature, Time now) {
    if (signature != signature_ || now - earliest(signature) > limits_.quiet) tries_ = 0;
    signature_ = signature;
    last_try_ = now;
    ++tries_;
}

Backoff::Time Backoff::earliest(const std::string& signature) const {
    if (tries_ == 0 || signature != signature_) return Time{};
    return last_try_ + pause();
}

std::chrono::milliseconds Backoff::pause() const {
    if (tries_ <= limits_.free_tries) return std::chrono::milliseconds(0);
    auto pause = limits_.first;
    for (unsigned i = limits_.free_tries + 1; i < tries_ && pause < limits_.last; ++i) pause *= 3;
    return std::min(pause, limits_.last);
}

}  // namespace ctl::reconcile
