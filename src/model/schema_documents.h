#pragma once

#include <span>
#include <string_view>

#include <rapidjson/document.h>

namespace ctl::model {

/// One of schemas/*.json as it was at build time.
struct EmbeddedSchema {
    std::string_view name;  ///< "network"
    std::string_view text;
};

/// All of them; generated at build time.
[[nodiscard]] std::span<const EmbeddedSchema> embedded_schemas();

/// A schema, parsed once. `name` must be one of embedded_schemas().
[[nodiscard]] const rapidjson::Value& schema_document(std::string_view name);

/// What a $ref in the schema `document` points to: "network.json" or "#/definitions/bridge".
[[nodiscard]] const rapidjson::Value& schema_reference(const rapidjson::Value& document, std::string_view reference);

}  // namespace ctl::model
