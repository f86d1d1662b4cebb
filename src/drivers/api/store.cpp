#include "drivers/api/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "model/value_types.h"

namespace ctl::drivers {

namespace {

constexpr std::string_view image_format = "ctl.image/1";
constexpr std::string_view volume_format = "ctl.volume/1";
constexpr std::size_t record_limit = 65536;

std::string text_of(const rapidjson::Document& json, const char* key) {
    const auto found = json.FindMember(key);
    return found != json.MemberEnd() && found->value.IsString()
               ? std::string(found->value.GetString(), found->value.GetStringLength())
               : std::string();
}

std::int64_t number_of(const rapidjson::Document& json, const char* key) {
    const auto found = json.FindMember(key);
    return found != json.MemberEnd() && found->value.IsInt64() ? found->value.GetInt64() : 0;
}

std::map<std::string, std::string> texts_of(const rapidjson::Document& json, const char* key) {
    std::map<std::string, std::string> texts;
    const auto found = json.FindMember(key);
    if (found == json.MemberEnd() || !found->value.IsObject()) return texts;
    for (const auto& [name, value] : found->value.GetObject())
        if (value.IsString()) texts.emplace(name.GetString(), std::string(value.GetString(), value.GetStringLength()));
    return texts;
}

Result<rapidjson::Document> parse_record(std::string_view text, std::string_view format) {
    rapidjson::Document json;
    json.Parse(text.data(), text.size());
    if (json.HasParseError() || !json.IsObject() || text_of(json, "format") != format)
        return Error(ErrorCode::invalid, fmt::format("not a record of the form {}", format));
    return json;
}

class RecordWriter {
public:
    explicit RecordWriter(std::string_view format) {
        writer_.SetIndent(' ', 2);
        writer_.StartObject();
        text("format", format);
    }
    RecordWriter& text(const char* key, std::string_view value) {
        writer_.Key(key);
        writer_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
        return *this;
    }
    RecordWriter& texts(const char* key, const std::map<std::string, std::string>& values) {
        writer_.Key(key);
        writer_.StartObject();
        for (const auto& [name, value] : values) text(name.c_str(), value);
        writer_.EndObject();
        return *this;
    }
    RecordWriter& list(const char* key, const std::vector<std::string>& values) {
        writer_.Key(key);
        writer_.StartArray();
        for (const auto& value : values) writer_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
        writer_.EndArray();
        return *this;
    }
    RecordWriter& number(const char* key, std::int64_t value) {
        writer_.Key(key);
        writer_.Int64(value);
        return *this;
    }
    std::string finish() {
        writer_.EndObject();
        return std::string(buffer_.GetString(), buffer_.GetSize()) + "\n";
    }

private:
    rapidjson::StringBuffer buffer_;
    rapidjson::PrettyWriter<rapidjson::StringBuffer> writer_{buffer_};
};

/// Names below a directory that need not be there.
Result<std::vector<std::string>> names_if_there(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::vector<std::string>{};
    if (!fd) return system_error(errno, fmt::format("open directory {}", ctl::quoted(path)));
    return directory_names(fd.get());
}

Status add_images(const std::string& state_dir, std::set<std::string>& used) {
    CTL_ASSIGN(const auto names, names_if_there(state_dir + "/images"));
    for (const auto& name : names) {
        if (!is_plain_name(name) || name == "sha256" || name == "downloads") continue;
        auto record = read_image_record(state_dir, name);
        if (record) used.insert(record->fingerprint);
        else if (record.error().code() != ErrorCode::not_found) return std::move(record).error();
    }
    return ok();
}

Status add_volumes(const std::string& path, std::set<std::string>& used) {
    CTL_ASSIGN(const auto names, names_if_there(path));
    for (const auto& name : names) {
        const auto text = read_file(fmt::format("{}/{}/{}", path, name, volume_record_name), record_limit);
        if (!text) continue;
        CTL_ASSIGN(const VolumeRecord record, parse_volume_record(*text));
        used.insert(record.fingerprint);
    }
    return ok();
}

}  // namespace

Result<ImageRecord> parse_image_record(std::string_view text) {
    CTL_ASSIGN(const rapidjson::Document json, parse_record(text, image_format));
    ImageRecord record;
    record.mark = text_of(json, "mark");
    record.type = text_of(json, "type");
    record.source = text_of(json, "source");
    record.options = texts_of(json, "options");
    record.fingerprint = text_of(json, "fingerprint");
    record.made = text_of(json, "made");
    record.size = number_of(json, "size");
    record.left_out = number_of(json, "left_out");
    const auto aliases = json.FindMember("aliases");
    if (aliases != json.MemberEnd() && aliases->value.IsArray())
        for (const auto& alias : aliases->value.GetArray())
            if (alias.IsString()) record.aliases.emplace_back(alias.GetString(), alias.GetStringLength());
    record.properties = texts_of(json, "properties");
    record.shared = number_of(json, "public") != 0;
    record.auto_update = number_of(json, "auto_update") != 0;
    record.looked = number_of(json, "looked");
    record.trouble = text_of(json, "trouble");
    return record;
}

std::string to_json(const ImageRecord& record) {
    return RecordWriter(image_format)
        .text("mark", record.mark)
        .text("type", record.type)
        .text("source", record.source)
        .texts("options", record.options)
        .text("fingerprint", record.fingerprint)
        .text("made", record.made)
        .number("size", record.size)
        .number("left_out", record.left_out)
        .list("aliases", record.aliases)
        .texts("properties", record.properties)
        .number("public", record.shared ? 1 : 0)
        .number("auto_update", record.auto_update ? 1 : 0)
        .number("looked", record.looked)
        .text("trouble", record.trouble)
        .finish();
}

Result<VolumeRecord> parse_volume_record(std::string_view text) {
    CTL_ASSIGN(const rapidjson::Document json, parse_record(text, volume_format));
    return VolumeRecord{text_of(json, "mark"),       text_of(json, "image"),  text_of(json, "fingerprint"),
                        text_of(json, "idmap"),      text_of(json, "method"), text_of(json, "disk_idmap"),
                        text_of(json, "shifting_to")};
}

std::string to_json(const VolumeRecord& record) {
    return RecordWriter(volume_format)
        .text("mark", record.mark)
        .text("image", record.image)
        .text("fingerprint", record.fingerprint)
        .text("idmap", record.idmap)
        .text("method", record.method)
        .text("disk_idmap", record.disk_idmap)
        .text("shifting_to", record.shifting_to)
        .finish();
}

Result<ImageRecord> read_image_record(const std::string& state_dir, const std::string& name) {
    const std::string path = fmt::format("{}/images/{}/{}", state_dir, name, image_record_name);
    CTL_ASSIGN(const std::string text, read_file(path, record_limit));
    auto record = parse_image_record(text);
    if (!record) return std::move(record).error().while_(fmt::format("reading {}", ctl::quoted(path)));
    return record;
}

std::string image_tree_dir(const std::string& state_dir, std::string_view fingerprint) {
    return fmt::format("{}/images/sha256/{}", state_dir, fingerprint);
}

bool is_plain_name(std::string_view name) {
    if (name.empty() || name.size() > 200 || name.front() == '.') return false;
    for (const char c : name)
        if (c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    return true;
}

Result<Fd> lock_image_store(const std::string& state_dir) {
    const std::string images = state_dir + "/images";
    CTL_TRY(make_directories(images));
    const std::string path = images + "/.lock";
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return system_error(errno, fmt::format("open {}", ctl::quoted(path)));
    while (::flock(fd.get(), LOCK_EX) != 0)
        if (errno != EINTR) return system_error(errno, fmt::format("lock {}", ctl::quoted(path)));
    return fd;
}

Status remove_unused_trees(const std::string& state_dir) {
    CTL_ASSIGN(const auto trees, names_if_there(state_dir + "/images/sha256"));
    if (trees.empty()) return ok();
    std::set<std::string> used;
    CTL_TRY(add_images(state_dir, used));
    CTL_ASSIGN(const auto pools, names_if_there(state_dir + "/pools"));
    for (const auto& pool : pools) {
        const std::string path = state_dir + "/pools/" + pool;
        struct stat info {};
        const std::string mark = fmt::format("{}/{}", path, pool_mark_name);
        if (::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode) && ::access(mark.c_str(), F_OK) != 0) return ok();
        CTL_TRY(add_volumes(path + "/containers", used));
        CTL_TRY(add_volumes(fmt::format("{}/{}", path, pool_trash_name), used));
    }
    CTL_ASSIGN(const Fd directory, open_directory(state_dir + "/images/sha256"));
    for (const auto& tree : trees) {
        // Under the aside name of its fingerprint stands what an interrupted removal has left; images are made under others.
        if (tree.starts_with(aside_prefix) && model::is_sha256(tree.substr(aside_prefix.size())))
            CTL_TRY(remove_tree(directory.get(), tree));
        if (used.contains(tree) || tree.starts_with(aside_prefix)) continue;
        const std::string aside = fmt::format("{}{}", aside_prefix, tree);
        if (::renameat(directory.get(), tree.c_str(), directory.get(), aside.c_str()) != 0)
            return system_error(errno, fmt::format("move {} aside", ctl::quoted(tree)));
        CTL_TRY(remove_tree(directory.get(), aside));
    }
    return ok();
}

}  // namespace ctl::drivers
