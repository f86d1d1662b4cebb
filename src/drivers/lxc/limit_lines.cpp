#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "drivers/lxc/limit_files.h"
#include "drivers/lxc/limits.h"
#include "drivers/lxc/own_lines.h"

namespace ctl::drivers::lxc {

namespace {

using model::Container;

bool is_list(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c == ',' || c == '-' || (c >= '0' && c <= '9'); });
}

bool is_resource(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_resource_limit(std::string_view text) {
    const auto parts = split(text, ':');
    return parts.size() == 2 &&
           std::all_of(parts.begin(), parts.end(), [](auto part) { return part == "unlimited" || parse_number(part); });
}

class LineWriter {
public:
    LineWriter(const Container& container, const ConfigFacts& facts) : container_(container), facts_(facts) {}

    Result<std::string> write() {
        for (const auto& limit : plain_limits)
            if (const Number& value = container_.*(limit.member)) line(limit.file, std::to_string(*value));
        write_swap();
        CTL_TRY(write_hugepages());
        CTL_TRY(write_cpu());
        if (container_.disk_weight) write_disk_weight();
        if (container_.kernel_limits)
            for (const auto& [resource, limit] : *container_.kernel_limits) {
                if (!is_resource(resource) || !is_resource_limit(limit))
                    return Error(ErrorCode::invalid,
                                 fmt::format("limit {} of {} is not SOFT:HARD", ctl::quoted(limit), ctl::quoted(resource)));
                text_ += fmt::format("lxc.prlimit.{} = {}\n", resource, limit);
            }
        return std::move(text_);
    }

private:
    [[nodiscard]] bool is_unified(const LimitFile& file) const { return facts_.unified.contains(file.controller); }

    void line(const LimitFile& file, std::string_view value) {
        const bool unified = is_unified(file);
        text_ += fmt::format("lxc.cgroup{}.{} = {}\n", unified ? "2" : "", unified ? file.v2 : file.v1, value);
    }

    /// Version 1 limits memory and swap together, and version 2 knows no swappiness of a cgroup.
    void write_swap() {
        if (container_.swap_limit) {
            if (is_unified(memory_swap)) line(memory_swap, std::to_string(*container_.swap_limit));
            else if (container_.memory_limit && facts_.swap_accounting)
                line(memory_swap, std::to_string(*container_.memory_limit + *container_.swap_limit));
            else text_ += own_lines(container_, {"swap_limit"});
        }
        if (!container_.swappiness) return;
        if (is_unified(memory_swappiness)) text_ += own_lines(container_, {"swappiness"});
        else line(memory_swappiness, std::to_string(*container_.swappiness));
    }

    Status write_hugepages() {
        if (!container_.hugepage_limits) return ok();
        for (const auto& [size, bytes] : *container_.hugepage_limits) {
            const auto* known = find_hugepage_size(size);
            if (known == nullptr || !parse_number(bytes))
                return Error(ErrorCode::invalid, fmt::format("limit {} of huge pages of {} is not usable",
                                                             ctl::quoted(bytes), ctl::quoted(size)));
            line(known->file, bytes);
        }
        return ok();
    }

    Status write_cpu() {
        for (const auto& [what, list, file] : {std::tuple{"cpu set", container_.cpu_set, cpuset_cpus},
                                               std::tuple{"set of nodes", container_.cpu_nodes, cpuset_mems}}) {
            if (!list) continue;
            if (!is_list(*list))
                return Error(ErrorCode::invalid, fmt::format("{} {} is not a list such as 0-1,3", what, ctl::quoted(*list)));
            line(file, *list);
        }
        if (container_.cpu_shares) {
            if (is_unified(cpu_weight)) text_ += own_lines(container_, {"cpu_shares"});
            line(cpu_weight,
                 std::to_string(is_unified(cpu_weight) ? weight_of(*container_.cpu_shares) : *container_.cpu_shares));
        }
        if (!container_.cpu_quota) return ok();
        const auto quota = parse_quota(*container_.cpu_quota);
        if (!quota)
            return Error(ErrorCode::invalid, fmt::format("cpu quota {} is not QUOTA/PERIOD in microseconds",
                                                         ctl::quoted(*container_.cpu_quota)));
        if (is_unified(cpu_max)) {
            line(cpu_max, fmt::format("{} {}", quota->quota, quota->period));
        } else {
            line(cpu_period, quota->period);
            line(cpu_max, quota->quota == "max" ? "-1" : quota->quota);
        }
        return ok();
    }

    void write_disk_weight() {
        const bool unified = facts_.unified.contains("io");
        text_ += fmt::format("lxc.cgroup{}.{} = {}\n", unified ? "2" : "", facts_.disk_weight_file, *container_.disk_weight);
    }

    const Container& container_;
    const ConfigFacts& facts_;
    std::string text_;
};

template <typename T>
bool set_once(std::optional<T>& field, std::optional<T> value) {
    if (field || !value) return false;
    field = std::move(value);
    return true;
}

/// "cpu.max = 25000 100000", or the two of version 1, of which the period comes first.
bool read_quota(std::string_view file, std::string_view value, std::optional<std::string>& quota) {
    if (file == cpu_max.v2) {
        std::string text(value);
        std::replace(text.begin(), text.end(), ' ', '/');
        return parse_quota(text) && set_once(quota, std::optional(text));
    }
    if (file == cpu_period.v1) return parse_number(value) && set_once(quota, std::optional(fmt::format("max/{}", value)));
    if (!parse_number(value)) return value == "-1" && quota;
    const auto before = parse_quota(quota.value_or(fmt::format("max/{}", default_period)));
    if (!before || before->quota != "max") return false;
    quota = fmt::format("{}/{}", value, before->period);
    return true;
}

bool read_swap(std::string_view file, std::int64_t value, Container& container) {
    if (file == memory_swap.v2) return set_once(container.swap_limit, Number(value));
    if (!container.memory_limit || value < *container.memory_limit) return false;
    return set_once(container.swap_limit, Number(value - *container.memory_limit));
}

bool read_hugepages(std::string_view file, std::string_view value, Container& container) {
    const auto parts = split(file, '.');
    if (parts.size() != 3 || find_hugepage_size(parts[1]) == nullptr || !parse_number(value)) return false;
    if (!container.hugepage_limits) container.hugepage_limits.emplace();
    return container.hugepage_limits->emplace(parts[1], value).second;
}

bool read_weight(std::string_view file, std::int64_t value, Container& container) {
    if (file == cpu_weight.v1) return set_once(container.cpu_shares, Number(value));
    container.cpu_shares = shares_of(value, container.cpu_shares);
    return true;
}

bool is_disk_weight(std::string_view file) {
    return std::any_of(disk_weights.begin(), disk_weights.end(),
                       [&](const auto& known) { return file == (known.v1 != nullptr ? known.v1 : known.v2); });
}

bool read_cgroup_limit(std::string_view file, std::string_view value, Container& container) {
    if (file.starts_with("hugetlb.")) return read_hugepages(file, value, container);
    if (file == cpuset_cpus.v1) return set_once(container.cpu_set, std::optional(std::string(value)));
    if (file == cpuset_mems.v1) return set_once(container.cpu_nodes, std::optional(std::string(value)));
    if (file == cpu_period.v1 || file == cpu_max.v1 || file == cpu_max.v2)
        return read_quota(file, value, container.cpu_quota);
    const Number number = parse_number(value);
    if (!number) return false;
    for (const auto& limit : plain_limits)
        if (file == limit.file.v1 || file == limit.file.v2) return set_once(container.*(limit.member), number);
    if (file == memory_swap.v1 || file == memory_swap.v2) return read_swap(file, *number, container);
    if (file == memory_swappiness.v1) return set_once(container.swappiness, number);
    if (file == cpu_weight.v1 || file == cpu_weight.v2) return read_weight(file, *number, container);
    if (is_disk_weight(file)) return set_once(container.disk_weight, number);
    return false;
}

}  // namespace

const HugepageSize* find_hugepage_size(std::string_view name) {
    const auto found =
        std::find_if(hugepage_sizes.begin(), hugepage_sizes.end(), [&](const auto& size) { return size.name == name; });
    return found != hugepage_sizes.end() ? &*found : nullptr;
}

std::int64_t weight_of(std::int64_t shares) {
    return std::clamp<std::int64_t>(shares * default_weight / default_shares, 1, 10'000);
}

std::int64_t shares_of(std::int64_t weight, Number written) {
    return written && weight_of(*written) == weight ? *written : weight * default_shares / default_weight;
}

std::optional<Quota> parse_quota(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto quota = text.substr(0, slash);
    const auto period = text.substr(slash + 1);
    if ((quota != "max" && !parse_number(quota)) || !parse_number(period)) return std::nullopt;
    return Quota{std::string(quota), std::string(period)};
}

Result<std::string> limit_lines(const Container& container, const ConfigFacts& facts) {
    return LineWriter(container, facts).write();
}

bool read_limit(std::string_view key, std::string_view value, Container& container) {
    constexpr std::string_view resource = "lxc.prlimit.";
    if (key.starts_with(resource)) {
        const auto name = key.substr(resource.size());
        if (!is_resource(name) || !is_resource_limit(value)) return false;
        if (!container.kernel_limits) container.kernel_limits.emplace();
        return container.kernel_limits->emplace(name, value).second;
    }
    for (const std::string_view prefix : {"lxc.cgroup.", "lxc.cgroup2."})
        if (key.starts_with(prefix)) return read_cgroup_limit(key.substr(prefix.size()), value, container);
    return false;
}

}  // namespace ctl::drivers::lxc
