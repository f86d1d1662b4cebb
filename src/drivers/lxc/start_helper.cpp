// ctl-lxc-start NAME LXCPATH CONFIG LOG: starts one container and ends. A program of its own because liblxc's monitor is a
// fork, without exec, of whatever calls it: forked from a small single-threaded process it can inherit neither a lock that
// nobody frees nor a copy of a big heap. The log is set here and not in the config, so that whoever only reads the config
// does not open it.

#include <lxc/lxccontainer.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>

namespace {

constexpr unsigned close_range_cloexec = 1U << 2;

int fail(const char* message) {
    std::fputs(message, stderr);
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fputs("usage: ctl-lxc-start NAME LXCPATH CONFIG LOG\n", stderr);
        return 64;
    }
    ::syscall(SYS_close_range, 3U, ~0U, close_range_cloexec);
    std::signal(SIGPIPE, SIG_DFL);
    const std::unique_ptr<lxc_container, int (*)(lxc_container*)> owned(::lxc_container_new(argv[1], argv[2]),
                                                                        ::lxc_container_put);
    lxc_container* const container = owned.get();
    if (container == nullptr) return fail("liblxc can't open the container");
    container->clear_config(container);
    if (!container->set_config_item(container, "lxc.log.level", "WARN") ||
        !container->set_config_item(container, "lxc.log.file", argv[4]))
        return fail("liblxc can't write its log");
    if (!container->load_config(container, argv[3])) return fail("liblxc refuses the config");
    if (!container->want_daemonize(container, true) || !container->start(container, 0, nullptr))
        return fail("liblxc did not start it");
    return 0;
}
