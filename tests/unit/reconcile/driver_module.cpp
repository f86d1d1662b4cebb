#include <stdexcept>

#include "drivers/api/module.h"

// One source for all sorts of driver modules, good and bad; CMakeLists.txt says which by CTL_TEST_MODULE.

namespace {

using namespace ctl;

class ModuleDriver final : public drivers::Driver {
public:
    explicit ModuleDriver(std::string name) : info_{std::move(name), "for tests", {model::ObjectKind::link}} {}

    const drivers::DriverInfo& info() const override { return info_; }
    Result<model::HostState> observe(const drivers::Interest&, std::stop_token) override { return model::HostState{}; }
    std::vector<Error> preflight(std::span<const diff::Change>) override { return {}; }
    void apply(std::span<const diff::Change>, const drivers::Report&, std::stop_token) override {}
    std::vector<drivers::EventSource> events() override { return {}; }
    bool drain(int) override { return false; }

private:
    drivers::DriverInfo info_;
};

}  // namespace

#define CTL_TEST_GOOD 1
#define CTL_TEST_OLD 2
#define CTL_TEST_FAILS 3
#define CTL_TEST_THROWS 4
#define CTL_TEST_MAKES_NOTHING 5
#define CTL_TEST_NO_FACTORY 6
#define CTL_TEST_NO_SYMBOL 7

#if CTL_TEST_MODULE != CTL_TEST_NO_SYMBOL

namespace {

[[maybe_unused]] Result<std::unique_ptr<drivers::Driver>> make(const drivers::DriverContext& context) {
    if constexpr (CTL_TEST_MODULE == CTL_TEST_FAILS) return Error(ErrorCode::not_found, "no such subsystem");
    if constexpr (CTL_TEST_MODULE == CTL_TEST_THROWS) throw std::runtime_error("thrown by a library");
    if constexpr (CTL_TEST_MODULE == CTL_TEST_MAKES_NOTHING) return std::unique_ptr<drivers::Driver>();
    return std::unique_ptr<drivers::Driver>(std::make_unique<ModuleDriver>(context.state_dir));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const drivers::DriverModule ctl_driver_module{
    CTL_TEST_MODULE == CTL_TEST_OLD ? drivers::interface_version + 1 : drivers::interface_version, "test",
    CTL_TEST_MODULE == CTL_TEST_NO_FACTORY ? nullptr : make};

#endif
