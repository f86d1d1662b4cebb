#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/lowering.h"

namespace ctl::model {

class Validation;

/// The files of cloud-init's NoCloud source for a container, by name: meta-data, user-data, vendor-data, network-config.
/// Nothing for a container that says nothing to cloud-init and whose image isn't made for it. `by_dhcp`: its NICs that get
/// their address by DHCP; without a network-config of its own cloud-init is told of these only, for the others are set from
/// outside. `places` gets the seed's.
[[nodiscard]] std::optional<std::map<std::string, std::string>> lower_seed(const Lowering& lowering,
                                                                           const resource::Container& container,
                                                                           const std::vector<std::string>& by_dhcp,
                                                                           std::map<std::string, SourceSpan>& places);

/// A container's keys for cloud-init are such that it can read them.
void validate_cloud_init(Validation& validation, const Config& config);

/// Why cloud-init would not take a text as user data, or "".
[[nodiscard]] std::string user_data_fault(std::string_view text);
/// Why a text is no network configuration, or "".
[[nodiscard]] std::string network_config_fault(std::string_view text);

}  // namespace ctl::model
