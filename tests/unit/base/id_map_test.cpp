#include "base/id_map.h"

#include <doctest/doctest.h>

namespace ctl {

TEST_CASE("an id map leads from a container's ids to the host's and back, and to nothing outside of it") {
    const auto map = IdMap::parse("0:100000:65536");
    REQUIRE(map);
    REQUIRE(*map);
    CHECK((*map)->to_host(0) == 100000);
    CHECK((*map)->to_host(65535) == 165535);
    CHECK_FALSE((*map)->to_host(65536));
    CHECK((*map)->to_container(100001) == 1);
    CHECK_FALSE((*map)->to_container(99999));
    CHECK_FALSE((*map)->to_container(165536));
    CHECK((*map)->line() == "0 100000 65536");
    CHECK(IdMap::identity().to_host(1000) == 1000);
}

TEST_CASE("none is no id map, and what isn't one is an error") {
    for (const char* none : {"", "none"}) {
        const auto map = IdMap::parse(none);
        REQUIRE(map);
        CHECK_FALSE(map->has_value());
    }
    for (const char* bad : {"0:1", "0:1:0", "a:b:c", "0:4294967295:2", "0:1:2:3", "-1:1:1", "0: 1:1"})
        CHECK_MESSAGE(!IdMap::parse(bad), bad);
}

}  // namespace ctl
