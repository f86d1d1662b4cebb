#include "drivers/storage/store_backend.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/store.h"
#include "drivers/storage/mounts.h"

namespace ctl::drivers::storage {

namespace {

/// What a link says; empty where there is none.
std::string link_text(int parent, const std::string& name) {
    std::array<char, PATH_MAX> text{};
    const ssize_t length = ::readlinkat(parent, name.c_str(), text.data(), text.size());
    return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : std::string();
}

class StoreBackend final : public Backend {
public:
    StoreBackend(std::unique_ptr<TreeStore> store, std::string directory)
        : store_(std::move(store)), directory_(std::move(directory)) {}

    Status check_host() const override { return store_->check_host(); }
    Status check_directory(const std::string&) const override { return ok(); }

    bool clones_trees() const override { return store_->clones(); }
    bool makes_file_systems() const override { return true; }

    Status make_tree(int parent, const std::string& name, std::int64_t size) const override {
        CTL_ASSIGN(const std::string volume, link_new(parent, name));
        CTL_TRY(store_->make(volume, size));
        CTL_ASSIGN(const Tree tree, open_tree(parent, name));
        // mkfs makes it for a check of the file system, which makes it again if it needs it.
        if (::unlinkat(tree.directory.get(), "lost+found", AT_REMOVEDIR) != 0 && errno != ENOENT)
            return system_error(errno, "delete directory lost+found");
        return ok();
    }

    Result<Tree> open_tree(int parent, const std::string& name) const override {
        CTL_ASSIGN(const std::string volume, linked(parent, name));
        CTL_ASSIGN(const Fd mount, store_->mount(volume));
        // It lives as long as what is open in it.
        Fd top(::openat(mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!top) return system_error(errno, fmt::format("open volume {}", ctl::quoted(volume)));
        return Tree{std::move(top), volume};
    }

    Result<Fd> mount_tree(int parent, const std::string& name, std::optional<int> user_namespace) const override {
        CTL_ASSIGN(const std::string volume, linked(parent, name));
        CTL_ASSIGN(Fd mount, store_->mount(volume));
        if (user_namespace) CTL_TRY(map_ids(mount, *user_namespace));
        return mount;
    }

    Status clone_tree(const Tree& tree, int parent, const std::string& name) const override {
        CTL_ASSIGN(const std::string volume, link_new(parent, name));
        if (::syncfs(tree.directory.get()) != 0)
            return system_error(errno, fmt::format("write volume {}", ctl::quoted(tree.volume)));
        return store_->clone(tree.volume, volume);
    }

    /// Nobody has a path to it.
    Status seal_tree(const Tree&) const override { return ok(); }

    Status remove_tree(int parent, const std::string& name) const override {
        const std::string volume = link_text(parent, name);
        if (!is_plain_name(volume)) return ctl::remove_tree(parent, name);
        const Status removed = store_->remove(volume);
        if (removed) return ctl::remove_tree(parent, name);
        return removed.error().code() == ErrorCode::not_found ? leave(parent, name, volume) : removed;
    }

    /// What fails is tried again by the next change.
    void tidy(int pool) const override {
        const auto directory = open_beneath(pool, leftovers_name, O_RDONLY | O_DIRECTORY);
        if (!directory) return;
        const auto volumes = directory_names(directory->get());
        if (!volumes) return;
        for (const auto& volume : *volumes)
            if (store_->remove(volume)) ::unlinkat(directory->get(), volume.c_str(), 0);
        ::unlinkat(pool, leftovers_name, AT_REMOVEDIR);
    }

    Status limit_tree(const Tree& tree, std::int64_t bytes) const override {
        return store_->resize(tree.volume, tree.directory.get(), bytes);
    }

    Result<std::optional<std::int64_t>> limit_of_tree(const Tree& tree) const override {
        CTL_ASSIGN(const auto all, limits());
        const auto found = all->find(tree.volume);
        return found == all->end() ? std::nullopt : std::optional(found->second);
    }

    Result<std::optional<TreeLimits>> limits() const override {
        CTL_ASSIGN(StoreView view, store_->look());
        return std::optional(std::move(view.trees));
    }

    std::string volume_at(int parent, const std::string& name) const override { return link_text(parent, name); }

    Status check_limit(std::int64_t from, std::int64_t to) const override {
        if (!store_->has_sizes() || to >= from) return ok();
        return Error(ErrorCode::unsupported,
                     fmt::format("a volume in a pool of the driver {} can't shrink, from {} bytes to {}",
                                 store_->record().driver, from, to))
            .hint("copy what is in it to a smaller volume");
    }

private:
    static Result<std::string> linked(int parent, const std::string& name) {
        std::string volume = link_text(parent, name);
        if (is_plain_name(volume)) return volume;
        return Error(ErrorCode::not_found, fmt::format("{} is no volume's", ctl::quoted(name)));
    }

    [[nodiscard]] Status leave(int parent, const std::string& name, const std::string& volume) const {
        const std::string leftovers = fmt::format("{}/{}", directory_, leftovers_name);
        if (::mkdir(leftovers.c_str(), 0700) != 0 && errno != EEXIST)
            return system_error(errno, fmt::format("make directory {}", ctl::quoted(leftovers)));
        if (::renameat(parent, name.c_str(), AT_FDCWD, fmt::format("{}/{}", leftovers, volume).c_str()) != 0)
            return system_error(errno, fmt::format("move {} aside", ctl::quoted(name)));
        return ok();
    }

    /// A link that is on the disk before its volume is.
    Result<std::string> link_new(int parent, const std::string& name) const {
        CTL_ASSIGN(std::string volume, store_->commands().new_name());
        if (::symlinkat(volume.c_str(), parent, name.c_str()) != 0)
            return system_error(errno, fmt::format("make {}", ctl::quoted(name)));
        if (::fsync(parent) != 0) return system_error(errno, fmt::format("write {}", ctl::quoted(name)));
        return volume;
    }

    std::unique_ptr<TreeStore> store_;
    std::string directory_;
};

}  // namespace

std::unique_ptr<Backend> make_store_backend(std::unique_ptr<TreeStore> store, std::string directory) {
    return std::make_unique<StoreBackend>(std::move(store), std::move(directory));
}

std::string StoreRecord::option(const std::string& key, std::string_view otherwise) const {
    const auto found = options.find(key);
    return found == options.end() ? std::string(otherwise) : found->second;
}

Status TreeStore::need_tool(const std::string& program, std::string_view package) const {
    if (commands_.is_installed(program)) return ok();
    return Error(ErrorCode::missing_driver,
                 fmt::format("pools of the driver {} need {}, which is not installed", record_.driver, program))
        .hint(fmt::format("install the package {}: apt install {}", package, package));
}

Status TreeStore::need_module(const std::string& module, std::string_view hint) const {
    std::string loaded = module;
    std::replace(loaded.begin(), loaded.end(), '-', '_');
    if (::access(("/sys/module/" + loaded).c_str(), F_OK) == 0) return ok();
    const auto loadable = commands_.run({"modprobe", "--dry-run", "--quiet", module});
    if (loadable && loadable->exit_code == 0) return ok();
    return Error(ErrorCode::missing_driver,
                 fmt::format("this kernel has no {}, which pools of the driver {} need", module, record_.driver))
        .hint(std::string(hint));
}

}  // namespace ctl::drivers::storage
