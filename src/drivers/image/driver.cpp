#include "drivers/image/driver.h"

#include <unistd.h>

#include <fmt/format.h>

#include "drivers/image/facts.h"
#include "drivers/image/image.h"
#include "drivers/image/update_timer.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;

class ImageDriver final : public Driver {
public:
    explicit ImageDriver(std::string state_dir) : state_dir_(std::move(state_dir)) {}

    [[nodiscard]] const DriverInfo& info() const override { return info_; }
    [[nodiscard]] Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override;
    [[nodiscard]] std::vector<Error> preflight(std::span<const Change> changes) override;
    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override;
    [[nodiscard]] Result<std::map<model::ObjectId, Facts>> facts(const std::set<model::ObjectId>& ids,
                                                                 std::stop_token stop) override;
    [[nodiscard]] std::vector<EventSource> events() override;
    [[nodiscard]] bool drain(int) override { return timer_.drain(); }

private:
    Status check(const Change& change);
    Status apply_one(const Change& change, const std::stop_token& stop);

    std::string state_dir_;
    image::UpdateTimer timer_;
    DriverInfo info_{"image", "root filesystems by fingerprint", {model::ObjectKind::image}};
};

Result<model::HostState> ImageDriver::observe(const Interest& interest, std::stop_token) {
    CTL_ASSIGN(model::HostState found, image::observe_images(state_dir_));
    timer_.show_overdue(state_dir_, found);
    if (!interest.all) std::erase_if(found, [&](const auto& item) { return !interest.ids.contains(item.first); });
    return found;
}

Result<std::map<model::ObjectId, Facts>> ImageDriver::facts(const std::set<model::ObjectId>& ids, std::stop_token) {
    std::map<model::ObjectId, Facts> found;
    for (const auto& id : ids) {
        if (id.kind != model::ObjectKind::image || !image::check_image_name(id.name)) continue;
        auto facts = image::image_facts(state_dir_, id.name);
        if (facts) found.emplace(id, *std::move(facts));
        else if (facts.error().code() != ErrorCode::not_found) return std::move(facts).error();
    }
    return found;
}

std::vector<EventSource> ImageDriver::events() {
    const int fd = timer_.arm(state_dir_);
    return fd >= 0 ? std::vector<EventSource>{{fd, "images that follow their source"}} : std::vector<EventSource>{};
}

Status ImageDriver::check(const Change& change) {
    if (::geteuid() != 0)
        return Error(ErrorCode::permission, "images can only be changed by root").hint("run ctl with sudo");
    CTL_TRY(image::check_image_name(change.id.name));
    return change.verb == Verb::create && change.desired ? image::check_image(state_dir_, *change.desired) : ok();
}

std::vector<Error> ImageDriver::preflight(std::span<const Change> changes) {
    std::vector<Error> errors;
    for (const auto& change : changes)
        if (auto checked = check(change); !checked) errors.push_back(diff::refusal(std::move(checked).error(), change));
    return errors;
}

Status ImageDriver::apply_one(const Change& change, const std::stop_token& stop) {
    const std::string& name = change.id.name;
    CTL_TRY(image::check_image_name(name));
    switch (change.verb) {
        case Verb::update: return image::update_image(state_dir_, name, change, stop);
        case Verb::create: return image::create_image(state_dir_, name, *change.desired, stop);
        case Verb::adopt: return image::mark_image(state_dir_, name, &change.desired->owner);
        case Verb::forget: return image::mark_image(state_dir_, name, nullptr);
        case Verb::remove:
            return image::remove_image(state_dir_, name, change.observed ? change.observed->owner : model::ResourceRef{});
        case Verb::replace:
        case Verb::stop: break;
    }
    return Error(ErrorCode::internal, fmt::format("an image knows no {}", diff::to_string(change.verb)));
}

void ImageDriver::apply(std::span<const Change> changes, const Report& report, std::stop_token stop) {
    const Status swept = image::sweep_images(state_dir_);
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (stop.stop_requested()) report(i, Error(ErrorCode::cancelled, "interrupted before it began"));
        else report(i, swept ? apply_one(changes[i], stop) : swept);
    }
}

}  // namespace

Result<std::unique_ptr<Driver>> make_image_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<ImageDriver>(context.state_dir));
}

}  // namespace ctl::drivers
