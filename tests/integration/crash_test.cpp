// What is left when ctl is killed, and what the next ctl makes of it: a small stack, one step after the other, within steps
// and at any moment.

#include <fmt/format.h>

#include <random>
#include <string>

#include "rounds.h"
#include "support/skip.h"

using namespace ctl::testing;

TEST_CASE("One step at a time: apply and delete, killed before and after steps, are completed by the next run") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    kill_at_every_commit(Rounds(small_stack, {"--parallelism", "1"}));
}

TEST_CASE("Apply and delete, killed within a step, are completed by the next run") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    const Rounds rounds(small_stack);
    std::mt19937 random(20240607);
    const auto any_of = [&](long points) {
        return fmt::format("change:{}", std::uniform_int_distribution<long>(1, points)(random));
    };
    const long applying = rounds.points("apply", "change");
    const long deleting = rounds.points("delete", "change");
    MESSAGE(applying, " changing calls in apply, ", deleting, " in delete");
    int kills = 0;
    for (int round = 0; round < 12; ++round) {
        const auto in_apply = any_of(applying);
        const auto in_delete = any_of(deleting);
        CAPTURE(in_apply);
        CAPTURE(in_delete);
        kills += rounds.dying("apply", in_apply) == killed;
        rounds.check_apply_completes();
        kills += rounds.dying("delete", in_delete) == killed;
        rounds.check_delete_completes();
    }
    MESSAGE("killed ", kills, " times");
    CHECK(kills >= 18);
}

TEST_CASE("Apply, killed at any moment, is completed by the next") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    const Rounds rounds(small_stack);
    std::mt19937 random(19700101);
    std::uniform_real_distribution<double> moment(0.02, 0.4);
    int kills = 0;
    for (int round = 0; round < 20; ++round) {
        const double seconds = moment(random);
        CAPTURE(seconds);
        kills += rounds.dying_after("apply", seconds) == killed;
        rounds.check_apply_completes();
        rounds.check_delete_completes();
    }
    MESSAGE("killed ", kills, " times");
    CHECK(kills >= 5);
}

TEST_CASE("An apply that is killed several times in a row is completed by the next") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    const Rounds rounds(small_stack);
    for (const long n : {9, 6, 3, 12, 2, 15}) (void)rounds.dying("apply", fmt::format("commit:{}", n));
    rounds.check_apply_completes();
    rounds.check_delete_completes();
}
