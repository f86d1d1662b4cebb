#include "drivers/lxc/person.h"

#include <charconv>
#include <limits>
#include <string_view>

namespace ctl::drivers::lxc {

namespace {

std::vector<std::string_view> fields_of(std::string_view line, char separator) {
    std::vector<std::string_view> fields;
    while (true) {
        const std::size_t end = line.find(separator);
        fields.push_back(line.substr(0, end));
        if (end == std::string_view::npos) return fields;
        line.remove_prefix(end + 1);
    }
}

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    // The largest one means "leave it as it is" to the kernel.
    if (error != std::errc() || end != text.data() + text.size() || value == std::numeric_limits<std::uint32_t>::max())
        return std::nullopt;
    return value;
}

std::optional<Person> read_line(std::string_view line) {
    const auto fields = fields_of(line, ':');
    if (fields.size() != 7) return std::nullopt;
    const auto uid = number(fields[2]);
    const auto gid = number(fields[3]);
    if (!uid || !gid) return std::nullopt;
    Person person;
    person.uid = *uid;
    person.gid = *gid;
    person.name = fields[0];
    if (!fields[5].empty()) person.home = fields[5];
    if (!fields[6].empty()) person.shell = fields[6];
    return person;
}

void add_groups(Person& person, std::string_view group) {
    for (const auto line : fields_of(group, '\n')) {
        const auto fields = fields_of(line, ':');
        if (fields.size() != 4) continue;
        const auto gid = number(fields[2]);
        if (!gid) continue;
        for (const auto member : fields_of(fields[3], ','))
            if (member == person.name) person.groups.push_back(*gid);
    }
}

}  // namespace

std::optional<Person> find_person(const std::string& user, const std::string& passwd, const std::string& group) {
    const auto parts = fields_of(user, ':');
    const auto uid = number(parts[0]);
    std::optional<Person> found;
    for (const auto line : fields_of(passwd, '\n')) {
        auto person = read_line(line);
        if (!person || (person->name != parts[0] && person->uid != uid)) continue;
        found = std::move(person);
        break;
    }
    if (!found && !uid) return std::nullopt;
    if (!found) {
        found.emplace();
        found->uid = found->gid = *uid;
    }
    if (parts.size() == 1) {
        add_groups(*found, group);
        return found;
    }
    const auto gid = number(parts[1]);
    if (parts.size() != 2 || !gid) return std::nullopt;
    found->gid = *gid;
    return found;
}

}  // namespace ctl::drivers::lxc
