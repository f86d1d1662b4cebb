#include <doctest/doctest.h>

#include "stacks.h"

// What containers wait for.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

constexpr std::string_view ground = R"(stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- {name: db, image: busybox}
)";

std::string with(const std::string& dependency) {
    return std::string(ground) + "- {name: web, image: busybox, depends_on: [" + dependency + "]}\n";
}

const ObjectId web{ObjectKind::container, "web"};
const ObjectId db{ObjectKind::container, "db"};

}  // namespace

TEST_CASE("a name is a container that starts first, and nothing to wait for") {
    for (const std::string dependency : {"db", "{container: db}", "{container: db, until: started}"}) {
        const auto result = lowered(with(dependency));
        CHECK(has_need(result, web, {db, Bond::order}));
        for (const auto& [id, entry] : result.desired) CHECK(id.kind != ObjectKind::readiness);
    }
}

TEST_CASE("a condition is an object between the two containers") {
    struct Case {
        std::string dependency;
        std::string name;
        Readiness readiness;
    };
    for (const auto& [dependency, name, readiness] :
         {Case{"{container: db, until: address}", "db:address", {"address", std::vector<std::string>{}, 60}},
          Case{"{container: db, until: cloud-init}", "db:cloud-init", {"cloud-init", std::vector<std::string>{}, 600}},
          Case{"{container: db, port: 22, timeout: 5}", "db:port:22", {"port", std::vector<std::string>{"22"}, 5}},
          Case{"{container: db, exec: [sh, -c, 'a b']}",
               "db:exec:sh -c \"a b\"",
               {"exec", std::vector<std::string>{"sh", "-c", "a b"}, 60}}}) {
        const auto result = lowered(with(dependency));
        CHECK(object<Readiness>(result, name) == readiness);
        CHECK(has_need(result, web, {{ObjectKind::readiness, name}, Bond::order}));
        CHECK(has_need(result, {ObjectKind::readiness, name}, {db, Bond::order}));
    }
}

TEST_CASE("two that wait for the same wait as long as the more patient one") {
    const auto result = lowered(with("{container: db, port: 22, timeout: 5}") +
                                "- {name: x, image: busybox, depends_on: [{container: db, port: 22, timeout: 9}]}\n");
    CHECK(object<Readiness>(result, "db:port:22").timeout == 9);
}

TEST_CASE("what can't be waited for is told with its place") {
    CHECK(faults(with("{container: db, until: sunday}")) == "7:bad-condition");
    CHECK(faults(with("{container: db, until: address, port: 22}")) == "7:bad-condition");
    CHECK(faults(with("{container: db, port: 0}")) == "7:bad-value");
    CHECK(faults(with("{container: db, port: ssh}")) == "7:bad-value");
    CHECK(faults(with("{container: db, timeout: soon}")) == "7:bad-value");
    CHECK(faults(with("{container: dbb, port: 22}")) == "7:unknown-container");
    CHECK(faults(with("{port: 22}")).starts_with("7:missing-key"));
    CHECK(faults(with("{container: db, colour: red}")).starts_with("7:unknown-key"));
}
