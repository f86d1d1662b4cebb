#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "drivers/api/container_files.h"
#include "model/object.h"

namespace ctl::drivers::readiness {

/// What a look at a container found.
struct Look {
    bool met = false;
    bool hopeless = false;  ///< it will never come to it
    std::string seen{};     ///< "no address yet", "ended with 1: connection refused"
};

/// One condition of one container, looked at again and again. Used by one thread, which may enter the container's network
/// namespace for good.
class Condition {
public:
    virtual ~Condition() = default;
    /// Comes back when `patience` is over at the latest, or a second later.
    [[nodiscard]] virtual Result<Look> look(std::chrono::milliseconds patience) = 0;
    /// Becomes readable when another look is worth while; -1: only time tells.
    [[nodiscard]] virtual int event() const { return -1; }
    /// Reads what event() has.
    virtual void drain() {}
};

/// `invalid` for a condition that there isn't.
[[nodiscard]] Result<std::unique_ptr<Condition>> make_condition(const ContainerFiles& files, const std::string& container,
                                                                const model::Readiness& readiness);

}  // namespace ctl::drivers::readiness
