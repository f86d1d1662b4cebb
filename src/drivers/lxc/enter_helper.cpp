// ctl-lxc-enter exec NAME LXCPATH CONFIG STREAMS USER DIRECTORY [KEY=VALUE…] -- COMMAND [ARGUMENT…]
//   runs a command in a running container and ends with its exit code: 128 and the signal that ended it, 127 where there is
//   no such program, 126 where it can't be run, 125 where the container can't be entered. STREAMS: terminal or pipes. USER
//   and DIRECTORY may be empty: root, and the user's home.
// ctl-lxc-enter console NAME LXCPATH CONFIG
//   joins the container's console and the caller's terminal until Ctrl-A Q is typed.
// CONFIG is what the container was started with. A program of its own because entering a user namespace needs a process
// with a single thread, and because ctl itself knows nothing of liblxc.

#include <fcntl.h>
#include <grp.h>
#include <lxc/attach_options.h>
#include <lxc/lxccontainer.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/lxc/person.h"
#include "drivers/lxc/relay.h"

namespace {

using ctl::drivers::lxc::Person;
using ctl::drivers::lxc::Streams;

constexpr int not_entered = 125;
constexpr int not_executable = 126;
constexpr int no_such_program = 127;
constexpr unsigned close_range_cloexec = 1U << 2;
constexpr std::size_t largest_database = std::size_t{4} << 20;
constexpr const char* usual_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

using Container = std::unique_ptr<lxc_container, int (*)(lxc_container*)>;

struct Command {
    std::string user;
    std::string directory;
    std::vector<char*> environment;
    std::vector<char*> argv;
    Streams streams;
    const char* terminal_type = nullptr;
};

int fail(const std::string& message) {
    std::fprintf(stderr, "error: %s\n", message.c_str());
    return not_entered;
}

std::string why() { return std::strerror(errno); }

// ---- in the container

std::string read_text(const char* path) {
    std::string text;
    const int fd = ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return text;
    char buffer[4096];
    for (ssize_t size = 0; text.size() < largest_database && (size = ::read(fd, buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(size));
    ::close(fd);
    return text;
}

void set_environment(const Command& command, const Person& person) {
    // What the container's configuration says of these (environment.HOME) stays.
    constexpr int keep = 0;
    ::setenv("PATH", usual_path, keep);
    ::setenv("HOME", person.home.c_str(), keep);
    ::setenv("SHELL", person.shell.c_str(), keep);
    if (!person.name.empty()) {
        ::setenv("USER", person.name.c_str(), keep);
        ::setenv("LOGNAME", person.name.c_str(), keep);
    }
    if (command.terminal_type != nullptr) ::setenv("TERM", command.terminal_type, keep);
    for (char* pair : command.environment) ::putenv(pair);
}

bool become(const Person& person) {
    return ::setgroups(person.groups.size(), person.groups.data()) == 0 && ::setgid(person.gid) == 0 &&
           ::setuid(person.uid) == 0;
}

/// Where there is no such home, the root directory is as good; a directory that was asked for has to be there.
bool enter_directory(const Command& command, const Person& person) {
    if (!command.directory.empty()) return ::chdir(command.directory.c_str()) == 0;
    return ::chdir(person.home.c_str()) == 0 || ::chdir("/") == 0;
}

/// The container's own process from here on; liblxc has put it into all its namespaces and cgroups and taken its privileges.
int run_command(void* payload) {
    const auto& command = *static_cast<const Command*>(payload);
    // A session of its own: in ours /dev/tty would be the caller's terminal, into which a container could type.
    ::setsid();
    if (command.streams.terminal) ::ioctl(STDIN_FILENO, TIOCSCTTY, 0);
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::syscall(SYS_close_range, 3U, ~0U, close_range_cloexec);

    const std::string user = command.user.empty() ? "0" : command.user;
    const auto person = ctl::drivers::lxc::find_person(user, read_text("/etc/passwd"), read_text("/etc/group"));
    if (!person) return fail("the container has no user \"" + user + "\"");
    if (command.streams.terminal) static_cast<void>(::fchown(STDIN_FILENO, person->uid, static_cast<gid_t>(-1)));
    if (!become(*person)) return fail("can't become user \"" + user + "\": " + why());
    if (!enter_directory(command, *person)) return fail("can't change to \"" + command.directory + "\": " + why());
    set_environment(command, *person);
    // It goes with whoever asked for it, also when that is killed.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execvp(command.argv.front(), command.argv.data());
    const int reason = errno;
    static_cast<void>(fail("\"" + std::string(command.argv.front()) + "\" can't be run: " + why()));
    return reason == ENOENT || reason == ENOTDIR ? no_such_program : not_executable;
}

// ---- outside

bool open_streams(Command& command, pid_t init) {
    if (!command.streams.terminal) return ctl::drivers::lxc::open_pipes(command.streams);
    const int root = ::open(("/proc/" + std::to_string(init) + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const bool opened = root >= 0 && ctl::drivers::lxc::open_terminal(root, command.streams);
    const int reason = errno;
    if (root >= 0) ::close(root);
    errno = reason;
    return opened;
}

int exec(const Container& container, Command& command) {
    if (!open_streams(command, container->init_pid(container.get())))
        return fail(std::string("can't make ") + (command.streams.terminal ? "a terminal in the container: " : "pipes: ") +
                    why());
    const int signals = ctl::drivers::lxc::take_signals();
    if (signals < 0) return fail("can't wait for signals: " + why());

    lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
    options.env_policy = LXC_ATTACH_CLEAR_ENV;
    options.stdin_fd = command.streams.command_in;
    options.stdout_fd = command.streams.command_out;
    options.stderr_fd = command.streams.command_err;
    pid_t child = -1;
    if (container->attach(container.get(), run_command, &command, &options, &child) != 0)
        return fail("liblxc can't enter the container");
    ctl::drivers::lxc::close_command_ends(command.streams);
    return ctl::drivers::lxc::relay(command.streams, child, signals);
}

int console(const Container& container) {
    if (::isatty(STDIN_FILENO) == 0) return fail("a console needs a terminal; see: ctl logs");
    constexpr int escape = 1;  // Ctrl-A
    if (container->console(container.get(), 0, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, escape) != 0)
        return fail("the container has no console to join");
    std::fputs("\r\n", stderr);
    return 0;
}

/// Empty where it can't be entered, which has been said then.
Container open_container(const char* name, const char* lxcpath, const char* config) {
    Container container(::lxc_container_new(name, lxcpath), ::lxc_container_put);
    const auto refuse = [&](const std::string& message) {
        static_cast<void>(fail("container \"" + std::string(name) + "\" " + message));
        return Container(nullptr, ::lxc_container_put);
    };
    if (!container) return refuse("can't be opened by liblxc");
    if (!container->is_defined(container.get())) return refuse("is not on this host; see: ctl get containers");
    if (!container->is_running(container.get())) return refuse("is not running; see: ctl info " + std::string(name));
    if (std::string_view(container->state(container.get())) == "FROZEN") return refuse("is frozen");
    container->clear_config(container.get());
    if (!container->load_config(container.get(), config)) return refuse("was not started by ctl");
    return container;
}

int usage() {
    std::fputs(
        "usage: ctl-lxc-enter exec NAME LXCPATH CONFIG terminal|pipes USER DIRECTORY [KEY=VALUE...] -- COMMAND...\n"
        "       ctl-lxc-enter console NAME LXCPATH CONFIG\n",
        stderr);
    return 64;
}

}  // namespace

int main(int argc, char** argv) {
    // Ends of ours mustn't get the numbers of streams that the caller has closed.
    for (int fd = ::open("/dev/null", O_RDWR); fd >= 0 && fd <= STDERR_FILENO; fd = ::open("/dev/null", O_RDWR)) continue;
    ::syscall(SYS_close_range, 3U, ~0U, close_range_cloexec);
    ::signal(SIGPIPE, SIG_IGN);
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (!(verb == "console" && argc == 5) && !(verb == "exec" && argc > 9)) return usage();

    lxc_log log{argv[2], argv[3], "none", "ERROR", "ctl", false};
    ::lxc_log_init(&log);
    const Container container = open_container(argv[2], argv[3], argv[4]);
    if (!container) return not_entered;
    if (verb == "console") return console(container);

    Command command;
    command.streams.terminal = std::string_view(argv[5]) == "terminal";
    command.user = argv[6];
    command.directory = argv[7];
    command.terminal_type = command.streams.terminal ? std::getenv("TERM") : nullptr;
    int at = 8;
    for (; at < argc && std::string_view(argv[at]) != "--"; ++at) command.environment.push_back(argv[at]);
    if (at + 1 >= argc) return usage();
    command.argv.assign(argv + at + 1, argv + argc);
    command.argv.push_back(nullptr);
    return exec(container, command);
}
