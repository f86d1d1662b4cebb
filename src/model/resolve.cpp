#include "model/resolve.h"

#include <map>
#include <string_view>

namespace ctl::model {

namespace {

using Profiles = std::map<std::string_view, const resource::Profile*>;

Profiles profiles_of(const resource::Stack& stack) {
    Profiles profiles;
    for (const auto& profile : stack.profiles) profiles.emplace(profile.name.text, &profile);
    return profiles;
}

void put_config(resource::Container& result, const Config& upper) {
    for (const auto& [key, entry] : upper) result.config.insert_or_assign(key, entry);
}

void put_devices(resource::Container& result, const resource::Devices& upper) {
    for (const auto& [name, device] : upper) {
        const auto inherited = result.devices.find(name);
        if (!device.is_override || inherited == result.devices.end()) {
            result.devices.insert_or_assign(name, device);
            continue;
        }
        resource::Device& merged = inherited->second;
        for (const auto& [key, entry] : device.keys) merged.keys.insert_or_assign(key, entry);
        if (!device.type.empty()) merged.type = device.type;
        merged.where = device.where;
    }
}

resource::Container layered_over(const resource::Container& container, const Profiles& profiles) {
    resource::Container result = container;
    result.config.clear();
    result.devices.clear();
    for (const auto& name : container.profiles) {
        const auto profile = profiles.find(name.text);
        if (profile == profiles.end()) continue;
        put_config(result, profile->second->config);
        put_devices(result, profile->second->devices);
    }
    put_config(result, container.config);
    put_devices(result, container.devices);
    std::erase_if(result.devices, [](const auto& device) { return device.second.type.text == "none"; });
    return result;
}

}  // namespace

resource::Container layered(const resource::Container& container, const resource::Stack& stack) {
    return layered_over(container, profiles_of(stack));
}

resource::Stack resolve(const resource::Stack& stack) {
    const Profiles profiles = profiles_of(stack);
    resource::Stack result = stack;
    for (auto& container : result.containers) container = layered_over(container, profiles);
    return result;
}

}  // namespace ctl::model
