#include "drivers/image/busybox.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "drivers/image/fingerprint.h"

namespace ctl::drivers::image {

namespace {

constexpr const char* busybox_path = "/bin/busybox";
/// Goes into the fingerprint: raise it whenever what is built here changes.
constexpr std::string_view recipe = "ctl.busybox/2";
constexpr std::size_t largest_busybox = std::size_t{32} << 20;

struct Directory {
    const char* path;
    mode_t mode;
};

constexpr std::array directories{
    Directory{"bin", 0755},        Directory{"dev", 0755},     Directory{"etc", 0755},      Directory{"etc/init.d", 0755},
    Directory{"home", 0755},       Directory{"lib", 0755},     Directory{"mnt", 0755},      Directory{"opt", 0755},
    Directory{"proc", 0555},       Directory{"root", 0700},    Directory{"run", 0755},      Directory{"sbin", 0755},
    Directory{"srv", 0755},        Directory{"sys", 0555},     Directory{"tmp", 01777},     Directory{"usr", 0755},
    Directory{"usr/bin", 0755},    Directory{"usr/lib", 0755}, Directory{"usr/sbin", 0755}, Directory{"usr/share", 0755},
    Directory{"etc/udhcpc", 0755}, Directory{"var", 0755},     Directory{"var/lib", 0755},  Directory{"var/log", 0755},
    Directory{"var/tmp", 01777},
};

struct File {
    const char* path;
    mode_t mode;
    std::string_view content;
};

constexpr std::array files{
    File{"etc/passwd", 0644,
         "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/"
         "false\n"},
    File{"etc/group", 0644, "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n"},
    File{"etc/shadow", 0600, "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n"},
    File{"etc/hosts", 0644, "127.0.0.1 localhost\n::1 localhost\n"},
    File{"etc/resolv.conf", 0644, ""},
    File{"etc/shells", 0644, "/bin/sh\n"},
    File{"etc/profile", 0644,
         "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPS1='\\u@\\h:\\w\\$ '\n"},
    File{"etc/os-release", 0644, "ID=ctl-busybox\nNAME=busybox\nPRETTY_NAME=\"busybox, made by ctl\"\n"},
    File{"etc/inittab", 0644,
         "::sysinit:/etc/init.d/rcS\n"
         "::restart:/sbin/init\n"
         "::ctrlaltdel:/sbin/poweroff\n"},
    File{"etc/init.d/rcS", 0755,
         "#!/bin/sh\n"
         "# Runs once at boot: what the host has not mounted, the loopback, DHCP where it is wanted.\n"
         "mountpoint -q /proc || mount -t proc proc /proc 2>/dev/null\n"
         "mountpoint -q /sys || mount -t sysfs sysfs /sys 2>/dev/null\n"
         "ip link set lo up 2>/dev/null\n"
         "for nic in $CTL_DHCP; do\n"
         "    ip link set \"$nic\" up 2>/dev/null\n"
         "    udhcpc -b -S -s /etc/udhcpc/default.script -i \"$nic\" -x hostname:\"$(hostname)\" >/dev/null 2>&1 &\n"
         "done\n"},
    File{"etc/udhcpc/default.script", 0755,
         "#!/bin/sh\n"
         "# udhcpc calls this with what it was told: puts it on the interface.\n"
         "case \"$1\" in\n"
         "deconfig)\n"
         "    ip -4 addr flush dev \"$interface\"\n"
         "    ip link set \"$interface\" up\n"
         "    ;;\n"
         "bound|renew)\n"
         "    if ! ip -4 addr show dev \"$interface\" | grep -q \" $ip/$mask \"; then\n"
         "        ip -4 addr flush dev \"$interface\"\n"
         "        ip addr add \"$ip/$mask\" broadcast + dev \"$interface\"\n"
         "    fi\n"
         "    for gateway in $router; do\n"
         "        ip route replace default via \"$gateway\" dev \"$interface\"\n"
         "        break\n"
         "    done\n"
         "    if [ -n \"$dns\" ]; then\n"
         "        {\n"
         "            [ -n \"$domain\" ] && echo \"search $domain\"\n"
         "            for server in $dns; do echo \"nameserver $server\"; done\n"
         "        } >/etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf\n"
         "    fi\n"
         "    ;;\n"
         "esac\n"
         "exit 0\n"},
};

/// Whether an ELF program asks for a dynamic loader, which the new root filesystem would lack.
bool is_static_program(std::string_view content) {
    Elf64_Ehdr header{};
    if (content.size() < sizeof header) return false;
    std::memcpy(&header, content.data(), sizeof header);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return false;
    if (header.e_ident[EI_CLASS] != ELFCLASS64) return true;
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr part{};
        const std::size_t offset = header.e_phoff + i * header.e_phentsize;
        if (offset > content.size() || content.size() - offset < sizeof part) return false;
        std::memcpy(&part, content.data() + offset, sizeof part);
        if (part.p_type == PT_INTERP) return false;
    }
    return true;
}

Result<std::string> read_busybox() {
    constexpr std::string_view install = "apt-get install busybox-static";
    auto content = read_file(busybox_path, largest_busybox);
    if (!content)
        return Error(ErrorCode::missing_driver, "no busybox to build the image from")
            .hint(std::string(install))
            .caused_by(std::move(content).error());
    if (!is_static_program(*content))
        return Error(ErrorCode::missing_driver, fmt::format("{} is not statically linked", busybox_path))
            .hint(std::string(install));
    return content;
}

Status put_file(int root, const char* path, mode_t mode, std::string_view content) {
    const Fd fd(::openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return system_error(errno, fmt::format("create {}", path));
    while (!content.empty()) {
        const ssize_t put = ::write(fd.get(), content.data(), content.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return system_error(errno, fmt::format("write {}", path));
        content.remove_prefix(static_cast<std::size_t>(put));
    }
    return ::fchmod(fd.get(), mode) == 0 ? ok() : system_error(errno, fmt::format("change mode of {}", path));
}

Status put_link(int root, const char* target, const std::string& path) {
    if (::symlinkat(target, root, path.c_str()) == 0 || errno == EEXIST) return ok();
    return system_error(errno, fmt::format("link {}", ctl::quoted(path)));
}

/// The names busybox answers to, as paths below the root.
Status put_applets(int root) {
    CTL_ASSIGN(const ProcessResult listed, run_process({busybox_path, "--list-full"}, std::chrono::seconds(10)));
    if (listed.exit_code != 0 || listed.out.empty())
        return Error(ErrorCode::io, fmt::format("{} --list-full failed with exit code {}", busybox_path, listed.exit_code));
    for (const auto line : split(listed.out, '\n')) {
        const std::string path(trimmed(line));
        const bool known = path.starts_with("bin/") || path.starts_with("sbin/") || path.starts_with("usr/bin/") ||
                           path.starts_with("usr/sbin/");
        if (known && path != "bin/busybox") CTL_TRY(put_link(root, busybox_path, path));
    }
    CTL_TRY(put_link(root, busybox_path, "bin/sh"));
    return put_link(root, busybox_path, "sbin/init");
}

}  // namespace

Status check_busybox() {
    CTL_ASSIGN(const std::string content, read_busybox());
    return ok();
}

Result<std::string> build_busybox(int root) {
    CTL_ASSIGN(const std::string program, read_busybox());
    for (const auto& directory : directories) {
        if (::mkdirat(root, directory.path, 0755) != 0 || ::fchmodat(root, directory.path, directory.mode, 0) != 0)
            return system_error(errno, fmt::format("make directory {}", directory.path));
    }
    CTL_TRY(put_file(root, "bin/busybox", 0755, program));
    for (const auto& file : files) CTL_TRY(put_file(root, file.path, file.mode, file.content));
    CTL_TRY(put_link(root, "/run", "var/run"));
    CTL_TRY(put_applets(root));
    if (::fchown(root, 0, 0) != 0 || ::fchmod(root, 0755) != 0) return system_error(errno, "set up the root directory");
    Fingerprint sum;
    sum.add(recipe);
    sum.add("\n");
    sum.add(program);
    return sum.finish();
}

}  // namespace ctl::drivers::image
