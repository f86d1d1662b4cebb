#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "base/diagnostics.h"
#include "base/error.h"
#include "cli/exit_code.h"
#include "cli/session.h"

namespace ctl::cli {

/// Colours are for a terminal, and only if nobody said no: --no-color, NO_COLOR (https://no-color.org), TERM=dumb.
[[nodiscard]] bool wants_colour(const GlobalOptions& options, int fd);

/// The error on standard error, in full, and the exit code that goes with it.
ExitCode fail(const Error& error);

/// Diagnostics for a person on standard error, with the source line and a caret.
void print_diagnostics(const Diagnostics& diagnostics, const GlobalOptions& options);

/// Asks on the terminal; only "yes" or "y" is a yes. Without a terminal the answer is no.
[[nodiscard]] bool confirm(std::string_view question);

/// From now on, in every thread: SIGINT and SIGTERM request a stop instead of ending the program. Made before any thread
/// starts. A second signal ends the program at once.
class Interrupt {
public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    [[nodiscard]] std::stop_token token() const;
    /// Becomes readable when a stop is requested.
    [[nodiscard]] int fd() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace ctl::cli
