#include "drivers/storage/zfs.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "drivers/storage/store_source.h"
#include "model/pool_names.h"

namespace ctl::drivers::storage {

namespace {

constexpr std::int64_t least_size = std::int64_t{64} << 20;

struct Dataset {
    std::string name;
    std::string store;    ///< ctl:store, "-" for none
    std::string volume;   ///< ctl:volume
    std::string deleted;  ///< ctl:deleted
    std::string origin;   ///< snapshot it is a clone of
    std::int64_t quota = 0;
    std::int64_t growing_from = 0;  ///< ctl:growing, 0 for none: bytes its file had before a growth that has not ended
};

using Datasets = std::vector<Dataset>;

class ZfsStore final : public TreeStore {
public:
    using TreeStore::TreeStore;

    Status check_host() const override;
    Status check(std::optional<std::int64_t> size) const override;
    Result<StoreRecord> begin() const override;
    Status open(std::optional<std::int64_t> size) const override;
    Status remove() const override;
    Result<StoreView> look() const override;

    bool clones() const override { return true; }
    bool has_sizes() const override { return false; }
    Status make(const std::string& volume, std::int64_t size) const override;
    Status clone(const std::string& from, const std::string& volume) const override;
    Status remove(const std::string& volume) const override;
    Status resize(const std::string& volume, int directory, std::int64_t bytes) const override;
    Result<Fd> mount(const std::string& volume) const override { return commands().mount("zfs", path_of(volume), ""); }

private:
    [[nodiscard]] std::string root() const {
        return record().option("zfs.pool_name", record().has_path() ? record().pool : record().source);
    }
    [[nodiscard]] std::string folder() const { return std::filesystem::path(record().source).parent_path().native(); }
    [[nodiscard]] std::string path_of(const std::string& volume) const { return root() + "/" + volume; }
    [[nodiscard]] std::string mark() const { return "ctl:volume=" + record().pool; }
    [[nodiscard]] bool is_ours(const Dataset& dataset) const { return dataset.volume == record().pool; }
    [[nodiscard]] Result<Datasets> datasets() const;
    /// The same, with the zpool brought back after a reboot unless it was destroyed.
    [[nodiscard]] Result<Datasets> reopened() const;
    /// True when the source is there and holds no zpool any more.
    [[nodiscard]] Result<bool> is_destroyed() const;
    [[nodiscard]] Status check_named(const Datasets& all) const;
    [[nodiscard]] Status make_root() const;
    [[nodiscard]] Status destroy(const Dataset& dataset, const Datasets& all) const;
    /// The snapshot a volume was made from, or was about to be: it stays where clone() was cut short.
    [[nodiscard]] Status destroy_origin(const std::string& volume) const;
    [[nodiscard]] Status run(const std::vector<std::string>& argv) const { return run_tool(commands(), argv); }
};

const Dataset* find(const Datasets& all, const std::string& name) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Dataset& one) { return one.name == name; });
    return found == all.end() ? nullptr : &*found;
}

bool has_clones(const Dataset& dataset, const Datasets& all) {
    return std::any_of(all.begin(), all.end(),
                       [&](const Dataset& one) { return one.origin.starts_with(dataset.name + "@"); });
}

/// The first dataset below another.
const Dataset* child_of(const std::string& name, const Datasets& all) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Dataset& one) { return one.name.starts_with(name + "/"); });
    return found == all.end() ? nullptr : &*found;
}

std::int64_t number_in(std::string_view text) {
    std::int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

Result<Datasets> ZfsStore::datasets() const {
    CTL_ASSIGN(const std::string printed,
               output_of(commands(), {"zfs", "list", "-H", "-p", "-t", "filesystem", "-o",
                                      "name,ctl:store,ctl:volume,ctl:deleted,origin,quota,ctl:growing"}));
    Datasets all;
    for (const auto line : split(printed, '\n')) {
        const auto words = split(line, '\t');
        if (words.size() != 7) continue;
        all.push_back({std::string(words[0]), std::string(words[1]), std::string(words[2]), std::string(words[3]),
                       std::string(words[4]), number_in(words[5]), number_in(words[6])});
    }
    return all;
}

Status ZfsStore::check_host() const {
    for (const auto* tool : {"zfs", "zpool"}) CTL_TRY(need_tool(tool, "zfsutils-linux"));
    CTL_TRY(need_tool("wipefs", "util-linux"));
    return need_module("zfs", "install the package zfs-dkms: apt install zfs-dkms");
}

Status ZfsStore::check_named(const Datasets& all) const {
    const std::string zpool = root().substr(0, root().find('/'));
    if (find(all, zpool) == nullptr)
        return Error(ErrorCode::not_found, fmt::format("there is no zpool {}", ctl::quoted(zpool)))
            .hint("name a device or a file as source to make one");
    const Dataset* child = child_of(root(), all);
    const Dataset* there = find(all, root());
    if (child == nullptr || (there != nullptr && there->store == record().pool)) return ok();
    return Error(ErrorCode::conflict,
                 fmt::format("{} is in use, there is {} in it", ctl::quoted(root()), ctl::quoted(child->name)))
        .hint(fmt::format("name a dataset of its own as source: {}/{}", root(), record().pool));
}

Status ZfsStore::check(std::optional<std::int64_t> size) const {
    const bool is_name = model::is_zfs_name(root()) && (!record().has_path() || root().find('/') == std::string::npos);
    if (!is_name)
        return Error(ErrorCode::invalid, fmt::format("{} is no name for zfs", ctl::quoted(root())))
            .hint("begin with a letter; use letters, digits and any of _ . : -");
    CTL_TRY(check_size(record(), size, least_size));
    if (record().ready) return ok();
    CTL_ASSIGN(const Datasets all, datasets());
    if (!record().has_path()) return check_named(all);
    const Dataset* there = find(all, root());
    if (there == nullptr) return check_source(record(), commands(), "zfs_member");
    if (there->store == record().pool) return ok();
    return Error(ErrorCode::conflict, fmt::format("there is a zpool {} already", ctl::quoted(root())))
        .hint("name it as source, or choose another zfs.pool_name");
}

Result<StoreRecord> ZfsStore::begin() const {
    StoreRecord begun = record();
    CTL_ASSIGN(const Datasets all, datasets());
    begun.made_file = begun.made_file || (begun.has_path() && kind_of_source(begun.source) == SourceKind::missing);
    begun.made_store = begun.made_store || find(all, root()) == nullptr;
    return begun;
}

Result<bool> ZfsStore::is_destroyed() const {
    CTL_ASSIGN(const std::string held, signature_on(commands(), record().source));
    if (held.empty()) return true;
    // What is destroyed keeps its labels. How the tool ends is no answer: it differs where there is nothing to list.
    const bool is_file = kind_of_source(record().source) == SourceKind::file;
    CTL_ASSIGN(const ProcessResult listed,
               commands().run({"zpool", "import", "-D", "-d", is_file ? record().source : folder()}));
    const auto lines = split(listed.out, '\n');
    return std::any_of(lines.begin(), lines.end(), [&](const auto line) { return trimmed(line) == "pool: " + root(); });
}

Result<Datasets> ZfsStore::reopened() const {
    CTL_ASSIGN(Datasets all, datasets());
    if (find(all, root()) != nullptr || !record().has_path() || !record().ready || is_lost(record())) return all;
    if (auto imported = run({"zpool", "import", "-N", "-d", folder(), "--", root()}); !imported) {
        CTL_ASSIGN(const bool is_gone, is_destroyed());
        if (!is_gone) return std::move(imported).error();
    }
    return datasets();
}

Status ZfsStore::make_root() const {
    const std::string store = "ctl:store=" + record().pool;
    if (record().ready)
        return Error(ErrorCode::not_found, fmt::format("{} is gone from zfs", ctl::quoted(root())))
            .hint("bring it back; or, if its data is lost, delete the pool");
    if (!record().has_path()) return run({"zfs", "create", "-o", "mountpoint=none", "-o", store, "--", root()});
    // A file of ours may have what an interrupted run has left of a zpool.
    if (record().wiped || record().made_file) CTL_TRY(wipe_signatures(commands(), record().source));
    return run({"zpool", "create", "-m", "none", "-O", "compression=on", "-O", store, "--", root(), record().source});
}

Status ZfsStore::open(std::optional<std::int64_t> size) const {
    if (record().made_file && !record().ready) CTL_TRY(make_file(record(), commands(), size));
    if (is_lost(record())) return lost_error(record());
    CTL_ASSIGN(const Datasets all, reopened());
    const Dataset* there = find(all, root());
    if (there == nullptr) return make_root();
    if (record().made_store && there->store != record().pool)
        return Error(ErrorCode::conflict, fmt::format("{} is not ours", ctl::quoted(root())));
    if (there->store != record().pool) CTL_TRY(run({"zfs", "set", "ctl:store=" + record().pool, "--", root()}));
    const auto now = size_of_file(record().source);
    if (!size || !now || (*size <= *now && there->growing_from == 0)) return ok();
    // The size of the file alone won't tell a run that comes after this one was cut short.
    if (there->growing_from == 0) CTL_TRY(run({"zfs", "set", fmt::format("ctl:growing={}", *now), "--", root()}));
    if (*size > *now) CTL_TRY(commands().size_file(record().source, *size));
    CTL_TRY(run({"zpool", "online", "-e", "--", root(), record().source}));
    return run({"zfs", "inherit", "ctl:growing", "--", root()});
}

Status ZfsStore::remove() const {
    CTL_ASSIGN(const Datasets all, reopened());
    const Dataset* there = find(all, root());
    if (there != nullptr && there->store == record().pool) {
        if (const Dataset* child = child_of(root(), all); child != nullptr && (record().made_store || is_ours(*child)))
            return Error(ErrorCode::conflict, fmt::format("{} is still in zfs", ctl::quoted(child->name)))
                .hint("delete it first");
        if (!record().made_store) CTL_TRY(run({"zfs", "inherit", "ctl:store", "--", root()}));
        else if (record().has_path()) CTL_TRY(run({"zpool", "destroy", "--", root()}));
        else CTL_TRY(run({"zfs", "destroy", "--", root()}));
    }
    if (record().made_file && ::unlink(record().source.c_str()) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete {}", ctl::quoted(record().source)));
    return ok();
}

Result<StoreView> ZfsStore::look() const {
    StoreView view;
    view.size = size_of_file(record().source);
    if (!commands().is_installed("zfs")) return view;
    CTL_ASSIGN(const Datasets all, datasets());
    const Dataset* there = find(all, root());
    view.ready = there != nullptr;
    if (view.size && there != nullptr && there->growing_from != 0) view.size = std::min(*view.size, there->growing_from);
    const std::string prefix = root() + "/";
    for (const auto& one : all)
        if (one.name.starts_with(prefix) && is_ours(one) && one.quota != 0)
            view.trees.emplace(one.name.substr(prefix.size()), one.quota);
    return view;
}

Status ZfsStore::make(const std::string& volume, std::int64_t) const {
    return run({"zfs", "create", "-o", "mountpoint=legacy", "-o", mark(), "--", path_of(volume)});
}

Status ZfsStore::clone(const std::string& from, const std::string& volume) const {
    const std::string snapshot = path_of(from) + "@" + volume;
    CTL_TRY(run({"zfs", "snapshot", "--", snapshot}));
    CTL_TRY(run({"zfs", "clone", "-o", "mountpoint=legacy", "-o", mark(), "--", snapshot, path_of(volume)}));
    // It goes with the clone.
    return run({"zfs", "destroy", "-d", "--", snapshot});
}

/// Or marks it as deleted, for the clones it has.
Status ZfsStore::destroy(const Dataset& dataset, const Datasets& all) const {
    if (!is_ours(dataset))
        return Error(ErrorCode::conflict, fmt::format("dataset {} is not ours", ctl::quoted(dataset.name)));
    if (const Dataset* child = child_of(dataset.name, all))
        return Error(ErrorCode::conflict, fmt::format("{} is in a dataset of ours", ctl::quoted(child->name)))
            .hint("delete or rename it first");
    if (has_clones(dataset, all)) return run({"zfs", "set", "ctl:deleted=yes", "--", dataset.name});
    return run({"zfs", "destroy", "-r", "--", dataset.name});
}

Status ZfsStore::destroy_origin(const std::string& volume) const {
    CTL_ASSIGN(const std::string printed,
               output_of(commands(), {"zfs", "list", "-H", "-t", "snapshot", "-o", "name,ctl:volume", "-r", "--", root()}));
    for (const auto line : split(printed, '\n')) {
        const auto words = split(line, '\t');
        if (words.size() != 2 || !words[0].ends_with("@" + volume) || words[1] != record().pool) continue;
        CTL_TRY(run({"zfs", "destroy", "-d", "--", std::string(words[0])}));
    }
    return ok();
}

Status ZfsStore::remove(const std::string& volume) const {
    CTL_ASSIGN(Datasets all, reopened());
    if (find(all, root()) == nullptr)
        return Error(ErrorCode::not_found, fmt::format("{} is away from zfs", ctl::quoted(root())));
    const Dataset* there = find(all, path_of(volume));
    if (there == nullptr) return destroy_origin(volume);
    CTL_TRY(destroy(*there, all));
    CTL_TRY(destroy_origin(volume));
    // What was kept for its clones goes after the last of them, and so on.
    std::string origin = there->origin;
    while (!has_clones(*there, all) && origin.find('@') != std::string::npos) {
        const std::string gone = there->name;
        std::erase_if(all, [&](const Dataset& one) { return one.name == gone; });
        there = find(all, origin.substr(0, origin.find('@')));
        if (there == nullptr || there->deleted != "yes" || has_clones(*there, all)) return ok();
        CTL_TRY(destroy(*there, all));
        origin = there->origin;
    }
    return ok();
}

Status ZfsStore::resize(const std::string& volume, int, std::int64_t bytes) const {
    return run({"zfs", "set", bytes == 0 ? "quota=none" : fmt::format("quota={}", bytes), "--", path_of(volume)});
}

}  // namespace

std::unique_ptr<TreeStore> make_zfs_store(StoreRecord record, Commands commands) {
    return std::make_unique<ZfsStore>(std::move(record), std::move(commands));
}

}  // namespace ctl::drivers::storage
