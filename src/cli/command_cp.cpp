#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"
#include "cli/container_commands.h"
#include "cli/copy.h"
#include "cli/counters.h"
#include "cli/terminal.h"
#include "drivers/api/container_files.h"
#include "reconcile/observe.h"

namespace ctl::cli {

namespace {

struct CpOptions {
    std::string from;
    std::string to;
    bool archive = false;
    std::string owner;
};

struct ContainerPath {
    std::string container;
    std::string path;
};

/// "web:/etc/hosts"; nothing for a path on the host.
std::optional<ContainerPath> container_path(const std::string& text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos || !drivers::is_container_name(text.substr(0, colon))) return std::nullopt;
    const std::string path = text.substr(colon + 1);
    return ContainerPath{text.substr(0, colon), path.starts_with('/') ? path : "/" + path};
}

/// A running one's as its processes see it, with all that is mounted there; else its root volume's.
Result<ContainerRoot> files_of(Session& session, const std::string& name) {
    const model::ObjectId id{model::ObjectKind::container, name};
    CTL_ASSIGN(const auto observation, reconcile::observe(session.drivers(), {id}));
    const auto* container = model::find_object<model::Container>(observation.state, name);
    if (container == nullptr)
        return Error(ErrorCode::not_found, fmt::format("no container {} is on this host", ctl::quoted(name)))
            .hint("see: ctl get containers");
    CTL_ASSIGN(const auto facts, reconcile::facts(session.drivers(), {id}));
    const auto pid = number_of(facts_of(facts, id), "pid");
    const std::string path = pid ? fmt::format("/proc/{}/root", *pid) : container->rootfs.value_or("");
    ContainerRoot files;
    CTL_ASSIGN(const auto ids, IdMap::parse(container->idmap.value_or("none")));
    files.ids = ids.value_or(IdMap::identity());
    files.root.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!files.root)
        return system_error(errno, fmt::format("open the root directory of container {}", ctl::quoted(name)))
            .hint("ctl start brings back what a reboot has taken");
    if (!pid && !is_mount_root(files.root.get()))
        return Error(ErrorCode::not_found, fmt::format("the files of container {} are not mounted", ctl::quoted(name)))
            .hint("ctl start, or ctl apply, brings back what a reboot has taken");
    return files;
}

/// UID[:GID]; the group is the user's number without one.
Status read_owner(const std::string& text, CopyOptions& options) {
    if (text.empty()) return ok();
    const auto parts = split(text, ':');
    std::uint32_t* const ids[]{&options.uid, &options.gid};
    bool good = parts.size() <= 2;
    for (std::size_t i = 0; good && i < parts.size(); ++i) {
        const auto [end, error] = std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), *ids[i]);
        good = error == std::errc() && end == parts[i].data() + parts[i].size();
    }
    if (!good) return Error(ErrorCode::invalid, fmt::format("{} is not UID or UID:GID", ctl::quoted(text)));
    if (parts.size() == 1) options.gid = options.uid;
    return ok();
}

Result<Copied> copy(const CpOptions& options, const GlobalOptions& global) {
    const auto from = container_path(options.from);
    const auto to = container_path(options.to);
    if (from.has_value() == to.has_value())
        return Error(ErrorCode::invalid, "one of the two has to be in a container, and only one")
            .hint("for example: ctl cp web:/etc/hosts . ; a file of the host with a colon in its name: ./a:b");
    if (::geteuid() != 0) return Error(ErrorCode::permission, "files of containers need root").hint("run it with sudo");
    CopyOptions how{.archive = options.archive};
    CTL_TRY(read_owner(options.owner, how));
    CTL_ASSIGN(auto session, Session::open(global));
    CTL_ASSIGN(const auto files, files_of(session, from ? from->container : to->container));
    return from ? copy_out(files, from->path, options.to, how) : copy_in(options.from, files, to->path, how);
}

ExitCode cp(const CpOptions& options, const GlobalOptions& global) {
    const auto copied = copy(options, global);
    if (!copied) return fail(copied.error());
    for (const auto& path : copied->skipped)
        fmt::print(stderr, "warning: {} is no file, directory or link and was left out\n", escaped(path));
    return ExitCode::done;
}

}  // namespace

void add_cp_command(Program program) {
    CLI::App* command = program.app.add_subcommand("cp", "Copy files and directories into a container or out of one");
    auto options = std::make_shared<CpOptions>();
    command->add_option("from", options->from, "PATH or CONTAINER:PATH; - is standard input")->required();
    command->add_option("to", options->to, "CONTAINER:PATH or PATH; - is standard output")->required();
    CLI::Option* archive =
        command->add_flag("-a,--archive", options->archive, "Keep owners, by their numbers in the container, and times");
    command->add_option("--owner", options->owner, "UID[:GID] in the container that gets what is copied in [0:0]")
        ->excludes(archive);
    command->callback([program, options] { program.exit_code = cp(*options, program.options); });
}

}  // namespace ctl::cli
