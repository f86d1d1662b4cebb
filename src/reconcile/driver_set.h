#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "drivers/api/driver.h"

namespace ctl::reconcile {

/// The drivers this ctl has, by the kinds of object they handle.
class DriverSet {
public:
    /// A module that could not be loaded, and why.
    struct Unavailable {
        std::string name;  ///< "netlink", from ctl-driver-netlink.so
        std::filesystem::path file;
        Error error;
    };

    DriverSet() = default;
    /// Ready drivers. Of two that claim one kind the first has it.
    explicit DriverSet(std::vector<std::unique_ptr<drivers::Driver>> ready);

    /// Loads every ctl-driver-*.so of `folder`, by name. What can't be loaded (a shared library is missing, another
    /// interface version, a factory that fails) is listed, not an error: it matters only when one of its kinds is needed.
    [[nodiscard]] static DriverSet load(const std::filesystem::path& folder, const drivers::DriverContext& context);

    /// The driver of a kind, or null.
    [[nodiscard]] drivers::Driver* for_kind(model::ObjectKind kind) const;
    /// An error missing_driver that names the first of `kinds` without a driver, and the modules that failed to load.
    [[nodiscard]] Status require(const std::set<model::ObjectKind>& kinds) const;

    [[nodiscard]] const std::vector<std::unique_ptr<drivers::Driver>>& all() const { return drivers_; }
    [[nodiscard]] const std::vector<Unavailable>& unavailable() const { return unavailable_; }

private:
    void add(std::unique_ptr<drivers::Driver> driver);

    std::vector<std::unique_ptr<drivers::Driver>> drivers_;
    std::map<model::ObjectKind, drivers::Driver*> by_kind_;
    std::vector<Unavailable> unavailable_;
};

}  // namespace ctl::reconcile
