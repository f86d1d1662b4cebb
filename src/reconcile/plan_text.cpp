#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/text.h"
#include "diff/render.h"
#include "diff/restore.h"
#include "reconcile/plan.h"

namespace ctl::reconcile {

using diff::Verb;
using model::Effect;
using model::ObjectKind;

namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void write(Writer& out, const char* key, std::string_view text) {
    out.Key(key);
    out.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

std::string_view severity_name(Severity severity) {
    switch (severity) {
        case Severity::error: return "error";
        case Severity::warning: return "warning";
        case Severity::note: return "note";
    }
    return {};
}

std::string summary_line(const PlanSummary& summary) {
    std::string restarts;
    if (summary.restart != 0) restarts = fmt::format(" ({} restart{})", summary.restart, summary.restart == 1 ? "" : "s");
    std::string line = fmt::format("Plan: {} to create, {} to change{}, {} to replace, {} to delete", summary.create,
                                   summary.update + summary.restart, restarts, summary.replace, summary.remove);
    if (summary.adopt != 0) line += fmt::format(", {} to take over", summary.adopt);
    if (summary.forget != 0) line += fmt::format(", {} to forget", summary.forget);
    return line + ".\n";
}

void write_notes(Writer& out, const Diagnostics& notes) {
    out.Key("notes");
    out.StartArray();
    for (const auto& note : notes.all()) {
        out.StartObject();
        write(out, "severity", severity_name(note.severity));
        write(out, "rule", note.rule);
        write(out, "message", note.message);
        if (note.where.is_known()) write(out, "where", note.where.str());
        if (!note.hint.empty()) write(out, "hint", note.hint);
        out.EndObject();
    }
    out.EndArray();
}

void write_steps(Writer& out, const std::vector<Step>& steps) {
    out.Key("steps");
    out.StartArray();
    for (const auto& step : steps) {
        out.StartObject();
        write(out, "id", step.change.id.str());
        write(out, "verb", diff::to_string(step.change.verb));
        out.Key("needs");
        out.StartArray();
        for (const std::size_t first : step.needs) out.Uint64(first);
        out.EndArray();
        out.EndObject();
    }
    out.EndArray();
}

void write_summary(Writer& out, const PlanSummary& summary) {
    out.Key("summary");
    out.StartObject();
    for (const auto& [key, count] : {std::pair{"create", summary.create},
                                     {"update", summary.update},
                                     {"restart", summary.restart},
                                     {"replace", summary.replace},
                                     {"delete", summary.remove},
                                     {"adopt", summary.adopt},
                                     {"forget", summary.forget}}) {
        out.Key(key);
        out.Uint64(count);
    }
    out.EndObject();
}

}  // namespace

PlanSummary summarise(const Plan& plan) {
    PlanSummary summary;
    for (const auto& change : plan.changes) {
        switch (change.verb) {
            case Verb::create: ++summary.create; break;
            case Verb::update:
                ++(change.id.kind == ObjectKind::container && change.effect == Effect::restart ? summary.restart
                                                                                               : summary.update);
                break;
            case Verb::replace: ++summary.replace; break;
            case Verb::remove: ++summary.remove; break;
            case Verb::adopt: ++summary.adopt; break;
            case Verb::forget: ++summary.forget; break;
            case Verb::stop: break;
        }
    }
    return summary;
}

bool needs_confirmation(const Plan& plan) { return std::any_of(plan.changes.begin(), plan.changes.end(), loses_data); }

bool loses_data(const diff::Change& change) {
    const bool is_half_made = change.observed && change.observed->mark == model::Mark::begun;
    const bool holds_data = change.id.kind == ObjectKind::volume || change.id.kind == ObjectKind::container ||
                            change.id.kind == ObjectKind::snapshot;
    if (change.verb == Verb::update && !diff::restored_snapshot(change).empty()) return true;
    return holds_data && !is_half_made && (change.verb == Verb::remove || change.verb == Verb::replace);
}

std::string to_text(const Plan& plan, const PlanRenderOptions& options) {
    std::string text;
    for (const auto& change : plan.changes) {
        const std::string block = diff::to_text(change, {.colour = options.colour});
        text += block;
        // Changes with field lines stand apart; those of one line make a list.
        if (std::count(block.begin(), block.end(), '\n') > 1) text += '\n';
    }
    if (!text.empty() && !text.ends_with("\n\n")) text += '\n';
    for (const auto& note : plan.notes.all()) {
        text += fmt::format("{}: {}", severity_name(note.severity), escaped(note.message));
        if (note.where.is_known()) text += fmt::format(" ({})", note.where.str());
        text += '\n';
        if (!note.hint.empty()) text += fmt::format("  {}\n", escaped(note.hint));
    }
    if (!plan.notes.empty()) text += '\n';
    if (plan.notes.has_errors()) return text + "Nothing will be changed before the errors are mended.\n";
    if (plan.changes.empty()) return text + "No changes. The host is as the manifest says.\n";
    return text + summary_line(summarise(plan));
}

std::string to_json(const Plan& plan) {
    rapidjson::StringBuffer buffer;
    Writer out(buffer);
    out.StartObject();
    write(out, "format", "ctl.plan/1");
    write(out, "stack", plan.stack);
    out.Key("changes");
    out.StartArray();
    for (const auto& change : plan.changes) {
        const std::string json = diff::to_json(change);
        out.RawValue(json.data(), json.size(), rapidjson::kObjectType);
    }
    out.EndArray();
    write_steps(out, plan.steps);
    write_summary(out, summarise(plan));
    write_notes(out, plan.notes);
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace ctl::reconcile
