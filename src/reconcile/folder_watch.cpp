#include "reconcile/folder_watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>

#include <array>
#include <cerrno>

#include "base/text.h"

namespace ctl::reconcile {

namespace {

constexpr std::uint32_t edits = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF |
                                IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR;
constexpr std::uint32_t exchanges = IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
constexpr std::uint32_t folder_itself = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_Q_OVERFLOW;

std::string_view name_of(const inotify_event& event) { return event.len == 0 ? std::string_view() : event.name; }

bool is_manifest(std::string_view name) { return name.ends_with(".yaml") || name.ends_with(".yml"); }

}  // namespace

Result<FolderWatch> FolderWatch::open(const std::filesystem::path& folder) {
    Fd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd) return system_error(errno, "watching files");
    auto path = std::filesystem::absolute(folder).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    FolderWatch watch(std::move(fd), path);
    CTL_TRY(watch.watch_folder());
    watch.parent_watch_ = ::inotify_add_watch(watch.fd(), path.parent_path().c_str(), exchanges);
    return watch;
}

Status FolderWatch::watch_folder() {
    folder_watch_ = ::inotify_add_watch(fd_.get(), folder_.c_str(), edits);
    if (folder_watch_ < 0) return system_error(errno, fmt::format("watching {}", ctl::quoted(folder_.string())));
    return ok();
}

bool FolderWatch::drain() {
    bool changed = false;
    bool folder_moved = false;
    alignas(inotify_event) std::array<char, 16384> buffer{};
    for (ssize_t size = 0; (size = ::read(fd_.get(), buffer.data(), buffer.size())) > 0;) {
        for (const char* at = buffer.data(); at < buffer.data() + size;) {
            const auto& event = *reinterpret_cast<const inotify_event*>(at);
            at += sizeof(inotify_event) + event.len;
            if (event.wd == parent_watch_) folder_moved |= name_of(event) == folder_.filename().string();
            else if ((event.mask & folder_itself) != 0) changed = folder_moved = true;
            else if (event.wd == folder_watch_) changed |= is_manifest(name_of(event));
        }
    }
    // It may be gone for good; then the last good revision stays in force, and its parent tells when it is back.
    if (folder_moved && watch_folder()) changed = true;
    return changed || folder_moved;
}

}  // namespace ctl::reconcile
