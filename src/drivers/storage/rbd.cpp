#include "drivers/storage/rbd.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "drivers/storage/store_source.h"
#include "drivers/storage/tool_report.h"
#include "model/pool_names.h"
#include "model/pool_sizes.h"

namespace ctl::drivers::storage {

namespace {

using Rows = std::vector<ReportRow>;

constexpr const char* pool_key = "ctl.pool";
constexpr const char* owner_field = "application_metadata.rbd.ctl_pool";
constexpr const char* deleted_key = "ctl.deleted";
/// What `rbd image-meta get` ends with where there is no such key.
constexpr int no_such_key = 2;

class RbdStore final : public TreeStore {
public:
    using TreeStore::TreeStore;

    Status check_host() const override;
    Status check(std::optional<std::int64_t> size) const override;
    Result<StoreRecord> begin() const override;
    Status open(std::optional<std::int64_t> size) const override;
    Status remove() const override;
    Result<StoreView> look() const override;

    bool clones() const override { return true; }
    bool has_sizes() const override { return true; }
    Status make(const std::string& volume, std::int64_t size) const override;
    Status clone(const std::string& from, const std::string& volume) const override;
    Status remove(const std::string& volume) const override;
    Status resize(const std::string& volume, int directory, std::int64_t bytes) const override;
    Result<Fd> mount(const std::string& volume) const override;

private:
    [[nodiscard]] std::string pool() const { return record().option("ceph.osd.pool_name", record().source); }
    [[nodiscard]] std::string user() const { return record().option("ceph.user.name", "admin"); }
    [[nodiscard]] std::string cluster() const { return record().option("ceph.cluster_name", "ceph"); }
    [[nodiscard]] std::vector<std::string> ceph(std::vector<std::string> rest) const;
    /// On the pool, and on an image of it if one is named.
    [[nodiscard]] std::vector<std::string> rbd(std::vector<std::string> rest, const std::string& image = "") const;
    [[nodiscard]] Status run(const std::vector<std::string>& argv) const { return run_tool(commands(), argv); }

    [[nodiscard]] Result<Rows> rows_of(const std::vector<std::string>& argv) const;
    /// The OSD pool; empty for none.
    [[nodiscard]] Result<ReportRow> find_pool() const;
    /// Images and snapshots.
    [[nodiscard]] Result<Rows> images() const { return rows_of(rbd({"ls", "--long", "--format", "json"})); }
    /// A key of an image's metadata; empty for none.
    [[nodiscard]] Result<std::string> metadata(const std::string& image, const char* key) const;
    /// What the pool's images are mapped as.
    [[nodiscard]] Result<std::map<std::string, std::string>> devices() const;
    /// The device of one; empty for none.
    [[nodiscard]] Result<std::string> device_of(const std::string& image) const;
    [[nodiscard]] Result<std::string> mapped(const std::string& image) const;
    /// Whether an OSD pool that an interrupted run was to make is its own: marked, or as empty as a new one.
    [[nodiscard]] Result<bool> is_own(const ReportRow& there) const;
    [[nodiscard]] std::vector<std::string> features() const;
    [[nodiscard]] Status remove_snapshot(const ReportRow& snapshot) const;
    [[nodiscard]] Status remove_image(const ReportRow& image, const Rows& all) const;
};

std::vector<std::string> joined_words(std::vector<std::string> first, std::vector<std::string> rest) {
    first.insert(first.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    return first;
}

bool is_snapshot(const ReportRow& row) { return !field_of(row, "snapshot").empty(); }

/// A name as Commands::new_name makes them.
bool is_made_name(const std::string& name) {
    constexpr std::size_t digits = 32;
    return name.starts_with("ctl_") && name.size() == 4 + digits &&
           name.find_first_not_of("0123456789abcdef", 4) == std::string::npos;
}

const ReportRow* find_image(const Rows& all, const std::string& image) {
    const auto found = std::find_if(
        all.begin(), all.end(), [&](const ReportRow& row) { return !is_snapshot(row) && field_of(row, "image") == image; });
    return found == all.end() ? nullptr : &*found;
}

std::vector<std::string> RbdStore::ceph(std::vector<std::string> rest) const {
    return joined_words({"ceph", "--cluster", cluster(), "--id", user()}, std::move(rest));
}

std::vector<std::string> RbdStore::rbd(std::vector<std::string> rest, const std::string& image) const {
    std::vector<std::string> argv =
        joined_words({"rbd", "--cluster", cluster(), "--id", user()}, joined_words(std::move(rest), {"--pool", pool()}));
    if (!image.empty()) argv.insert(argv.end(), {"--image", image});
    return argv;
}

Result<Rows> RbdStore::rows_of(const std::vector<std::string>& argv) const {
    CTL_ASSIGN(const std::string printed, output_of(commands(), argv));
    return report_rows(printed, "");
}

Result<ReportRow> RbdStore::find_pool() const {
    CTL_ASSIGN(const Rows all, rows_of(ceph({"osd", "pool", "ls", "detail", "--format", "json"})));
    for (const auto& row : all)
        if (field_of(row, "pool_name") == pool()) return row;
    return ReportRow();
}

Result<std::string> RbdStore::metadata(const std::string& image, const char* key) const {
    CTL_ASSIGN(const ProcessResult got, commands().run(joined_words(rbd({"image-meta", "get"}, image), {key})));
    if (got.exit_code == no_such_key) return std::string();
    if (got.exit_code == 0) return std::string(trimmed(got.out));
    return Error(ErrorCode::io, fmt::format("rbd: {}", ctl::escaped(trimmed(got.err))));
}

Result<std::map<std::string, std::string>> RbdStore::devices() const {
    CTL_ASSIGN(const Rows all, rows_of({"rbd", "device", "list", "--format", "json"}));
    std::map<std::string, std::string> found;
    for (const auto& row : all)
        if (field_of(row, "pool") == pool()) found.emplace(field_of(row, "name"), field_of(row, "device"));
    return found;
}

Result<std::string> RbdStore::device_of(const std::string& image) const {
    CTL_ASSIGN(const auto all, devices());
    const auto found = all.find(image);
    return found == all.end() ? std::string() : found->second;
}

Result<std::string> RbdStore::mapped(const std::string& image) const {
    CTL_ASSIGN(const std::string there, device_of(image));
    if (!there.empty()) return there;
    CTL_ASSIGN(const std::string made, output_of(commands(), rbd({"device", "map"}, image)));
    return std::string(trimmed(made));
}

std::vector<std::string> RbdStore::features() const {
    std::vector<std::string> words;
    const std::string list = record().option("ceph.rbd.features", "layering");
    for (const auto feature : split(list, ','))
        words.insert(words.end(), {"--image-feature", std::string(trimmed(feature))});
    return words;
}

Status RbdStore::check_host() const {
    for (const auto* tool : {"rbd", "ceph"}) CTL_TRY(need_tool(tool, "ceph-common"));
    CTL_TRY(need_tool("mkfs.ext4", "e2fsprogs"));
    return need_module("rbd", "use a kernel with Ceph's block device");
}

Status RbdStore::check(std::optional<std::int64_t>) const {
    for (const auto& name : {pool(), user(), cluster(), record().option("ceph.osd.data_pool_name", pool()),
                             record().option("ceph.osd.pg_num", "32")})
        if (!model::is_ceph_name(name))
            return Error(ErrorCode::invalid, fmt::format("{} is no name for ceph", ctl::quoted(name)))
                .hint("use letters, digits and any of _ . -");
    if (!model::is_feature_list(record().option("ceph.rbd.features", "layering")))
        return Error(ErrorCode::invalid, "ceph.rbd.features is no list of features").hint("write layering");
    if (record().ready) return ok();
    CTL_ASSIGN(const ReportRow there, find_pool());
    const std::string owner = field_of(there, owner_field);
    if (owner.empty() || owner == record().pool || record().option("ceph.osd.force_reuse", "false") == "true") return ok();
    return Error(ErrorCode::conflict,
                 fmt::format("OSD pool {} is that of a pool {}", ctl::quoted(pool()), ctl::quoted(owner)))
        .hint("choose another ceph.osd.pool_name");
}

Result<bool> RbdStore::is_own(const ReportRow& there) const {
    if (field_of(there, owner_field) == record().pool) return true;
    constexpr std::string_view applications = "application_metadata.";
    const auto first = there.lower_bound(applications);
    if (first != there.end() && first->first.starts_with(applications)) return false;
    CTL_ASSIGN(const Rows all, images());
    return all.empty();
}

Result<StoreRecord> RbdStore::begin() const {
    StoreRecord begun = record();
    CTL_ASSIGN(const ReportRow there, find_pool());
    if (there.empty()) {
        begun.made_store = true;
    } else if (begun.made_store) {
        // Somebody else may have made one of that name since then.
        CTL_ASSIGN(begun.made_store, is_own(there));
    }
    return begun;
}

Status RbdStore::open(std::optional<std::int64_t>) const {
    CTL_ASSIGN(const ReportRow there, find_pool());
    if (there.empty() && record().ready)
        return Error(ErrorCode::not_found, fmt::format("OSD pool {} is gone", ctl::quoted(pool())))
            .hint("bring it back; or, if its data is lost, delete the pool");
    if (there.empty()) CTL_TRY(run(ceph({"osd", "pool", "create", pool(), record().option("ceph.osd.pg_num", "32")})));
    if (!record().made_store || record().ready) return ok();
    // The mark first: what has an application and no mark is somebody else's.
    CTL_TRY(run(ceph({"osd", "pool", "application", "enable", pool(), "rbd"})));
    CTL_TRY(run(ceph({"osd", "pool", "application", "set", pool(), "rbd", "ctl_pool", record().pool})));
    return run(rbd({"pool", "init"}));
}

Status RbdStore::remove() const {
    if (!record().made_store) return ok();
    CTL_ASSIGN(const ReportRow there, find_pool());
    if (field_of(there, owner_field) != record().pool) return ok();
    CTL_ASSIGN(const Rows all, images());
    if (!all.empty())
        return Error(ErrorCode::conflict, fmt::format("OSD pool {} still has image {}", ctl::quoted(pool()),
                                                      ctl::quoted(field_of(all.front(), "image"))))
            .hint("delete it first");
    return run(ceph({"osd", "pool", "delete", pool(), pool(), "--yes-i-really-really-mean-it"}));
}

Result<StoreView> RbdStore::look() const {
    StoreView view;
    if (!commands().is_installed("rbd") || !commands().is_installed("ceph")) return view;
    CTL_ASSIGN(const ReportRow there, find_pool());
    view.ready = !there.empty();
    if (!view.ready) return view;
    CTL_ASSIGN(const Rows all, images());
    if (all.empty()) return view;
    CTL_ASSIGN(const auto mapped_as, devices());
    for (const auto& row : all) {
        if (is_snapshot(row)) continue;
        const std::string image = field_of(row, "image");
        const std::int64_t size = bytes_of(row, "size");
        // A run that was cut short may have grown the image alone. What isn't mapped isn't mounted, which ends that too.
        const auto device = mapped_as.find(image);
        const auto taken = device == mapped_as.end() ? std::nullopt : commands().size_of_ext4(device->second);
        view.trees.emplace(image, std::min(size, taken.value_or(size)));
    }
    return view;
}

Status RbdStore::make(const std::string& volume, std::int64_t size) const {
    auto words = joined_words({"create", "--size", fmt::format("{}B", size_for_ext4(size))}, features());
    if (const std::string data = record().option("ceph.osd.data_pool_name", ""); !data.empty())
        words.insert(words.end(), {"--data-pool", data});
    CTL_TRY(run(rbd(std::move(words), volume)));
    CTL_TRY(run(joined_words(rbd({"image-meta", "set"}, volume), {pool_key, record().pool})));
    CTL_ASSIGN(const std::string device, mapped(volume));
    return run(mkfs_ext4(device));
}

Status RbdStore::clone(const std::string& from, const std::string& volume) const {
    for (const auto* verb : {"create", "protect"}) CTL_TRY(run(joined_words(rbd({"snap", verb}, from), {"--snap", volume})));
    CTL_TRY(run(joined_words(rbd(joined_words({"clone"}, features()), from),
                             {"--snap", volume, "--dest-pool", pool(), "--dest", volume})));
    return run(joined_words(rbd({"image-meta", "set"}, volume), {pool_key, record().pool}));
}

Status RbdStore::remove_snapshot(const ReportRow& snapshot) const {
    const std::string image = field_of(snapshot, "image");
    const std::vector<std::string> name{"--snap", field_of(snapshot, "snapshot")};
    if (field_of(snapshot, "protected") == "true") CTL_TRY(run(joined_words(rbd({"snap", "unprotect"}, image), name)));
    return run(joined_words(rbd({"snap", "rm", "--no-progress"}, image), name));
}

/// Or marks it as deleted, for the clones it has.
Status RbdStore::remove_image(const ReportRow& image, const Rows& all) const {
    const std::string name = field_of(image, "image");
    // One without any mark is what was begun to be made under a name that nothing else has.
    CTL_ASSIGN(const std::string owner, metadata(name, pool_key));
    if (owner.empty() ? !is_made_name(name) : owner != record().pool)
        return Error(ErrorCode::conflict, fmt::format("image {} is not ours", ctl::quoted(name)));
    const auto is_clone = [&](const ReportRow& row) { return !is_snapshot(row) && field_of(row, "parent.image") == name; };
    if (std::any_of(all.begin(), all.end(), is_clone))
        return run(joined_words(rbd({"image-meta", "set"}, name), {deleted_key, "yes"}));
    CTL_ASSIGN(const std::string device, device_of(name));
    if (!device.empty()) CTL_TRY(run(rbd({"device", "unmap"}, name)));
    for (const auto& row : all)
        if (is_snapshot(row) && field_of(row, "image") == name) CTL_TRY(remove_snapshot(row));
    return run(rbd({"rm", "--no-progress"}, name));
}

Status RbdStore::remove(const std::string& volume) const {
    CTL_ASSIGN(const ReportRow pool_there, find_pool());
    if (pool_there.empty()) return ok();
    CTL_ASSIGN(const Rows all, images());
    const ReportRow* there = find_image(all, volume);
    const auto is_clone = [&](const ReportRow& row) { return !is_snapshot(row) && field_of(row, "parent.image") == volume; };
    if (there != nullptr) {
        CTL_TRY(remove_image(*there, all));
        if (std::any_of(all.begin(), all.end(), is_clone)) return ok();
    }
    // The snapshot it was made from goes too, and what was kept for it.
    const auto made_from =
        std::find_if(all.begin(), all.end(), [&](const auto& row) { return field_of(row, "snapshot") == volume; });
    if (made_from == all.end()) return ok();
    CTL_TRY(remove_snapshot(*made_from));
    const std::string parent = field_of(*made_from, "image");
    CTL_ASSIGN(const std::string deleted, metadata(parent, deleted_key));
    return deleted.empty() ? ok() : remove(parent);
}

Status RbdStore::resize(const std::string& volume, int directory, std::int64_t bytes) const {
    if (bytes == 0) return ok();
    CTL_ASSIGN(const Rows all, images());
    const ReportRow* there = find_image(all, volume);
    if (there == nullptr) return Error(ErrorCode::not_found, fmt::format("image {} is gone", ctl::quoted(volume)));
    const std::int64_t now = bytes_of(*there, "size");
    const std::int64_t size = model::whole_extents(bytes);
    if (size < now)
        return Error(ErrorCode::unsupported, fmt::format("a volume of {} bytes can't shrink to {}", now, bytes))
            .hint("give it that size or more");
    if (size > now) CTL_TRY(run(rbd({"resize", "--no-progress", "--size", fmt::format("{}B", size)}, volume)));
    CTL_ASSIGN(const std::string device, mapped(volume));
    return commands().grow_ext4(device, directory, size);
}

Result<Fd> RbdStore::mount(const std::string& volume) const {
    CTL_ASSIGN(const std::string device, mapped(volume));
    return commands().mount("ext4", device, "discard");
}

}  // namespace

std::unique_ptr<TreeStore> make_rbd_store(StoreRecord record, Commands commands) {
    return std::make_unique<RbdStore>(std::move(record), std::move(commands));
}

}  // namespace ctl::drivers::storage
