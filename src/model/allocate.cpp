#include "model/allocate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

unsigned byte_of(std::uint64_t hash, unsigned index) { return static_cast<unsigned>(hash >> (8 * index)) & 0xFFU; }

bool overlaps_any(const Cidr& cidr, const std::set<Cidr>& others) {
    for (const auto& other : others)
        if (cidr.overlaps(other)) return true;
    return false;
}

struct IdRange {
    std::int64_t first = 0;
    std::int64_t count = 0;
};

/// "ids 1065536+65536"
constexpr std::string_view id_range_start = "ids ";

std::optional<IdRange> parse_id_range(std::string_view text) {
    if (!text.starts_with(id_range_start)) return std::nullopt;
    text.remove_prefix(id_range_start.size());
    const std::size_t plus = text.find('+');
    if (plus == std::string_view::npos) return std::nullopt;
    const auto first = parse_uint(text.substr(0, plus));
    const auto count = parse_uint(text.substr(plus + 1));
    return first && count ? std::optional(IdRange{*first, *count}) : std::nullopt;
}

bool overlap(const IdRange& one, const IdRange& other) {
    return one.first < other.first + other.count && other.first < one.first + one.count;
}

}  // namespace

Allocator::Allocator(const Allocations& known, const Allocations& taken, std::string host)
    : known_(known), host_(std::move(host)) {
    for (const auto& [key, value] : taken) taken_.insert(value);
    for (const auto& [key, value] : known) taken_.insert(value);
}

std::string Allocator::choose(const std::string& key, const std::string& text,
                              const std::function<std::string(std::uint64_t)>& make,
                              const std::function<bool(const std::string&)>& is_free) {
    const auto place = used_.lower_bound(key);
    if (place != used_.end() && place->first == key) return place->second;
    const auto use = [&](const std::string& value) { return used_.emplace_hint(place, key, value)->second; };
    if (const auto it = known_.find(key); it != known_.end()) return use(it->second);
    for (unsigned attempt = 0;; ++attempt) {
        const std::string value = make(stable_hash(attempt == 0 ? text : fmt::format("{}#{}", text, attempt)));
        // The bound only matters on a host whose whole address space is taken; then an overlap is the lesser evil.
        if (attempt < 10'000 && (taken_.contains(value) || !is_free(value))) continue;
        taken_.insert(value);
        return use(value);
    }
}

std::string Allocator::mac(const std::string& key) {
    return choose(
        key, host_.empty() ? key : host_ + "/" + key,
        [](std::uint64_t hash) {
            return fmt::format("00:16:3e:{:02x}:{:02x}:{:02x}", byte_of(hash, 0), byte_of(hash, 1), byte_of(hash, 2));
        },
        [](const std::string&) { return true; });
}

std::string Allocator::interface_name(const std::string& key) {
    return choose(
        key, key, [](std::uint64_t hash) { return fmt::format("ctl{:08x}", hash & 0xFFFFFFFFU); },
        [](const std::string&) { return true; });
}

Cidr Allocator::subnet4(const std::string& key, const std::set<Cidr>& avoid) {
    const std::string text = choose(
        key, key, [](std::uint64_t hash) { return fmt::format("10.{}.{}.1/24", byte_of(hash, 0), byte_of(hash, 1)); },
        [&](const std::string& value) { return !overlaps_any(*Cidr::parse(value), avoid); });
    return Cidr::parse(text).value_or(Cidr{});
}

Cidr Allocator::subnet6(const std::string& key, const std::set<Cidr>& avoid) {
    const std::string text = choose(
        key, key,
        [](std::uint64_t hash) {
            return fmt::format("fd42:{:x}:{:x}:{:x}::1/64", hash & 0xFFFFU, (hash >> 16) & 0xFFFFU, (hash >> 32) & 0xFFFFU);
        },
        [&](const std::string& value) { return !overlaps_any(*Cidr::parse(value), avoid); });
    return Cidr::parse(text).value_or(Cidr{});
}

std::int64_t Allocator::id_range(const std::string& key, std::int64_t count) {
    constexpr std::int64_t lowest = 1'000'000;
    constexpr std::int64_t step = 65'536;
    constexpr std::int64_t places = 16'000;
    const auto make = [&](std::uint64_t hash) {
        const auto place = static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(places));
        return fmt::format("{}{}+{}", id_range_start, lowest + place * step, count);
    };
    const auto is_free = [&](const std::string& value) {
        const IdRange wanted = parse_id_range(value).value_or(IdRange{});
        return std::none_of(taken_.begin(), taken_.end(), [&](const std::string& other) {
            const auto range = parse_id_range(other);
            return range && overlap(wanted, *range);
        });
    };
    // Another size is another range.
    const std::string sized = fmt::format("{}/{}", key, count);
    return parse_id_range(choose(sized, sized, make, is_free)).value_or(IdRange{}).first;
}

std::string Allocator::kept(const std::string& key, const std::string& now) {
    const auto known = known_.find(key);
    return used_.try_emplace(key, known != known_.end() ? known->second : now).first->second;
}

}  // namespace ctl::model
