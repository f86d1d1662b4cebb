#include "drivers/image/fingerprint.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"

namespace ctl::drivers::image {

namespace {

/// With its length in front, so that no two sequences of pieces run together to the same bytes.
void add_piece(Fingerprint& sum, std::string_view piece) {
    sum.add(fmt::format("{}:", piece.size()));
    sum.add(piece);
}

Status add_xattrs(Fingerprint& sum, int fd) {
    std::string list(65536, '\0');
    const ssize_t size = ::flistxattr(fd, list.data(), list.size());
    if (size < 0) return errno == EOPNOTSUPP ? ok() : Status(system_error(errno, "list extended attributes"));
    list.resize(static_cast<std::size_t>(size));
    std::vector<std::string> names;
    for (const auto name : split(list, '\0'))
        if (is_kept_xattr(name)) names.emplace_back(name);
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
        std::string value(65536, '\0');
        const ssize_t got = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
        if (got < 0) return system_error(errno, "read extended attribute");
        add_piece(sum, name);
        add_piece(sum, std::string_view(value).substr(0, static_cast<std::size_t>(got)));
    }
    return ok();
}

Status add_directory(Fingerprint& sum, int directory, const std::string& path, unsigned depth) {
    if (depth > max_tree_depth)
        return Error(ErrorCode::unsupported, fmt::format("directories are nested deeper than {} levels", max_tree_depth));
    CTL_TRY(add_xattrs(sum, directory));
    CTL_ASSIGN(const auto names, directory_names(directory));
    for (const auto& name : names) {
        struct stat info {};
        if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return system_error(errno, "stat");
        const std::string below = path + "/" + name;
        add_piece(sum, below);
        add_piece(sum, fmt::format("{:o} {} {}", info.st_mode, info.st_uid, info.st_gid));
        if (S_ISDIR(info.st_mode)) {
            CTL_ASSIGN(const Fd fd, open_beneath(directory, name, O_RDONLY | O_DIRECTORY));
            CTL_TRY(add_directory(sum, fd.get(), below, depth + 1));
        } else if (S_ISREG(info.st_mode)) {
            CTL_ASSIGN(const Fd fd, open_beneath(directory, name, O_RDONLY));
            add_piece(sum, fmt::format("{}", info.st_size));
            CTL_TRY(sum.add_rest(fd.get()));
            CTL_TRY(add_xattrs(sum, fd.get()));
        } else if (S_ISLNK(info.st_mode)) {
            std::array<char, 4097> target;
            const ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
            if (size < 0) return system_error(errno, "read link");
            add_piece(sum, {target.data(), static_cast<std::size_t>(size)});
        }
    }
    add_piece(sum, "end of directory");
    return ok();
}

}  // namespace

void Fingerprint::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Fingerprint::Fingerprint() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

void Fingerprint::add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }

Status Fingerprint::add_rest(int fd) {
    std::array<char, 65536> buffer;
    while (true) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error(errno, "read");
        if (got == 0) return ok();
        add({buffer.data(), static_cast<std::size_t>(got)});
    }
}

std::string Fingerprint::finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    std::string hex;
    for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
}

Result<std::string> tree_fingerprint(int root) {
    struct stat info {};
    if (::fstat(root, &info) != 0) return system_error(errno, "stat");
    Fingerprint sum;
    add_piece(sum, "ctl.tree/1");
    add_piece(sum, fmt::format("{:o} {} {}", info.st_mode, info.st_uid, info.st_gid));
    CTL_TRY(add_directory(sum, root, "", 0));
    return sum.finish();
}

}  // namespace ctl::drivers::image
