// The way from a manifest to a plan, without a host: loading it, and validate + lower + diff + order. The host is a value
// here: empty, or as the manifest wants it. The argument of each benchmark is a number of resources. Peak memory is that of
// the whole process: run one benchmark per process (--benchmark_filter) to read it.

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <iterator>
#include <string>

#include "diff/diff.h"
#include "model/lower.h"
#include "model/parse.h"
#include "model/validate.h"
#include "model/yaml.h"
#include "reconcile/plan.h"

namespace {

using namespace ctl;

/// One pool, image and profile, a network for each 100 containers, and containers: `count` resources in all.
std::string manifest(std::size_t count) {
    const std::size_t networks = count / 100;
    std::string text =
        "stack: bench\n"
        "storage_pools:\n- {name: default, driver: dir}\n"
        "images:\n- {name: busybox, source: {type: busybox}}\n"
        "profiles:\n- name: bench\n  config: {limits.memory: 64MiB}\n  devices:\n"
        "    root: {type: disk, path: /, pool: default}\n"
        "networks:\n";
    auto out = std::back_inserter(text);
    for (std::size_t i = 0; i < networks; ++i)
        fmt::format_to(out,
                       "- name: br{}\n  config: {{ipv4.address: 10.{}.{}.1/24, ipv4.dhcp: false, ipv6.address: none}}\n", i,
                       i / 256, i % 256);
    text += "containers:\n";
    for (std::size_t i = 0; i < count - networks - 3; ++i) {
        const std::size_t network = i / 100;
        fmt::format_to(
            out,
            "- name: c{}\n  image: busybox\n  profiles: [bench]\n  config:\n    limits.processes: 200\n"
            "    environment.INDEX: \"{}\"\n  devices:\n    eth0:\n      type: nic\n      nictype: bridged\n"
            "      parent: br{}\n      name: eth0\n      ipv4.address: 10.{}.{}.{}\n      ipv4.gateway: 10.{}.{}.1\n",
            i, i, network, network / 256, network % 256, i % 100 + 10, network / 256, network % 256);
    }
    return text;
}

model::resource::Stack load(const std::string& text, Diagnostics& diagnostics) {
    return model::parse(model::load_yaml(text, "bench.yaml", diagnostics), "bench", diagnostics);
}

double peak_megabytes() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024;
}

void load_manifest(benchmark::State& state) {
    const std::string text = manifest(static_cast<std::size_t>(state.range(0)));
    for (auto turn : state) {
        Diagnostics diagnostics;
        benchmark::DoNotOptimize(load(text, diagnostics));
        if (diagnostics.has_errors()) state.SkipWithError(diagnostics.all().front().message.c_str());
    }
    state.counters["peak_mb"] = peak_megabytes();
}

/// Time of the parts of a pipeline, summed up over its turns.
class Parts {
public:
    explicit Parts(benchmark::State& state) : state_(state) {}

    template <typename Work>
    auto time(const char* name, Work work) {
        const auto begin = std::chrono::steady_clock::now();
        auto result = work();
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
        auto& counter = state_.counters[name];
        counter.value += took.count();
        counter.flags = benchmark::Counter::kAvgIterations;
        return result;
    }

private:
    benchmark::State& state_;
};

void run_pipeline(benchmark::State& state, bool host_is_as_wanted) {
    Diagnostics diagnostics;
    const auto stack = load(manifest(static_cast<std::size_t>(state.range(0))), diagnostics);
    model::HostState host;
    if (host_is_as_wanted) {
        host = model::lower(stack, {}, {}).desired;
        for (auto& [id, entry] : host) entry.mark = model::Mark::complete;
    }
    const model::HostState recorded = host;
    const model::HostState others;

    Parts parts(state);
    std::size_t steps = 0;
    for (auto turn : state) {
        const bool valid = parts.time("validate_ms", [&] {
            model::validate(stack, diagnostics);
            return !diagnostics.has_errors();
        });
        const auto lowered = parts.time("lower_ms", [&] { return model::lower(stack, {}, {}); });
        auto output = parts.time("diff_ms", [&] {
            return diff::diff(
                {.desired = lowered.desired, .observed = host, .recorded = recorded, .others = others, .stack = "bench"});
        });
        const auto plan = parts.time("order_ms", [&] { return reconcile::make_plan("bench", std::move(output.changes)); });
        if (!valid) state.SkipWithError(diagnostics.all().front().message.c_str());
        if (!plan || plan->empty() != host_is_as_wanted) state.SkipWithError("the plan is not what it should be");
        if (plan) steps = plan->steps.size();
    }
    state.counters["steps"] = static_cast<double>(steps);
    state.counters["peak_mb"] = peak_megabytes();
}

void plan_on_an_empty_host(benchmark::State& state) { run_pipeline(state, false); }
void plan_on_a_host_as_wanted(benchmark::State& state) { run_pipeline(state, true); }

}  // namespace

BENCHMARK(load_manifest)->Arg(500)->Arg(1'000)->Arg(10'000)->Arg(20'000)->Unit(benchmark::kMillisecond);
BENCHMARK(plan_on_an_empty_host)->Arg(500)->Arg(1'000)->Arg(10'000)->Arg(20'000)->Unit(benchmark::kMillisecond);
BENCHMARK(plan_on_a_host_as_wanted)->Arg(500)->Arg(1'000)->Arg(10'000)->Arg(20'000)->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
