#include <doctest/doctest.h>

#include "drivers/lxc/template_text.h"

using namespace ctl;
using namespace ctl::drivers::lxc;

namespace {

const TemplateNames names{{"container.name", "web"}, {"trigger", "create"}, {"properties.default", "#cloud-config\n{}"}};

std::string rendered(std::string_view text) {
    const auto result = render_template(text, names);
    REQUIRE_MESSAGE(result.has_value(), (result ? "" : result.error().str()));
    return *result;
}

void check_refused(std::string_view text, const std::string& what) {
    const auto result = render_template(text, names);
    REQUIRE_FALSE(result.has_value());
    CHECK_MESSAGE(result.error().message().find(what) != std::string::npos, result.error().message());
    CHECK(result.error().code() == ErrorCode::unsupported);
}

}  // namespace

TEST_CASE("the templates of Debian's and Ubuntu's images are filled in") {
    CHECK(rendered("{{ container.name }}\n") == "web\n");
    CHECK(rendered("127.0.1.1\t{{container.name}}\n# {x} {\n") == "127.0.1.1\tweb\n# {x} {\n");
    CHECK(rendered("#cloud-config\ninstance-id: {{ container.name }}\n{{ config_get(\"user.meta-data\", \"\") }}\n") ==
          "#cloud-config\ninstance-id: web\n\n");
    CHECK(rendered("{{ config_get(\"user.user-data\", properties.default) }}") == "#cloud-config\n{}");
    CHECK(rendered(
              "{% if config_get(\"user.network-config\", \"\") == \"\" %}version: 1\nconfig:\n  - type: physical\n    name: "
              "{% if instance.type == \"virtual-machine\" %}enp5s0{% else %}eth0{% endif %}\n    subnets:\n      - type: "
              "{% if config_get(\"user.network_mode\", \"\") == \"link-local\" %}manual{% else %}dhcp{% endif %}\n        "
              "control: auto{% else %}{{ config_get(\"user.network-config\", \"\") }}{% endif %}\n") ==
          "version: 1\nconfig:\n  - type: physical\n    name: eth0\n    subnets:\n      - type: dhcp\n        control: "
          "auto\n");
}

TEST_CASE("conditions are taken together, filters change a text, and remarks are left out") {
    CHECK(rendered("{# a remark {{ #}x") == "x");
    CHECK(rendered("{% if trigger == \"copy\" or trigger == 'create' %}a{% elif trigger %}b{% else %}c{% endif %}") == "a");
    CHECK(rendered("{% if not (trigger == \"create\") %}a{% elif trigger != \"x\" and container.name %}b{% endif %}") ==
          "b");
    CHECK(rendered("{% if !nothing %}{% if nothing %}a{% else %}b{% endif %}c{% endif %}") == "bc");
    CHECK(rendered("{{ nothing|default:\"x\"|upper }}{{ \"Y\\\"\" | lower | safe }}") == "Xy\"");
    CHECK(rendered("{% if orange %}a{% else %}b{% endif %}") == "b");
}

TEST_CASE("what else a template may hold is refused by name") {
    check_refused("{% for a in b %}{% endfor %}", "for a in b");
    check_refused("{% include \"/etc/shadow\" %}", "include");
    check_refused("{{ container.name|truncatechars:9 }}", "truncatechars");
    check_refused("{{ system(\"reboot\") }}", "system()");
    check_refused("{{ container.name", "without }}");
    check_refused("{% if a %}", "without endif");
    check_refused("{% endif %}", "endif without if");
    check_refused("{% if a %}{% else %}{% else %}{% endif %}", "else");
    check_refused("{{ \"open }}", "without an end");
    check_refused("{{ }}", "");
    check_refused("{{ a b }}", "b");
    check_refused("{{ " + std::string(100, '(') + " }}", "nested");
    check_refused("{{ " + std::string(10000, '!') + "a }}", "nested");
}
