#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// What an image says of itself: metadata.yaml of LXD's images. In the store it stands beside the root filesystem it came
// with: FINGERPRINT/metadata.yaml, and what its templates are made from in FINGERPRINT/templates/.

namespace ctl::drivers {

inline constexpr std::string_view image_metadata_name = "metadata.yaml";
inline constexpr std::string_view image_templates_name = "templates";

/// A file that is written into each container made from the image.
struct ImageTemplate {
    std::string target;          ///< absolute path in the container
    std::string file;            ///< its text, a plain name in templates/
    std::set<std::string> when;  ///< create, copy, start
    bool create_only = false;    ///< a file that is there already stays
    std::map<std::string, std::string> properties;
};

struct ImageMetadata {
    std::string architecture;
    std::int64_t creation_date = 0;  ///< seconds since 1970
    std::int64_t expiry_date = 0;    ///< the same; 0: never
    std::map<std::string, std::string> properties;
    std::vector<ImageTemplate> templates;
};

/// Errors: invalid for what is no YAML map, lacks architecture or creation_date, or has templates with unusable names.
[[nodiscard]] Result<ImageMetadata> parse_image_metadata(std::string_view yaml);

/// metadata.yaml in a directory, not through a link. Errors: not_found without it; those of parse_image_metadata.
[[nodiscard]] Result<ImageMetadata> read_image_metadata(int directory);

/// A regular file of at most `limit` bytes below a directory, whatever the tree holds. Errors: not_found, invalid.
[[nodiscard]] Result<std::string> read_file_beneath(int directory, const std::string& path, std::size_t limit);

}  // namespace ctl::drivers
