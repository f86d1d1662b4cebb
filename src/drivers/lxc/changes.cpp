#include "drivers/lxc/changes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "diff/diff.h"
#include "drivers/api/mark.h"
#include "drivers/lxc/config_file.h"
#include "drivers/lxc/devices.h"
#include "drivers/lxc/facts.h"
#include "drivers/lxc/held.h"
#include "drivers/lxc/limits.h"
#include "drivers/lxc/modules.h"
#include "drivers/lxc/mounts.h"
#include "drivers/lxc/seed.h"
#include "drivers/lxc/start.h"

namespace ctl::drivers::lxc {

namespace {

using diff::Verb;
using model::Container;
using model::ContainerState;

constexpr unsigned config_mode = 0640;

Status make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return system_error(errno, fmt::format("create {}", path));
    return ok();
}

/// One change of one container.
class Work {
public:
    Work(const Host& host, const diff::Change& change) : host_(host), change_(change), name_(change.id.name) {}

    Status run() {
        if (!is_container_name(name_))
            return Error(ErrorCode::invalid, fmt::format("{} can't be a container's name", ctl::quoted(name_)));
        CTL_TRY(load());
        switch (change_.verb) {
            case Verb::create: return create();
            case Verb::update: return update();
            case Verb::adopt: return adopt();
            case Verb::forget: return forget();
            case Verb::remove: return remove();
            case Verb::stop: return text_ ? stop_as_asked() : ok();
            case Verb::replace: break;
        }
        return Error(ErrorCode::internal, "the lxc driver was asked to replace a container in one step");
    }

private:
    Status load() {
        auto text = read_file(host_.paths.config(name_));
        if (!text && text.error().code() != ErrorCode::not_found) return std::move(text).error();
        if (!text) return ok();
        text_ = *std::move(text);
        parsed_ = parse_config(*text_, host_.paths.place(name_));
        is_ours_ = read_mark(parsed_.mark, change_.id).has_value();
        if (is_ours_ || change_.verb == Verb::adopt || change_.verb == Verb::forget) return ok();
        return Error(ErrorCode::conflict, fmt::format("container {} is there already and is not ctl's", ctl::quoted(name_)))
            .hint(fmt::format("choose another name, or remove it: lxc-destroy -P {} -n {}", host_.paths.lxcpath, name_));
    }

    [[nodiscard]] const Container& wanted() const { return std::get<Container>(change_.desired->object); }
    [[nodiscard]] std::string mark() const { return make_mark(change_.desired->owner, change_.id); }
    [[nodiscard]] bool is_running() const { return host_.monitors.is_running(name_); }

    /// Does the change speak of this field? Without a list of fields it speaks of all that are wanted.
    [[nodiscard]] bool touches(std::string_view field) const {
        return change_.fields.empty() || std::any_of(change_.fields.begin(), change_.fields.end(),
                                                     [&](const auto& changed) { return changed.name == field; });
    }

    Status create() {
        if (!change_.desired) return Error(ErrorCode::internal, "create without a desired container");
        if (text_) return update();
        CTL_ASSIGN(const auto config,
                   render_config(wanted(), mark(), host_.paths.place(name_), find_facts(wanted(), host_.cgroups)));
        const std::string aside = host_.paths.unfinished(name_);
        CTL_TRY(make_directory(aside));
        CTL_TRY(write_seed(aside, wanted().seed));
        CTL_TRY(write_file_atomically(aside + "/config", config, config_mode));
        if (::rename(aside.c_str(), host_.paths.directory(name_).c_str()) != 0) {
            const int why = errno;
            ::unlink((aside + "/config").c_str());
            static_cast<void>(write_seed(aside, std::nullopt));
            ::rmdir(aside.c_str());
            if (why == ENOTEMPTY || why == EEXIST || why == ENOTDIR)
                return Error(ErrorCode::conflict,
                             fmt::format("{} is there and has no config of ctl's", host_.paths.directory(name_)));
            return system_error(why, fmt::format("rename {} to {}", aside, host_.paths.directory(name_)));
        }
        const ContainerState state = wanted().state.value_or(ContainerState::stopped);
        // Made anew, it stays as somebody brought it by hand.
        if (change_.desired->held) CTL_TRY(keep_purpose(state));
        return bring_to(state);
    }

    Status update() {
        if (!text_)
            return Error(ErrorCode::not_found, fmt::format("container {} is not there any more", ctl::quoted(name_)));
        if (!change_.desired) return Error(ErrorCode::internal, "update without a desired container");
        CTL_ASSIGN(const auto next, merged());
        CTL_TRY(write_config(next));
        // An empty one takes the files out of the container's root again, at its next start.
        if (touches("seed") && (next.seed || read_seed(directory())))
            CTL_TRY(write_seed(directory(), next.seed.value_or(Seed{})));
        if (change_.deferred) return ok();
        if (is_running()) {
            if (needs_restart()) CTL_TRY(stop());
            else CTL_TRY(apply_live(next));
        }
        if (names_state()) CTL_TRY(keep_purpose(wanted_state()));
        return bring_to(wanted_state());
    }

    Status adopt() {
        if (!text_)
            return Error(ErrorCode::not_found, fmt::format("container {} is not there any more", ctl::quoted(name_)));
        if (!change_.desired) return Error(ErrorCode::internal, "adopt without a desired container");
        return update();
    }

    Status forget() {
        if (!text_ || !is_ours_) return ok();
        return write_file_atomically(host_.paths.config(name_), with_mark(*text_, ""), config_mode);
    }

    Status stop() { return stop_container(name_, host_.paths, host_.monitors, host_.cgroups); }

    /// A stop may be a person's wish, and come with the time that the container has for it.
    Status stop_as_asked() {
        if (!change_.desired) return stop();
        if (wanted().state == ContainerState::stopped) CTL_TRY(keep_purpose(ContainerState::stopped));
        if (!wanted().stop_timeout) return stop();
        return stop_container(name_, host_.paths, host_.monitors, host_.cgroups,
                              std::chrono::seconds(*wanted().stop_timeout));
    }

    [[nodiscard]] bool names_state() const { return !change_.fields.empty() && touches("state"); }

    /// Before the state itself: a mark of a state that the container isn't in means nothing.
    [[nodiscard]] Status keep_purpose(ContainerState state) const {
        return change_.desired->held ? hold(host_.paths, name_, state) : release(host_.paths, name_);
    }

    Status remove() {
        CTL_TRY(stop());
        const Paths& paths = host_.paths;
        CTL_TRY(remove_nodes(paths.place(name_)));
        // Also what an interrupted run left of it: the config goes last, and without it there may still be a directory.
        const std::string unfinished_config = paths.unfinished(name_) + "/config";
        for (const auto& file :
             {unfinished_config, path_aside(unfinished_config).native(), path_aside(paths.config(name_)).native(),
              path_aside(paths.started(name_)).native(), paths.started(name_), path_aside(paths.seccomp(name_)).native(),
              paths.seccomp(name_), paths.log(name_), paths.console(name_), paths.console(name_) + ".1", paths.lock(name_),
              seed_file(paths.unfinished(name_)), path_aside(seed_file(paths.unfinished(name_))).native(),
              seed_file(directory()), path_aside(seed_file(directory())).native(), paths.held(name_),
              path_aside(paths.held(name_)).native(), paths.config(name_)})
            if (::unlink(file.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR)
                return system_error(errno, fmt::format("delete {}", file));
        ::rmdir(paths.unfinished(name_).c_str());
        // What people have put into the directory is theirs and stays.
        if (::rmdir(paths.directory(name_).c_str()) != 0 && errno != ENOENT && errno != ENOTEMPTY)
            return system_error(errno, fmt::format("delete {}", paths.directory(name_)));
        return ok();
    }

    [[nodiscard]] std::string directory() const { return host_.paths.directory(name_); }

    /// The container as it is, with the change's fields.
    [[nodiscard]] Result<Container> merged() const {
        model::Object next = parsed_.container;
        const auto set = [&](std::string_view field, const std::optional<model::FieldValue>& value) -> Status {
            if (model::set_field(next, field, value)) return ok();
            return Error(ErrorCode::internal, fmt::format("a container has no such field {}", ctl::quoted(field)));
        };
        for (const auto& field : change_.fields) CTL_TRY(set(field.name, field.to));
        // What somebody wrote into the config of a container that runs shows when it starts again: then all of it is as
        // wanted.
        if (change_.fields.empty() || needs_restart())
            for (const auto& field : model::fields_of(change_.desired->object))
                if (field.value) CTL_TRY(set(field.name, field.value));
        return std::get<Container>(next);
    }

    Status write_config(const Container& next) {
        CTL_ASSIGN(const auto config,
                   render_config(next, mark(), host_.paths.place(name_), find_facts(next, host_.cgroups)));
        if (config == *text_) return ok();
        return write_file_atomically(host_.paths.config(name_), config, config_mode);
    }

    [[nodiscard]] bool needs_restart() const {
        if (!change_.fields.empty())
            return std::any_of(change_.fields.begin(), change_.fields.end(),
                               [](const auto& field) { return field.effect == model::Effect::restart; });
        const auto running = observe_container(host_, name_, true);
        if (!running) return false;
        const auto unmet = diff::unmet(change_.desired->object, &running->object);
        return std::any_of(unmet.begin(), unmet.end(),
                           [](const auto& field) { return field.effect == model::Effect::restart; });
    }

    Status apply_live(const Container& next) {
        CTL_TRY(apply_limits(name_, host_.cgroups, next, [&](std::string_view field) { return touches(field); }));
        if (touches("kernel_modules")) CTL_TRY(load_modules(next.kernel_modules.value_or(std::vector<std::string>())));
        return replug_all(next);
    }

    /// Puts mounts or devices in and out. The file of what the container runs with names all that may be there at any
    /// moment, also after a failure or a kill: the kernel tells which of them are there, but only of those that the file
    /// names.
    template <typename Field>
    Status replug(std::string_view what, Field Container::*field, const Container& next, const auto& present_of,
                  const auto& plug) {
        const pid_t init = host_.monitors.init_pid(name_);
        if (init <= 0)
            return Error(ErrorCode::io,
                         fmt::format("container {} stopped while its {} were changed", ctl::quoted(name_), what));
        const auto started_text = read_file(host_.paths.started(name_));
        Container started = parse_config(started_text ? *started_text : *text_, host_.paths.place(name_)).container;
        const auto present = present_of(init, started);
        Container then = started;
        then.*field = next.*field;
        Container meanwhile = then;
        if (!(meanwhile.*field)) (meanwhile.*field).emplace();
        (meanwhile.*field)->insert(present.begin(), present.end());
        CTL_TRY(write_started(meanwhile));
        CTL_TRY(plug(init, present, then));
        return write_started(then);
    }

    Status write_started(const Container& started) {
        CTL_ASSIGN(const auto config,
                   render_config(started, mark(), host_.paths.place(name_), find_facts(started, host_.cgroups)));
        return write_file_atomically(host_.paths.started(name_), config, 0600);
    }

    Status replug_all(const Container& next) {
        if (touches("mounts"))
            CTL_TRY(replug(
                "mounts", &Container::mounts, next,
                [](pid_t init, const Container& now) { return present_mounts(init, now.mounts.value_or(Mounts())); },
                [&](pid_t init, const Mounts& present, const Container& then) {
                    return replug_mounts(host_.paths.mount_helper(), init, present, then.mounts.value_or(Mounts()));
                }));
        if (touches("devices"))
            CTL_TRY(replug("devices", &Container::devices, next, present_devices,
                           [&](pid_t init, const Devices& present, const Container& then) {
                               return replug_devices(host_.paths.mount_helper(), init, present, then,
                                                     host_.paths.place(name_), host_.cgroups);
                           }));
        return ok();
    }

    /// An update may follow a stop that the planner asked for: then the container goes on as it was before.
    [[nodiscard]] ContainerState wanted_state() const {
        if (wanted().state) return *wanted().state;
        if (change_.observed)
            if (const auto& before = std::get<Container>(change_.observed->object).state) return *before;
        return is_running() ? ContainerState::running : ContainerState::stopped;
    }

    Status bring_to(ContainerState state) {
        if (state == ContainerState::stopped) return stop();
        const bool starts = !is_running();
        CTL_TRY(start_container(name_, host_.paths, host_.monitors, host_.cgroups));
        if (starts) CTL_TRY(finish_start());
        const bool freeze = state == ContainerState::frozen;
        if (host_.cgroups.is_frozen(name_) == freeze) return ok();
        CTL_TRY(host_.cgroups.set_frozen(name_, freeze));
        host_.monitors.tell_frozen(name_, freeze);
        return ok();
    }

    [[nodiscard]] Status finish_start() const {
        CTL_ASSIGN(const auto config, read_file(host_.paths.started(name_)));
        return apply_late_limits(name_, host_.cgroups, parse_config(config, host_.paths.place(name_)).container);
    }

    const Host& host_;
    const diff::Change& change_;
    const std::string& name_;
    std::optional<std::string> text_;  ///< the config on disk
    ParsedConfig parsed_;
    bool is_ours_ = false;
};

}  // namespace

Status apply_change(const Host& host, const diff::Change& change) { return Work(host, change).run(); }

}  // namespace ctl::drivers::lxc
