#include "drivers/storage/store_pool.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/storage/lvm.h"
#include "drivers/storage/pool_place.h"
#include "drivers/storage/rbd.h"
#include "drivers/storage/store_backend.h"
#include "drivers/storage/store_source.h"
#include "drivers/storage/zfs.h"

namespace ctl::drivers::storage {

namespace {

constexpr std::string_view wipe_option = "source.wipe";
constexpr std::string_view option_prefix = "option.";

constexpr std::array<std::pair<std::string_view, std::string StoreRecord::*>, 3> texts{
    {{"pool", &StoreRecord::pool}, {"driver", &StoreRecord::driver}, {"source", &StoreRecord::source}}};
constexpr std::array<std::pair<std::string_view, bool StoreRecord::*>, 4> flags{{{"wiped", &StoreRecord::wiped},
                                                                                 {"made_file", &StoreRecord::made_file},
                                                                                 {"made_store", &StoreRecord::made_store},
                                                                                 {"ready", &StoreRecord::ready}}};

std::string record_path(const std::string& state_dir, const std::string& name) {
    return fmt::format("{}/{}", place_of(state_dir, name), store_record_name);
}

Result<StoreRecord> read_record(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(const std::string text, read_file(record_path(state_dir, name), 65536));
    return parse_store_record(text);
}

Status write_record(const std::string& state_dir, const StoreRecord& record) {
    const std::string text = to_text(record);
    const auto again = parse_store_record(text);
    if (!again || to_text(*again) != text)
        return Error(ErrorCode::invalid, fmt::format("pool {} has a line end in it", ctl::quoted(record.pool)));
    return write_file_atomically(record_path(state_dir, record.pool), text, 0600);
}

/// The record if there is one and it is of what is wanted, else a new one that is nowhere yet.
Result<StoreRecord> record_for(const std::string& state_dir, const model::Pool& pool, const std::string& name) {
    StoreRecord wanted = wanted_record(pool, name);
    auto record = read_record(state_dir, name);
    if (!record) {
        if (record.error().code() != ErrorCode::not_found) return record;
        return wanted;
    }
    if (record->ready) return record;
    // What an interrupted run, or one that failed, has made so far is ours only where that is still wanted.
    const bool is_same = record->source == wanted.source && record->options == wanted.options;
    wanted.made_file = is_same && record->made_file;
    wanted.made_store = is_same && record->made_store;
    return wanted;
}

}  // namespace

std::string to_text(const StoreRecord& record) {
    std::string text;
    for (const auto& [key, member] : texts) text += fmt::format("{}={}\n", key, record.*member);
    for (const auto& [key, member] : flags) text += fmt::format("{}={}\n", key, record.*member ? "yes" : "no");
    for (const auto& [key, value] : record.options) text += fmt::format("{}{}={}\n", option_prefix, key, value);
    return text;
}

Result<StoreRecord> parse_store_record(const std::string& text) {
    StoreRecord record;
    for (const auto line : split(text, '\n')) {
        const auto key = line.substr(0, line.find('='));
        if (key.size() == line.size()) continue;
        const std::string value(line.substr(key.size() + 1));
        for (const auto& [known, member] : texts)
            if (known == key) record.*member = value;
        for (const auto& [known, member] : flags)
            if (known == key) record.*member = value == "yes";
        if (key.starts_with(option_prefix)) record.options.emplace(key.substr(option_prefix.size()), value);
    }
    if (record.pool.empty() || !is_store_driver(record.driver) || record.source.empty())
        return Error(ErrorCode::invalid, "the record of the pool's store is damaged");
    return record;
}

StoreRecord wanted_record(const model::Pool& pool, const std::string& name) {
    StoreRecord record;
    record.pool = name;
    record.driver = pool.driver.value_or("");
    record.source = pool.source.value_or("");
    record.options = pool.options.value_or(std::map<std::string, std::string>());
    record.wiped = record.options.erase(std::string(wipe_option)) != 0;
    return record;
}

bool is_store_driver(std::string_view driver) { return driver == "lvm" || driver == "zfs" || driver == "ceph"; }

Result<std::unique_ptr<TreeStore>> make_store(StoreRecord record, Commands commands) {
    if (record.driver == "lvm") return make_lvm_store(std::move(record), std::move(commands));
    if (record.driver == "ceph") return make_rbd_store(std::move(record), std::move(commands));
    if (record.driver == "zfs") return make_zfs_store(std::move(record), std::move(commands));
    return Error(ErrorCode::unsupported, fmt::format("storage driver {} keeps no store", ctl::quoted(record.driver)));
}

Status check_store(const std::string& state_dir, const model::Pool& pool, const std::string& name) {
    CTL_ASSIGN(StoreRecord record, record_for(state_dir, pool, name));
    CTL_ASSIGN(const auto store, make_store(std::move(record), host_commands()));
    CTL_TRY(store->check_host());
    return store->check(pool.size);
}

Status open_store(const std::string& state_dir, const model::Pool& pool, const std::string& name) {
    CTL_ASSIGN(StoreRecord record, record_for(state_dir, pool, name));
    CTL_ASSIGN(const auto planned, make_store(record, host_commands()));
    CTL_TRY(planned->check(pool.size));
    if (!record.ready) {
        CTL_ASSIGN(record, planned->begin());
        CTL_TRY(write_record(state_dir, record));
    }
    CTL_ASSIGN(const auto store, make_store(record, host_commands()));
    CTL_TRY(store->open(pool.size));
    if (record.ready) return ok();
    record.ready = true;
    return write_record(state_dir, record);
}

Result<model::Pool> observe_store(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(const StoreRecord record, read_record(state_dir, name));
    CTL_ASSIGN(const auto store, make_store(record, host_commands()));
    // One that is sick keeps nobody from seeing the others.
    const auto view = store->look();
    model::Pool pool;
    pool.driver = record.driver;
    pool.source = record.source;
    pool.size = view ? view->size : size_of_file(record.source);
    pool.options = record.options;
    if (record.wiped) pool.options->emplace(wipe_option, "true");
    pool.mounted = view && view->ready;
    return pool;
}

bool is_store_ready(const std::string& state_dir, const std::string& name) {
    const auto record = read_record(state_dir, name);
    return record && record->ready;
}

Status remove_store(const std::string& state_dir, const std::string& name) {
    // What an interrupted run was writing.
    if (::unlink(path_aside(record_path(state_dir, name)).c_str()) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete the half-written record of pool {}", ctl::quoted(name)));
    const auto record = read_record(state_dir, name);
    if (!record) return record.error().code() == ErrorCode::not_found ? ok() : Status(record.error());
    CTL_ASSIGN(const auto store, make_store(*record, host_commands()));
    CTL_TRY(store->remove());
    CTL_ASSIGN(const Fd directory, open_directory(place_of(state_dir, name)));
    CTL_TRY(remove_tree(directory.get(), leftovers_name));
    if (::unlink(record_path(state_dir, name).c_str()) != 0)
        return system_error(errno, fmt::format("delete the record of pool {}", ctl::quoted(name)));
    ::rmdir((state_dir + "/disks").c_str());
    return ok();
}

Result<const Backend*> store_backend(const std::string& state_dir, const std::string& name) {
    static std::mutex mutex;
    static std::map<std::string, std::unique_ptr<Backend>> known;
    CTL_ASSIGN(StoreRecord record, read_record(state_dir, name));
    const std::lock_guard lock(mutex);
    const std::string directory = place_of(state_dir, name);
    auto& backend = known[directory + "\n" + to_text(record)];
    if (!backend) {
        CTL_ASSIGN(auto store, make_store(std::move(record), host_commands()));
        backend = make_store_backend(std::move(store), directory);
    }
    return backend.get();
}

}  // namespace ctl::drivers::storage
