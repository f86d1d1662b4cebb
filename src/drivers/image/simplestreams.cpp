#include "drivers/image/simplestreams.h"

#include <sys/utsname.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <rapidjson/document.h>

#include "base/text.h"
#include "model/value_types.h"

namespace ctl::drivers::image {

namespace {

using Json = rapidjson::Value;

constexpr std::size_t document_limit = std::size_t{64} << 20;
constexpr std::size_t most_documents = 16;

std::string text_of(const Json& json, const char* key) {
    const auto found = json.FindMember(key);
    return found != json.MemberEnd() && found->value.IsString()
               ? std::string(found->value.GetString(), found->value.GetStringLength())
               : std::string();
}

const Json* object_of(const Json& json, const char* key) {
    const auto found = json.FindMember(key);
    return found != json.MemberEnd() && found->value.IsObject() ? &found->value : nullptr;
}

Result<rapidjson::Document> parse(std::string_view text, const char* needed) {
    rapidjson::Document json;
    // Not by recursion: a server may nest as deep as it likes.
    json.Parse<rapidjson::kParseIterativeFlag>(text.data(), text.size());
    if (json.HasParseError() || !json.IsObject() || object_of(json, needed) == nullptr)
        return Error(ErrorCode::invalid, fmt::format("the server's answer is no JSON with {}", ctl::quoted(needed)));
    return json;
}

/// A path on the server that stays below its top.
bool is_server_path(std::string_view path) {
    if (path.empty() || path.starts_with('/')) return false;
    const auto parts = split(path, '/');
    if (std::find(parts.begin(), parts.end(), "..") != parts.end()) return false;
    return std::all_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; });
}

bool has_alias(const Json& product, std::string_view alias) {
    const std::string aliases = text_of(product, "aliases");
    const auto names = model::parse_list(aliases);
    return std::find(names.begin(), names.end(), alias) != names.end();
}

Result<Download> read_item(const Json& item) {
    Download download;
    download.url = text_of(item, "path");
    download.sha256 = text_of(item, "sha256");
    const auto size = item.FindMember("size");
    if (size != item.MemberEnd() && size->value.IsInt64()) download.size = size->value.GetInt64();
    if (!is_server_path(download.url) || !model::is_sha256(download.sha256) || download.size <= 0)
        return Error(ErrorCode::invalid, fmt::format("the server offers a file {} without a usable path, size and sha256",
                                                     ctl::quoted(download.url)));
    return download;
}

/// The metadata's item knows the sum of both files for each form of the root filesystem.
struct Form {
    const char* type;
    std::vector<const char*> sums;
};

/// The smaller download first, as LXD chooses.
const Form forms[] = {{"squashfs", {"combined_squashfs_sha256"}},
                      {"root.tar.xz", {"combined_rootxz_sha256", "combined_sha256"}}};

const Json* find_item(const Json& items, std::initializer_list<std::string_view> types) {
    for (const auto& [name, item] : items.GetObject())
        if (item.IsObject() && std::find(types.begin(), types.end(), text_of(item, "ftype")) != types.end()) return &item;
    return nullptr;
}

Result<std::optional<Offer>> read_version(const std::string& version, const Json& items) {
    const Json* metadata = find_item(items, {"lxd.tar.xz", "incus.tar.xz"});
    if (metadata == nullptr) return std::optional<Offer>();
    for (const auto& form : forms) {
        const Json* rootfs = find_item(items, {form.type});
        if (rootfs == nullptr) continue;
        for (const auto* sum : form.sums) {
            Offer offer;
            offer.fingerprint = text_of(*metadata, sum);
            offer.version = version;
            if (!model::is_sha256(offer.fingerprint)) continue;
            CTL_ASSIGN(offer.metadata, read_item(*metadata));
            CTL_ASSIGN(offer.rootfs, read_item(*rootfs));
            return std::optional(offer);
        }
    }
    return std::optional<Offer>();
}

std::string debian_architecture() {
    utsname host{};
    if (::uname(&host) != 0) return {};
    const std::map<std::string_view, std::string_view> names{
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "armhf"}, {"ppc64le", "ppc64el"}, {"i686", "i386"}};
    const auto found = names.find(host.machine);
    return std::string(found != names.end() ? found->second : std::string_view(host.machine));
}

std::string at(const std::string& server, const std::string& path) {
    return fmt::format("{}{}{}", server, server.ends_with('/') ? "" : "/", path);
}

}  // namespace

Result<std::vector<std::string>> read_index(std::string_view text) {
    CTL_ASSIGN(const auto json, parse(text, "index"));
    std::vector<std::string> paths;
    for (const auto& [name, entry] : json["index"].GetObject()) {
        if (!entry.IsObject() || text_of(entry, "datatype") != "image-downloads") continue;
        if (std::string path = text_of(entry, "path"); is_server_path(path)) paths.push_back(std::move(path));
    }
    if (paths.empty()) return Error(ErrorCode::not_found, "the server's index names no images");
    if (paths.size() > most_documents) paths.resize(most_documents);
    return paths;
}

Result<std::optional<Offer>> find_offer(std::string_view text, std::string_view alias, std::string_view architecture) {
    CTL_ASSIGN(const auto json, parse(text, "products"));
    std::optional<Offer> best;
    for (const auto& [name, product] : json["products"].GetObject()) {
        if (!product.IsObject() || text_of(product, "arch") != architecture || !has_alias(product, alias)) continue;
        const Json* versions = object_of(product, "versions");
        if (versions == nullptr) continue;
        for (const auto& [version_name, version] : versions->GetObject()) {
            const std::string called(version_name.GetString(), version_name.GetStringLength());
            // Versions are dates: 20240101_05:24.
            if (!version.IsObject() || (best && best->version >= called)) continue;
            const Json* items = object_of(version, "items");
            if (items == nullptr) continue;
            CTL_ASSIGN(auto offer, read_version(called, *items));
            if (offer) best = std::move(offer);
        }
    }
    return best;
}

Result<Offer> ask_server(const std::string& server, const std::string& alias, const std::string& architecture,
                         const Trust& trust, std::stop_token stop) {
    const std::string wanted = architecture.empty() ? debian_architecture() : architecture;
    CTL_ASSIGN(const std::string index, fetch(at(server, "streams/v1/index.json"), trust, document_limit, stop));
    CTL_ASSIGN(const auto paths, read_index(index));
    for (const auto& path : paths) {
        CTL_ASSIGN(const std::string products, fetch(at(server, path), trust, document_limit, stop));
        CTL_ASSIGN(auto offer, find_offer(products, alias, wanted));
        if (!offer) continue;
        for (Download* download : {&offer->metadata, &offer->rootfs}) {
            download->url = at(server, download->url);
            download->certificate = trust.certificate;
        }
        return std::move(*offer);
    }
    return Error(ErrorCode::not_found,
                 fmt::format("{} offers no image {} for {}", ctl::quoted(server), ctl::quoted(alias), ctl::quoted(wanted)))
        .hint("look at what it offers, or name another alias");
}

}  // namespace ctl::drivers::image
