#include "model/schema_documents.h"

#include <cassert>
#include <map>
#include <string>

#include <rapidjson/pointer.h>

namespace ctl::model {

namespace {

using Documents = std::map<std::string_view, rapidjson::Document>;

Documents parse_all() {
    Documents documents;
    for (const auto& schema : embedded_schemas()) {
        auto& document = documents[schema.name];
        document.Parse(schema.text.data(), schema.text.size());
        assert(!document.HasParseError());
    }
    return documents;
}

}  // namespace

const rapidjson::Value& schema_document(std::string_view name) {
    static const Documents documents = parse_all();
    const auto found = documents.find(name);
    assert(found != documents.end());
    return found->second;
}

const rapidjson::Value& schema_reference(const rapidjson::Value& document, std::string_view reference) {
    if (!reference.starts_with('#')) return schema_document(reference.substr(0, reference.rfind(".json")));
    const auto* found = rapidjson::Pointer(reference.data() + 1, reference.size() - 1).Get(document);
    assert(found != nullptr);
    return *found;
}

}  // namespace ctl::model
