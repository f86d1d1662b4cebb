#include "drivers/image/image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/api/store.h"
#include "drivers/image/build.h"
#include "drivers/image/download.h"

namespace ctl::drivers::image {

namespace {

namespace fs = std::filesystem;

model::ObjectId image_id(const std::string& name) { return {model::ObjectKind::image, name}; }

std::string images_dir(const std::string& state_dir) { return state_dir + "/images"; }
std::string trees_dir(const std::string& state_dir) { return state_dir + "/images/sha256"; }
std::string record_path(const std::string& state_dir, const std::string& name) {
    return fmt::format("{}/{}/{}", images_dir(state_dir), name, image_record_name);
}

Status check_declared(const model::Image& image, const std::string& fingerprint) {
    if (!image.fingerprint || *image.fingerprint == fingerprint) return ok();
    return Error(ErrorCode::invalid,
                 fmt::format("its fingerprint is {}, but {} was declared", fingerprint, ctl::quoted(*image.fingerprint)))
        .hint("get the right file, or declare the fingerprint it has");
}

Status write_record(const std::string& state_dir, const std::string& name, const ImageRecord& record) {
    CTL_TRY(make_directories(images_dir(state_dir) + "/" + name));
    return write_file_atomically(record_path(state_dir, name), to_json(record), 0600);
}

/// Moves the built tree to the place its fingerprint names, unless one is there, and lets the name point to it.
Status publish(const std::string& state_dir, int trees, const std::string& aside, const std::string& name,
               const ImageRecord& record, bool is_known) {
    CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
    if (!is_known && ::renameat2(trees, aside.c_str(), trees, record.fingerprint.c_str(), RENAME_NOREPLACE) != 0 &&
        errno != EEXIST)
        return system_error(errno, "move the root filesystem to its place");
    CTL_TRY(write_record(state_dir, name, record));
    return remove_tree(trees, aside);
}

/// Builds what `image` says in a directory aside and lets the name point to it; `record` is what else is known of it.
Status make_image(const std::string& state_dir, int trees, const std::string& aside, const std::string& name,
                  const model::Image& image, ImageRecord record, const std::stop_token& stop) {
    if (::mkdirat(trees, aside.c_str(), 0700) != 0)
        return system_error(errno, fmt::format("make directory {}", ctl::quoted(aside)));
    CTL_ASSIGN(const Fd directory, open_beneath(trees, aside, O_RDONLY | O_DIRECTORY));
    CTL_ASSIGN(const Built built, build_image(image, directory.get(), {state_dir, stop}));
    CTL_TRY(check_declared(image, built.fingerprint));
    // A tree under its fingerprint is taken for whole ever after: its content has to be on disk before its name is.
    if (::syncfs(directory.get()) != 0) return system_error(errno, "sync");
    const std::time_t now = std::time(nullptr);
    if (record.fingerprint != built.fingerprint) record.made = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
    if (!built.is_known) record.size = built.bytes;
    if (!built.is_known) record.left_out = built.left_out;
    record.fingerprint = built.fingerprint;
    record.looked = now;
    record.trouble.clear();
    return publish(state_dir, trees, aside, name, record, built.is_known);
}

/// The same with what an interrupted or failed run leaves taken away, before and after.
Status make_aside(const std::string& state_dir, const std::string& name, const model::Image& image,
                  const ImageRecord& record, const std::stop_token& stop) {
    CTL_TRY(make_directories(trees_dir(state_dir)));
    CTL_ASSIGN(const Fd trees, open_directory(trees_dir(state_dir)));
    const std::string aside = fmt::format("{}{}", aside_prefix, name);
    CTL_TRY(remove_tree(trees.get(), aside));
    auto made = make_image(state_dir, trees.get(), aside, name, image, record, stop);
    if (made) return ok();
    CTL_TRY(remove_tree(trees.get(), aside));
    return made;
}

/// What can be changed without making the image anew.
void set_live_fields(ImageRecord& record, const model::Image& image) {
    record.aliases = image.aliases.value_or(std::vector<std::string>{});
    record.properties = image.properties.value_or(std::map<std::string, std::string>{});
    record.shared = image.shared.value_or(false);
    record.auto_update = image.auto_update.value_or(false);
}

model::Image image_in(const ImageRecord& record) {
    model::Image image;
    image.type = record.type;
    if (!record.source.empty()) image.source = record.source;
    if (!record.options.empty()) image.options = record.options;
    image.fingerprint = record.fingerprint;
    image.aliases = record.aliases;
    image.properties = record.properties;
    image.shared = record.shared;
    image.auto_update = record.auto_update;
    return image;
}

bool is_made_as(const std::string& state_dir, const ImageRecord& record, const model::Image& image) {
    return record.type == image.type.value_or(record.type) && record.source == image.source.value_or(record.source) &&
           record.options == image.options.value_or(std::map<std::string, std::string>{}) &&
           record.fingerprint == image.fingerprint.value_or(record.fingerprint) &&
           ::access((image_tree_dir(state_dir, record.fingerprint) + "/rootfs").c_str(), F_OK) == 0;
}

Error not_ours(const std::string& state_dir, const std::string& name) {
    return {ErrorCode::conflict, fmt::format("directory {} is not ours", ctl::quoted(images_dir(state_dir) + "/" + name))};
}

bool is_owned(const ImageRecord& record, const std::string& name, const model::ResourceRef& owner) {
    const auto found = read_mark(record.mark, image_id(name));
    return found && *found == owner;
}

}  // namespace

Status check_image_name(const std::string& name) {
    if (is_plain_name(name) && name != "sha256" && name != "downloads") return ok();
    return Error(ErrorCode::invalid, fmt::format("{} can't be the name of an image", ctl::quoted(name)));
}

Result<model::HostState> observe_images(const std::string& state_dir) {
    model::HostState state;
    const Fd directory(::open(images_dir(state_dir).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT) return state;
    if (!directory) return system_error(errno, fmt::format("open directory {}", ctl::quoted(images_dir(state_dir))));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) {
        if (!check_image_name(name)) continue;
        const auto record = read_image_record(state_dir, name);
        if (!record && record.error().code() == ErrorCode::not_found) continue;
        model::Entry entry;
        model::Image image;
        if (record) {
            // Without its tree it is no image, and has to be made again.
            if (!fs::exists(image_tree_dir(state_dir, record->fingerprint) + "/rootfs")) continue;
            image = image_in(*record);
            if (const auto owner = read_mark(record->mark, image_id(name))) {
                entry.mark = model::Mark::complete;
                entry.owner = *owner;
            }
        }
        entry.object = image;
        state.emplace(image_id(name), std::move(entry));
    }
    return state;
}

Status create_image(const std::string& state_dir, const std::string& name, const model::Entry& wanted,
                    const std::stop_token& stop) {
    const auto& image = std::get<model::Image>(wanted.object);
    CTL_TRY(check_source(image));
    const auto record = read_image_record(state_dir, name);
    if (record && !is_owned(*record, name, wanted.owner)) return not_ours(state_dir, name);
    if (!record && record.error().code() != ErrorCode::not_found) return not_ours(state_dir, name);
    if (record && is_made_as(state_dir, *record, image)) {
        ImageRecord settled = *record;
        set_live_fields(settled, image);
        return to_json(settled) == to_json(*record) ? ok() : write_record(state_dir, name, settled);
    }
    ImageRecord fresh;
    fresh.mark = make_mark(wanted.owner, image_id(name));
    fresh.type = *image.type;
    fresh.source = image.source.value_or("");
    fresh.options = image.options.value_or(std::map<std::string, std::string>{});
    set_live_fields(fresh, image);
    return make_aside(state_dir, name, image, fresh, stop);
}

Status update_image(const std::string& state_dir, const std::string& name, const diff::Change& change,
                    const std::stop_token& stop) {
    if (change.fields.empty()) return create_image(state_dir, name, *change.desired, stop);
    const auto found = read_image_record(state_dir, name);
    if (!found || !is_owned(*found, name, change.desired->owner)) return not_ours(state_dir, name);
    ImageRecord record = *found;
    model::Object next = image_in(record);
    for (const auto& field : change.fields)
        if (!model::set_field(next, field.name, field.to))
            return Error(ErrorCode::internal, fmt::format("an image has no such field {}", ctl::quoted(field.name)));
    set_live_fields(record, std::get<model::Image>(next));
    CTL_TRY(write_record(state_dir, name, record));
    // Only who watches sees an image as overdue, and says so by this field.
    const auto is_asked = [](const auto& field) { return field.name == "auto_update"; };
    if (std::none_of(change.fields.begin(), change.fields.end(), is_asked)) return ok();
    return is_overdue(record, std::time(nullptr)) ? refresh_image(state_dir, name, record, stop) : ok();
}

bool is_overdue(const ImageRecord& record, std::time_t now) {
    return record.auto_update && now - record.looked >= look_again;
}

Status refresh_image(const std::string& state_dir, const std::string& name, const ImageRecord& record,
                     const std::stop_token& stop) {
    model::Image image = image_in(record);
    image.fingerprint.reset();
    if (auto made = make_aside(state_dir, name, image, record, stop); !made) {
        if (made.error().code() == ErrorCode::cancelled) return made;
        ImageRecord as_before = record;
        as_before.trouble = made.error().str();
        as_before.looked = std::time(nullptr) - look_again + look_after_trouble;
        return write_record(state_dir, name, as_before);
    }
    CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
    return remove_unused_trees(state_dir);
}

Status check_image(const std::string& state_dir, const model::Entry& wanted) {
    const auto& image = std::get<model::Image>(wanted.object);
    CTL_TRY(check_source(image));
    fs::path there = images_dir(state_dir);
    std::error_code failed;
    while (!fs::exists(there, failed) && there.has_relative_path()) there = there.parent_path();
    if (::access(there.c_str(), W_OK | X_OK) != 0)
        return system_error(errno, fmt::format("write to directory {}", ctl::quoted(there.native())));
    CTL_ASSIGN(const std::uint64_t needed, check_ingredients(image));
    struct statvfs space {};
    if (::statvfs(there.c_str(), &space) == 0 && std::uint64_t{space.f_bavail} * space.f_frsize < needed)
        return Error(ErrorCode::no_space,
                     fmt::format("less than {} bytes are left below {}", needed, ctl::quoted(there.native())));
    return ok();
}

Status remove_image(const std::string& state_dir, const std::string& name, const model::ResourceRef& owner) {
    const auto record = read_image_record(state_dir, name);
    if (!record && record.error().code() == ErrorCode::not_found) {
        // An interrupted run may have come as far as the name, and not to the tree that it stood for.
        if (::access(trees_dir(state_dir).c_str(), F_OK) != 0) return ok();
        CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
        return remove_unused_trees(state_dir);
    }
    if (!record || !is_owned(*record, name, owner)) return not_ours(state_dir, name);
    CTL_ASSIGN(const Fd images, open_directory(images_dir(state_dir)));
    const std::string aside = fmt::format("{}{}", aside_prefix, name);
    CTL_TRY(remove_tree(images.get(), aside));
    CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
    if (::renameat(images.get(), name.c_str(), images.get(), aside.c_str()) != 0)
        return system_error(errno, fmt::format("move {} aside", ctl::quoted(name)));
    CTL_TRY(remove_tree(images.get(), aside));
    return remove_unused_trees(state_dir);
}

Status mark_image(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner) {
    CTL_ASSIGN(ImageRecord record, read_image_record(state_dir, name));
    record.mark = owner == nullptr ? std::string() : make_mark(*owner, image_id(name));
    return write_record(state_dir, name, record);
}

Status sweep_images(const std::string& state_dir) {
    if (::access(images_dir(state_dir).c_str(), F_OK) != 0) return ok();
    CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
    for (const auto& path : {images_dir(state_dir), trees_dir(state_dir)}) {
        const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory) continue;
        CTL_ASSIGN(const auto names, directory_names(directory.get()));
        for (const auto& name : names)
            if (name.starts_with(aside_prefix)) CTL_TRY(remove_tree(directory.get(), name));
    }
    return expire_downloads(Workshop{state_dir}.downloads());
}

}  // namespace ctl::drivers::image
