#pragma once

#include <sys/types.h>

#include <string>

// For the helper program that runs commands in containers: what moves bytes between the caller and the command.

namespace ctl::drivers::lxc {

/// The ends of a command's standard streams, ours and its own. What the command gets is never a descriptor of the caller's:
/// those could be a way out of the container. The command's ends are closed by close_command_ends().
struct Streams {
    bool terminal = false;
    int in = -1;   ///< we write what the command reads; the terminal's master
    int out = -1;  ///< we read what it writes; the terminal's master again
    int err = -1;  ///< -1 with a terminal
    int command_in = -1;
    int command_out = -1;
    int command_err = -1;
};

/// Three pipes. False with errno set.
[[nodiscard]] bool open_pipes(Streams& streams);
/// A terminal of the container's own, which its processes can find below /dev/pts, as large as ours. `root` is the
/// container's root directory, whose owner gets it. False with errno set.
[[nodiscard]] bool open_terminal(int root, Streams& streams);
void close_command_ends(Streams& streams);

/// Blocks the signals that relay() takes from a descriptor; before the command starts. Returns that descriptor, or -1.
[[nodiscard]] int take_signals();

/// Moves bytes, signals and changes of the terminal's size until the command ends, and what it has written by then. The
/// value is its exit code, or 128 and the signal that ended it. `command` is a child of ours that leads a session.
[[nodiscard]] int relay(Streams& streams, pid_t command, int signals);

}  // namespace ctl::drivers::lxc
