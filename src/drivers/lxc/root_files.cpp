#include "drivers/lxc/root_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "base/act_as.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/id_map.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/image_metadata.h"
#include "drivers/api/store.h"
#include "drivers/lxc/config_file.h"
#include "drivers/lxc/seed.h"
#include "drivers/lxc/template_text.h"
#include "model/value_types.h"

namespace ctl::drivers::lxc {

namespace {

namespace fs = std::filesystem;

constexpr const char* seed_directory = "var/lib/cloud/seed/nocloud-net";
/// Beside a volume's root filesystem: the image's templates have been made once.
constexpr const char* made_name = "templates-made";
constexpr const char* aside_name = ".ctl-new-file";
constexpr std::size_t template_limit = std::size_t{1} << 20;

/// The host's id of the container's root.
Result<unsigned> root_id(const std::optional<std::string>& idmap) {
    CTL_ASSIGN(const auto map, IdMap::parse(idmap.value_or("none")));
    const auto id = map.value_or(IdMap::identity()).to_host(0);
    if (!id) return Error(ErrorCode::invalid, fmt::format("id map {} has no root", ctl::quoted(*idmap)));
    return *id;
}

/// A container's root filesystem, and the host's id of its root.
struct Root {
    int fd;
    unsigned id;
};

/// Opens a directory below the root, making what is missing of it.
Result<Fd> make_way(int root, std::string_view path) {
    CTL_ASSIGN(Fd directory, open_beneath(root, ".", O_RDONLY | O_DIRECTORY));
    for (const auto part : split(path, '/')) {
        if (part.empty()) continue;
        const std::string name(part);
        if (::mkdirat(directory.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
            return system_error(errno, fmt::format("make directory {}", ctl::quoted(path)));
        CTL_ASSIGN(directory, open_beneath(directory.get(), name, O_RDONLY | O_DIRECTORY));
    }
    return directory;
}

Status write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t put = ::write(fd, text.data(), text.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return system_error(errno, "write");
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return ok();
}

/// Aside and renamed: a link that stands in its place is replaced, not followed.
Status write_file_in(int directory, const std::string& name, std::string_view text, mode_t mode) {
    ::unlinkat(directory, aside_name, 0);
    const Fd fd(::openat(directory, aside_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return system_error(errno, "create a file");
    auto written = write_all(fd.get(), text);
    if (written && (::fchmod(fd.get(), mode) != 0 || ::renameat(directory, aside_name, directory, name.c_str()) != 0))
        written = system_error(errno, fmt::format("put {} in its place", ctl::quoted(name)));
    if (!written) ::unlinkat(directory, aside_name, 0);
    return written;
}

/// The seed, or with an empty one nothing in its place.
Status write_seed_files(const Root& root, const Seed& seed) {
    const ActAs acting(root.id, root.id);
    if (seed.empty()) {
        const auto directory = open_beneath(root.fd, seed_directory, O_RDONLY | O_DIRECTORY);
        if (!directory) return directory.error().code() == ErrorCode::not_found ? ok() : Status(directory.error());
        for (const auto* name : {"meta-data", "user-data", "vendor-data", "network-config"})
            ::unlinkat(directory->get(), name, 0);
        return ok();
    }
    CTL_ASSIGN(const Fd directory, make_way(root.fd, seed_directory));
    for (const auto& [name, text] : seed) CTL_TRY(write_file_in(directory.get(), name, text, 0600));
    return ok();
}

/// The image a container's volume was cloned from, as far as it has templates.
struct Image {
    Fd directory;
    ImageMetadata metadata;
};

std::optional<Image> image_of(const std::string& volume, const std::string& state_dir) {
    const auto text = read_file(fmt::format("{}/{}", volume, volume_record_name), 65536);
    if (!text) return std::nullopt;
    const auto record = parse_volume_record(*text);
    if (!record) return std::nullopt;
    auto directory = open_directory(image_tree_dir(state_dir, record->fingerprint));
    if (!directory) return std::nullopt;
    auto metadata = read_image_metadata(directory->get());
    if (!metadata || metadata->templates.empty()) return std::nullopt;
    return Image{std::move(*directory), std::move(*metadata)};
}

TemplateNames names_for(const std::string& container, const ImageTemplate& item, const std::string& trigger) {
    utsname host{};
    const std::string machine = ::uname(&host) == 0 ? host.machine : "";
    TemplateNames names{{"trigger", trigger}, {"path", item.target}};
    for (const std::string prefix : {"container", "instance"}) {
        names[prefix + ".name"] = container;
        names[prefix + ".type"] = "container";
        names[prefix + ".architecture"] = machine;
        names[prefix + ".privileged"] = "";
        names[prefix + ".ephemeral"] = "";
    }
    for (const auto& [key, value] : item.properties) names["properties." + key] = value;
    return names;
}

Status write_template(const Root& root, const Image& image, const ImageTemplate& item, const std::string& container,
                      const std::string& trigger) {
    const std::size_t slash = item.target.rfind('/');
    const std::string file = item.target.substr(slash + 1);
    CTL_ASSIGN(
        const std::string text,
        read_file_beneath(image.directory.get(), fmt::format("{}/{}", image_templates_name, item.file), template_limit));
    CTL_ASSIGN(const std::string rendered, render_template(text, names_for(container, item, trigger)));
    const ActAs acting(root.id, root.id);
    CTL_ASSIGN(const Fd directory, make_way(root.fd, item.target.substr(0, slash)));
    struct stat info {};
    const bool there = ::fstatat(directory.get(), file.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && item.create_only) return ok();
    return write_file_in(directory.get(), file, rendered, there && S_ISREG(info.st_mode) ? info.st_mode & 0777 : 0644);
}

}  // namespace

Status write_root_files(const std::string& name, const Paths& paths, std::string_view config) {
    const model::Container container = parse_config(config, paths.place(name)).container;
    if (!container.rootfs) return ok();
    const auto seed = read_seed(paths.directory(name));
    const std::string volume = fs::path(*container.rootfs).parent_path().native();
    const auto image = image_of(volume, fs::path(paths.lxcpath).parent_path().native());
    if (!seed && !image) return ok();

    const std::string made = fmt::format("{}/{}", volume, made_name);
    const bool first = ::access(made.c_str(), F_OK) != 0;
    CTL_ASSIGN(const Fd root, open_directory(*container.rootfs));
    CTL_ASSIGN(const unsigned id, root_id(container.idmap));
    const auto is_due = [&](const ImageTemplate& item) {
        // What ctl knows of NICs and keys, and the template does not, is in the seed.
        if (seed && !seed->empty() && item.target.starts_with(fmt::format("/{}/", seed_directory))) return false;
        return item.when.contains("start") || (first && (item.when.contains("create") || item.when.contains("copy")));
    };
    if (image)
        for (const auto& item : image->metadata.templates) {
            if (!is_due(item)) continue;
            auto written = write_template({root.get(), id}, *image, item, name, first ? "create" : "start");
            if (!written)
                return std::move(written).error().while_(
                    fmt::format("making {} of the image's template {}", ctl::quoted(item.target), ctl::quoted(item.file)));
        }
    if (seed)
        if (auto written = write_seed_files({root.get(), id}, *seed); !written)
            return std::move(written).error().while_("writing cloud-init's seed");
    if (seed && seed->empty()) CTL_TRY(write_seed(paths.directory(name), std::nullopt));
    return first && image ? write_file_atomically(made, "", 0600) : ok();
}

}  // namespace ctl::drivers::lxc
