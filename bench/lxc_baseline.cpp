// bench-lxc-baseline LXCPATH WORKERS [BRIDGE < ADDRESSES]: starts all containers of a path with liblxc and nothing else,
// prints the seconds that took, and kills them again.
//
// What ctl's apply is measured against. The containers are those that ctl makes (`state: stopped` prepared their root file
// systems and configs, outside of the time measured here). The workers are processes that opened liblxc before the clock
// starts and call start() in a loop: the fastest way there is. Threads would have to share liblxc's log and locks, and a
// process per container would pay for loading liblxc each time, as ctl does.
//
// With a BRIDGE liblxc gives each container its network as it does for everybody: a namespace of its own with a veth on that
// bridge and the address from a line "NAME ADDRESS/PREFIX GATEWAY" of the standard input. Without one the containers start
// in the namespaces that ctl prepared, links and all, so that nothing but the bare starts is measured.

#include <lxc/lxccontainer.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

struct PutContainer {
    void operator()(lxc_container* container) const { ::lxc_container_put(container); }
};
using ContainerPtr = std::unique_ptr<lxc_container, PutContainer>;

std::vector<std::string> defined_containers(const char* path) {
    char** names = nullptr;
    const int count = ::list_defined_containers(path, &names, nullptr);
    std::vector<std::string> found;
    for (int i = 0; i < count; ++i) {
        found.emplace_back(names[i]);
        std::free(names[i]);
    }
    std::free(names);
    return found;
}

/// Has `workers` processes share out the names; false if one of them failed.
bool in_workers(const std::vector<std::string>& names, int workers, const std::function<bool(const std::string&)>& work) {
    void* shared =
        ::mmap(nullptr, sizeof(std::atomic<std::size_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return false;
    auto* next = new (shared) std::atomic<std::size_t>(0);
    for (int i = 0; i < workers; ++i) {
        if (::fork() != 0) continue;
        bool good = true;
        for (std::size_t n = (*next)++; n < names.size(); n = (*next)++) good = work(names[n]) && good;
        ::_exit(good ? 0 : 1);
    }
    bool good = true;
    for (int i = 0; i < workers; ++i) {
        int status = 0;
        good = ::wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && good;
    }
    ::munmap(shared, sizeof(std::atomic<std::size_t>));
    return good;
}

struct Nic {
    std::string address;
    std::string gateway;
};

std::map<std::string, Nic> read_nics(std::istream& lines) {
    std::map<std::string, Nic> nics;
    std::string name;
    Nic nic;
    while (lines >> name >> nic.address >> nic.gateway) nics[name] = nic;
    return nics;
}

/// Has liblxc make the network instead of joining the one that is there.
bool give_nic(lxc_container& container, const std::string& bridge, const Nic& nic) {
    const auto set = [&](const char* key, const std::string& value) {
        return container.set_config_item(&container, key, value.c_str());
    };
    return container.clear_config_item(&container, "lxc.namespace.share.net") &&
           container.clear_config_item(&container, "lxc.namespace.share.user") && set("lxc.net.0.type", "veth") &&
           set("lxc.net.0.link", bridge) && set("lxc.net.0.name", "eth0") && set("lxc.net.0.flags", "up") &&
           set("lxc.net.0.ipv4.address", nic.address) && set("lxc.net.0.ipv4.gateway", nic.gateway);
}

}  // namespace

int main(int argc, char** argv) {
    const int workers = argc == 3 || argc == 4 ? std::atoi(argv[2]) : 0;
    if (workers <= 0) {
        std::fputs("usage: bench-lxc-baseline LXCPATH WORKERS [BRIDGE < ADDRESSES]\n", stderr);
        return 64;
    }
    const char* path = argv[1];
    const std::string bridge = argc == 4 ? argv[3] : "";
    const auto names = defined_containers(path);
    const auto nics = bridge.empty() ? std::map<std::string, Nic>() : read_nics(std::cin);
    const auto open = [path](const std::string& name) { return ContainerPtr(::lxc_container_new(name.c_str(), path)); };

    const auto begin = std::chrono::steady_clock::now();
    const bool started = in_workers(names, workers, [&](const std::string& name) {
        const auto container = open(name);
        if (!container || (!bridge.empty() && !give_nic(*container, bridge, nics.at(name)))) return false;
        return container->want_daemonize(container.get(), true) && container->start(container.get(), 0, nullptr);
    });
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    const bool stopped = in_workers(names, workers, [&](const std::string& name) {
        const auto container = open(name);
        return container && container->stop(container.get());
    });
    if (!started || !stopped || names.empty()) {
        std::fprintf(stderr, "%s\n", names.empty() ? "no containers there" : "liblxc failed");
        return 1;
    }
    std::printf("%.3f\n", elapsed.count());
    return 0;
}
