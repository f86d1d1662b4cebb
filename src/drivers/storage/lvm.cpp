#include "drivers/storage/lvm.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "drivers/storage/store_source.h"
#include "drivers/storage/tool_report.h"
#include "model/pool_names.h"
#include "model/pool_sizes.h"

namespace ctl::drivers::storage {

namespace {

constexpr std::int64_t least_size = std::int64_t{64} << 20;

struct Group {
    bool exists = false;
    bool is_ours = false;  ///< carries the pool's tag
    std::int64_t size = 0;
    std::int64_t free = 0;
    std::int64_t extent = 0;
};

struct LogicalVolume {
    std::string name;
    std::int64_t size = 0;
    bool is_ours = false;
    bool is_active = false;
};

class LvmStore final : public TreeStore {
public:
    using TreeStore::TreeStore;

    Status check_host() const override;
    Status check(std::optional<std::int64_t> size) const override;
    Result<StoreRecord> begin() const override;
    Status open(std::optional<std::int64_t> size) const override;
    Status remove() const override;
    Result<StoreView> look() const override;

    bool clones() const override { return is_thin(); }
    bool has_sizes() const override { return true; }
    Status make(const std::string& volume, std::int64_t size) const override;
    Status clone(const std::string& from, const std::string& volume) const override;
    Status remove(const std::string& volume) const override;
    Status resize(const std::string& volume, int directory, std::int64_t bytes) const override;
    Result<Fd> mount(const std::string& volume) const override {
        return commands().mount("ext4", device_of(volume), "discard");
    }

private:
    [[nodiscard]] bool is_thin() const { return record().option("lvm.use_thinpool", "true") == "true"; }
    [[nodiscard]] std::string group() const {
        return record().option("lvm.vg_name", record().has_path() ? record().pool : record().source);
    }
    [[nodiscard]] std::string thin_pool() const { return record().option("lvm.thinpool_name", "LXDThinPool"); }
    [[nodiscard]] std::string tag() const;
    [[nodiscard]] std::string path_of(const std::string& volume) const { return group() + "/" + volume; }
    [[nodiscard]] std::string device_of(const std::string& volume) const { return "/dev/" + path_of(volume); }
    [[nodiscard]] bool has_tag(const ReportRow& row, std::string_view field) const;

    [[nodiscard]] Result<Group> find_group() const;
    [[nodiscard]] Result<std::vector<LogicalVolume>> volumes() const;
    [[nodiscard]] Status check_names() const;
    [[nodiscard]] Status check_reused(const Group& there) const;
    [[nodiscard]] Status check_unused(const Group& there) const;
    /// The device with the group on it, attached if it is a file's; empty where the source is a group.
    [[nodiscard]] Result<std::string> device() const;
    [[nodiscard]] Status make_group(const std::string& device) const;
    [[nodiscard]] Status make_thin_pool(const std::vector<LogicalVolume>& there) const;
    [[nodiscard]] Status grow(const std::string& device, std::int64_t size) const;
    /// The group, its file attached again after a reboot.
    [[nodiscard]] Result<Group> reopened_group() const;
    [[nodiscard]] Status remove_group() const;
    [[nodiscard]] Status run(const std::vector<std::string>& argv) const { return run_tool(commands(), argv); }
};

std::string LvmStore::tag() const {
    // All that the name of a pool may have and a tag may not.
    std::string text = "ctl:pool/";
    for (const char c : record().pool) c == '@' ? text += "=40" : text += c;
    return text;
}

bool LvmStore::has_tag(const ReportRow& row, std::string_view field) const {
    const std::string tags = field_of(row, field);
    const auto all = split(tags, ',');
    return std::find(all.begin(), all.end(), tag()) != all.end();
}

Result<Group> LvmStore::find_group() const {
    CTL_ASSIGN(const std::string printed,
               output_of(commands(), {"vgs", "--reportformat", "json", "--units", "b", "--nosuffix", "--options",
                                      "vg_name,vg_tags,vg_size,vg_free,vg_extent_size"}));
    CTL_ASSIGN(const auto rows, report_rows(printed, "vg"));
    for (const auto& row : rows)
        if (field_of(row, "vg_name") == group())
            return Group{true, has_tag(row, "vg_tags"), bytes_of(row, "vg_size"), bytes_of(row, "vg_free"),
                         bytes_of(row, "vg_extent_size")};
    return Group{};
}

Result<std::vector<LogicalVolume>> LvmStore::volumes() const {
    CTL_ASSIGN(const std::string printed,
               output_of(commands(), {"lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "--options",
                                      "vg_name,lv_name,lv_size,lv_tags,lv_active"}));
    CTL_ASSIGN(const auto rows, report_rows(printed, "lv"));
    std::vector<LogicalVolume> found;
    for (const auto& row : rows)
        if (field_of(row, "vg_name") == group())
            found.push_back({field_of(row, "lv_name"), bytes_of(row, "lv_size"), has_tag(row, "lv_tags"),
                             !field_of(row, "lv_active").empty()});
    return found;
}

Status LvmStore::check_host() const {
    for (const auto& [program, package] : {std::pair{"lvs", "lvm2"}, std::pair{"mkfs.ext4", "e2fsprogs"},
                                           std::pair{"losetup", "mount"}, std::pair{"wipefs", "util-linux"}})
        CTL_TRY(need_tool(program, package));
    if (is_thin()) CTL_TRY(need_tool("thin_check", "thin-provisioning-tools"));
    constexpr std::string_view hint = "use driver: dir, or a kernel with the device mapper";
    CTL_TRY(need_module("dm-mod", hint));
    return is_thin() ? need_module("dm-thin-pool", hint) : ok();
}

Status LvmStore::check_names() const {
    for (const auto& name : {group(), thin_pool()})
        if (!model::is_lvm_name(name))
            return Error(ErrorCode::invalid, fmt::format("{} is no name for lvm", ctl::quoted(name)))
                .hint("use letters, digits and any of + _ . -");
    return ok();
}

Status LvmStore::check_reused(const Group& there) const {
    if (!there.exists)
        return Error(ErrorCode::not_found, fmt::format("there is no volume group {}", ctl::quoted(group())))
            .hint("name a device or a file as source to make one");
    if (there.extent == 0 || model::lvm_extent % there.extent != 0)
        return Error(ErrorCode::unsupported,
                     fmt::format("volume group {} has extents of {} bytes", ctl::quoted(group()), there.extent))
            .hint(fmt::format("use one whose extents have {} bytes, or fewer", model::lvm_extent));
    if (record().option("lvm.vg.force_reuse", "false") == "true") return ok();
    CTL_ASSIGN(const auto all, volumes());
    const auto other = std::find_if(all.begin(), all.end(), [](const LogicalVolume& volume) { return !volume.is_ours; });
    if (other == all.end()) return ok();
    return Error(ErrorCode::conflict,
                 fmt::format("volume group {} is in use, there is {} in it", ctl::quoted(group()), ctl::quoted(other->name)))
        .hint("set lvm.vg.force_reuse: true to share it");
}

Status LvmStore::check_unused(const Group& there) const {
    if (there.exists && !there.is_ours)
        return Error(ErrorCode::conflict, fmt::format("there is a volume group {} already", ctl::quoted(group())))
            .hint("name it as source, or choose another lvm.vg_name");
    return there.exists ? ok() : check_source(record(), commands(), "LVM2_member");
}

Status LvmStore::check(std::optional<std::int64_t> size) const {
    CTL_TRY(check_names());
    CTL_TRY(check_size(record(), size, least_size));
    if (record().ready) return ok();
    CTL_ASSIGN(const Group there, find_group());
    return record().has_path() ? check_unused(there) : check_reused(there);
}

Result<StoreRecord> LvmStore::begin() const {
    StoreRecord begun = record();
    CTL_ASSIGN(const Group there, find_group());
    begun.made_file = begun.made_file || (begun.has_path() && kind_of_source(begun.source) == SourceKind::missing);
    begun.made_store = begun.made_store || !there.exists;
    return begun;
}

Result<std::string> LvmStore::device() const {
    if (!record().has_path()) return std::string();
    if (kind_of_source(record().source) == SourceKind::file) return attach_loop(commands(), record().source);
    return record().source;
}

Status LvmStore::make_group(const std::string& device) const {
    if (device.empty() || record().ready)
        return Error(ErrorCode::not_found, fmt::format("volume group {} is gone", ctl::quoted(group())))
            .hint("bring it back; or, if its data is lost, delete the pool");
    if (record().wiped) CTL_TRY(wipe_signatures(commands(), device));
    return run({"vgcreate", "--quiet", "--addtag", tag(), "--", group(), device});
}

Status LvmStore::make_thin_pool(const std::vector<LogicalVolume>& there) const {
    const auto found =
        std::find_if(there.begin(), there.end(), [&](const auto& volume) { return volume.name == thin_pool(); });
    if (found != there.end()) {
        if (found->is_ours || record().option("lvm.vg.force_reuse", "false") == "true") return ok();
        return Error(ErrorCode::conflict,
                     fmt::format("there is a volume {} already, and it is not ours", ctl::quoted(path_of(thin_pool()))))
            .hint("choose another lvm.thinpool_name");
    }
    std::vector<std::string> argv{"lvcreate", "--quiet", "--yes",     "--type",   "thin-pool", "--extents",
                                  "100%FREE", "--name",  thin_pool(), "--addtag", tag()};
    if (const std::string metadata = record().option("lvm.thinpool_metadata_size", "0"); metadata != "0")
        argv.insert(argv.end(), {"--poolmetadatasize", metadata + "b"});
    argv.insert(argv.end(), {"--", group()});
    return run(argv);
}

Status LvmStore::grow(const std::string& device, std::int64_t size) const {
    const auto now = size_of_file(record().source);
    if (!now) return ok();
    if (size > *now) CTL_TRY(commands().size_file(record().source, size));
    CTL_TRY(run({"losetup", "--set-capacity", device}));
    return run({"pvresize", "--quiet", "--", device});
}

Status LvmStore::open(std::optional<std::int64_t> size) const {
    if (record().made_file && !record().ready) CTL_TRY(make_file(record(), commands(), size));
    if (is_lost(record())) return lost_error(record());
    CTL_ASSIGN(const std::string on, device());
    CTL_ASSIGN(Group there, find_group());
    if (!there.exists) CTL_TRY(make_group(on));
    else if (record().made_store && !there.is_ours)
        return Error(ErrorCode::conflict, fmt::format("volume group {} is not ours", ctl::quoted(group())));
    else if (size && there.size + 2 * model::lvm_extent < *size) CTL_TRY(grow(on, *size));
    CTL_ASSIGN(const auto all, volumes());
    const bool sleeps = std::any_of(all.begin(), all.end(), [](const auto& one) { return one.is_ours && !one.is_active; });
    if (sleeps) CTL_TRY(run({"vgchange", "--quiet", "--activate", "y", "--", group()}));
    if (!is_thin()) return ok();
    CTL_TRY(make_thin_pool(all));
    CTL_ASSIGN(there, find_group());
    if (!record().made_store || there.free == 0) return ok();
    return run({"lvextend", "--quiet", "--extents", "+100%FREE", "--", path_of(thin_pool())});
}

Result<Group> LvmStore::reopened_group() const {
    CTL_ASSIGN(const Group there, find_group());
    if (there.exists || is_lost(record()) || !record().has_path()) return there;
    CTL_ASSIGN(const std::string on, device());
    static_cast<void>(on);
    return find_group();
}

Status LvmStore::remove_group() const {
    CTL_ASSIGN(const auto all, volumes());
    bool has_thin_pool = false;
    for (const auto& volume : all) {
        const bool is_thin_pool = is_thin() && volume.is_ours && volume.name == thin_pool();
        has_thin_pool = has_thin_pool || is_thin_pool;
        if (is_thin_pool || (!volume.is_ours && !record().made_store)) continue;
        return Error(ErrorCode::conflict,
                     fmt::format("volume group {} still has volume {}", ctl::quoted(group()), ctl::quoted(volume.name)))
            .hint("delete it first");
    }
    if (has_thin_pool) CTL_TRY(run({"lvremove", "--quiet", "--yes", "--", path_of(thin_pool())}));
    return record().made_store ? run({"vgremove", "--quiet", "--yes", "--", group()}) : ok();
}

Status LvmStore::remove() const {
    CTL_ASSIGN(const Group there, reopened_group());
    // One that we began to make and that never came to be, or somebody else's of the same name, is not touched.
    const bool is_ours = there.exists && (there.is_ours || !record().made_store);
    if (is_ours) CTL_TRY(remove_group());
    if (!record().has_path() || is_lost(record())) return ok();
    if (kind_of_source(record().source) == SourceKind::device)
        return is_ours ? run({"pvremove", "--quiet", "--yes", "--", record().source}) : ok();
    CTL_ASSIGN(const std::string loop, loop_of(commands(), record().source));
    if (is_ours && !record().made_file) CTL_TRY(run({"pvremove", "--quiet", "--yes", "--", loop}));
    if (!loop.empty()) CTL_TRY(run({"losetup", "--detach", loop}));
    if (record().made_file && ::unlink(record().source.c_str()) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete {}", ctl::quoted(record().source)));
    return ok();
}

Result<StoreView> LvmStore::look() const {
    StoreView view;
    view.size = size_of_file(record().source);
    if (!commands().is_installed("lvs")) return view;
    CTL_ASSIGN(const Group there, find_group());
    if (!there.exists) return view;
    // An interrupted run may have grown the file alone.
    if (view.size && there.size + 2 * model::lvm_extent < *view.size) view.size = there.size;
    CTL_ASSIGN(const auto all, volumes());
    view.ready = !is_thin() || std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.name == thin_pool(); });
    for (const auto& volume : all) {
        if (!volume.is_ours) continue;
        view.ready = view.ready && volume.is_active;
        if (volume.name == thin_pool()) continue;
        // Nor has the file system grown with its device if the run ended between the two.
        const auto taken = volume.is_active ? commands().size_of_ext4(device_of(volume.name)) : std::nullopt;
        view.trees.emplace(volume.name, std::min(volume.size, taken.value_or(volume.size)));
    }
    return view;
}

Status LvmStore::make(const std::string& volume, std::int64_t size) const {
    const std::string bytes = fmt::format("{}b", size_for_ext4(size));
    if (is_thin())
        CTL_TRY(run({"lvcreate", "--quiet", "--yes", "--thin", "--virtualsize", bytes, "--name", volume, "--addtag", tag(),
                     "--", path_of(thin_pool())}));
    else
        CTL_TRY(run({"lvcreate", "--quiet", "--yes", "--wipesignatures", "y", "--size", bytes, "--name", volume, "--addtag",
                     tag(), "--", group()}));
    return run(mkfs_ext4(device_of(volume)));
}

Status LvmStore::clone(const std::string& from, const std::string& volume) const {
    if (!is_thin()) return Error(ErrorCode::unsupported, "volumes without a thin pool can't be cloned");
    return run({"lvcreate", "--quiet", "--yes", "--snapshot", "--setactivationskip", "n", "--name", volume, "--addtag",
                tag(), "--", path_of(from)});
}

Status LvmStore::remove(const std::string& volume) const {
    CTL_ASSIGN(const Group there, reopened_group());
    if (!there.exists) return Error(ErrorCode::not_found, fmt::format("volume group {} is away", ctl::quoted(group())));
    CTL_ASSIGN(const auto all, volumes());
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == volume; });
    if (found == all.end()) return ok();
    if (!found->is_ours)
        return Error(ErrorCode::conflict, fmt::format("volume {} is not ours", ctl::quoted(path_of(volume))));
    return run({"lvremove", "--quiet", "--yes", "--", path_of(volume)});
}

Status LvmStore::resize(const std::string& volume, int directory, std::int64_t bytes) const {
    if (bytes == 0) return ok();
    CTL_ASSIGN(const auto all, volumes());
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == volume; });
    if (found == all.end())
        return Error(ErrorCode::not_found, fmt::format("volume {} is gone", ctl::quoted(path_of(volume))));
    const std::int64_t size = model::whole_extents(bytes);
    if (size < found->size)
        return Error(ErrorCode::unsupported, fmt::format("a volume of {} bytes can't shrink to {}", found->size, bytes))
            .hint("give it that size or more");
    if (size > found->size) CTL_TRY(run({"lvextend", "--quiet", "--size", fmt::format("{}b", size), "--", path_of(volume)}));
    return commands().grow_ext4(device_of(volume), directory, size);
}

}  // namespace

std::unique_ptr<TreeStore> make_lvm_store(StoreRecord record, Commands commands) {
    return std::make_unique<LvmStore>(std::move(record), std::move(commands));
}

}  // namespace ctl::drivers::storage
