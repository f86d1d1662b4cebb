#include <fmt/format.h>

#include "base/text.h"
#include "model/cloud_init.h"
#include "model/validation.h"

namespace ctl::model {

namespace {

void check(Validation& validation, const Config& config, std::string_view key, std::string (*fault_of)(std::string_view)) {
    const Value* value = find_value(config, key);
    if (value == nullptr) return;
    if (const std::string fault = fault_of(value->text); !fault.empty())
        validation.error("bad-value", fmt::format("cloud-init can't use {}: {}", key, fault), value->where,
                         "write it as a block: KEY: |, and its lines below, indented");
}

}  // namespace

void validate_cloud_init(Validation& validation, const Config& config) {
    for (const auto* prefix : {"cloud-init", "user"}) {
        check(validation, config, fmt::format("{}.user-data", prefix), user_data_fault);
        check(validation, config, fmt::format("{}.vendor-data", prefix), user_data_fault);
        check(validation, config, fmt::format("{}.network-config", prefix), network_config_fault);
    }
}

}  // namespace ctl::model
