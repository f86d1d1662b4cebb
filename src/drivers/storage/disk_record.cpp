#include "drivers/storage/disk_record.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"

namespace ctl::drivers::storage {

namespace {

constexpr std::array<std::pair<std::string_view, std::string DiskRecord::*>, 5> texts{
    {{"mark", &DiskRecord::mark},
     {"driver", &DiskRecord::driver},
     {"source", &DiskRecord::source},
     {"uuid", &DiskRecord::uuid},
     {"mount_options", &DiskRecord::mount_options}}};
constexpr std::array<std::pair<std::string_view, bool DiskRecord::*>, 3> flags{
    {{"wiped", &DiskRecord::wiped}, {"made", &DiskRecord::made}, {"ready", &DiskRecord::ready}}};

}  // namespace

std::string disk_record_path(const std::string& state_dir, const std::string& name) {
    return fmt::format("{}/disks/{}.pool", state_dir, name);
}

Result<DiskRecord> read_disk_record(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(const std::string text, read_file(disk_record_path(state_dir, name), 65536));
    DiskRecord record;
    for (const auto line : split(text, '\n')) {
        const auto key = line.substr(0, line.find('='));
        if (key.size() == line.size()) continue;
        for (const auto& [known, member] : texts)
            if (known == key) record.*member = line.substr(key.size() + 1);
        for (const auto& [known, member] : flags)
            if (known == key) record.*member = line.substr(key.size() + 1) == "yes";
    }
    if (record.driver.empty() || record.source.empty() || record.uuid.empty())
        return Error(ErrorCode::invalid, fmt::format("{} is damaged", ctl::quoted(disk_record_path(state_dir, name))));
    return record;
}

Status write_disk_record(const std::string& state_dir, const std::string& name, const DiskRecord& record) {
    std::string text;
    for (const auto& [key, member] : texts) {
        if ((record.*member).find('\n') != std::string::npos)
            return Error(ErrorCode::invalid, fmt::format("{} has a line end in it", ctl::quoted(record.*member)));
        text += fmt::format("{}={}\n", key, record.*member);
    }
    for (const auto& [key, member] : flags) text += fmt::format("{}={}\n", key, record.*member ? "yes" : "no");
    CTL_TRY(make_directories(state_dir + "/disks"));
    return write_file_atomically(disk_record_path(state_dir, name), text, 0600);
}

}  // namespace ctl::drivers::storage
