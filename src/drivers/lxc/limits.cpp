#include "drivers/lxc/limits.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "drivers/lxc/disk_limits.h"
#include "drivers/lxc/limit_files.h"

namespace ctl::drivers::lxc {

namespace {

using model::Container;

std::int64_t page_size() {
    static const std::int64_t page = ::sysconf(_SC_PAGESIZE);
    return page;
}

std::int64_t whole_pages(std::int64_t bytes) { return bytes / page_size() * page_size(); }

bool has_hugepages(const HugepageSize& size) {
    return ::access(fmt::format("/sys/kernel/mm/hugepages/hugepages-{}kB", size.bytes / 1024).c_str(), F_OK) == 0;
}

bool is_file(const LimitFile& one, const LimitFile& other) {
    return one.controller == std::string_view(other.controller) && one.v1 == other.v1 && one.v2 == other.v2;
}

/// What a cgroup has of which nothing is said.
std::string unset_value(const Cgroups& cgroups, const LimitFile& file) {
    const bool unified = cgroups.is_unified(file.controller);
    if (is_file(file, cpu_weight)) return std::to_string(unified ? default_weight : default_shares);
    if (is_file(file, cpu_period)) return std::to_string(default_period);
    if (is_file(file, cpu_max) && unified) return fmt::format("max {}", default_period);
    if (file.controller == std::string_view("io")) return fmt::format("default {}", default_weight);
    // The scheduler of old kernels begins in the middle of its scale.
    if (file.controller == std::string_view("blkio"))
        return file.v1 == std::string_view("blkio.weight") ? "500" : std::to_string(default_weight);
    return unified || is_file(file, pids_max) ? "max" : "-1";
}

bool is_unset(const Cgroups& cgroups, const LimitFile& file, const std::string& value) {
    // Version 1 says "no limit" with the largest number of whole pages.
    constexpr std::int64_t huge = std::int64_t{1} << 62;
    return value == unset_value(cgroups, file) || parse_number(value).value_or(0) >= huge;
}

/// What the container's processes are held to: lxc-cgroup(1) sets it on the inner one of two cgroups.
std::optional<std::string> observed(const std::string& name, const Cgroups& cgroups, const LimitFile& file) {
    auto inner = cgroups.inner_value(name, file);
    return inner && !is_unset(cgroups, file, *inner) ? inner : cgroups.value(name, file);
}

/// Absent: no limit.
Number observed_number(const std::string& name, const Cgroups& cgroups, const LimitFile& file) {
    const auto value = observed(name, cgroups, file);
    return value && !is_unset(cgroups, file, *value) ? parse_number(*value) : std::nullopt;
}

/// The kernel keeps whole pages: a limit that was rounded down to what it says is shown as it was written.
Number as_written(Number in_kernel, Number written) {
    return in_kernel && written && whole_pages(*written) == *in_kernel ? written : in_kernel;
}

/// What there has to be for a field, by the key that asks for it.
Status check_file(std::string_view key, const LimitFile& file, const Cgroups& cgroups) {
    if (cgroups.offers(file)) return ok();
    if (!cgroups.has_controller(file.controller))
        return Error(ErrorCode::unsupported,
                     fmt::format("{} needs the cgroup controller {}, which is not there", key, file.controller))
            .hint(fmt::format("cat /sys/fs/cgroup/cgroup.controllers and /proc/cgroups tell which there are; take out {}",
                              key));
    return Error(ErrorCode::unsupported, fmt::format("{} needs {}, which this kernel's {} cgroups don't have", key,
                                                     cgroups.file_name(file), file.controller))
        .hint(fmt::format("take out {}", key));
}

Status check_swap(const Container& container, const Cgroups& cgroups) {
    if (container.swap_limit.value_or(0) == 0) return ok();
    CTL_TRY(check_file("limits.memory.swap", memory_swap, cgroups));
    if (cgroups.is_unified("memory") || container.memory_limit) return ok();
    return Error(ErrorCode::unsupported,
                 "cgroup version 1 counts swap together with memory: a size of limits.memory.swap needs limits.memory")
        .hint("add limits.memory, or write limits.memory.swap: false");
}

/// Sets it where it counts for all of the container, and lifts what was set within.
Status set(const std::string& name, const Cgroups& cgroups, const LimitFile& file, std::string_view value) {
    const auto inner = cgroups.inner_value(name, file);
    if (inner && !is_unset(cgroups, file, *inner)) CTL_TRY(cgroups.set_inner(name, file, unset_value(cgroups, file)));
    return cgroups.set(name, file, value);
}

/// Where there is no such limit there is none to lift.
Status put(const std::string& name, const Cgroups& cgroups, const LimitFile& file, const std::optional<std::string>& value) {
    if (!value && !cgroups.offers(file)) return ok();
    return set(name, cgroups, file, value ? *value : unset_value(cgroups, file));
}

std::optional<std::string> text_of(const Number& number) {
    return number ? std::optional(std::to_string(*number)) : std::nullopt;
}

Status write_memory(const std::string& name, const Cgroups& cgroups, const Container& next, bool with_swap) {
    if (cgroups.is_unified("memory")) {
        CTL_TRY(put(name, cgroups, memory_max, text_of(next.memory_limit)));
        return with_swap ? put(name, cgroups, memory_swap, text_of(next.swap_limit)) : ok();
    }
    if (!with_swap) return put(name, cgroups, memory_max, text_of(next.memory_limit));
    // The sum of both may never be below the one: first it goes out of the way.
    CTL_TRY(put(name, cgroups, memory_swap, std::nullopt));
    CTL_TRY(put(name, cgroups, memory_max, text_of(next.memory_limit)));
    if (!next.memory_limit || !next.swap_limit || !cgroups.offers(memory_swap)) return ok();
    return set(name, cgroups, memory_swap, std::to_string(*next.memory_limit + *next.swap_limit));
}

Status write_swappiness(const std::string& name, const Cgroups& cgroups, const Number& swappiness) {
    if (!cgroups.offers(memory_swappiness)) return ok();
    // Each cgroup has its own, and those inside do not follow.
    return cgroups.set_below(name, memory_swappiness,
                             text_of(swappiness).value_or(cgroups.inherited(memory_swappiness).value_or("60")));
}

Status write_hugepages(const std::string& name, const Cgroups& cgroups, const Container& next) {
    for (const auto& size : hugepage_sizes) {
        if (!has_hugepages(size)) continue;
        std::optional<std::string> limit;
        if (next.hugepage_limits)
            if (const auto found = next.hugepage_limits->find(std::string(size.name)); found != next.hugepage_limits->end())
                limit = found->second;
        CTL_TRY(put(name, cgroups, size.file, limit));
    }
    return ok();
}

Status write_shares(const std::string& name, const Cgroups& cgroups, const Number& wanted) {
    if (!wanted) return put(name, cgroups, cpu_weight, std::nullopt);
    return put(name, cgroups, cpu_weight, std::to_string(cgroups.is_unified("cpu") ? weight_of(*wanted) : *wanted));
}

Status write_quota(const std::string& name, const Cgroups& cgroups, const std::optional<std::string>& wanted) {
    if (!wanted && !cgroups.offers(cpu_max)) return ok();
    const Quota quota = parse_quota(wanted.value_or("")).value_or(Quota{"max", std::to_string(default_period)});
    if (cgroups.is_unified("cpu")) return set(name, cgroups, cpu_max, fmt::format("{} {}", quota.quota, quota.period));
    // A quota that fits the old period may be too much for the new one.
    CTL_TRY(set(name, cgroups, cpu_max, "-1"));
    CTL_TRY(set(name, cgroups, cpu_period, quota.period));
    return quota.quota == "max" ? ok() : set(name, cgroups, cpu_max, quota.quota);
}

LimitFile disk_weight_in(const Cgroups& cgroups) {
    for (const auto& file : disk_weights)
        if (cgroups.offers(file)) return file;
    return disk_weights.back();
}

Status write_disk_weight(const std::string& name, const Cgroups& cgroups, const Number& wanted) {
    return put(name, cgroups, disk_weight_in(cgroups), text_of(wanted));
}

Number observed_disk_weight(const std::string& name, const Cgroups& cgroups) {
    const auto text = observed(name, cgroups, disk_weight_in(cgroups));
    if (!text) return std::nullopt;
    constexpr std::string_view prefix = "default ";
    return parse_number(text->starts_with(prefix) ? std::string_view(*text).substr(prefix.size()) : *text);
}

Number observed_swap(const std::string& name, const Cgroups& cgroups, const Container& container) {
    const Number in_kernel = observed_number(name, cgroups, memory_swap);
    if (cgroups.is_unified("memory")) return as_written(in_kernel, container.swap_limit);
    // There the config says it: it could not be set.
    if (!container.memory_limit || !cgroups.offers(memory_swap)) return container.swap_limit;
    const Number memory = observed_number(name, cgroups, memory_max);
    if (!in_kernel || !memory) return std::nullopt;
    if (whole_pages(*container.memory_limit + *container.swap_limit) == *in_kernel) return container.swap_limit;
    return *in_kernel - *memory;
}

std::optional<std::string> observed_quota(const std::string& name, const Cgroups& cgroups) {
    auto quota = observed(name, cgroups, cpu_max);
    if (!quota) return std::nullopt;
    if (cgroups.is_unified("cpu")) {
        std::replace(quota->begin(), quota->end(), ' ', '/');
        return quota->starts_with("max/") ? std::nullopt : quota;
    }
    const auto period = observed(name, cgroups, cpu_period);
    if (!period || !parse_number(*quota)) return std::nullopt;
    return fmt::format("{}/{}", *quota, *period);
}

std::optional<std::map<std::string, std::string>> observed_hugepages(const std::string& name, const Cgroups& cgroups,
                                                                     const std::map<std::string, std::string>& written) {
    std::map<std::string, std::string> found;
    for (const auto& [name_of_size, bytes] : written) {
        const auto* size = find_hugepage_size(name_of_size);
        const Number in_kernel = size != nullptr ? observed_number(name, cgroups, size->file) : std::nullopt;
        if (!in_kernel) continue;
        const bool is_same = parse_number(bytes).value_or(0) / size->bytes * size->bytes == *in_kernel;
        found.emplace(name_of_size, is_same ? bytes : std::to_string(*in_kernel));
    }
    return found.empty() ? std::nullopt : std::optional(std::move(found));
}

}  // namespace

Status check_limits(const Container& container, const Cgroups& cgroups) {
    if (container.memory_limit) CTL_TRY(check_file("limits.memory", memory_max, cgroups));
    if (container.memory_soft_limit) CTL_TRY(check_file("limits.memory.enforce: soft", memory_high, cgroups));
    CTL_TRY(check_swap(container, cgroups));
    if (container.process_limit) CTL_TRY(check_file("limits.processes", pids_max, cgroups));
    if (container.cpu_set) CTL_TRY(check_file("limits.cpu", cpuset_cpus, cgroups));
    if (container.cpu_nodes) CTL_TRY(check_file("limits.cpu.nodes", cpuset_mems, cgroups));
    if (container.cpu_shares) CTL_TRY(check_file("limits.cpu.allowance", cpu_weight, cgroups));
    if (container.cpu_quota) CTL_TRY(check_file("limits.cpu.allowance", cpu_max, cgroups));
    if (container.disk_weight) CTL_TRY(check_file("limits.disk.priority", disk_weight_in(cgroups), cgroups));
    if (container.disk_limits) CTL_TRY(check_disk_limits(*container.disk_limits, cgroups));
    if (!container.hugepage_limits) return ok();
    for (const auto& [name, bytes] : *container.hugepage_limits) {
        const auto* size = find_hugepage_size(name);
        if (size == nullptr) continue;
        const std::string key = fmt::format("limits.hugepages.{}", name);
        if (!has_hugepages(*size))
            return Error(ErrorCode::unsupported, fmt::format("{}: this kernel has no huge pages of that size", key))
                .hint(fmt::format("ls /sys/kernel/mm/hugepages shows those it has; take out {}", key));
        CTL_TRY(check_file(key, size->file, cgroups));
    }
    return ok();
}

void observe_limits(const std::string& name, const Cgroups& cgroups, Container& container) {
    const Container written = container;
    if (written.swap_limit) container.swap_limit = observed_swap(name, cgroups, written);
    container.memory_limit = as_written(observed_number(name, cgroups, memory_max), written.memory_limit);
    container.process_limit = observed_number(name, cgroups, pids_max);
    container.cpu_set = cgroups.cpu_set(name, written.cpu_set);
    // Each of these costs a file to read: those that nobody set are what they were.
    if (written.memory_soft_limit)
        container.memory_soft_limit = as_written(observed_number(name, cgroups, memory_high), written.memory_soft_limit);
    if (written.swappiness && cgroups.offers(memory_swappiness))
        container.swappiness = parse_number(cgroups.inner_value(name, memory_swappiness).value_or(""));
    if (written.hugepage_limits) container.hugepage_limits = observed_hugepages(name, cgroups, *written.hugepage_limits);
    if (written.cpu_nodes) container.cpu_nodes = cgroups.value(name, cpuset_mems);
    if (written.cpu_shares) {
        // What a cgroup has of itself is a value like any other: 100 % asks for it.
        container.cpu_shares = parse_number(observed(name, cgroups, cpu_weight).value_or(""));
        if (container.cpu_shares && cgroups.is_unified("cpu"))
            container.cpu_shares = shares_of(*container.cpu_shares, written.cpu_shares);
    }
    if (written.cpu_quota) container.cpu_quota = observed_quota(name, cgroups);
    if (written.disk_limits) container.disk_limits = observed_disk_limits(name, cgroups, *written.disk_limits);
    if (written.disk_weight) container.disk_weight = observed_disk_weight(name, cgroups);
}

Status apply_limits(const std::string& name, const Cgroups& cgroups, const Container& next,
                    const std::function<bool(std::string_view)>& touches) {
    if (touches("memory_limit") || touches("swap_limit"))
        CTL_TRY(write_memory(name, cgroups, next, touches("swap_limit") || next.swap_limit));
    if (touches("memory_soft_limit")) CTL_TRY(put(name, cgroups, memory_high, text_of(next.memory_soft_limit)));
    if (touches("swappiness")) CTL_TRY(write_swappiness(name, cgroups, next.swappiness));
    if (touches("hugepage_limits")) CTL_TRY(write_hugepages(name, cgroups, next));
    if (touches("process_limit")) CTL_TRY(put(name, cgroups, pids_max, text_of(next.process_limit)));
    if (touches("cpu_set")) CTL_TRY(cgroups.set_list(name, cpuset_cpus, next.cpu_set));
    if (touches("cpu_nodes")) CTL_TRY(cgroups.set_list(name, cpuset_mems, next.cpu_nodes));
    if (touches("cpu_shares")) CTL_TRY(write_shares(name, cgroups, next.cpu_shares));
    if (touches("cpu_quota")) CTL_TRY(write_quota(name, cgroups, next.cpu_quota));
    if (touches("disk_limits")) CTL_TRY(apply_disk_limits(name, cgroups, next.disk_limits.value_or(DiskLimits())));
    if (touches("disk_weight")) CTL_TRY(write_disk_weight(name, cgroups, next.disk_weight));
    return ok();
}

Status apply_late_limits(const std::string& name, const Cgroups& cgroups, const Container& container) {
    // It gives it to the cgroup around the one that the processes are in.
    if (container.swappiness) CTL_TRY(write_swappiness(name, cgroups, container.swappiness));
    // Disks have other numbers after a reboot.
    return container.disk_limits ? apply_disk_limits(name, cgroups, *container.disk_limits) : ok();
}

std::string disk_weight_file(const Cgroups& cgroups) { return cgroups.file_name(disk_weight_in(cgroups)); }

bool counts_swap(const Cgroups& cgroups) { return cgroups.offers(memory_swap); }

}  // namespace ctl::drivers::lxc
