#include "model/resolve.h"

#include <map>
#include <string_view>
#include <utility>

namespace ctl::model {

namespace {

using Profiles = std::map<std::string_view, const resource::Profile*>;

Profiles profiles_of(const resource::Stack& stack) {
    Profiles profiles;
    for (const auto& profile : stack.profiles) profiles.emplace(profile.name.text, &profile);
    return profiles;
}

void put_config(resource::Container& result, Config upper) {
    upper.merge(result.config);
    result.config = std::move(upper);
}

void put_devices(resource::Container& result, resource::Devices upper) {
    for (auto& [name, device] : upper) {
        const auto inherited = result.devices.find(name);
        if (!device.is_override || inherited == result.devices.end()) {
            result.devices.insert_or_assign(name, std::move(device));
            continue;
        }
        resource::Device& merged = inherited->second;
        for (auto& [key, entry] : device.keys) merged.keys.insert_or_assign(key, std::move(entry));
        if (!device.type.empty()) merged.type = std::move(device.type);
        merged.where = std::move(device.where);
    }
}

resource::Container layered_over(resource::Container container, const Profiles& profiles) {
    Config own_config = std::exchange(container.config, {});
    resource::Devices own_devices = std::exchange(container.devices, {});
    for (const auto& name : container.profiles) {
        const auto profile = profiles.find(name.text);
        if (profile == profiles.end()) continue;
        put_config(container, profile->second->config);
        put_devices(container, profile->second->devices);
    }
    put_config(container, std::move(own_config));
    put_devices(container, std::move(own_devices));
    std::erase_if(container.devices, [](const auto& device) { return device.second.type.text == "none"; });
    return container;
}

/// A container may ask for an image by any of its names.
void name_images(resource::Stack& stack) {
    std::map<std::string_view, std::string_view> names;
    for (const auto& image : stack.images)
        if (image.aliases)
            for (const auto& alias : *image.aliases) names.emplace(alias.text, image.name.text);
    for (auto& container : stack.containers)
        if (const auto named = names.find(container.image.text); named != names.end()) container.image.text = named->second;
}

}  // namespace

resource::Container layered(const resource::Container& container, const resource::Stack& stack) {
    return layered_over(container, profiles_of(stack));
}

resource::Stack resolve(const resource::Stack& stack) {
    const Profiles profiles = profiles_of(stack);
    resource::Stack result = stack;
    for (auto& container : result.containers) container = layered_over(std::move(container), profiles);
    name_images(result);
    return result;
}

}  // namespace ctl::model
