#include "drivers/proxy/config_text.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::drivers::proxy {

Result<std::string> render(const ConfigText& config) {
    std::vector<std::pair<std::string, std::string>> lines{
        {"#", config.mark},
        {"listen", config.proxy.listen.value_or("")},
        {"connect", config.proxy.connect.value_or("")},
        {"bind", config.proxy.bind.value_or("host")},
        {"container", config.container},
        {"lxcpath", config.lxcpath},
        {"network", config.network},
        {"namespace", std::to_string(config.namespace_number)},
    };
    if (config.proxy.options)
        for (const auto& [key, value] : *config.proxy.options) lines.emplace_back(key, value);
    std::string text;
    for (const auto& [key, value] : lines) {
        const bool plain = std::all_of(value.begin(), value.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
        if (!plain) return Error(ErrorCode::invalid, fmt::format("{} {} has a control character", key, ctl::quoted(value)));
        text += fmt::format("{} {}\n", key, value);
    }
    return text;
}

ConfigText parse_config(std::string_view text) {
    ConfigText config;
    config.proxy.options.emplace();
    for (const auto line : split(text, '\n')) {
        const std::size_t blank = line.find(' ');
        if (blank == std::string_view::npos) continue;
        const auto key = line.substr(0, blank);
        const std::string value(line.substr(blank + 1));
        if (key == "#") config.mark = value;
        else if (key == "listen") config.proxy.listen = value;
        else if (key == "connect") config.proxy.connect = value;
        else if (key == "bind") config.proxy.bind = value;
        else if (key == "container") config.container = value;
        else if (key == "lxcpath") config.lxcpath = value;
        else if (key == "network") config.network = value;
        else if (key == "namespace") std::from_chars(value.data(), value.data() + value.size(), config.namespace_number);
        else config.proxy.options->emplace(key, value);
    }
    return config;
}

}  // namespace ctl::drivers::proxy
