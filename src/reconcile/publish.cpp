#include "reconcile/publish.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/value_types.h"
#include "reconcile/observe.h"
#include "reconcile/pipeline.h"

namespace ctl::reconcile {

using model::ObjectId;
using model::ObjectKind;

namespace {

bool is_called(const ObjectId& id, const model::Entry& entry, const std::string& name) {
    if (id.kind != ObjectKind::image) return false;
    const auto aliases = std::get<model::Image>(entry.object).aliases.value_or(std::vector<std::string>());
    return id.name == name || std::find(aliases.begin(), aliases.end(), name) != aliases.end();
}

Status check_free(const model::HostState& observed, const std::string& name) {
    if (!model::is_resource_name(name))
        return Error(ErrorCode::invalid, fmt::format("{} can't be the name of an image", ctl::quoted(name)))
            .hint("use letters, digits, '-', '_' and '.', beginning with a letter or digit");
    for (const auto& [id, entry] : observed)
        if (is_called(id, entry, name))
            return Error(ErrorCode::conflict,
                         fmt::format("{} is a name of image {} already", ctl::quoted(name), ctl::quoted(id.name)))
                .hint(fmt::format("choose another name, or delete that one: ctl image delete {}", id.name));
    return ok();
}

model::Image image_of(const PublishWish& wish) {
    model::Image image;
    image.type = "container";
    image.source = wish.container.name;
    image.aliases.emplace(wish.names.begin() + 1, wish.names.end());
    std::sort(image.aliases->begin(), image.aliases->end());
    if (!wish.properties.empty()) image.properties = wish.properties;
    image.shared = wish.shared;
    return image;
}

}  // namespace

Result<Prepared> prepare_publish(const Environment& environment, const PublishWish& wish, std::stop_token stop) {
    CTL_ASSIGN(auto prepared, look_as_recorded(environment, wish.container.stack, std::move(stop)));
    const ObjectId container{ObjectKind::container, wish.container.name};
    if (!prepared.observed.contains(container))
        return Error(ErrorCode::not_found, fmt::format("{} is not on this host", escaped(wish.container.str())))
            .hint("ctl apply makes it again");
    for (const auto& name : wish.names) CTL_TRY(check_free(prepared.observed, name));
    diff::Change change{{ObjectKind::image, wish.names.front()}, diff::Verb::create, model::Effect::live, {}, "asked for"};
    model::Entry entry;
    entry.object = image_of(wish);
    entry.owner = {wish.container.stack, "Image", wish.names.front()};
    change.desired = std::move(entry);
    diff::Output output;
    output.changes.push_back(std::move(change));
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

Result<Prepared> prepare_image_removal(const Environment& environment, const std::string& name, std::stop_token stop) {
    CTL_ASSIGN(const auto observation, observe(environment.drivers, {}, stop));
    const auto found = observation.state.find({ObjectKind::image, name});
    if (found == observation.state.end() || found->second.mark == model::Mark::none)
        return Error(ErrorCode::not_found, fmt::format("no image {} of ctl's is on this host", ctl::quoted(name)))
            .hint("see: ctl image list");
    const std::string& stack = found->second.owner.stack;
    CTL_ASSIGN(auto prepared, look_as_recorded(environment, stack, std::move(stop)));
    if (prepared.recorded.contains(found->first))
        return Error(ErrorCode::conflict,
                     fmt::format("image {} is declared by stack {}", ctl::quoted(name), ctl::quoted(stack)))
            .hint("take it out of the manifest and run ctl apply");
    diff::Change change{found->first, diff::Verb::remove, model::Effect::live, {}, "asked for"};
    change.observed = found->second;
    diff::Output output;
    output.changes.push_back(std::move(change));
    CTL_TRY(put_in_order(prepared, std::move(output)));
    return prepared;
}

}  // namespace ctl::reconcile
