#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "model/validation.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// liblxc puts them into every container.
constexpr std::array<std::string_view, 10> standard_nodes{"/dev/null", "/dev/zero",   "/dev/full",    "/dev/console",
                                                          "/dev/tty",  "/dev/random", "/dev/urandom", "/dev/ptmx",
                                                          "/dev/pts",  "/dev"};

void check_number(Validation& validation, const std::string& device_name, const Value* value, std::int64_t most) {
    if (value == nullptr || !parse_uint(value->text) || parse_uint(value->text, most)) return;
    validation.value_error("bad-device",
                           fmt::format("device {} has the number {}", quoted(device_name), quoted(value->text)),
                           value->where, fmt::format("the kernel's go up to {}", most));
}

}  // namespace

void validate_unix_device(Validation& validation, const std::string& device_name, const resource::Device& device) {
    const Value* source = find_value(device.keys, "source");
    const Value* path = find_value(device.keys, "path");
    const Value* major = find_value(device.keys, "major");
    const Value* minor = find_value(device.keys, "minor");
    if (source == nullptr && path == nullptr) {
        validation.error("missing-path", fmt::format("device {} has neither source nor path", quoted(device_name)),
                         device.where, "add source: /dev/NAME, the device on the host");
        return;
    }
    const Value& target = path != nullptr ? *path : *source;
    for (const auto standard : standard_nodes)
        if (target.text == standard)
            validation.error("standard-device",
                             fmt::format("device {} is {}, which every container has", quoted(device_name), standard),
                             target.where, "take it out, or give it another path");
    if ((major == nullptr) != (minor == nullptr))
        validation.error("bad-device", fmt::format("device {} has only one of major and minor", quoted(device_name)),
                         major != nullptr ? major->where : minor->where,
                         "write both, or neither for those of the host's device");
    check_number(validation, device_name, major, (1 << 12) - 1);
    check_number(validation, device_name, minor, (1 << 20) - 1);
}

}  // namespace ctl::model
