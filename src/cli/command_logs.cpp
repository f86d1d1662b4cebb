#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/container_commands.h"
#include "cli/directories.h"
#include "cli/terminal.h"
#include "drivers/api/container_files.h"

namespace ctl::cli {

namespace {

struct LogsOptions {
    std::string container;
    bool liblxc = false;
    bool follow = false;
};

/// A container writes what it likes: to a terminal only text and line ends are passed on.
void print(std::string_view text, bool to_terminal) {
    if (!to_terminal) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        return;
    }
    bool first = true;
    for (auto line : split(text, '\n')) {
        if (!first) std::fputc('\n', stdout);
        first = false;
        while (line.ends_with('\r')) line.remove_suffix(1);
        fmt::print("{}", escaped(line));
    }
}

/// A file that others write to, cut and replace.
class GrowingFile {
public:
    explicit GrowingFile(std::string path) : path_(std::move(path)) {}

    /// Prints what came since the last time, from the start if the file began anew.
    void print_new(bool to_terminal) {
        struct stat now {};
        if (::stat(path_.c_str(), &now) != 0) return;
        if (!fd_ || now.st_ino != inode_) {
            if (fd_) print_rest(to_terminal);
            fd_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
            inode_ = now.st_ino;
        } else if (now.st_size < ::lseek(fd_.get(), 0, SEEK_CUR)) {
            ::lseek(fd_.get(), 0, SEEK_SET);
        }
        print_rest(to_terminal);
        std::fflush(stdout);
    }

private:
    void print_rest(bool to_terminal) const {
        std::array<char, 65536> buffer;
        for (ssize_t size = 0; fd_ && (size = ::read(fd_.get(), buffer.data(), buffer.size())) > 0;)
            print({buffer.data(), static_cast<std::size_t>(size)}, to_terminal);
    }

    std::string path_;
    Fd fd_;
    ino_t inode_ = 0;
};

/// Until interrupted, or until the container is deleted.
Status follow(GrowingFile& file, const drivers::ContainerFiles& paths, const std::string& container, bool to_terminal) {
    const Interrupt interrupt;
    const Fd events(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!events || ::inotify_add_watch(events.get(), paths.runtime().c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return system_error(errno, fmt::format("watch {}", paths.runtime()));
    if (::inotify_add_watch(events.get(), paths.directory(container).c_str(), IN_DELETE_SELF | IN_ONLYDIR) < 0)
        return system_error(errno, fmt::format("watch {}", paths.directory(container)));
    while (true) {
        file.print_new(to_terminal);
        if (std::ferror(stdout) != 0 || ::access(paths.directory(container).c_str(), F_OK) != 0) return ok();
        // Who reads from us may go while there is nothing to write.
        std::array<pollfd, 3> waits{{{events.get(), POLLIN, 0}, {interrupt.fd(), POLLIN, 0}, {STDOUT_FILENO, 0, 0}}};
        if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return system_error(errno, "wait for events");
        if (waits[1].revents != 0 || waits[2].revents != 0) return ok();
        std::array<char, 4096> heard;
        while (::read(events.get(), heard.data(), heard.size()) > 0) continue;
    }
}

ExitCode logs(const LogsOptions& options, const GlobalOptions& global) {
    const drivers::ContainerFiles paths{state_dir_of(global) + "/containers", run_dir_of(global), {}};
    const bool is_there =
        drivers::is_container_name(options.container) && ::access(paths.config(options.container).c_str(), F_OK) == 0;
    if (!is_there)
        return fail(
            Error(ErrorCode::not_found, fmt::format("no container {} is on this host", ctl::quoted(options.container)))
                .hint("see: ctl get containers"));
    const std::string path = options.liblxc ? paths.log(options.container) : paths.console(options.container);
    if (::access(path.c_str(), R_OK) != 0 && errno != ENOENT) return fail(system_error(errno, fmt::format("read {}", path)));
    const bool to_terminal = ::isatty(STDOUT_FILENO) != 0;
    // liblxc keeps what no longer fits beside it.
    GrowingFile(path + ".1").print_new(to_terminal);
    GrowingFile file(path);
    if (options.follow) {
        const auto followed = follow(file, paths, options.container, to_terminal);
        return followed ? ExitCode::done : fail(followed.error());
    }
    file.print_new(to_terminal);
    return ExitCode::done;
}

}  // namespace

void add_logs_command(Program program) {
    CLI::App* command = program.app.add_subcommand("logs", "Show what a container has written to its console");
    auto options = std::make_shared<LogsOptions>();
    command->add_option("container", options->container, "Its name")->required();
    command->add_flag("--lxc", options->liblxc, "Show liblxc's own log of it instead: why it doesn't start");
    command->add_flag("-f,--follow", options->follow, "Go on as more is written, until interrupted");
    command->callback([program, options] { program.exit_code = logs(*options, program.options); });
}

}  // namespace ctl::cli
