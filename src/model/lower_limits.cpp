#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/limit_values.h"
#include "model/lower_instance.h"
#include "model/lowering.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

/// What cgroup version 1 gives everybody.
constexpr std::int64_t full_shares = 1024;
/// The kernel takes no fewer.
constexpr std::int64_t least_shares = 2;

class LimitLowering {
public:
    LimitLowering(const Config& config, std::int64_t host_memory, Container& object, Places& places,
                  Diagnostics& diagnostics)
        : config_(config), host_memory_(host_memory), object_(object), places_(places), diagnostics_(diagnostics) {}

    void lower() {
        lower_memory();
        lower_swap();
        lower_cpu();
        lower_hugepages();
        if (const Value* value = find("limits.processes", "process_limit")) object_.process_limit = parse_uint(value->text);
        if (const Value* value = find("limits.disk.priority", "disk_weight"))
            if (const auto priority = parse_uint(value->text, 10))
                object_.disk_weight = std::max<std::int64_t>(*priority * 100, 10);
        lower_kernel_limits();
    }

private:
    const Value* find(std::string_view key, std::string_view field) {
        const Value* value = find_value(config_, key);
        if (value != nullptr) places_[std::string(field)] = value->where;
        return value;
    }

    void lower_memory() {
        const Value* enforce = find_value(config_, "limits.memory.enforce");
        const bool is_soft = enforce != nullptr && enforce->text == "soft";
        const Value* memory = find("limits.memory", is_soft ? "memory_soft_limit" : "memory_limit");
        if (memory == nullptr) return;
        (is_soft ? object_.memory_soft_limit : object_.memory_limit) = parse_memory(*memory);
    }

    /// A size, or a part of the host's memory.
    std::optional<std::int64_t> parse_memory(const Value& value) {
        const auto percent = parse_percent(value.text);
        if (!percent) return parse_size(value.text);
        if (host_memory_ > 0) return host_memory_ / 100 * *percent;
        diagnostics_.note(
            "unknown-memory",
            fmt::format("limits.memory: {} is a part of the memory of a host, and none is looked at", escaped(value.text)),
            value.where);
        return std::nullopt;
    }

    void lower_swap() {
        if (const Value* priority = find("limits.memory.swap.priority", "swappiness"))
            // 60 is the kernel's own for those of whom nothing is said, and so 10, the default.
            if (const auto parsed = parse_uint(priority->text, 10)) object_.swappiness = 70 - *parsed;
        const Value* swap = find_value(config_, "limits.memory.swap");
        if (swap == nullptr) return;
        const auto allowed = parse_bool(swap->text);
        object_.swap_limit = allowed ? (*allowed ? std::nullopt : std::optional<std::int64_t>(0)) : parse_size(swap->text);
        places_["swap_limit"] = swap->where;
        if (object_.swap_limit != 0) return;
        // Where swap can't be counted apart from memory, this is what keeps the container out of it.
        object_.swappiness = 0;
        places_["swappiness"] = swap->where;
    }

    void lower_cpu() {
        if (const Value* nodes = find("limits.cpu.nodes", "cpu_nodes")) object_.cpu_nodes = parse_memory_nodes(nodes->text);
        const Value* allowance = find_value(config_, "limits.cpu.allowance");
        const auto allowed = allowance != nullptr ? parse_cpu_allowance(allowance->text) : std::nullopt;
        if (allowed && allowed->period != 0) {
            object_.cpu_quota = fmt::format("{}/{}", allowed->quota, allowed->period);
            places_["cpu_quota"] = allowance->where;
        }
        const Value* priority = find("limits.cpu.priority", "cpu_shares");
        const bool is_share = allowed && allowed->percent != 0;
        if (is_share) places_["cpu_shares"] = allowance->where;
        if (!is_share && priority == nullptr) return;
        const std::int64_t share = is_share ? full_shares * allowed->percent / 100 : full_shares;
        const auto rank = priority != nullptr ? parse_uint(priority->text, 10).value_or(10) : 10;
        object_.cpu_shares = std::max(share - (10 - rank), least_shares);
    }

    void lower_hugepages() {
        for (const char* size : {"64KB", "1MB", "2MB", "1GB"}) {
            const Value* value = find(fmt::format("limits.hugepages.{}", size), "hugepage_limits");
            const auto bytes = value != nullptr ? parse_size(value->text) : std::nullopt;
            if (!bytes) continue;
            if (!object_.hugepage_limits) object_.hugepage_limits.emplace();
            object_.hugepage_limits->emplace(size, std::to_string(*bytes));
        }
    }

    void lower_kernel_limits() {
        constexpr std::string_view prefix = "limits.kernel.";
        for (const auto& [key, entry] : config_) {
            if (!key.starts_with(prefix) || entry.value.empty()) continue;
            const std::string_view resource = std::string_view(key).substr(prefix.size());
            if (!is_limited_resource(resource)) {
                const auto meant = nearest_limited_resource(resource);
                diagnostics_.error("bad-limit", fmt::format("{} is no resource that can be limited", quoted(resource)),
                                   entry.key_where,
                                   meant.empty() ? "see setrlimit(2): nofile, nproc, memlock, …"
                                                 : fmt::format("did you mean {}{}?", prefix, meant));
                continue;
            }
            const auto limit = parse_resource_limit(entry.value.text);
            if (!limit) continue;
            if (!object_.kernel_limits) object_.kernel_limits.emplace();
            object_.kernel_limits->emplace(resource, *limit);
            places_["kernel_limits"] = entry.value.where;
        }
    }

    const Config& config_;
    std::int64_t host_memory_;
    Container& object_;
    Places& places_;
    Diagnostics& diagnostics_;
};

}  // namespace

void lower_limits(const Config& config, std::int64_t host_memory, Container& object, Places& places,
                  Diagnostics& diagnostics) {
    LimitLowering(config, host_memory, object, places, diagnostics).lower();
}

}  // namespace ctl::model
