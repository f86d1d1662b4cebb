#include "model/pool_names.h"

#include <algorithm>

#include "base/text.h"

namespace ctl::model {

namespace {

/// Most bytes in a name: lvm's and zfs' own limits are near it.
constexpr std::size_t most = 127;

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_name(std::string_view text, std::string_view others) {
    if (text.empty() || text.size() > most || text == "." || text == ".." || text.front() == '-') return false;
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return is_alphanumeric(c) || others.find(c) != std::string_view::npos; });
}

}  // namespace

bool is_lvm_name(std::string_view text) { return is_name(text, "+_.-"); }

bool is_zfs_name(std::string_view text) {
    if (text.empty() || text.size() > most || (is_alphanumeric(text.front()) && text.front() <= '9')) return false;
    const auto parts = split(text, '/');
    return std::all_of(parts.begin(), parts.end(), [](std::string_view part) { return is_name(part, "_.:-"); });
}

bool is_ceph_name(std::string_view text) { return is_name(text, "_.-"); }

bool is_feature_list(std::string_view text) {
    const auto parts = split(text, ',');
    return std::all_of(parts.begin(), parts.end(), [](std::string_view part) { return is_name(trimmed(part), "-"); });
}

}  // namespace ctl::model
