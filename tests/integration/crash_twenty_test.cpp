// What is left of twenty containers when ctl is killed, and what the next ctl makes of it.

#include "rounds.h"
#include "support/skip.h"

using namespace ctl::testing;

TEST_CASE("Twenty containers: apply and delete, killed at any commit of the journal, are completed by the next run") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    kill_at_every_commit(Rounds(twenty_stack));
}
