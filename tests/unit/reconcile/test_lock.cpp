#include <doctest/doctest.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "reconcile/lock.h"
#include "temporary_folder.h"

using namespace ctl;
using namespace ctl::reconcile;
using ctl::testing::TemporaryFolder;

TEST_CASE("the second lock fails and names the holder") {
    const TemporaryFolder folder;
    SystemClock clock;
    const auto first = Lock::acquire(folder.path(), "ctl apply -f a.yaml", clock);
    REQUIRE(first);
    const auto second = Lock::acquire(folder.path(), "ctl apply -f b.yaml", clock);
    REQUIRE_FALSE(second);
    CHECK(second.error().code() == ErrorCode::locked);
    CHECK(second.error().message().find(std::to_string(::getpid())) != std::string::npos);
    CHECK(second.error().message().find("ctl apply -f a.yaml") != std::string::npos);
    CHECK(second.error().message().find("b.yaml") == std::string::npos);
}

TEST_CASE("a lock is free again when its holder is gone") {
    const TemporaryFolder folder;
    SystemClock clock;
    { REQUIRE(Lock::acquire(folder.path(), "first", clock)); }
    CHECK(Lock::acquire(folder.path(), "second", clock));
}

TEST_CASE("who only looks is told who holds the lock, and takes nothing") {
    const TemporaryFolder folder;
    SystemClock clock;
    CHECK_FALSE(Lock::holder(folder.path()));
    {
        const auto lock = Lock::acquire(folder.path(), "ctl apply -f a.yaml", clock);
        REQUIRE(lock);
        const auto holder = Lock::holder(folder.path());
        REQUIRE(holder);
        CHECK(holder->find("ctl apply -f a.yaml") != std::string::npos);
    }
    CHECK_FALSE(Lock::holder(folder.path()));
    CHECK(Lock::acquire(folder.path(), "second", clock));
}

TEST_CASE("a waiter gets the lock when the holder lets go before the deadline") {
    const TemporaryFolder folder;
    SystemClock clock;
    auto first = std::make_optional(Lock::acquire(folder.path(), "first", clock));
    REQUIRE(*first);
    std::jthread waiter([&] { CHECK(Lock::acquire(folder.path(), "second", clock, std::chrono::seconds(20))); });
    first.reset();
}

TEST_CASE("a symbolic link in the lock's place is not followed") {
    const TemporaryFolder folder;
    SystemClock clock;
    std::filesystem::create_symlink("/etc/hostname", folder.path() / "lock");
    CHECK_FALSE(Lock::acquire(folder.path(), "x", clock));
}
