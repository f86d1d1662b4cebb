#include <doctest/doctest.h>

#include "model/resolve.h"

using namespace ctl::model;
using namespace ctl::model::resource;

namespace {

Value value(std::string text) { return {std::move(text), {}}; }

Config config(std::initializer_list<std::pair<std::string, std::string>> entries) {
    Config result;
    for (const auto& [key, text] : entries) result[key] = {value(text), {}};
    return result;
}

Device device(std::string type, Config keys, bool is_override = false) {
    Device result;
    result.type = value(std::move(type));
    result.keys = std::move(keys);
    result.is_override = is_override;
    return result;
}

Profile profile(std::string name, Config keys, Devices devices) {
    Profile result;
    result.name = value(std::move(name));
    result.config = std::move(keys);
    result.devices = std::move(devices);
    return result;
}

Stack two_profiles() {
    Stack stack;
    stack.profiles.push_back(profile("base", config({{"a", "base"}, {"b", "base"}}),
                                     {{"eth0", device("nic", config({{"network", "br0"}, {"mtu", "1400"}}))},
                                      {"root", device("disk", config({{"path", "/"}, {"pool", "default"}}))}}));
    stack.profiles.push_back(
        profile("upper", config({{"b", "upper"}}), {{"eth0", device("nic", config({{"network", "br1"}}))}}));
    return stack;
}

resource::Container container(std::vector<std::string> profiles) {
    resource::Container result;
    result.name = value("web");
    for (auto& name : profiles) result.profiles.push_back(value(name));
    return result;
}

}  // namespace

TEST_CASE("config merges per key: later profiles win, the container wins over all") {
    auto web = container({"base", "upper"});
    web.config = config({{"c", "own"}});
    const auto result = layered(web, two_profiles());
    CHECK(result.config.at("a").value.text == "base");
    CHECK(result.config.at("b").value.text == "upper");
    CHECK(result.config.at("c").value.text == "own");
    CHECK(layered(container({"upper", "base"}), two_profiles()).config.at("b").value.text == "base");
}

TEST_CASE("a device replaces the inherited one of its name as a whole") {
    const auto result = layered(container({"base", "upper"}), two_profiles());
    CHECK(result.devices.at("eth0").keys.at("network").value.text == "br1");
    CHECK(result.devices.at("eth0").keys.count("mtu") == 0);
    CHECK(result.devices.count("root") == 1);
}

TEST_CASE("override changes only the keys it has") {
    auto web = container({"base"});
    web.devices["eth0"] = device("", config({{"ipv4.address", "10.0.0.2"}, {"mtu", "1300"}}), true);
    const auto result = layered(web, two_profiles());
    const Device& eth0 = result.devices.at("eth0");
    CHECK(eth0.type.text == "nic");
    CHECK_FALSE(eth0.is_override);
    CHECK(eth0.keys.at("network").value.text == "br0");
    CHECK(eth0.keys.at("mtu").value.text == "1300");
    CHECK(eth0.keys.at("ipv4.address").value.text == "10.0.0.2");
}

TEST_CASE("type none masks an inherited device") {
    auto web = container({"base"});
    web.devices["eth0"] = device("none", {});
    CHECK(layered(web, two_profiles()).devices.count("eth0") == 0);
}

TEST_CASE("an unknown profile is skipped, and values keep the places where they were written") {
    auto stack = two_profiles();
    const auto file = std::make_shared<const std::string>("f.yaml");
    stack.profiles[0].config.at("a").value.where = {file, 7, 3, 4};
    const auto result = layered(container({"nobody", "base"}), stack);
    CHECK(result.config.at("a").value.where.str() == "f.yaml:7:3");
}

TEST_CASE("resolving a stack layers each of its containers") {
    auto stack = two_profiles();
    stack.containers = {container({"base"}), container({"upper"}), container({})};
    const auto resolved = resolve(stack);
    CHECK(resolved.containers[0].config.at("b").value.text == "base");
    CHECK(resolved.containers[1].config.at("b").value.text == "upper");
    CHECK(resolved.containers[2].config.empty());
    CHECK(stack.containers[0].config.empty());
}
