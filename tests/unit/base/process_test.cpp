#include <chrono>

#include <doctest/doctest.h>

#include "base/process.h"

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
    const auto started = std::chrono::steady_clock::now();
    const auto result = run_process({"sleep", "60"}, 100ms);
    REQUIRE_FALSE(result);
    CHECK(result.error().code() == ErrorCode::timeout);
    CHECK(std::chrono::steady_clock::now() - started < 10s);
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
