#include "segment.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/process.h"

namespace ctl::testing {

Segment::Segment(const std::vector<const Lab*>& hosts) {
    switch_.must("ip link add segment type bridge forward_delay 0 mcast_snooping 0 && ip link set segment up");
    int number = 0;
    for (const Lab* host : hosts) {
        const std::string port = fmt::format("port{}", ++number);
        // Both ends are born where they belong: this machine never has them.
        const auto made = run_process({"ip", "link", "add", "enp4s0f0", "netns", std::to_string(host->init()), "type",
                                       "veth", "peer", "name", port, "netns", std::to_string(switch_.init())},
                                      std::chrono::seconds{20});
        REQUIRE(made);
        REQUIRE_MESSAGE(made->exit_code == 0, made->err);
        switch_.must(fmt::format("ip link set {} master segment up", port));
        // A copy of /etc: not every machine has a machine-id to bind another one over.
        host->must(
            fmt::format("ip link set enp4s0f0 up && mkdir /run/etc /run/etc-work && "
                        "mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc-work etc /etc && "
                        "printf '%032x\\n' {} > /etc/machine-id",
                        number));
    }
}

}  // namespace ctl::testing
