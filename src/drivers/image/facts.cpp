#include "drivers/image/facts.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/tree.h"
#include "drivers/api/image_metadata.h"
#include "drivers/api/store.h"

namespace ctl::drivers::image {

namespace {

std::string utc(std::int64_t seconds) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

void add_metadata(const ImageMetadata& metadata, Facts& facts) {
    facts["architecture"] = metadata.architecture;
    facts["created"] = utc(metadata.creation_date);
    if (metadata.expiry_date != 0) facts["expires"] = utc(metadata.expiry_date);
    if (!metadata.properties.empty()) facts["metadata"] = metadata.properties;
    std::vector<std::string> templates;
    for (const auto& item : metadata.templates) templates.push_back(item.target);
    if (!templates.empty()) facts["templates"] = templates;
}

}  // namespace

Result<Facts> image_facts(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(const ImageRecord record, read_image_record(state_dir, name));
    Facts facts;
    facts["uploaded"] = record.made;
    facts["size"] = record.size;
    if (record.left_out != 0) facts["left_out"] = record.left_out;
    if (record.auto_update) facts["looked"] = utc(record.looked);
    if (!record.trouble.empty()) facts["trouble"] = record.trouble;
    // An image of a root filesystem alone says nothing of itself.
    const auto directory = open_directory(image_tree_dir(state_dir, record.fingerprint));
    if (!directory) return facts;
    if (const auto metadata = read_image_metadata(directory->get())) add_metadata(*metadata, facts);
    return facts;
}

}  // namespace ctl::drivers::image
