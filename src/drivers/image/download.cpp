#include "drivers/image/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <optional>

#include <fmt/format.h>

#include "base/activity.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/image/fingerprint.h"
#include "drivers/image/transfer.h"

namespace ctl::drivers::image {

namespace {

using namespace std::chrono_literals;

/// As long as LXD keeps images that were cached for a container.
constexpr std::time_t days_kept = 10;
/// Tries in a row that bring not a byte.
constexpr int fruitless_tries = 3;
constexpr std::int64_t largest = std::int64_t{64} << 30;

std::string sum_of(std::string_view text) {
    Fingerprint sum;
    sum.add(text);
    return sum.finish();
}

/// Sleeps, unless a stop is asked for.
void pause(std::chrono::milliseconds time, const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, time, [] { return false; });
}

/// A file on its way: STORE/KEY.part with the bytes that are there, STORE/KEY.validator with what the server said of them.
class Partial {
public:
    Partial(const std::string& store, const Download& wanted, std::stop_token stop)
        : wanted_(wanted), path_(store + "/" + (wanted.sha256.empty() ? sum_of(wanted.url) : wanted.sha256)), stop_(stop) {}

    Result<std::string> get() {
        if (!wanted_.sha256.empty() && ::access(path_.c_str(), F_OK) == 0) return path_;
        CTL_TRY(open());
        const Status got = get_all();
        teller_.reset();
        CTL_TRY(got);
        CTL_TRY(check());
        if (::fdatasync(fd_.get()) != 0) return system_error(errno, "sync the download");
        if (::rename(part().c_str(), path_.c_str()) != 0) return system_error(errno, "rename the download");
        ::unlink(validator_path().c_str());
        return path_;
    }

private:
    [[nodiscard]] std::string part() const { return path_ + ".part"; }
    [[nodiscard]] std::string validator_path() const { return path_ + ".validator"; }

    /// What an earlier run left is summed again, so that the whole is known when its last byte is there.
    Status open() {
        fd_.reset(::open(part().c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
        if (!fd_) return system_error(errno, fmt::format("create {}", ctl::quoted(part())));
        if (auto known = read_file(validator_path(), 4096)) validator_ = *known;
        // Without either there is no telling whether the rest belongs to it.
        if (wanted_.sha256.empty() && validator_.empty()) return start_over();
        std::array<char, 65536> buffer;
        ssize_t got = 0;
        while ((got = ::read(fd_.get(), buffer.data(), buffer.size())) > 0) {
            sum_.add({buffer.data(), static_cast<std::size_t>(got)});
            have_ += got;
        }
        return got == 0 ? ok() : Status(system_error(errno, "read the download"));
    }

    Status start_over() {
        if (::ftruncate(fd_.get(), 0) != 0 || ::lseek(fd_.get(), 0, SEEK_SET) != 0)
            return system_error(errno, "empty the download");
        sum_ = Fingerprint();
        have_ = 0;
        return ok();
    }

    [[nodiscard]] bool is_whole() const { return wanted_.size != 0 && have_ == wanted_.size; }

    Status get_all() {
        teller_.emplace(fmt::format("downloading {}", escaped(wanted_.url)), have_, wanted_.size);
        int fruitless = 0;
        while (!is_whole()) {
            const std::int64_t before = have_;
            auto got = get_more();
            if (got) return ok();
            if (failed_) return std::move(*failed_);
            fruitless = have_ > before ? 0 : fruitless + 1;
            if (got.error().code() != ErrorCode::io || fruitless >= fruitless_tries) return std::move(got).error();
            pause(fruitless * 500ms, stop_);
        }
        return ok();
    }

    Status get_more() {
        const Request request{wanted_.url, wanted_.certificate, have_, validator_};
        auto response = transfer(
            request, [this](const Response& answer) { return begin(answer); },
            [this](std::string_view bytes) { return take(bytes); }, stop_);
        if (response) return ok();
        // Nothing is left to send: it was whole already, or it is another file now.
        if (response.error().code() == ErrorCode::not_found && have_ > 0) {
            if (!is_whole()) CTL_TRY(start_over());
            return Error(ErrorCode::io, response.error().message());
        }
        return std::move(response).error();
    }

    bool keep(Status done) {
        if (!done) failed_ = std::move(done).error();
        return !failed_;
    }

    bool begin(const Response& answer) {
        // 200: all of it comes, from the first byte on.
        if (answer.status == 200 && have_ > 0 && !keep(start_over())) return false;
        if (answer.length > 0) teller_->set_total(have_ + answer.length);
        if (answer.validator == validator_) return true;
        validator_ = answer.validator;
        return keep(write_file_atomically(validator_path(), validator_, 0600));
    }

    bool take(std::string_view bytes) {
        sum_.add(bytes);
        const std::int64_t limit = wanted_.size != 0 ? wanted_.size : largest;
        if (have_ + static_cast<std::int64_t>(bytes.size()) > limit) {
            discard();
            return keep(
                Error(ErrorCode::invalid, fmt::format("{} is larger than {} bytes", ctl::quoted(wanted_.url), limit)));
        }
        while (!bytes.empty()) {
            const ssize_t put = ::pwrite(fd_.get(), bytes.data(), bytes.size(), have_);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return keep(system_error(errno, fmt::format("write {}", ctl::quoted(part()))));
            have_ += put;
            bytes.remove_prefix(static_cast<std::size_t>(put));
        }
        teller_->advance_to(have_);
        return true;
    }

    Status check() {
        if (wanted_.sha256.empty()) return ok();
        const std::string found = sum_.finish();
        if (found == wanted_.sha256) return ok();
        discard();
        return Error(ErrorCode::invalid,
                     fmt::format("{} has the checksum {}, not {}", ctl::quoted(wanted_.url), found, wanted_.sha256))
            .hint("it is damaged or not what was announced; nothing of it was kept");
    }

    void discard() const {
        ::unlink(part().c_str());
        ::unlink(validator_path().c_str());
    }

    const Download& wanted_;
    const std::string path_;
    const std::stop_token stop_;
    Fd fd_;
    Fingerprint sum_;
    std::int64_t have_ = 0;
    std::string validator_;
    std::optional<Error> failed_;  ///< here, not at the server
    std::optional<ActivityTeller> teller_;
};

}  // namespace

Result<std::string> fetch(const std::string& url, const Trust& trust, std::size_t limit, std::stop_token stop) {
    std::string body;
    bool too_large = false;
    const auto sink = [&](std::string_view bytes) {
        too_large = body.size() + bytes.size() > limit;
        if (!too_large) body += bytes;
        return !too_large;
    };
    auto response = transfer(
        {url, trust.certificate, 0, ""}, [](const Response&) { return true; }, sink, stop);
    if (too_large) return Error(ErrorCode::invalid, fmt::format("{} is larger than {} bytes", ctl::quoted(url), limit));
    if (!response) return std::move(response).error();
    return body;
}

Result<std::string> download(const std::string& store, const Download& wanted, std::stop_token stop) {
    CTL_TRY(make_directories(store));
    return Partial(store, wanted, std::move(stop)).get();
}

Status expire_downloads(const std::string& store) {
    const Fd directory(::open(store.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return errno == ENOENT ? ok() : Status(system_error(errno, fmt::format("open {}", ctl::quoted(store))));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) {
        struct stat info {};
        if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            info.st_mtime < std::time(nullptr) - days_kept * 86400)
            ::unlinkat(directory.get(), name.c_str(), 0);
    }
    return ok();
}

}  // namespace ctl::drivers::image
