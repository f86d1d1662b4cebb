#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "drivers/api/driver.h"

namespace ctl::testing {

/// A scratch state directory on the file system of /tmp, with an image and a storage driver on it. What is left mounted
/// below it when it goes is unmounted.
class StorageWorld {
public:
    StorageWorld();
    StorageWorld(const StorageWorld&) = delete;
    StorageWorld& operator=(const StorageWorld&) = delete;
    ~StorageWorld();

    [[nodiscard]] const std::string& dir() const { return dir_; }
    [[nodiscard]] std::string state() const { return dir_ + "/state"; }
    /// STATE/pools/default/containers/NAME
    [[nodiscard]] std::string volume_path(const std::string& name) const {
        return state() + "/pools/default/containers/" + name;
    }

    /// One change through the driver of its kind.
    [[nodiscard]] Status apply(diff::Verb verb, const std::string& id, const model::Object& object);
    /// As apply, but a failure fails the test.
    void must(diff::Verb verb, const std::string& id, const model::Object& object);
    [[nodiscard]] std::vector<Error> preflight(const std::string& id, const model::Object& object);
    [[nodiscard]] std::optional<model::Entry> observe(const std::string& id);
    [[nodiscard]] model::HostState observe_all();
    [[nodiscard]] drivers::Driver& driver_of(model::ObjectKind kind) {
        return kind == model::ObjectKind::image ? *image_ : *storage_;
    }

    /// A change by the stack "lab", as the planner would hand it over.
    [[nodiscard]] diff::Change change(diff::Verb verb, const std::string& id, const model::Object& object);

    /// The pool "default" and the image "busybox".
    void make_pool_and_busybox();

private:
    std::string dir_;
    std::unique_ptr<drivers::Driver> image_;
    std::unique_ptr<drivers::Driver> storage_;
};

[[nodiscard]] model::Pool pool_of(const std::string& driver, const std::string& source);
[[nodiscard]] model::Image image_of(const std::string& type, const std::string& source = "",
                                    const std::map<std::string, std::string>& options = {});
[[nodiscard]] model::Volume volume_of(const std::string& image, const std::string& idmap);

/// Number of mount points below a path.
[[nodiscard]] int mounts_below(const std::string& path);

}  // namespace ctl::testing
