#include "drivers/api/container_files.h"

#include "base/text.h"

namespace ctl::drivers {

std::set<std::string_view> listening_monitors(std::string_view table) {
    std::set<std::string_view> addresses;
    for (const auto line : split(table, '\n')) {
        const std::size_t at = line.find(" @");
        // Connections have the name of the socket that took them, and may be closed after it.
        const bool listens = line.find(" 00010000 ") < at;
        if (at != std::string_view::npos && listens && line.ends_with("/command")) addresses.insert(line.substr(at + 2));
    }
    return addresses;
}

}  // namespace ctl::drivers
