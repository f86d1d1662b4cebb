#include <doctest/doctest.h>

#include "reconcile/recovery.h"
#include "tiny_host.h"

using namespace ctl;
using namespace ctl::reconcile;
using ctl::testing::link_entry;

namespace {

const model::ObjectId br0{model::ObjectKind::link, "br0"};

UnfinishedStep step_of(diff::Verb verb, std::optional<model::Entry> desired) {
    return {1, 0, "lab", br0, verb, std::move(desired)};
}

model::HostState host_with(model::Mark mark) {
    auto entry = link_entry(1500);
    entry.mark = mark;
    return {{br0, entry}};
}

model::HostState recover(model::HostState recorded, const UnfinishedStep& step, const model::HostState& observed) {
    return recovered_record(std::move(recorded), std::span(&step, 1), observed);
}

}  // namespace

TEST_CASE("a creation that reached the host is remembered, whole or half-made") {
    for (const auto mark : {model::Mark::begun, model::Mark::complete})
        CHECK(recover({}, step_of(diff::Verb::create, link_entry(1500)), host_with(mark)).contains(br0));
}

TEST_CASE("a creation that didn't reach the host, or met somebody else's thing, is not remembered") {
    CHECK(recover({}, step_of(diff::Verb::create, link_entry(1500)), {}).empty());
    CHECK(recover({}, step_of(diff::Verb::create, link_entry(1500)), host_with(model::Mark::none)).empty());
}

TEST_CASE("a deletion is forgotten only when the thing is gone") {
    const model::HostState recorded{{br0, link_entry(1500)}};
    CHECK(recover(recorded, step_of(diff::Verb::remove, std::nullopt), {}).empty());
    CHECK(recover(recorded, step_of(diff::Verb::remove, std::nullopt), host_with(model::Mark::complete)).size() == 1);
}

TEST_CASE("an update in doubt remembers the fields and members of before and of after") {
    auto before = link_entry(1400);
    std::get<model::Link>(before.object).up = true;
    std::get<model::Link>(before.object).addresses = {*model::Cidr::parse("10.0.0.1/24")};
    auto after = link_entry(1500);
    std::get<model::Link>(after.object).addresses = {*model::Cidr::parse("10.0.0.2/24")};
    const auto recorded = recover({{br0, before}}, step_of(diff::Verb::update, after), host_with(model::Mark::complete));
    const auto& link = std::get<model::Link>(recorded.at(br0).object);
    CHECK(link.mtu == 1500);
    CHECK(link.up == true);
    CHECK(link.addresses->size() == 2);
}

TEST_CASE("what was begun, doesn't show and isn't wanted any more is deleted once more") {
    const model::HostState recorded{{br0, link_entry(1500)}};
    const auto remains = [](const UnfinishedStep& step, const model::HostState& record, const model::HostState& observed,
                            const model::HostState& desired) {
        return possible_remains(std::span(&step, 1), record, observed, desired);
    };
    const auto removal = step_of(diff::Verb::remove, std::nullopt);
    const auto creation = step_of(diff::Verb::create, link_entry(1500));
    CHECK(remains(removal, recorded, {}, {}).at(br0).mark == model::Mark::begun);
    CHECK(remains(creation, {}, {}, {}).at(br0).mark == model::Mark::begun);
    CHECK(remains(step_of(diff::Verb::update, link_entry(1500)), recorded, {}, {}).empty());

    // Who wants it again begins with what is left of it; what shows is judged by what it shows.
    CHECK(remains(removal, recorded, {}, recorded).empty());
    CHECK(remains(removal, recorded, host_with(model::Mark::complete), {}).empty());
    CHECK(remains(removal, {}, {}, {}).empty());

    auto borrowed = link_entry(1500);
    borrowed.borrowed = true;
    CHECK(remains(step_of(diff::Verb::create, borrowed), {}, {}, {}).empty());
}
