#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "base/text.h"
#include "drivers/api/store.h"
#include "drivers/image/build.h"
#include "drivers/image/download.h"
#include "drivers/image/simplestreams.h"

namespace ctl::drivers::image {

namespace {

/// Files that were downloaded: gone once the image is made, or is known to be bad. They are kept when it is only that the
/// disk was full, or somebody interrupted.
class Downloaded {
public:
    explicit Downloaded(const Workshop& workshop) : workshop_(workshop) {}

    Result<std::string> get(const Download& wanted) {
        CTL_ASSIGN(std::string path, download(workshop_.downloads(), wanted, workshop_.stop));
        paths_.push_back(path);
        return path;
    }

    Result<Built> use(Result<Built> built) {
        if (built || built.error().code() == ErrorCode::invalid || built.error().code() == ErrorCode::unsupported) {
            for (const auto& path : paths_) ::unlink(path.c_str());
            ::rmdir(workshop_.downloads().c_str());
        }
        return built;
    }

private:
    const Workshop& workshop_;
    std::vector<std::string> paths_;
};

bool is_web_address(const std::string& url) {
    if (!url.starts_with("https://") && !url.starts_with("http://")) return false;
    for (const char c : url)
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return false;
    return true;
}

Status check_address(const std::string& url) {
    if (is_web_address(url)) return ok();
    return Error(ErrorCode::invalid, fmt::format("{} is no address of a web server", ctl::quoted(url)))
        .hint("write https://HOST/PATH");
}

/// SERVER and ALIAS of a source.
std::pair<std::string, std::string> parts_of(const std::string& source) {
    const std::size_t blank = source.find(' ');
    return {source.substr(0, blank), blank == std::string::npos ? "" : source.substr(blank + 1)};
}

}  // namespace

Status check_remote(const model::Image& image) {
    const std::string source = image.source.value_or("");
    const std::string certificate = option(image, "certificate");
    if (!certificate.empty() && certificate.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
        return Error(ErrorCode::invalid, "the certificate is none in PEM form")
            .hint("it begins with -----BEGIN CERTIFICATE-----");
    const bool is_server = *image.type == "simplestreams";
    const auto [address, alias] = parts_of(source);
    if (is_server) CTL_TRY(check_address(address));
    if (is_server && !address.starts_with("https://"))
        return Error(ErrorCode::invalid,
                     fmt::format("{} is asked without TLS: anybody on the way could answer instead", ctl::quoted(address)))
            .hint("use https://");
    if (is_server) return ok();
    for (const auto& url : {source, option(image, "rootfs")}) {
        if (url.empty() && !source.empty()) continue;
        CTL_TRY(check_address(url));
        if (!url.starts_with("https://") && !image.fingerprint)
            return Error(ErrorCode::invalid,
                         fmt::format("{} is got without TLS: nothing would tell if it was changed on the way",
                                     ctl::quoted(url)))
                .hint("use https://, or declare its fingerprint");
    }
    return ok();
}

Result<Built> build_from_url(const model::Image& image, int aside, const Workshop& workshop) {
    Downloaded downloaded(workshop);
    const std::string rootfs = option(image, "rootfs");
    const std::string certificate = option(image, "certificate");
    // A declared fingerprint is that of the file only where there is but one.
    const std::string sum = rootfs.empty() ? image.fingerprint.value_or("") : "";
    CTL_ASSIGN(const std::string first, downloaded.get({*image.source, sum, 0, certificate}));
    if (rootfs.empty()) return downloaded.use(unpack_one(first, aside));
    CTL_ASSIGN(const std::string second, downloaded.get({rootfs, "", 0, certificate}));
    return downloaded.use(unpack_two(first, second, aside));
}

Result<Built> build_from_server(const model::Image& image, int aside, const Workshop& workshop) {
    const auto [server, alias] = parts_of(*image.source);
    CTL_ASSIGN(const Offer offer,
               ask_server(server, alias, option(image, "architecture"), {option(image, "certificate")}, workshop.stop));
    if (std::filesystem::exists(image_tree_dir(workshop.state_dir, offer.fingerprint) + "/rootfs"))
        return Built{offer.fingerprint, 0, 0, true};
    Downloaded downloaded(workshop);
    CTL_ASSIGN(const std::string metadata, downloaded.get(offer.metadata));
    CTL_ASSIGN(const std::string rootfs, downloaded.get(offer.rootfs));
    auto built = downloaded.use(unpack_two(metadata, rootfs, aside));
    if (built && built->fingerprint != offer.fingerprint)
        return Error(ErrorCode::invalid, fmt::format("its fingerprint is {}, but the server announced {}",
                                                     built->fingerprint, offer.fingerprint));
    return built;
}

}  // namespace ctl::drivers::image
