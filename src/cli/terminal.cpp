#include "cli/terminal.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/diagnostics_output.h"

namespace ctl::cli {

bool wants_colour(const GlobalOptions& options, int fd) {
    const char* no_color = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    return !options.no_colour && (no_color == nullptr || *no_color == '\0') && ::isatty(fd) != 0 &&
           (term == nullptr || std::string_view(term) != "dumb");
}

ExitCode fail(const Error& error) {
    if (error.where().is_known()) fmt::print(stderr, "{}: ", error.where().str());
    fmt::print(stderr, "error: {}\n", error.str());
    return exit_code_for(error);
}

void print_diagnostics(const Diagnostics& diagnostics, const GlobalOptions& options) {
    std::fputs(render_text(diagnostics, {.colour = wants_colour(options, STDERR_FILENO)}).c_str(), stderr);
}

bool confirm(std::string_view question) {
    if (::isatty(STDIN_FILENO) == 0) return false;
    fmt::print(stderr, "{} [yes/no] ", question);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "yes" || answer == "y";
}

struct Interrupt::State {
    std::stop_source source;
    Fd event;
    std::jthread listener;
};

Interrupt::Interrupt() : state_(std::make_unique<State>()) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    // SIGUSR1 wakes the listener at the end.
    sigaddset(&signals, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    state_->event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    state_->listener = std::jthread([signals, state = state_.get()] {
        for (bool asked = false;;) {
            int signal = 0;
            if (::sigwait(&signals, &signal) != 0 || signal == SIGUSR1) return;
            if (asked) ::_exit(static_cast<int>(ExitCode::interrupted));
            asked = true;
            state->source.request_stop();
            const std::uint64_t one = 1;
            if (::write(state->event.get(), &one, sizeof one) < 0) return;
        }
    });
}

Interrupt::~Interrupt() { ::pthread_kill(state_->listener.native_handle(), SIGUSR1); }

std::stop_token Interrupt::token() const { return state_->source.get_token(); }

int Interrupt::fd() const { return state_->event.get(); }

}  // namespace ctl::cli
