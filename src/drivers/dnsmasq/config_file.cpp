#include "drivers/dnsmasq/config_file.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::drivers::dnsmasq {

namespace {

constexpr std::string_view comment = "# ";
constexpr std::string_view index_comment = "# interface ";
constexpr std::string_view options_comment = "# what the network asks for";

/// What every dnsmasq of ours is told, whatever its network asks for.
std::vector<std::string> common_lines(const std::string& name, const Paths& paths) {
    return {
        "pid-file=" + paths.pid(),
        "user=nobody",
        "group=nogroup",
        "interface=" + name,
        // Others serve other interfaces, on the same ports.
        "bind-interfaces",
        "except-interface=lo",
        // The host's own names are not the network's business.
        "no-hosts",
        "addn-hosts=" + paths.records(),
        "strict-order",
        "dhcp-leasefile=" + paths.leases(),
        "dhcp-hostsfile=" + paths.hosts(),
        // It is the only server of the network: it needs neither ask around before it gives out an address nor keep quiet
        // about a lease that it doesn't know.
        "no-ping",
        "dhcp-authoritative",
        "dhcp-rapid-commit",
        "dhcp-no-override",
        "quiet-dhcp",
        "quiet-dhcp6",
        "quiet-ra",
    };
}

}  // namespace

bool is_line(std::string_view text) {
    return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t') || byte == 0x7F;
    });
}

Result<std::string> to_text(const Config& config, const std::string& name, const Paths& paths) {
    std::string text = fmt::format("{}{}\n{}{}\n", comment, config.mark, index_comment, config.interface_index);
    const auto add = [&](const std::string& line) -> Status {
        if (!is_line(line)) return Error(ErrorCode::invalid, fmt::format("{} is no line for dnsmasq", ctl::quoted(line)));
        text += line + "\n";
        return ok();
    };
    if (!config.mark.empty() && !is_line(config.mark))
        return Error(ErrorCode::invalid, fmt::format("{} is no mark", ctl::quoted(config.mark)));
    for (const auto& line : common_lines(name, paths)) CTL_TRY(add(line));
    CTL_TRY(add(std::string(options_comment)));
    if (config.options)
        for (const auto& line : *config.options) CTL_TRY(add(line));
    return text;
}

Config parse_config(std::string_view text, const std::string& name, const Paths& paths) {
    Config config;
    auto lines = split(text, '\n');
    if (!lines.empty() && lines.back().empty()) lines.pop_back();
    if (lines.size() < 2) return config;
    if (lines[0].starts_with(comment)) config.mark = lines[0].substr(comment.size());
    if (lines[1].starts_with(index_comment)) {
        const std::string_view digits = lines[1].substr(index_comment.size());
        std::from_chars(digits.data(), digits.data() + digits.size(), config.interface_index);
    }
    auto expected = common_lines(name, paths);
    expected.emplace_back(options_comment);
    if (lines.size() < 2 + expected.size() || !std::equal(expected.begin(), expected.end(), lines.begin() + 2))
        return config;
    config.options.emplace(lines.begin() + 2 + static_cast<std::ptrdiff_t>(expected.size()), lines.end());
    return config;
}

}  // namespace ctl::drivers::dnsmasq
