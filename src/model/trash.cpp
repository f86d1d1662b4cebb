#include "model/trash.h"

namespace ctl::model {

bool is_trash_time(std::string_view text) { return text == "0" || Expiry::parse(text).has_value(); }

std::optional<Expiry> trash_time(std::string_view text) {
    if (text == "0") return std::nullopt;
    Expiry day;
    day.days = 1;
    return Expiry::parse(text).value_or(day);
}

}  // namespace ctl::model
