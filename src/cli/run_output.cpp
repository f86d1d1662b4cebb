#include "cli/run_output.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/text.h"
#include "cli/table.h"

namespace ctl::cli {

namespace {

using reconcile::Outcome;
using reconcile::Plan;
using reconcile::RunReport;

double seconds(std::chrono::nanoseconds elapsed) { return std::chrono::duration<double>(elapsed).count(); }

/// An object's steps (stop, delete, create) as one line: the worst outcome, the summed time.
struct ObjectOutcome {
    std::string verbs;
    Outcome outcome = Outcome::done;
    std::chrono::nanoseconds elapsed{0};
};

unsigned severity(Outcome outcome) {
    switch (outcome) {
        case Outcome::done: return 0;
        case Outcome::not_started: return 1;
        case Outcome::blocked: return 2;
        case Outcome::failed: return 3;
    }
    return 0;
}

std::map<model::ObjectId, ObjectOutcome> by_object(const Plan& plan, const RunReport& report) {
    std::map<model::ObjectId, ObjectOutcome> objects;
    for (std::size_t i = 0; i < plan.steps.size() && i < report.steps.size(); ++i) {
        auto& object = objects[plan.steps[i].change.id];
        if (!object.verbs.empty()) object.verbs += ", ";
        object.verbs += diff::to_string(plan.steps[i].change.verb);
        object.elapsed += report.steps[i].elapsed;
        if (severity(report.steps[i].outcome) > severity(object.outcome)) object.outcome = report.steps[i].outcome;
    }
    return objects;
}

}  // namespace

std::string run_to_text(const Plan& plan, const RunReport& report) {
    Table table({"OBJECT", "ACTION", "RESULT", "SECONDS"});
    for (const auto& [id, object] : by_object(plan, report))
        table.add({escaped(id.str()), object.verbs, std::string(reconcile::to_string(object.outcome)),
                   fmt::format("{:.3f}", seconds(object.elapsed))});
    return fmt::format("\n{}\nApplied in {:.2f} s: {} done, {} failed, {} blocked, {} not started.\n", table.str(),
                       seconds(report.elapsed), report.count(Outcome::done), report.count(Outcome::failed),
                       report.count(Outcome::blocked), report.count(Outcome::not_started));
}

std::string run_to_json(const Plan& plan, const RunReport& report) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
    const auto text = [&](const char* key, std::string_view value) {
        out.Key(key);
        out.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
    };
    out.StartObject();
    text("format", "ctl.run/1");
    text("stack", plan.stack);
    out.Key("steps");
    out.StartArray();
    for (std::size_t i = 0; i < plan.steps.size() && i < report.steps.size(); ++i) {
        out.StartObject();
        text("object", plan.steps[i].change.id.str());
        text("verb", diff::to_string(plan.steps[i].change.verb));
        text("outcome", reconcile::to_string(report.steps[i].outcome));
        out.Key("seconds");
        out.Double(seconds(report.steps[i].elapsed));
        if (report.steps[i].error) text("error", report.steps[i].error->str());
        out.EndObject();
    }
    out.EndArray();
    out.Key("summary");
    out.StartObject();
    for (const Outcome outcome : {Outcome::done, Outcome::failed, Outcome::blocked, Outcome::not_started}) {
        const std::string_view name = reconcile::to_string(outcome);
        out.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
        out.Uint64(report.count(outcome));
    }
    out.Key("stopped");
    out.Bool(report.stopped);
    out.Key("seconds");
    out.Double(seconds(report.elapsed));
    out.EndObject();
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

void print_failures(const Plan& plan, const RunReport& report) {
    for (const auto& error : report.refused) {
        const std::string place = error.where().is_known() ? error.where().str() + ": " : std::string();
        fmt::print(stderr, "{}error: {}\n", place, escaped(error.str()));
    }
    if (!report.refused.empty()) fmt::print(stderr, "nothing was changed\n");
    for (std::size_t i = 0; i < plan.steps.size() && i < report.steps.size(); ++i) {
        const auto& step = report.steps[i];
        if (step.outcome != Outcome::failed || !step.error) continue;
        const auto& change = plan.steps[i].change;
        const std::string place =
            change.desired && change.desired->where.is_known() ? change.desired->where.str() + ": " : std::string();
        fmt::print(stderr, "{}error: {} {}: {}\n", place, diff::to_string(change.verb), escaped(change.id.str()),
                   escaped(step.error->str()));
        const auto blocked = std::count_if(report.steps.begin(), report.steps.end(), [&](const auto& other) {
            return other.outcome == Outcome::blocked && other.blocked_by == i;
        });
        if (blocked != 0) fmt::print(stderr, "  {} steps that need it were not done\n", blocked);
    }
    if (report.journal_error) fmt::print(stderr, "error: {}\n", escaped(report.journal_error->str()));
    if (report.stopped) fmt::print(stderr, "interrupted: what was running has been finished, nothing new was started\n");
}

}  // namespace ctl::cli
