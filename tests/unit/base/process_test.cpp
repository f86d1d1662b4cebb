#include <chrono>

#include <signal.h>

#include <doctest/doctest.h>

#include "base/process.h"
#include "base/text.h"

using namespace ctl;
using namespace std::chrono_literals;

TEST_CASE("a process gives its output, its errors and its exit code") {
    const auto result = run_process({"sh", "-c", "echo out; echo err >&2; exit 3"}, 10s);
    REQUIRE(result);
    CHECK(result->exit_code == 3);
    CHECK(result->out == "out\n");
    CHECK(result->err == "err\n");
}

TEST_CASE("arguments reach the process as they are, never through a shell") {
    const auto result = run_process({"printf", "%s|", "a b", "$(id)", ";rm", ""}, 10s);
    REQUIRE(result);
    CHECK(result->out == "a b|$(id)|;rm||");
}

TEST_CASE("a process has an empty standard input") {
    const auto result = run_process({"cat"}, 10s);
    REQUIRE(result);
    CHECK(result->exit_code == 0);
    CHECK(result->out.empty());
}

TEST_CASE("a signal's exit code is 128 and its number") {
    const auto result = run_process({"sh", "-c", "kill -TERM $$"}, 10s);
    REQUIRE(result);
    CHECK(result->exit_code == 128 + 15);
}

TEST_CASE("past its deadline a process is killed") {
    const auto result = run_process({"sleep", "infinity"}, 100ms);
    REQUIRE_FALSE(result);
    CHECK(result.error().code() == ErrorCode::timeout);
}

TEST_CASE("a program that isn't there is an error that says so") {
    const auto result = run_process({"ctl-no-such-program"}, 10s);
    REQUIRE_FALSE(result);
    CHECK(result.error().code() == ErrorCode::not_found);
}

TEST_CASE("of endless output only the first mebibyte is kept") {
    const auto result = run_process({"head", "-c", "3000000", "/dev/zero"}, 30s);
    REQUIRE(result);
    CHECK(result->exit_code == 0);
    CHECK(result->out.size() == std::size_t{1} << 20);
}

TEST_CASE("a process starts with no signal blocked or ignored, in a group of its own") {
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t usr1;
    sigset_t before;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &usr1, &before);
    const auto signals = run_process({"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}, 10s);
    const auto group = run_process({"sh", "-c", "ps -o pgid= -p $$; echo $$"}, 10s);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    REQUIRE(signals);
    CAPTURE(signals->out);
    CHECK(signals->out.find("SigBlk:\t0000000000000000") != std::string::npos);
    // Bit 12 is SIGPIPE; what else is ignored comes from whoever started the test.
    const auto ignored = std::stoull(signals->out.substr(signals->out.find("SigIgn:") + 8), nullptr, 16);
    CHECK((ignored >> (SIGPIPE - 1) & 1U) == 0);
    REQUIRE(group);
    const auto lines = split(trimmed(group->out), '\n');
    REQUIRE(lines.size() == 2);
    CHECK(trimmed(lines[0]) == trimmed(lines[1]));
}
