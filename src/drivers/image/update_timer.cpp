#include "drivers/image/update_timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "drivers/api/store.h"
#include "drivers/image/image.h"

namespace ctl::drivers::image {

int UpdateTimer::arm(const std::string& state_dir) {
    if (!timer_) timer_.reset(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer_) return -1;
    std::time_t next = std::numeric_limits<std::time_t>::max();
    if (const auto images = observe_images(state_dir))
        for (const auto& [id, entry] : *images) {
            const auto record = read_image_record(state_dir, id.name);
            if (record && record->auto_update) next = std::min<std::time_t>(next, record->looked + look_again);
        }
    itimerspec when{};
    if (next != std::numeric_limits<std::time_t>::max()) when.it_value.tv_sec = std::max<std::time_t>(next, 1);
    return ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0 ? timer_.get() : -1;
}

bool UpdateTimer::drain() {
    std::uint64_t times = 0;
    return ::read(timer_.get(), &times, sizeof times) == sizeof times;
}

void UpdateTimer::show_overdue(const std::string& state_dir, model::HostState& observed) const {
    if (!timer_) return;
    for (auto& [id, entry] : observed) {
        const auto record = read_image_record(state_dir, id.name);
        if (record && is_overdue(*record, std::time(nullptr))) std::get<model::Image>(entry.object).auto_update = false;
    }
}

}  // namespace ctl::drivers::image
