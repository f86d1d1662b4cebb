#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "drivers/storage/backend.h"
#include "drivers/storage/commands.h"

// Where trees are file systems that tools make: logical volumes of a volume group (lvm.h), datasets of a zpool (zfs.h),
// images in an OSD pool of ceph (rbd.h). The pool's directory holds all else: records, marks, and a link in the place of
// each tree (store_backend.h).

namespace ctl::drivers::storage {

/// What is kept of a pool, in its directory.
struct StoreRecord {
    std::string pool;                            ///< its name
    std::string driver;                          ///< lvm, zfs, ceph
    std::string source;                          ///< absolute path of a device or a file, or a name the tools know
    std::map<std::string, std::string> options;  ///< the driver's own keys: lvm.vg_name
    bool wiped = false;                          ///< what was on the source was to be overwritten
    bool made_file = false;                      ///< the file was not there before
    bool made_store = false;                     ///< nor was the volume group, zpool or OSD pool
    bool ready = false;                          ///< all of it is made

    [[nodiscard]] std::string option(const std::string& key, std::string_view otherwise) const;
    [[nodiscard]] bool has_path() const { return source.starts_with('/'); }
};

struct StoreView {
    bool ready = false;                ///< there, and usable at once
    std::optional<std::int64_t> size;  ///< bytes of its file
    TreeLimits trees;                  ///< those with the pool's mark; of ceph, which tells it one by one, all there are
};

class TreeStore {
public:
    TreeStore(StoreRecord record, Commands commands) : record_(std::move(record)), commands_(std::move(commands)) {}
    virtual ~TreeStore() = default;

    /// Tools and the kernel's part. Errors: missing_driver, with what to install.
    [[nodiscard]] virtual Status check_host() const = 0;
    /// Checks without writing that open() can work. Errors: conflict when the source holds what is somebody else's.
    [[nodiscard]] virtual Status check(std::optional<std::int64_t> size) const = 0;
    /// Decides what the record says about who made what, before open().
    [[nodiscard]] virtual Result<StoreRecord> begin() const = 0;
    /// Makes it as far as it is missing, makes it usable, and grows its file.
    [[nodiscard]] virtual Status open(std::optional<std::int64_t> size) const = 0;
    /// Takes away what open() made; what is somebody else's stays.
    [[nodiscard]] virtual Status remove() const = 0;
    /// In one pass.
    [[nodiscard]] virtual Result<StoreView> look() const = 0;

    [[nodiscard]] virtual bool clones() const = 0;
    /// Whether trees have a size of their own that only grows.
    [[nodiscard]] virtual bool has_sizes() const = 0;
    /// An empty one. `size`: bytes of its device, 0 for the least; without meaning where trees have no sizes.
    [[nodiscard]] virtual Status make(const std::string& volume, std::int64_t size) const = 0;
    [[nodiscard]] virtual Status clone(const std::string& from, const std::string& volume) const = 0;
    /// Nothing there is success. Errors: not_found when the store itself isn't there, so that it may still have the volume;
    /// conflict when it doesn't carry the pool's mark, or is in use.
    [[nodiscard]] virtual Status remove(const std::string& volume) const = 0;
    /// `directory` is its top, mounted. 0 bytes take the limit away.
    [[nodiscard]] virtual Status resize(const std::string& volume, int directory, std::int64_t bytes) const = 0;
    /// A mount that is attached nowhere yet.
    [[nodiscard]] virtual Result<Fd> mount(const std::string& volume) const = 0;

    [[nodiscard]] const StoreRecord& record() const { return record_; }
    [[nodiscard]] const Commands& commands() const { return commands_; }

protected:
    /// A tool that is not installed is an error that names its package.
    [[nodiscard]] Status need_tool(const std::string& program, std::string_view package) const;
    /// A module that the kernel hasn't and can't load is an error with a hint.
    [[nodiscard]] Status need_module(const std::string& module, std::string_view hint) const;

private:
    StoreRecord record_;
    Commands commands_;
};

[[nodiscard]] bool is_store_driver(std::string_view driver);
/// Errors: unsupported.
[[nodiscard]] Result<std::unique_ptr<TreeStore>> make_store(StoreRecord record, Commands commands);

}  // namespace ctl::drivers::storage
