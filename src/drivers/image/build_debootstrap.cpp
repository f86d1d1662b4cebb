#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "base/piped_process.h"
#include "base/process.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/store.h"
#include "drivers/image/build.h"
#include "drivers/image/fingerprint.h"

namespace ctl::drivers::image {

namespace {

using namespace std::chrono_literals;

constexpr const char* debians_mirror = "http://deb.debian.org/debian";
constexpr std::size_t output_shown = 600;
constexpr int look_for_stop_ms = 200;

/// Where this host gets the suite's packages from, or any of Debian's.
std::string hosts_mirror(const std::string& suite) {
    const auto asked = run_process({"apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"}, 20s);
    std::string any;
    if (asked && asked->exit_code == 0)
        for (const auto line : split(asked->out, '\n')) {
            const std::size_t blank = line.find(' ');
            if (blank == std::string_view::npos) continue;
            const std::string uri(line.substr(blank + 1));
            if (line.substr(0, blank) == suite) return uri;
            if (any.empty() && uri.find("security") == std::string::npos) any = uri;
        }
    return any.empty() ? debians_mirror : any;
}

std::vector<std::string> command(const model::Image& image, const std::string& target) {
    std::vector<std::string> argv{"unshare",
                                  "--mount",
                                  "--pid",
                                  "--ipc",
                                  "--uts",
                                  "--fork",
                                  "--kill-child",
                                  "--mount-proc",
                                  "env",
                                  "-i",
                                  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                  "HOME=/root",
                                  "LC_ALL=C",
                                  "DEBIAN_FRONTEND=noninteractive"};
    for (const auto* name : {"http_proxy", "https_proxy", "no_proxy"})
        if (const char* value = ::getenv(name); value != nullptr) argv.push_back(fmt::format("{}={}", name, value));
    argv.insert(argv.end(), {"debootstrap", "--force-check-gpg"});
    if (const auto variant = option(image, "variant"); !variant.empty()) argv.push_back("--variant=" + variant);
    if (const auto packages = option(image, "packages"); !packages.empty()) argv.push_back("--include=" + packages);
    const std::string mirror = option(image, "mirror");
    argv.insert(argv.end(), {*image.source, target, mirror.empty() ? hosts_mirror(*image.source) : mirror});
    return argv;
}

/// Runs it until its end or a stop.
Status run(const std::vector<std::string>& argv, const std::stop_token& stop) {
    CTL_ASSIGN(const auto child, PipedProcess::start(argv));
    std::string said;
    std::array<char, 4096> buffer;
    while (true) {
        pollfd waiting{child->output(), POLLIN, 0};
        if (::poll(&waiting, 1, look_for_stop_ms) < 0 && errno != EINTR) return system_error(errno, "wait for debootstrap");
        if (stop.stop_requested()) return Error(ErrorCode::cancelled, "interrupted while debootstrap ran");
        if (waiting.revents == 0) continue;
        const ssize_t got = ::read(child->output(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        said.append(buffer.data(), static_cast<std::size_t>(got));
        if (said.size() > output_shown) said.erase(0, said.size() - output_shown);
    }
    auto ended = child->finish();
    if (ended) return ended;
    return Error(ErrorCode::io, fmt::format("debootstrap failed: {}", escaped(trimmed(said))))
        .caused_by(std::move(ended).error());
}

Status empty_directory(int root, const std::string& path) {
    auto directory = open_beneath(root, path, O_RDONLY | O_DIRECTORY);
    if (!directory) return directory.error().code() == ErrorCode::not_found ? ok() : Status(std::move(directory).error());
    CTL_ASSIGN(const auto names, directory_names(directory->get()));
    for (const auto& name : names) CTL_TRY(remove_tree(directory->get(), name));
    return ok();
}

/// What belongs to one machine, or only to the making of it.
Status make_general(int root) {
    for (const auto* path : {"dev", "var/cache/apt/archives", "var/lib/apt/lists"}) CTL_TRY(empty_directory(root, path));
    if (const auto etc = open_beneath(root, "etc", O_RDONLY | O_DIRECTORY)) {
        for (const auto* name : {"hostname", "resolv.conf"}) CTL_TRY(remove_tree(etc->get(), name));
        // Empty, not missing: then the first boot chooses one.
        CTL_TRY(remove_tree(etc->get(), "machine-id"));
        const Fd machine_id(::openat(etc->get(), "machine-id", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
        if (!machine_id) return system_error(errno, "make etc/machine-id");
    }
    if (const auto ssh = open_beneath(root, "etc/ssh", O_RDONLY | O_DIRECTORY)) {
        CTL_ASSIGN(const auto names, directory_names(ssh->get()));
        for (const auto& name : names)
            if (name.starts_with("ssh_host_")) CTL_TRY(remove_tree(ssh->get(), name));
    }
    return ok();
}

/// An image that was made of the same is as good as another: packages come in anew only with a new suite or list.
std::string made_before(const model::Image& image, const std::string& state_dir) {
    const auto directory = open_directory(state_dir + "/images");
    if (!directory) return {};
    const auto names = directory_names(directory->get());
    if (!names) return {};
    for (const auto& name : *names) {
        const auto record = read_image_record(state_dir, name);
        if (record && record->type == "debootstrap" && record->source == *image.source &&
            record->options == image.options.value_or(std::map<std::string, std::string>{}) &&
            std::filesystem::exists(image_tree_dir(state_dir, record->fingerprint) + "/rootfs"))
            return record->fingerprint;
    }
    return {};
}

bool is_word(std::string_view text, std::string_view more) {
    if (text.empty() || text.front() == '-') return false;
    return std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
    });
}

}  // namespace

Status check_debootstrap(const model::Image& image) {
    const std::string mirror = option(image, "mirror");
    const std::string packages = option(image, "packages");
    const std::string variant = option(image, "variant");
    if (!is_word(image.source.value_or(""), "-."))
        return Error(ErrorCode::invalid, fmt::format("{} is no name of a suite", ctl::quoted(image.source.value_or(""))))
            .hint("write for instance suite: bookworm");
    for (const auto package : split(packages, ','))
        if (!packages.empty() && !is_word(package, "-.+"))
            return Error(ErrorCode::invalid, fmt::format("{} is no name of a package", ctl::quoted(package)))
                .hint("write packages with commas between and no blanks");
    if (!variant.empty() && !is_word(variant, "-"))
        return Error(ErrorCode::invalid, fmt::format("{} is no variant", ctl::quoted(variant)));
    const bool is_address =
        mirror.starts_with("http://") || mirror.starts_with("https://") || mirror.starts_with("file:///");
    if (!mirror.empty() && (!is_address || mirror.find_first_of(" \t\n") != std::string::npos))
        return Error(ErrorCode::invalid, fmt::format("{} is no address of a mirror", ctl::quoted(mirror)))
            .hint("write for instance http://deb.debian.org/debian");
    return ok();
}

Result<Built> build_by_debootstrap(const model::Image& image, int aside, const Workshop& workshop) {
    if (auto known = made_before(image, workshop.state_dir); !known.empty()) return Built{known, 0, 0, true};
    CTL_ASSIGN(const Fd root, make_tree(aside, "rootfs"));
    std::error_code failed;
    const auto path = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", root.get()), failed);
    if (failed) return system_error(failed.value(), "find the image's directory");
    CTL_TRY(run(command(image, path.native()), workshop.stop));
    CTL_TRY(make_general(root.get()));
    CTL_ASSIGN(const std::string fingerprint, tree_fingerprint(root.get()));
    return Built{fingerprint, 0, 0};
}

}  // namespace ctl::drivers::image
