#include "drivers/storage/store_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"
#include "drivers/storage/disk.h"
#include "drivers/storage/tool_report.h"
#include "model/pool_sizes.h"

namespace ctl::drivers::storage {

SourceKind kind_of_source(const std::string& source) {
    struct stat info {};
    if (::stat(source.c_str(), &info) != 0) return SourceKind::missing;
    return S_ISREG(info.st_mode) ? SourceKind::file : S_ISBLK(info.st_mode) ? SourceKind::device : SourceKind::other;
}

std::optional<std::int64_t> size_of_file(const std::string& source) {
    struct stat info {};
    if (::stat(source.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    return info.st_size;
}

Result<std::string> signature_on(const Commands& commands, const std::string& source) {
    CTL_ASSIGN(const std::string printed, output_of(commands, {"wipefs", "--no-act", "--json", "--", source}));
    CTL_ASSIGN(const auto rows, report_rows(printed, "signatures"));
    return rows.empty() ? std::string() : field_of(rows.front(), "type");
}

Status wipe_signatures(const Commands& commands, const std::string& source) {
    return run_tool(commands, {"wipefs", "--all", "--quiet", "--", source});
}

Status check_source(const StoreRecord& record, const Commands& commands, std::string_view own) {
    const SourceKind kind = kind_of_source(record.source);
    if (kind == SourceKind::other)
        return Error(ErrorCode::invalid, fmt::format("{} is no file and no block device", ctl::quoted(record.source)));
    if (kind == SourceKind::missing) {
        if (!record.source.starts_with("/dev/")) return ok();
        return Error(ErrorCode::not_found, fmt::format("there is no device {}", ctl::quoted(record.source)));
    }
    if (record.wiped) return ok();
    CTL_ASSIGN(const std::string held, signature_on(commands, record.source));
    if (held.empty() || (record.made_file && held == own)) return ok();
    return Error(ErrorCode::conflict, fmt::format("{} holds something already: {}", ctl::quoted(record.source), held))
        .hint("set source.wipe: true to lose it");
}

bool is_lost(const StoreRecord& record) { return record.has_path() && kind_of_source(record.source) == SourceKind::missing; }

Error lost_error(const StoreRecord& record) {
    return Error(ErrorCode::not_found, fmt::format("{}, which held the pool, is gone", ctl::quoted(record.source)))
        .hint("bring it back; or, if its data is lost, delete the pool");
}

Status check_size(const StoreRecord& record, std::optional<std::int64_t> size, std::int64_t least) {
    if (!size) return ok();
    if (!record.has_path() || kind_of_source(record.source) == SourceKind::device)
        return Error(ErrorCode::invalid, fmt::format("{} is no file: it has the size it has", ctl::quoted(record.source)))
            .hint("remove size");
    if (*size < least)
        return Error(ErrorCode::invalid, fmt::format("{} bytes are too few for a pool", *size))
            .hint(fmt::format("give it {} MiB or more", least >> 20));
    const auto now = size_of_file(record.source);
    if (!now || *size >= *now) return ok();
    return Error(ErrorCode::unsupported, fmt::format("a pool can't shrink, from {} bytes to {}", *now, *size))
        .hint("make a smaller pool under another name");
}

Status make_file(const StoreRecord& record, const Commands& commands, std::optional<std::int64_t> size) {
    if (kind_of_source(record.source) != SourceKind::missing) return ok();
    const std::string parent = std::filesystem::path(record.source).parent_path().native();
    CTL_TRY(make_directories(parent));
    return commands.size_file(record.source, size.value_or(default_file_size(parent)));
}

std::int64_t size_for_ext4(std::int64_t asked) { return model::whole_extents(std::max(asked, std::int64_t{128} << 20)); }

std::vector<std::string> mkfs_ext4(const std::string& device) {
    return {"mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-i", "8192", "-E", "nodiscard", "--", device};
}

Result<std::string> loop_of(const Commands& commands, const std::string& file) {
    CTL_ASSIGN(const std::string printed,
               output_of(commands, {"losetup", "--list", "--json", "--output", "NAME", "--associated", file}));
    CTL_ASSIGN(const auto rows, report_rows(printed, "loopdevices"));
    return rows.empty() ? std::string() : field_of(rows.front(), "name");
}

Result<std::string> attach_loop(const Commands& commands, const std::string& file) {
    CTL_ASSIGN(const std::string there, loop_of(commands, file));
    if (!there.empty()) return there;
    CTL_ASSIGN(const std::string made, output_of(commands, {"losetup", "--find", "--show", "--nooverlap", "--", file}));
    return std::string(trimmed(made));
}

}  // namespace ctl::drivers::storage
