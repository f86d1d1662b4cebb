#include "reconcile/driver_set.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "base/text.h"
#include "drivers/api/module.h"

namespace ctl::reconcile {

namespace {

constexpr std::string_view module_prefix = "ctl-driver-";
constexpr std::string_view module_suffix = ".so";

bool is_module(const std::filesystem::path& file) {
    const auto name = file.filename().string();
    return name.size() > module_prefix.size() + module_suffix.size() && name.starts_with(module_prefix) &&
           name.ends_with(module_suffix);
}

std::string driver_name(const std::filesystem::path& file) { return file.stem().string().substr(module_prefix.size()); }

std::vector<std::filesystem::path> modules_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (is_module(it->path())) files.push_back(it->path());
    std::sort(files.begin(), files.end());
    return files;
}

Error last_dl_error(const std::string& doing) {
    const char* text = ::dlerror();
    return {ErrorCode::missing_driver, fmt::format("{}: {}", doing, escaped(text != nullptr ? text : "unknown failure"))};
}

/// The driver of a module. The module stays loaded for good: the C libraries behind it keep threads and exit handlers.
Result<std::unique_ptr<drivers::Driver>> load_module(const std::filesystem::path& file,
                                                     const drivers::DriverContext& context) {
    void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return last_dl_error("it can't be loaded");
    const auto* module = static_cast<const drivers::DriverModule*>(::dlsym(handle, "ctl_driver_module"));
    if (module == nullptr) return last_dl_error("it is no driver module");
    if (module->version != drivers::interface_version)
        return Error(ErrorCode::missing_driver,
                     fmt::format("it was built for version {} of the driver interface, this ctl has {}", module->version,
                                 drivers::interface_version))
            .hint("install the driver of this version of ctl");
    if (module->make == nullptr) return Error(ErrorCode::missing_driver, "it has no factory");
    try {
        auto driver = module->make(context);
        if (driver && *driver == nullptr) return Error(ErrorCode::missing_driver, "its factory made nothing");
        return driver;
    } catch (const std::exception& exception) {
        return Error(ErrorCode::missing_driver, fmt::format("its factory failed: {}", escaped(exception.what())));
    }
}

}  // namespace

DriverSet::DriverSet(std::vector<std::unique_ptr<drivers::Driver>> ready) {
    for (auto& driver : ready) add(std::move(driver));
}

void DriverSet::add(std::unique_ptr<drivers::Driver> driver) {
    for (const auto kind : driver->info().kinds) by_kind_.try_emplace(kind, driver.get());
    drivers_.push_back(std::move(driver));
}

DriverSet DriverSet::load(const std::filesystem::path& folder, const drivers::DriverContext& context) {
    DriverSet set;
    for (const auto& file : modules_in(folder)) {
        auto driver = load_module(file, context);
        if (driver) set.add(std::move(*driver));
        else set.unavailable_.push_back({driver_name(file), file, std::move(driver).error()});
    }
    return set;
}

drivers::Driver* DriverSet::for_kind(model::ObjectKind kind) const {
    const auto found = by_kind_.find(kind);
    return found != by_kind_.end() ? found->second : nullptr;
}

Status DriverSet::require(const std::set<model::ObjectKind>& kinds) const {
    for (const auto kind : kinds) {
        if (for_kind(kind) != nullptr) continue;
        std::string message = fmt::format("no driver for objects of kind {}", to_string(kind));
        for (const auto& module : unavailable_) message += fmt::format(", {}: {}", module.name, module.error.str());
        return Error(ErrorCode::missing_driver, std::move(message)).hint("see `ctl drivers`");
    }
    return ok();
}

}  // namespace ctl::reconcile
