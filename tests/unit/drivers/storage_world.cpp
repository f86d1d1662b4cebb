#include "storage_world.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <stdexcept>

#include "base/file.h"
#include "base/text.h"
#include "drivers/image/driver.h"
#include "drivers/storage/driver.h"
#include "support/own_namespaces.h"

namespace ctl::testing {

StorageWorld::StorageWorld() : dir_("/tmp/ctl-storage-XXXXXX") {
    if (::mkdtemp(dir_.data()) == nullptr) throw std::runtime_error("no scratch directory");
    sh("chmod 711 " + dir_);
    const drivers::DriverContext context{state(), dir_ + "/run", "", ""};
    image_ = drivers::make_image_driver(context).value();
    storage_ = drivers::make_storage_driver(context).value();
}

StorageWorld::~StorageWorld() {
    if (mounts_below(dir_) != 0)
        sh("awk '{print $5}' /proc/self/mountinfo | grep ^" + dir_ + "/ | sort -r | xargs -r -n1 umount -l");
    sh("rm -rf --one-file-system " + dir_);
}

diff::Change StorageWorld::change(diff::Verb verb, const std::string& id, const model::Object& object) {
    diff::Change change;
    change.id = model::ObjectId::parse(id).value();
    change.verb = verb;
    model::Entry entry;
    entry.object = object;
    entry.owner = {"lab", "Thing", "thing"};
    if (verb == diff::Verb::remove || verb == diff::Verb::forget) change.observed = std::move(entry);
    else change.desired = std::move(entry);
    return change;
}

Status StorageWorld::apply(diff::Verb verb, const std::string& id, const model::Object& object) {
    const diff::Change one = change(verb, id, object);
    std::optional<Status> outcome;
    driver_of(one.id.kind).apply({&one, 1}, [&](std::size_t, Status status) { outcome = std::move(status); }, {});
    REQUIRE(outcome.has_value());
    return std::move(*outcome);
}

void StorageWorld::must(diff::Verb verb, const std::string& id, const model::Object& object) {
    const Status outcome = apply(verb, id, object);
    if (!outcome) FAIL(id << ": " << outcome.error().str());
}

std::vector<Error> StorageWorld::preflight(const std::string& id, const model::Object& object) {
    const diff::Change one = change(diff::Verb::create, id, object);
    return driver_of(one.id.kind).preflight({&one, 1});
}

std::optional<model::Entry> StorageWorld::observe(const std::string& id) {
    const model::ObjectId wanted = model::ObjectId::parse(id).value();
    auto found = driver_of(wanted.kind).observe(drivers::Interest::only({wanted}), {});
    if (!found) FAIL(found.error().str());
    const auto it = found->find(wanted);
    return it == found->end() ? std::nullopt : std::optional(it->second);
}

model::HostState StorageWorld::observe_all() {
    auto images = image_->observe({}, {});
    auto storage = storage_->observe({}, {});
    REQUIRE(images.has_value());
    REQUIRE(storage.has_value());
    storage->merge(*images);
    return std::move(*storage);
}

void StorageWorld::make_pool_and_busybox() {
    must(diff::Verb::create, "pool/default", pool_of("dir", state() + "/pools/default"));
    must(diff::Verb::create, "image/busybox", image_of("busybox"));
}

model::Image image_of(const std::string& type, const std::string& source,
                      const std::map<std::string, std::string>& options) {
    model::Image image;
    image.type = type;
    if (!source.empty()) image.source = source;
    if (!options.empty()) image.options = options;
    return image;
}

model::Pool pool_of(const std::string& driver, const std::string& source) {
    model::Pool pool;
    pool.driver = driver;
    pool.source = source;
    pool.trash = "0";
    return pool;
}

model::Volume volume_of(const std::string& image, const std::string& idmap) {
    model::Volume volume;
    volume.image = image;
    volume.idmap = idmap;
    volume.mounted = true;
    return volume;
}

int mounts_below(const std::string& path) {
    const auto table = read_file("/proc/self/mountinfo");
    int count = 0;
    for (const auto line : split(*table, '\n')) count += line.find(" " + path + "/") != std::string_view::npos ? 1 : 0;
    return count;
}

}  // namespace ctl::testing
