#include <doctest/doctest.h>
#include <rapidjson/document.h>

#include "cli/exit_code.h"
#include "cli/kinds.h"
#include "cli/listing.h"
#include "cli/progress.h"
#include "cli/run_output.h"
#include "cli/table.h"

using namespace ctl;
using namespace ctl::cli;
using reconcile::Outcome;

namespace {

reconcile::Plan plan_of(std::initializer_list<std::string> containers) {
    reconcile::Plan plan;
    plan.stack = "lab";
    for (const auto& name : containers) {
        reconcile::Step step;
        step.change.id = {model::ObjectKind::container, name};
        step.change.verb = diff::Verb::create;
        plan.steps.push_back(step);
    }
    return plan;
}

reconcile::RunReport report_of(std::initializer_list<Outcome> outcomes) {
    reconcile::RunReport report;
    report.run = 1;
    for (const Outcome outcome : outcomes) {
        reconcile::StepReport step;
        step.outcome = outcome;
        if (outcome == Outcome::failed) step.error = Error(ErrorCode::io, "no");
        report.steps.push_back(step);
    }
    return report;
}

model::HostState host_with_one_container() {
    model::HostState state;
    model::Entry container;
    model::Container running;
    running.state = model::ContainerState::running;
    container.object = running;
    container.mark = model::Mark::complete;
    container.owner = {"lab", "Container", "web"};
    state[{model::ObjectKind::container, "web"}] = container;
    model::Entry link;
    model::Link nic;
    nic.addresses = {*model::Cidr::parse("10.0.0.2/24")};
    link.object = nic;
    state[{model::ObjectKind::link, "web:eth0"}] = link;
    model::Entry foreign;
    foreign.object = model::Container{};
    state[{model::ObjectKind::container, "theirs"}] = foreign;
    return state;
}

}  // namespace

TEST_CASE("a table's columns are as wide as their widest cell and nothing trails") {
    Table table({"NAME", "STATE"});
    table.add({"web", "up"});
    table.add({"a-longer-name", "größer"});
    CHECK(table.str() == "NAME           STATE\nweb            up\na-longer-name  größer\n");
}

TEST_CASE("how far a download is, how fast, and how long it will take") {
    using namespace std::chrono_literals;
    CHECK(activity_text({"downloading x", 0, 0, 90'000'000, 0s, false}) == "0 B of 90.0 MB: downloading x");
    CHECK(activity_text({"downloading x", 0, 30'000'000, 90'000'000, 2s, false}) ==
          "30.0 MB of 90.0 MB, 15.0 MB/s, 4 s left: downloading x");
    CHECK_MESSAGE(activity_text({"downloading x", 60'000'000, 61'000'000, 190'000'000, 2s, false}) ==
                      "61.0 MB of 190.0 MB, 500.0 kB/s, 4 min 18 s left: downloading x",
                  "what an earlier run brought counts for nothing");
    CHECK(activity_text({"unpacking x", 0, 3'000'000, 0, 1s, false}) == "3.0 MB, 3.0 MB/s: unpacking x");
    CHECK(activity_text({"unpacking x", 0, 3'000'000, 0, 1500ms, true}) == "unpacking x: 3.0 MB in 1.5 s, 2.0 MB/s");
}

TEST_CASE("a person may write a kind in several ways") {
    CHECK(resource_kind("containers") == "Container");
    CHECK(resource_kind("Network") == "Network");
    CHECK(resource_kind("storage_pool") == "StoragePool");
    CHECK_FALSE(resource_kind("pod"));
}

TEST_CASE("an exit code says how a run ended") {
    CHECK(exit_code_for(report_of({Outcome::done, Outcome::done})) == ExitCode::done);
    CHECK(exit_code_for(report_of({Outcome::done, Outcome::failed, Outcome::blocked})) == ExitCode::partial);
    CHECK(exit_code_for(report_of({Outcome::failed, Outcome::blocked})) == ExitCode::failed);
    auto stopped = report_of({Outcome::done, Outcome::not_started});
    stopped.stopped = true;
    CHECK(exit_code_for(stopped) == ExitCode::interrupted);
    auto diverging = report_of({Outcome::done, Outcome::failed});
    diverging.steps[1].error = Error(ErrorCode::diverging, "the host shows 1400");
    CHECK(exit_code_for(diverging) == ExitCode::diverging);
    CHECK(exit_code_for(Error(ErrorCode::locked, "x")) == ExitCode::locked);
    CHECK(exit_code_for(Error(ErrorCode::missing_driver, "x")) == ExitCode::missing_driver);
}

TEST_CASE("a protected object refuses, a conflict fails") {
    Diagnostics refused;
    refused.error("prevent-destroy", "container/web is protected", {});
    CHECK(exit_code_for(refused) == ExitCode::refused);
    Diagnostics conflict;
    conflict.error("conflict", "link/br0 is not ours", {});
    CHECK(exit_code_for(conflict) == ExitCode::failed);
}

TEST_CASE("the table after a run has one line per object and counts what happened") {
    const std::string text = run_to_text(plan_of({"a", "b"}), report_of({Outcome::done, Outcome::failed}));
    CHECK(text.find("container/a  create  done") != std::string::npos);
    CHECK(text.find("container/b  create  failed") != std::string::npos);
    CHECK(text.find("1 done, 1 failed, 0 blocked, 0 not started") != std::string::npos);
}

TEST_CASE("the JSON of a run is versioned and names every step") {
    rapidjson::Document json;
    json.Parse(run_to_json(plan_of({"a", "b"}), report_of({Outcome::done, Outcome::blocked})).c_str());
    REQUIRE_FALSE(json.HasParseError());
    CHECK(std::string(json["format"].GetString()) == "ctl.run/1");
    CHECK(std::string(json["steps"][1]["object"].GetString()) == "container/b");
    CHECK(std::string(json["steps"][1]["outcome"].GetString()) == "blocked");
    CHECK(json["summary"]["done"].GetInt() == 1);
}

TEST_CASE("a listing shows our containers with the addresses in their namespaces") {
    const auto items = list_items("Container", host_with_one_container());
    REQUIRE(items.size() == 1);
    CHECK(items[0].name == "web");
    CHECK(items[0].fact("state") == "running");
    CHECK(items[0].fact("ipv4") == "10.0.0.2 (eth0)");
    CHECK(items[0].fact("nothing").empty());
}

TEST_CASE("a listing is JSON and YAML for machines") {
    const auto items = list_items("Container", host_with_one_container());
    rapidjson::Document json;
    json.Parse(items_to_json(items).c_str());
    REQUIRE_FALSE(json.HasParseError());
    CHECK(std::string(json["items"][0]["state"].GetString()) == "running");
    CHECK(items_to_yaml(items).find("state: running") != std::string::npos);
}
