#include "drivers/lxc/seed.h"

#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include "base/file.h"
#include "base/text.h"
#include "drivers/api/store.h"

namespace ctl::drivers::lxc {

namespace {

std::string to_json(const Seed& seed) {
    rapidjson::StringBuffer buffer;
    rapidjson::PrettyWriter<rapidjson::StringBuffer> writer(buffer);
    writer.StartObject();
    for (const auto& [name, text] : seed) {
        writer.Key(name);
        writer.String(text);
    }
    writer.EndObject();
    return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace

std::string seed_file(const std::string& directory) { return fmt::format("{}/{}", directory, seed_file_name); }

std::optional<Seed> read_seed(const std::string& directory) {
    const auto text = read_file(seed_file(directory), std::size_t{16} << 20);
    if (!text) return std::nullopt;
    rapidjson::Document json;
    json.Parse<rapidjson::kParseIterativeFlag>(text->data(), text->size());
    if (json.HasParseError() || !json.IsObject()) return std::nullopt;
    Seed seed;
    for (const auto& [name, value] : json.GetObject())
        if (value.IsString()) seed.emplace(name.GetString(), std::string(value.GetString(), value.GetStringLength()));
    return seed;
}

Status write_seed(const std::string& directory, const std::optional<Seed>& seed) {
    const std::string path = seed_file(directory);
    if (!seed) {
        if (::unlink(path.c_str()) == 0 || errno == ENOENT) return ok();
        return system_error(errno, fmt::format("delete {}", path));
    }
    for (const auto& [name, text] : *seed)
        if (!is_plain_name(name))
            return Error(ErrorCode::invalid, fmt::format("{} can't be a file of cloud-init's seed", ctl::quoted(name)));
    const std::string text = to_json(*seed);
    if (const auto there = read_file(path); there && *there == text) return ok();
    return write_file_atomically(path, text, 0600);
}

}  // namespace ctl::drivers::lxc
