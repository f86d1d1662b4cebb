#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>

#include "reconcile/scheduled_snapshots.h"
#include "reconcile/utc.h"

using namespace ctl;
using namespace ctl::reconcile;

namespace {

using Time = std::chrono::system_clock::time_point;

Time at(const std::string& text) {
    ::setenv("TZ", "UTC0", 1);
    ::tzset();
    const auto time = parse_utc("2026-03-04T" + text + ":00Z");
    REQUIRE(time.has_value());
    return *time;
}

std::string text_of(const std::optional<Time>& time) { return time ? utc_text(*time).substr(11, 5) : "never"; }

void set(model::Config& config, const std::string& key, const std::string& value) { config[key] = {{value, {}}, {}}; }

/// The stack "lab" with the container "web" and the custom volume "data".
model::resource::Stack stack_with(const std::string& schedule) {
    model::resource::Stack stack;
    stack.name = "lab";
    model::resource::Container web;
    web.name = {"web", {}};
    web.profiles = {{"default", {}}};
    stack.containers.push_back(web);
    model::resource::Profile profile;
    profile.name = {"default", {}};
    set(profile.config, "snapshots.schedule", schedule);
    stack.profiles.push_back(profile);
    return stack;
}

void show_container(model::HostState& host, model::ContainerState state) {
    model::Container container;
    container.state = state;
    model::Entry entry;
    entry.object = container;
    entry.owner = {"lab", "Container", "web"};
    entry.mark = model::Mark::complete;
    host.insert_or_assign({model::ObjectKind::container, "web"}, entry);
}

void show_snapshot(model::HostState& host, const std::string& name, Time made, std::optional<Time> expires = {},
                   const std::string& stack = "lab") {
    model::Snapshot snapshot;
    snapshot.made = utc_text(made);
    if (expires) snapshot.expires = utc_text(*expires);
    model::Entry entry;
    entry.object = snapshot;
    entry.owner = {stack, "Container", "web"};
    entry.mark = model::Mark::complete;
    host.insert_or_assign({model::ObjectKind::snapshot, "default/web@" + name}, entry);
}

}  // namespace

TEST_CASE("a container without snapshots is due from when it was first seen on, and then from its last on") {
    const auto stack = stack_with("@hourly");
    model::HostState host;
    show_container(host, model::ContainerState::running);
    ScheduledSnapshots schedule;
    auto due = schedule.due(stack, host, at("10:30"));
    CHECK(due.to_make.empty());
    CHECK(text_of(due.next) == "11:00");
    due = schedule.due(stack, host, at("11:00"));
    REQUIRE(due.to_make.size() == 1);
    CHECK(due.to_make[0].owner == model::ResourceRef{"lab", "Container", "web"});
    CHECK(due.to_make[0].pattern == "snap%d");
    CHECK_FALSE(due.to_make[0].expiry.has_value());
    CHECK(text_of(due.next) == "12:00");
    // Until it is made it stays due.
    CHECK(schedule.due(stack, host, at("11:01")).to_make.size() == 1);
    schedule.made(due.to_make[0].owner, at("11:01"));
    due = schedule.due(stack, host, at("11:02"));
    CHECK(due.to_make.empty());
    CHECK(text_of(due.next) == "12:00");
    // One that is made by hand counts.
    show_snapshot(host, "mine", at("12:00"));
    CHECK(schedule.due(stack, host, at("12:01")).to_make.empty());
}

TEST_CASE("a time at which nobody watched is made up for once") {
    const auto stack = stack_with("@hourly");
    model::HostState host;
    show_container(host, model::ContainerState::running);
    show_snapshot(host, "snap0", at("05:00"));
    show_snapshot(host, "snap1", at("07:00"));
    ScheduledSnapshots schedule;
    const auto due = schedule.due(stack, host, at("10:30"));
    CHECK(due.to_make.size() == 1);
    CHECK(text_of(due.next) == "11:00");
    ScheduledSnapshots other;
    show_snapshot(host, "snap2", at("10:00"));
    CHECK(other.due(stack, host, at("10:30")).to_make.empty());
}

TEST_CASE("a stopped container is left out, and not made up for when it starts, unless it says so") {
    auto stack = stack_with("@hourly");
    model::HostState host;
    show_container(host, model::ContainerState::stopped);
    show_snapshot(host, "snap0", at("05:00"));
    ScheduledSnapshots schedule;
    CHECK(schedule.due(stack, host, at("10:30")).to_make.empty());
    show_container(host, model::ContainerState::running);
    CHECK(schedule.due(stack, host, at("10:31")).to_make.empty());
    CHECK(schedule.due(stack, host, at("11:00")).to_make.size() == 1);
    show_container(host, model::ContainerState::stopped);
    set(stack.containers[0].config, "snapshots.schedule.stopped", "true");
    CHECK(schedule.due(stack, host, at("11:00")).to_make.size() == 1);
}

TEST_CASE("a container's own keys come before those of its profiles, and a volume's before those of its pool") {
    auto stack = stack_with("@hourly");
    set(stack.containers[0].config, "snapshots.pattern", "own%d");
    set(stack.containers[0].config, "snapshots.expiry", "1d");
    model::resource::StoragePool pool;
    pool.name = {"default", {}};
    set(pool.config, "volume.snapshots.schedule", "@daily");
    set(pool.config, "volume.snapshots.pattern", "pool%d");
    stack.storage_pools.push_back(pool);
    model::resource::Volume data;
    data.name = {"data", {}};
    data.pool = {"default", {}};
    set(data.config, "snapshots.pattern", "data%d");
    stack.volumes.push_back(data);
    data.name = {"never", {}};
    set(data.config, "snapshots.schedule", "@never");
    stack.volumes.push_back(data);
    const auto schedules = snapshot_schedules(stack);
    REQUIRE(schedules.size() == 3);
    CHECK(schedules[0].owner.name == "web");
    CHECK(schedules[0].pattern == "own%d");
    REQUIRE(schedules[0].expiry.has_value());
    CHECK(schedules[0].expiry->days == 1);
    CHECK(schedules[1].owner == model::ResourceRef{"lab", "Volume", "default/data"});
    CHECK(schedules[1].pattern == "data%d");
    CHECK_FALSE(schedules[1].expiry.has_value());
    CHECK_FALSE(schedules[2].schedule.next(0).has_value());
}

TEST_CASE("what has expired is deleted, and what will is waited for; other stacks' snapshots are theirs") {
    const auto stack = stack_with("");
    model::HostState host;
    show_snapshot(host, "old", at("05:00"), at("10:00"));
    show_snapshot(host, "new", at("06:00"), at("10:20"));
    show_snapshot(host, "kept", at("06:00"));
    show_snapshot(host, "theirs", at("05:00"), at("10:00"), "other");
    ScheduledSnapshots schedule;
    const auto due = schedule.due(stack, host, at("10:00"));
    CHECK(due.to_make.empty());
    REQUIRE(due.expired.size() == 1);
    CHECK(due.expired[0].name == "old");
    CHECK(text_of(due.next) == "10:20");
}

TEST_CASE("times are read as they are written") {
    const auto time = std::chrono::system_clock::from_time_t(1772618400) + std::chrono::milliseconds(123);
    CHECK(parse_utc(utc_text(time)) == time);
    CHECK(parse_utc("2026-03-04T10:00:00Z") == std::chrono::system_clock::from_time_t(1772618400));
    for (const char* text : {"", "2026-03-04", "2026-03-04T10:00:00", "2026-03-04T10:00:00.Z", "2026-03-04T10:00:00Zx"})
        CHECK_MESSAGE(!parse_utc(text).has_value(), text);
}
