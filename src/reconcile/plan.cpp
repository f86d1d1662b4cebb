#include "reconcile/plan.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "model/host_state.h"

namespace ctl::reconcile {

using diff::Change;
using diff::FieldChange;
using diff::Verb;
using model::Bond;
using model::ContainerState;
using model::Effect;
using model::Entry;
using model::Need;
using model::ObjectId;
using model::ObjectKind;

namespace {

constexpr std::size_t nothing = static_cast<std::size_t>(-1);

struct IdHash {
    std::size_t operator()(const ObjectId& id) const {
        return std::hash<std::string>()(id.name) * 31 + static_cast<std::size_t>(id.kind);
    }
};

/// The steps of one change; `nothing` where it has none.
struct Parts {
    std::size_t stop = nothing;
    std::size_t take = nothing;   ///< delete
    std::size_t make = nothing;   ///< create, update, adopt
    std::size_t leave = nothing;  ///< forget
};

std::optional<ContainerState> container_state(const diff::SharedEntry& entry) {
    const auto* container = entry ? std::get_if<model::Container>(&entry->object) : nullptr;
    return container != nullptr ? container->state : std::nullopt;
}

bool is_running(const diff::SharedEntry& entry) {
    const auto state = container_state(entry);
    return state && *state != ContainerState::stopped;
}

/// As the container that runs has it.
std::int64_t stop_priority(const Change& stop) {
    const auto* container = stop.observed ? std::get_if<model::Container>(&stop.observed->object) : nullptr;
    return container != nullptr ? container->stop_priority.value_or(0) : 0;
}

const std::vector<Need>& needs_of(const diff::SharedEntry& entry) {
    static const std::vector<Need> none;
    return entry ? entry->needs : none;
}

/// A name or number that only one link at a time can have: what must be free before a link with it is made.
std::vector<std::string> scarce_keys(const ObjectId& id, const Entry& entry) {
    if (id.kind == ObjectKind::ovs_bridge || id.kind == ObjectKind::ovs_port) return {"interface " + id.name};
    const auto* link = std::get_if<model::Link>(&entry.object);
    if (link == nullptr) return {};
    std::vector<std::string> keys{"interface " + id.name};
    if (link->peer) keys.push_back("interface " + *link->peer);
    if (link->hardware) keys.push_back("interface " + *link->hardware);
    if (link->vni)
        keys.push_back(
            fmt::format("vni {}:{}:{}", model::ScopedName::parse(id.name).netns, *link->vni, link->port.value_or(0)));
    return keys;
}

class Planner {
public:
    explicit Planner(std::vector<Change> changes) : changes_(std::move(changes)) {
        std::sort(changes_.begin(), changes_.end(), [](const Change& a, const Change& b) { return a.id < b.id; });
        for (std::size_t i = 0; i < changes_.size(); ++i) index_.emplace(changes_[i].id, i);
    }

    Result<Plan> run(std::string stack) {
        parts_.resize(changes_.size());
        for (std::size_t i = 0; i < changes_.size(); ++i) split(i);
        before_.resize(steps_.size());
        after_.resize(steps_.size());
        for (std::size_t i = 0; i < changes_.size(); ++i) {
            order_own_steps(parts_[i]);
            for (const auto& need : needs_of(changes_[i].desired)) order_making(i, need);
            for (const auto& need : needs_of(changes_[i].observed)) order_taking(i, need);
            for (const auto& need : needs_of(changes_[i].desired)) order_stopping(i, need);
        }
        order_scarce_keys();
        order_moves();
        order_stops();
        CTL_ASSIGN(const auto order, sorted());
        Plan plan{std::move(stack), {}, renumbered(order), {}};
        plan.changes = std::move(changes_);
        return plan;
    }

private:
    std::size_t add_step(const Change& change, Verb verb) {
        Change step = change;
        step.verb = verb;
        if (verb == Verb::remove) {
            step.desired.reset();
            step.fields.clear();
        } else if (verb == Verb::create) {
            step.fields.clear();
            if (change.verb == Verb::replace) step.observed.reset();
        } else if (verb == Verb::stop) {
            step.fields.clear();
        }
        steps_.push_back(std::move(step));
        return steps_.size() - 1;
    }

    /// True if something under the container is taken away, so that it must not run meanwhile.
    bool loses_ground(const Change& change) const {
        const auto disturbs = [&](const Need& need) {
            const auto it = index_.find(need.id);
            if (it == index_.end() || need.bond != Bond::restart) return false;
            const Change& other = changes_[it->second];
            return other.verb == Verb::remove || other.verb == Verb::replace || other.effect == Effect::restart;
        };
        const auto& now = needs_of(change.observed);
        const auto& then = needs_of(change.desired);
        return std::any_of(now.begin(), now.end(), disturbs) || std::any_of(then.begin(), then.end(), disturbs);
    }

    /// Changes that come with a stop are made after it: some of them are only possible then.
    static bool stops_for_changes(const Change& change) {
        return !is_running(change.desired) && std::any_of(change.fields.begin(), change.fields.end(),
                                                          [](const FieldChange& field) { return field.name != "state"; });
    }

    bool has_to_stop(const Change& change) const {
        if (change.id.kind != ObjectKind::container || !is_running(change.observed) || change.deferred) return false;
        switch (change.verb) {
            case Verb::remove:
            case Verb::replace: return true;
            case Verb::update:
            case Verb::adopt: return change.effect == Effect::restart || stops_for_changes(change) || loses_ground(change);
            default: return false;
        }
    }

    void split(std::size_t i) {
        const Change& change = changes_[i];
        Parts& parts = parts_[i];
        if (has_to_stop(change)) parts.stop = add_step(change, Verb::stop);
        switch (change.verb) {
            case Verb::remove: parts.take = add_step(change, Verb::remove); break;
            case Verb::replace:
                parts.take = add_step(change, Verb::remove);
                parts.make = add_step(change, Verb::create);
                break;
            case Verb::forget: parts.leave = add_step(change, Verb::forget); break;
            case Verb::stop: parts.stop = add_step(change, Verb::stop); break;
            default:
                parts.make = add_step(change, change.verb);
                if (parts.stop != nothing) start_again(steps_[parts.make]);
        }
    }

    /// The update after a stop finds the container stopped and has to say that it shall run.
    static void start_again(Change& update) {
        std::erase_if(update.fields, [](const FieldChange& field) { return field.name == "state"; });
        const auto stopped = ContainerState::stopped;
        const auto wanted = container_state(update.desired).value_or(container_state(update.observed).value_or(stopped));
        if (auto* seen = std::get_if<model::Container>(&update.observed.edit().object)) seen->state = stopped;
        if (wanted == stopped) return;
        update.fields.push_back({"state",
                                 model::to_field_value(stopped),
                                 model::to_field_value(wanted),
                                 Effect::live,
                                 diff::Cause::changed,
                                 {}});
    }

    void edge(std::size_t first, std::size_t then) {
        if (first == nothing || then == nothing) return;
        before_[then].push_back(first);
        after_[first].push_back(then);
    }

    void order_own_steps(const Parts& parts) {
        edge(parts.stop, parts.take);
        edge(parts.stop, parts.make);
        edge(parts.take, parts.make);
    }

    const Parts* parts_of(const ObjectId& id) const {
        const auto it = index_.find(id);
        return it != index_.end() ? &parts_[it->second] : nullptr;
    }

    void order_making(std::size_t i, const Need& need) {
        if (const Parts* needed = parts_of(need.id)) edge(needed->make, parts_[i].make);
    }

    /// What stands on a thing goes, lets go or stops before the thing goes.
    void order_taking(std::size_t i, const Need& need) {
        const Parts* needed = parts_of(need.id);
        if (needed == nullptr) return;
        const Parts& mine = parts_[i];
        edge(mine.take, needed->take);
        edge(mine.leave, needed->take);
        order_stopping(i, need);
        const auto& still = needs_of(changes_[i].desired);
        const bool is_still_needed = std::any_of(still.begin(), still.end(), [&](const Need& n) { return n.id == need.id; });
        const bool moves_away =
            need.bond == Bond::reapply && !is_still_needed && mine.take == nothing && mine.make != nothing;
        if (moves_away && needed->take != nothing) moves_[needed->take].push_back(mine.make);
    }

    void order_stopping(std::size_t i, const Need& need) {
        const Parts* needed = parts_of(need.id);
        if (needed == nullptr || parts_[i].stop == nothing) return;
        edge(parts_[i].stop, needed->stop);
        edge(parts_[i].stop, needed->take);
        if (need.bond == Bond::restart && needed->take == nothing) edge(parts_[i].stop, needed->make);
    }

    void order_scarce_keys() {
        std::unordered_map<std::string, std::vector<std::size_t>> taken;
        for (std::size_t i = 0; i < changes_.size(); ++i) {
            if (parts_[i].take == nothing) continue;
            for (auto& key : scarce_keys(changes_[i].id, *changes_[i].observed))
                taken[std::move(key)].push_back(parts_[i].take);
        }
        if (taken.empty()) return;
        for (std::size_t i = 0; i < changes_.size(); ++i) {
            const bool is_made = changes_[i].verb == Verb::create || changes_[i].verb == Verb::replace;
            if (!is_made) continue;
            for (const auto& key : scarce_keys(changes_[i].id, *changes_[i].desired))
                if (const auto it = taken.find(key); it != taken.end())
                    for (const std::size_t take : it->second) edge(take, parts_[i].make);
        }
    }

    /// The steps that are reached from one, itself among them.
    std::vector<bool> reached_from(std::size_t step) const {
        std::vector<bool> reached(steps_.size());
        std::vector<std::size_t> open{step};
        while (!open.empty()) {
            const std::size_t at = open.back();
            open.pop_back();
            if (reached[at]) continue;
            reached[at] = true;
            open.insert(open.end(), after_[at].begin(), after_[at].end());
        }
        return reached;
    }

    /// Containers stop by boot.stop.priority, the highest first, as far as what they need of each other lets them.
    void order_stops() {
        std::map<std::int64_t, std::vector<std::size_t>, std::greater<>> by_priority;
        for (const auto& parts : parts_)
            if (parts.stop != nothing) by_priority[stop_priority(steps_[parts.stop])].push_back(parts.stop);
        std::vector<std::size_t> earlier;
        for (const auto& [priority, stops] : by_priority) {
            for (const std::size_t stop : stops) {
                if (earlier.empty()) break;
                const auto reached = reached_from(stop);
                for (const std::size_t first : earlier)
                    if (!reached[first]) edge(first, stop);
            }
            earlier.insert(earlier.end(), stops.begin(), stops.end());
        }
    }

    /// A port moves to its new bridge before the old one is deleted, so that it is never without one. Where that can't be,
    /// as when the new bridge takes the old one's name, the deletion frees the port.
    void order_moves() {
        for (const auto& [take, moves] : moves_) {
            const auto reached = reached_from(take);
            for (const std::size_t move : moves)
                if (!reached[move]) edge(move, take);
        }
    }

    /// Kahn's algorithm; of the steps that are ready the smallest (ObjectId, verb) comes first.
    Result<std::vector<std::size_t>> sorted() {
        std::vector<std::size_t> open(steps_.size());
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            for (auto* edges : {&before_[i], &after_[i]}) {
                std::sort(edges->begin(), edges->end());
                edges->erase(std::unique(edges->begin(), edges->end()), edges->end());
            }
            open[i] = before_[i].size();
        }
        const auto later = [&](std::size_t a, std::size_t b) {
            return std::tie(steps_[b].id, steps_[b].verb) < std::tie(steps_[a].id, steps_[a].verb);
        };
        std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> ready(later);
        for (std::size_t i = 0; i < steps_.size(); ++i)
            if (open[i] == 0) ready.push(i);
        std::vector<std::size_t> order;
        order.reserve(steps_.size());
        while (!ready.empty()) {
            const std::size_t next = ready.top();
            ready.pop();
            order.push_back(next);
            for (const std::size_t then : after_[next])
                if (--open[then] == 0) ready.push(then);
        }
        if (order.size() != steps_.size()) return cycle(open);
        return order;
    }

    /// Names a cycle among the steps that are still open, from its smallest member on.
    Error cycle(const std::vector<std::size_t>& open) const {
        std::size_t at = nothing;
        for (std::size_t i = 0; i < steps_.size() && at == nothing; ++i)
            if (open[i] != 0) at = i;
        std::vector<std::size_t> path;
        std::vector<std::size_t> place(steps_.size(), nothing);
        while (place[at] == nothing) {
            place[at] = path.size();
            path.push_back(at);
            at = *std::find_if(before_[at].begin(), before_[at].end(), [&](std::size_t first) { return open[first] != 0; });
        }
        path.erase(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(place[at]));
        std::rotate(path.begin(), std::min_element(path.begin(), path.end()), path.end());
        path.push_back(path.front());
        const auto where = [&](std::size_t step) {
            return steps_[step].desired ? steps_[step].desired->where : SourceSpan{};
        };
        std::string text;
        const ObjectId* last = nullptr;
        for (const std::size_t step : path) {
            if (last != nullptr && *last == steps_[step].id && path.size() > 2) continue;
            last = &steps_[step].id;
            if (!text.empty()) text += " → ";
            text += last->str();
            if (where(step).is_known()) text += fmt::format(" ({})", where(step).str());
        }
        return Error(ErrorCode::invalid, "these need each other: " + text)
            .at(where(path.front()))
            .hint("take one of these references out of the manifest");
    }

    std::vector<Step> renumbered(const std::vector<std::size_t>& order) {
        std::vector<std::size_t> position(order.size());
        for (std::size_t i = 0; i < order.size(); ++i) position[order[i]] = i;
        std::vector<Step> steps;
        steps.reserve(order.size());
        for (const std::size_t old : order) {
            Step step{std::move(steps_[old]), {}};
            for (const std::size_t first : before_[old]) step.needs.push_back(position[first]);
            std::sort(step.needs.begin(), step.needs.end());
            steps.push_back(std::move(step));
        }
        return steps;
    }

    std::vector<Change> changes_;
    std::unordered_map<ObjectId, std::size_t, IdHash> index_;
    std::vector<Parts> parts_;
    std::vector<Change> steps_;
    std::vector<std::vector<std::size_t>> before_;  ///< for each step those that come first
    std::vector<std::vector<std::size_t>> after_;
    std::map<std::size_t, std::vector<std::size_t>> moves_;  ///< by a deletion: updates that leave what it deletes
};

}  // namespace

Result<Plan> make_plan(std::string stack, std::vector<Change> changes) {
    return Planner(std::move(changes)).run(std::move(stack));
}

}  // namespace ctl::reconcile
