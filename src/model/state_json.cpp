#include "model/state_json.h"

#include <rapidjson/document.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::model {

namespace {

constexpr std::string_view format_name = "ctl.host/1";

template <typename Writer>
void write(Writer& out, std::string_view text) {
    out.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

template <typename Writer>
void write_value(Writer& out, const FieldValue& value) {
    struct Visitor {
        Writer& out;
        void operator()(bool v) const { out.Bool(v); }
        void operator()(std::int64_t v) const { out.Int64(v); }
        void operator()(const std::string& v) const { write(out, std::string_view(v)); }
        void operator()(const std::vector<std::string>& v) const {
            out.StartArray();
            for (const auto& item : v) write(out, std::string_view(item));
            out.EndArray();
        }
        void operator()(const std::map<std::string, std::string>& v) const {
            out.StartObject();
            for (const auto& [key, item] : v) {
                write(out, std::string_view(key));
                write(out, std::string_view(item));
            }
            out.EndObject();
        }
    };
    std::visit(Visitor{out}, value);
}

template <typename Writer>
void write_fields(Writer& out, const Object& object) {
    out.StartObject();
    for (const auto& view : fields_of(object)) {
        if (!view.value) continue;
        write(out, view.name);
        write_value(out, *view.value);
    }
    out.EndObject();
}

constexpr std::string_view bond_name(Bond bond) {
    switch (bond) {
        case Bond::order: return "order";
        case Bond::reapply: return "reapply";
        case Bond::restart: return "restart";
        case Bond::rebuild: return "rebuild";
    }
    return {};
}

constexpr std::string_view mark_name(Mark mark) {
    switch (mark) {
        case Mark::none: return "none";
        case Mark::begun: return "begun";
        case Mark::unnamed: return "unnamed";
        case Mark::complete: return "complete";
    }
    return {};
}

/// The members of an entry; the caller has opened the object and may have written an id.
template <typename Writer>
void write_entry_members(Writer& out, const Entry& entry) {
    write(out, "fields");
    write_fields(out, entry.object);
    if (!entry.needs.empty()) {
        write(out, "needs");
        out.StartArray();
        for (const auto& need : entry.needs) {
            out.StartObject();
            write(out, "id");
            write(out, need.id.str());
            write(out, "bond");
            write(out, bond_name(need.bond));
            out.EndObject();
        }
        out.EndArray();
    }
    if (!entry.owner.kind.empty()) {
        write(out, "owner");
        out.StartObject();
        write(out, "stack");
        write(out, entry.owner.stack);
        write(out, "kind");
        write(out, entry.owner.kind);
        write(out, "name");
        write(out, entry.owner.name);
        out.EndObject();
    }
    if (entry.mark != Mark::none) {
        write(out, "mark");
        write(out, mark_name(entry.mark));
    }
    if (entry.borrowed) {
        write(out, "borrowed");
        out.Bool(true);
    }
    if (entry.held) {
        write(out, "held");
        out.Bool(true);
    }
    if (entry.lifecycle != Lifecycle{}) {
        write(out, "lifecycle");
        out.StartObject();
        write(out, "prevent_destroy");
        out.Bool(entry.lifecycle.prevent_destroy);
        write(out, "prune");
        out.Bool(entry.lifecycle.prune);
        write(out, "on_restart_needed");
        write(out, to_string(entry.lifecycle.on_restart_needed));
        out.EndObject();
    }
}

Error misfit(std::string_view what) { return {ErrorCode::invalid, fmt::format("not a {} document: {}", format_name, what)}; }

std::string text_of(const rapidjson::Value& value) { return {value.GetString(), value.GetStringLength()}; }

Result<FieldValue> read_field_value(const rapidjson::Value& json) {
    if (json.IsBool()) return FieldValue(json.GetBool());
    if (json.IsInt64()) return FieldValue(json.GetInt64());
    if (json.IsString()) return FieldValue(text_of(json));
    if (json.IsArray()) {
        std::vector<std::string> items;
        for (const auto& item : json.GetArray()) {
            if (!item.IsString()) return misfit("a list holds something that is no string");
            items.push_back(text_of(item));
        }
        return FieldValue(std::move(items));
    }
    if (json.IsObject()) {
        std::map<std::string, std::string> members;
        for (const auto& member : json.GetObject()) {
            if (!member.value.IsString()) return misfit("a map holds something that is no string");
            members.emplace(text_of(member.name), text_of(member.value));
        }
        return FieldValue(std::move(members));
    }
    return misfit("a field is null or a fraction");
}

Result<Object> read_fields(ObjectKind kind, const rapidjson::Value& json) {
    if (!json.IsObject()) return misfit("fields are no object");
    Object object = make_object(kind);
    for (const auto& member : json.GetObject()) {
        const std::string name = text_of(member.name);
        CTL_ASSIGN(const FieldValue value, read_field_value(member.value));
        if (!set_field(object, name, value))
            return misfit(fmt::format("{} has no field {} of that type", to_string(kind), quoted(name)));
    }
    return object;
}

std::string string_member(const rapidjson::Value& json, const char* name) {
    const auto it = json.FindMember(name);
    return it != json.MemberEnd() && it->value.IsString() ? text_of(it->value) : std::string();
}

bool bool_member(const rapidjson::Value& json, const char* name, bool otherwise) {
    const auto it = json.FindMember(name);
    return it != json.MemberEnd() && it->value.IsBool() ? it->value.GetBool() : otherwise;
}

Result<std::vector<Need>> read_needs(const rapidjson::Value& json) {
    if (!json.IsArray()) return misfit("needs are no list");
    std::vector<Need> needs;
    for (const auto& item : json.GetArray()) {
        if (!item.IsObject()) return misfit("a need is no object");
        const auto id = ObjectId::parse(string_member(item, "id"));
        if (!id) return misfit("a need has no valid id");
        Need need{*id, Bond::order};
        const std::string bond = string_member(item, "bond");
        for (const Bond candidate : {Bond::reapply, Bond::restart, Bond::rebuild})
            if (bond == bond_name(candidate)) need.bond = candidate;
        needs.push_back(std::move(need));
    }
    return needs;
}

Result<Entry> read_entry(ObjectKind kind, const rapidjson::Value& json) {
    if (!json.IsObject()) return misfit("an entry is no object");
    Entry entry;
    const auto fields = json.FindMember("fields");
    if (fields == json.MemberEnd()) return misfit("an entry has no fields");
    CTL_ASSIGN(entry.object, read_fields(kind, fields->value));
    if (const auto needs = json.FindMember("needs"); needs != json.MemberEnd()) {
        CTL_ASSIGN(entry.needs, read_needs(needs->value));
    }
    if (const auto owner = json.FindMember("owner"); owner != json.MemberEnd() && owner->value.IsObject())
        entry.owner = {string_member(owner->value, "stack"), string_member(owner->value, "kind"),
                       string_member(owner->value, "name")};
    const std::string mark = string_member(json, "mark");
    for (const Mark candidate : {Mark::begun, Mark::unnamed, Mark::complete})
        if (mark == mark_name(candidate)) entry.mark = candidate;
    entry.borrowed = bool_member(json, "borrowed", false);
    entry.held = bool_member(json, "held", false);
    if (const auto life = json.FindMember("lifecycle"); life != json.MemberEnd() && life->value.IsObject()) {
        entry.lifecycle.prevent_destroy = bool_member(life->value, "prevent_destroy", false);
        entry.lifecycle.prune = bool_member(life->value, "prune", true);
        entry.lifecycle.on_restart_needed =
            enum_from<OnRestartNeeded>(string_member(life->value, "on_restart_needed")).value_or(OnRestartNeeded::restart);
    }
    return entry;
}

Result<rapidjson::Document> read_json(std::string_view json) {
    rapidjson::Document document;
    document.Parse<rapidjson::kParseIterativeFlag>(json.data(), json.size());
    if (document.HasParseError()) return misfit(fmt::format("bad JSON at byte {}", document.GetErrorOffset()));
    return document;
}

template <typename Writer>
void write_state(Writer& out, const HostState& state) {
    out.StartObject();
    write(out, "format");
    write(out, format_name);
    write(out, "objects");
    out.StartArray();
    for (const auto& [id, entry] : state) {
        out.StartObject();
        write(out, "id");
        write(out, id.str());
        write_entry_members(out, entry);
        out.EndObject();
    }
    out.EndArray();
    out.EndObject();
}

}  // namespace

std::string object_to_json(const Object& object) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
    write_fields(out, object);
    return {buffer.GetString(), buffer.GetSize()};
}

Result<Object> object_from_json(ObjectKind kind, std::string_view json) {
    CTL_ASSIGN(const auto document, read_json(json));
    return read_fields(kind, document);
}

std::string field_value_to_json(const FieldValue& value) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
    write_value(out, value);
    return {buffer.GetString(), buffer.GetSize()};
}

std::string entry_to_json(const Entry& entry) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
    out.StartObject();
    write_entry_members(out, entry);
    out.EndObject();
    return {buffer.GetString(), buffer.GetSize()};
}

Result<Entry> entry_from_json(ObjectKind kind, std::string_view json) {
    CTL_ASSIGN(const auto document, read_json(json));
    return read_entry(kind, document);
}

std::string state_to_json(const HostState& state, bool pretty) {
    rapidjson::StringBuffer buffer;
    if (pretty) {
        rapidjson::PrettyWriter<rapidjson::StringBuffer> out(buffer);
        out.SetIndent(' ', 2);
        write_state(out, state);
    } else {
        rapidjson::Writer<rapidjson::StringBuffer> out(buffer);
        write_state(out, state);
    }
    return {buffer.GetString(), buffer.GetSize()};
}

Result<HostState> state_from_json(std::string_view json) {
    CTL_ASSIGN(const auto document, read_json(json));
    if (!document.IsObject() || string_member(document, "format") != format_name)
        return misfit("the format line is missing");
    const auto objects = document.FindMember("objects");
    if (objects == document.MemberEnd() || !objects->value.IsArray()) return misfit("objects are no list");
    HostState state;
    for (const auto& item : objects->value.GetArray()) {
        if (!item.IsObject()) return misfit("an entry is no object");
        const auto id = ObjectId::parse(string_member(item, "id"));
        if (!id) return misfit(fmt::format("{} is no object id", quoted(string_member(item, "id"))));
        CTL_ASSIGN(Entry entry, read_entry(id->kind, item));
        if (!state.emplace(*id, std::move(entry)).second) return misfit(fmt::format("{} is there twice", quoted(id->str())));
    }
    return state;
}

}  // namespace ctl::model
