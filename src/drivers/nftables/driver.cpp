#include "drivers/nftables/driver.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/text.h"
#include "drivers/api/mark.h"
#include "drivers/nftables/nft.h"
#include "drivers/nftables/table_text.h"
#include "drivers/nftables/watch.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using model::NftTable;
using model::ObjectId;
using model::ObjectKind;
using nftables::TableListing;

bool is_candidate(std::string_view name) { return name.starts_with(nftables::table_prefix) && nftables::is_nft_name(name); }

/// Tables by object name. nft knows a table by family and name; of several with one name the one with our mark counts.
using Listings = std::map<std::string, std::vector<TableListing>>;

/// A table's name as nft knows it: without the namespace that it is in.
std::string table_name(const ObjectId& id) { return model::ScopedName::parse(id.name).name; }

const TableListing* ours(const Listings& listings, const ObjectId& id) {
    const auto found = listings.find(id.name);
    if (found == listings.end()) return nullptr;
    const auto marked = std::find_if(found->second.begin(), found->second.end(),
                                     [&](const TableListing& table) { return read_mark(table.mark, id).has_value(); });
    return marked != found->second.end() ? &*marked : nullptr;
}

/// A table of that name and family which isn't ours.
bool is_taken(const Listings& listings, const ObjectId& id, const std::optional<std::string>& family) {
    const auto found = listings.find(id.name);
    return found != listings.end() &&
           std::any_of(found->second.begin(), found->second.end(), [&](const TableListing& table) {
               return table.table.family == family && !read_mark(table.mark, id);
           });
}

/// What a change asks nft to do.
struct Job {
    std::size_t index;
    std::string commands;
};

class NftablesDriver final : public Driver {
public:
    explicit NftablesDriver(const DriverContext& context) : run_dir_(context.run_dir), watch_(nftables::Watch::open()) {}

    const DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override {
        const bool is_asked =
            std::any_of(interest.ids.begin(), interest.ids.end(), [](const ObjectId& id) { return is_table(id); });
        if (!interest.all && !is_asked) return model::HostState{};
        if (stop.stop_requested()) return Error(ErrorCode::cancelled, "interrupted before reading the firewall");
        if (auto access = nftables::check_access(); !access) {
            if (!is_asked) return model::HostState{};
            return std::move(access).error();
        }
        CTL_ASSIGN(Listings listings, list("", [&](const std::string& name) {
                       return interest.all || interest.ids.contains({ObjectKind::nft_table, name});
                   }));
        for (const auto& scope : scopes_of(interest.ids)) {
            CTL_ASSIGN(Listings inside, list(scope, [&](const std::string& name) {
                           return interest.ids.contains({ObjectKind::nft_table, scope + ":" + name});
                       }));
            listings.merge(inside);
        }
        model::HostState state;
        for (const auto& [name, tables] : listings) {
            const ObjectId id{ObjectKind::nft_table, name};
            const TableListing* table = ours(listings, id);
            model::Entry entry;
            entry.object = (table != nullptr ? *table : tables.front()).table;
            if (const auto owner = table != nullptr ? read_mark(table->mark, id) : std::nullopt) {
                entry.owner = *owner;
                entry.mark = model::Mark::complete;
            }
            state.emplace(id, std::move(entry));
        }
        return state;
    }

    std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        const auto writes =
            std::find_if(changes.begin(), changes.end(), [](const Change& c) { return c.verb != Verb::stop; });
        if (writes == changes.end()) return errors;
        if (auto access = nftables::check_access(); !access) {
            errors.push_back(diff::refusal(std::move(access).error(), *writes));
            return errors;
        }
        for (const Change& change : changes) {
            if (change.verb != Verb::create && change.verb != Verb::update && change.verb != Verb::replace) continue;
            if (const auto commands = put(change); !commands) errors.push_back(diff::refusal(commands.error(), change));
        }
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        std::set<ObjectId> ids;
        for (const Change& change : changes) ids.insert(change.id);
        std::set<std::string> scopes = scopes_of(ids);
        scopes.insert("");
        for (const std::string& scope : scopes) apply_in(scope, changes, report, stop);
    }

    std::vector<EventSource> events() override {
        if (watch_.fd() < 0) return {};
        return {{watch_.fd(), "firewall rules"}};
    }

    bool drain(int fd) override { return fd == watch_.fd() && watch_.drain(); }

private:
    static bool is_table(const ObjectId& id) { return id.kind == ObjectKind::nft_table; }

    /// The containers whose namespaces these tables are in.
    static std::set<std::string> scopes_of(const std::set<ObjectId>& ids) {
        std::set<std::string> scopes;
        for (const ObjectId& id : ids)
            if (is_table(id)) scopes.insert(model::ScopedName::parse(id.name).netns);
        scopes.erase("");
        return scopes;
    }

    [[nodiscard]] std::string netns_of(const std::string& scope) const {
        return fmt::format("{}/namespaces/{}/net", run_dir_, scope);
    }

    void apply_in(const std::string& scope, std::span<const Change> changes, const Report& report, std::stop_token stop) {
        const auto is_here = [&](const Change& c) { return model::ScopedName::parse(c.id.name).netns == scope; };
        if (std::none_of(changes.begin(), changes.end(), is_here)) return;
        const auto listings = list(scope, [&](const std::string& name) {
            return std::any_of(changes.begin(), changes.end(),
                               [&](const Change& c) { return is_here(c) && table_name(c.id) == name; });
        });
        std::vector<Job> jobs;
        for (std::size_t i = 0; i < changes.size(); ++i) {
            const Change& change = changes[i];
            if (!is_here(change)) continue;
            auto commands = !listings               ? Result<std::string>(listings.error())
                            : stop.stop_requested() ? Error(ErrorCode::cancelled, "interrupted before it began")
                                                    : commands_for(change, *listings);
            if (!commands) report(i, std::move(commands).error().while_(doing(change)));
            else if (commands->empty()) report(i, ok());
            else jobs.push_back({i, std::move(*commands)});
        }
        run(scope, jobs, changes, report);
    }

    /// What a container's namespace was before is nothing to rely on: each look goes there anew.
    [[nodiscard]] nftables::Nft inside(const std::string& scope) const { return nftables::Nft(netns_of(scope)); }

    static std::string doing(const Change& change) {
        const std::string_view verb = change.verb == Verb::create   ? "creating"
                                      : change.verb == Verb::remove ? "deleting"
                                      : change.verb == Verb::forget ? "forgetting"
                                                                    : "changing";
        return fmt::format("{} {}", verb, escaped(change.id.str()));
    }

    /// One transaction for all of them; if it is refused, each by itself, to learn whose fault it is.
    void run(const std::string& scope, const std::vector<Job>& jobs, std::span<const Change> changes, const Report& report) {
        std::string all;
        for (const Job& job : jobs) all += job.commands;
        if (all.empty()) return;
        nftables::Nft other = inside(scope);
        nftables::Nft& nft = scope.empty() ? nft_ : other;
        const bool done = jobs.size() > 1 && nft.run(all).has_value();
        for (const Job& job : jobs) {
            auto outcome = done ? Result<std::string>(std::string()) : nft.run(job.commands);
            report(job.index, outcome ? ok() : Status(std::move(outcome).error().while_(doing(changes[job.index]))));
        }
    }

    template <typename Wanted>
    Result<Listings> list(const std::string& scope, const Wanted& wanted) {
        Listings listings;
        // With its namespace a table is gone, too.
        if (!scope.empty() && ::access(netns_of(scope).c_str(), F_OK) != 0) return listings;
        nftables::Nft other = inside(scope);
        nftables::Nft& nft = scope.empty() ? nft_ : other;
        CTL_ASSIGN(const std::string names, nft.run("list tables\n"));
        for (const auto& table : nftables::read_names(names)) {
            if (!is_candidate(table.name) || !wanted(table.name)) continue;
            auto listing = nft.run(nftables::list_table(table));
            // Somebody may have deleted it since; any other reason would have kept the names from us, too.
            if (!listing) continue;
            for (auto& read : nftables::read_tables(*listing))
                listings[model::ScopedName{scope, read.name}.str()].push_back(std::move(read));
        }
        return listings;
    }

    static Result<std::string> put(const Change& change) {
        const auto* table = change.desired ? std::get_if<NftTable>(&change.desired->object) : nullptr;
        if (table == nullptr) return Error(ErrorCode::internal, "nothing is said of what it shall be");
        if (!is_candidate(table_name(change.id)))
            return Error(ErrorCode::invalid, fmt::format("{} can't be the name of a table of ours", quoted(change.id.name)));
        return nftables::put_table(table_name(change.id), *table, make_mark(change.desired->owner, change.id));
    }

    /// "" when there is nothing to do.
    static Result<std::string> commands_for(const Change& change, const Listings& listings) {
        const TableListing* now = ours(listings, change.id);
        const auto drop = [&] { return nftables::drop_table({now->table.family.value_or(""), now->name}); };
        switch (change.verb) {
            case Verb::stop: return std::string();
            case Verb::remove: return now != nullptr ? drop() : std::string();
            case Verb::forget: return now != nullptr ? nftables::put_table(now->name, now->table, "") : std::string();
            case Verb::create:
            case Verb::update:
            case Verb::replace:
            case Verb::adopt: break;
        }
        CTL_ASSIGN(std::string commands, put(change));
        const auto& wanted = std::get<NftTable>(change.desired->object);
        if (is_taken(listings, change.id, wanted.family))
            return Error(ErrorCode::conflict, "a table of that name is there that is not ours");
        if (now == nullptr) return commands;
        const bool is_so = now->table == wanted && now->mark == make_mark(change.desired->owner, change.id);
        if (is_so) return std::string();
        return now->table.family == wanted.family ? commands : drop() + commands;
    }

    DriverInfo info_{"nftables", "NAT, firewall and port security", {ObjectKind::nft_table}};
    std::string run_dir_;
    nftables::Nft nft_;
    nftables::Watch watch_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_nftables_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<NftablesDriver>(context));
}

}  // namespace ctl::drivers
