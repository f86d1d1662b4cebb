#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace ctl {

/// A child whose standard output is read while it runs. It is killed if it still runs when this goes.
class PipedProcess {
public:
    /// Runs argv[0], looked up in PATH, with `input` as its standard input (-1: an empty one).
    [[nodiscard]] static Result<std::unique_ptr<PipedProcess>> start(const std::vector<std::string>& argv, int input = -1);
    ~PipedProcess();
    PipedProcess(const PipedProcess&) = delete;
    PipedProcess& operator=(const PipedProcess&) = delete;

    [[nodiscard]] int output() const { return output_.get(); }

    /// Waits for its end. Errors: io when it failed, with the end of what it said.
    [[nodiscard]] Status finish();

private:
    PipedProcess() = default;

    std::string name_;
    pid_t pid_ = -1;
    Fd output_;
    Fd errors_;  ///< a file in memory
};

}  // namespace ctl
