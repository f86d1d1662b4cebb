#include "model/value.h"

namespace ctl::model {

const Value* find_value(const Config& config, std::string_view key) {
    const auto found = config.find(key);
    return found == config.end() || found->second.value.empty() ? nullptr : &found->second.value;
}

std::string text_value(const Config& config, std::string_view key, std::string_view otherwise) {
    const Value* value = find_value(config, key);
    return value != nullptr ? value->text : std::string(otherwise);
}

}  // namespace ctl::model
