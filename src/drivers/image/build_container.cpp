#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include <fmt/format.h>

#include "base/file.h"
#include "base/id_map.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/container_files.h"
#include "drivers/api/image_metadata.h"
#include "drivers/api/store.h"
#include "drivers/image/build.h"
#include "drivers/image/fingerprint.h"
#include "model/value_types.h"

namespace ctl::drivers::image {

namespace {

/// A container's root filesystem, wherever its pool keeps it.
struct Found {
    std::string path;
    VolumeRecord record;
};

Result<Found> find_volume(const std::string& state_dir, const std::string& container) {
    const auto pools = open_directory(state_dir + "/pools");
    if (pools) {
        CTL_ASSIGN(const auto names, directory_names(pools->get()));
        for (const auto& pool : names) {
            const std::string path = fmt::format("{}/pools/{}/containers/{}", state_dir, pool, container);
            const auto text = read_file(fmt::format("{}/{}", path, volume_record_name), 65536);
            if (!text) continue;
            CTL_ASSIGN(VolumeRecord record, parse_volume_record(*text));
            return Found{path, std::move(record)};
        }
    }
    return Error(ErrorCode::not_found, fmt::format("there is no container {} to publish", ctl::quoted(container)));
}

Result<bool> is_running(const std::string& state_dir, const std::string& container) {
    CTL_ASSIGN(const std::string sockets, read_file("/proc/net/unix"));
    return listening_monitors(sockets).contains(monitor_address(state_dir + "/containers", container));
}

/// From the ids that the container's files have on the host to those it sees itself.
Result<CopyOptions> unshifting(const std::string& idmap) {
    CopyOptions options;
    options.devices = false;
    CTL_ASSIGN(const auto map, IdMap::parse(idmap));
    if (map) options.shift = IdShift{map->host, map->container, map->count};
    return options;
}

/// The templates of the image that the container was made from do for what is made from it.
Status copy_metadata(const std::string& from, int aside) {
    const auto tree = open_directory(from);
    const auto text = tree ? read_file_beneath(tree->get(), std::string(image_metadata_name), std::size_t{1} << 20)
                           : Result<std::string>(Error(ErrorCode::not_found, "no image"));
    utsname host{};
    if (::uname(&host) != 0) return system_error(errno, "look for this machine's architecture");
    const std::string path = fmt::format("/proc/self/fd/{}/{}", aside, image_metadata_name);
    if (!text)
        return write_file_atomically(
            path, fmt::format("architecture: {}\ncreation_date: {}\n", host.machine, std::time(nullptr)), 0600);
    CTL_TRY(write_file_atomically(path, *text, 0600));
    const auto templates = open_beneath(tree->get(), std::string(image_templates_name), O_RDONLY | O_DIRECTORY);
    if (!templates) return ok();
    CTL_ASSIGN(const Fd to, make_tree(aside, image_templates_name.data()));
    CTL_ASSIGN(const CopyTotals copied, copy_tree(templates->get(), to.get(), CopyOptions{}));
    static_cast<void>(copied);
    return ok();
}

}  // namespace

Status check_container(const model::Image& image) {
    if (image.source && is_plain_name(*image.source)) return ok();
    return Error(ErrorCode::invalid, fmt::format("{} is no name of a container", ctl::quoted(image.source.value_or(""))));
}

Result<Built> build_from_container(const model::Image& image, int aside, const Workshop& workshop) {
    const std::string& container = *image.source;
    CTL_ASSIGN(const bool running, is_running(workshop.state_dir, container));
    if (running)
        return Error(ErrorCode::conflict,
                     fmt::format("container {} runs: its files may change while they are copied", ctl::quoted(container)))
            .hint(fmt::format("ctl stop {}, or declare it with state: stopped", container));
    CTL_ASSIGN(const Found found, find_volume(workshop.state_dir, container));
    CTL_ASSIGN(const CopyOptions options, unshifting(found.record.idmap));
    CTL_ASSIGN(const Fd from, open_directory(found.path + "/rootfs"));
    if (!is_mount_root(from.get()))
        return Error(ErrorCode::conflict, fmt::format("the files of container {} are not mounted", ctl::quoted(container)))
            .hint("ctl apply of its stack brings back what a reboot has taken");
    CTL_ASSIGN(const Fd tree, make_tree(aside, "tree"));
    CTL_ASSIGN(const CopyTotals copied, copy_tree(from.get(), tree.get(), options));
    CTL_TRY(place_tree(tree.get(), aside));
    CTL_TRY(copy_metadata(image_tree_dir(workshop.state_dir, found.record.fingerprint), aside));
    CTL_ASSIGN(const Fd root, open_beneath(aside, "rootfs", O_RDONLY | O_DIRECTORY));
    CTL_ASSIGN(const std::string fingerprint, tree_fingerprint(root.get()));
    return Built{fingerprint, copied.bytes, copied.devices + copied.sockets};
}

}  // namespace ctl::drivers::image
