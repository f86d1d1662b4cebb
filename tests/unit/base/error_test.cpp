#include <cerrno>
#include <memory>

#include <doctest/doctest.h>

#include "base/diagnostics.h"
#include "base/result.h"

using namespace ctl;

TEST_CASE("an error reads from the outermost doing to the cause and the hint") {
    const Error error = Error(ErrorCode::io, "can't start")
                            .hint("look at its log")
                            .caused_by(system_error(ENOENT, "open /x"))
                            .while_("starting container/web")
                            .while_("applying stack lab");
    CHECK(error.str() ==
          "while applying stack lab: while starting container/web: can't start: open /x: No such file or directory; look at "
          "its log");
    REQUIRE(error.cause() != nullptr);
    CHECK(error.cause()->code() == ErrorCode::not_found);
}

TEST_CASE("system errors are told apart by what can be done about them") {
    CHECK(system_error(EACCES, "x").code() == ErrorCode::permission);
    CHECK(system_error(EPERM, "x").code() == ErrorCode::permission);
    CHECK(system_error(ENOSPC, "x").code() == ErrorCode::no_space);
    CHECK(system_error(EOPNOTSUPP, "x").code() == ErrorCode::unsupported);
    CHECK(system_error(EIO, "x").code() == ErrorCode::io);
    CHECK(to_string(ErrorCode::missing_driver) == "missing_driver");
}

TEST_CASE("CTL_TRY and CTL_ASSIGN return the first error") {
    const auto fail = []() -> Result<int> { return Error(ErrorCode::conflict, "taken"); };
    const auto succeed = []() -> Result<int> { return 7; };
    const auto assign = [&](bool good) -> Result<int> {
        CTL_ASSIGN(const int value, good ? succeed() : fail());
        return value + 1;
    };
    const auto attempt = [&](bool good) -> Status {
        CTL_TRY(good ? succeed() : fail());
        return ok();
    };
    CHECK(*assign(true) == 8);
    CHECK(assign(false).error().message() == "taken");
    CHECK(attempt(true).has_value());
    CHECK(attempt(false).error().code() == ErrorCode::conflict);
}

TEST_CASE("diagnostics count errors only and sort by place, equal places as they were found") {
    const auto a = std::make_shared<const std::string>("a.yaml");
    const auto b = std::make_shared<const std::string>("b.yaml");
    Diagnostics diagnostics;
    diagnostics.error("r", "third", {b, 1, 1});
    diagnostics.warning("r", "second", {a, 10, 1});
    diagnostics.note("r", "first", {a, 2, 5});
    diagnostics.error("r", "fourth", {b, 1, 1});
    CHECK(diagnostics.error_count() == 2);
    diagnostics.sort_by_place();
    std::string order;
    for (const auto& diagnostic : diagnostics.all()) order += diagnostic.message + " ";
    CHECK(order == "first second third fourth ");

    Diagnostics all;
    all.append(diagnostics);
    CHECK(all.error_count() == 2);
    CHECK(all.has_errors());
}

TEST_CASE("a place is told as far as it is known") {
    CHECK(SourceSpan{}.str().empty());
    CHECK(SourceSpan{std::make_shared<const std::string>("x")}.str() == "x");
    CHECK(SourceSpan{std::make_shared<const std::string>("x"), 3, 7}.str() == "x:3:7");
}
