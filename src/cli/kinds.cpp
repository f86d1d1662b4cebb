#include "cli/kinds.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace ctl::cli {

namespace {

struct Spelling {
    std::string_view word;
    std::string_view kind;
};

constexpr std::array spellings{
    Spelling{"container", "Container"},
    Spelling{"containers", "Container"},
    Spelling{"instance", "Container"},
    Spelling{"instances", "Container"},
    Spelling{"network", "Network"},
    Spelling{"networks", "Network"},
    Spelling{"image", "Image"},
    Spelling{"images", "Image"},
    Spelling{"pool", "StoragePool"},
    Spelling{"pools", "StoragePool"},
    Spelling{"storagepool", "StoragePool"},
    Spelling{"storagepools", "StoragePool"},
    Spelling{"storage_pool", "StoragePool"},
    Spelling{"storage_pools", "StoragePool"},
    Spelling{"volume", "Volume"},
    Spelling{"volumes", "Volume"},
    Spelling{"storagevolume", "Volume"},
    Spelling{"storage_volume", "Volume"},
    Spelling{"snapshot", "Snapshot"},
    Spelling{"snapshots", "Snapshot"},
    Spelling{"profile", "Profile"},
    Spelling{"profiles", "Profile"},
    Spelling{"stack", "Stack"},
    Spelling{"stacks", "Stack"},
};

}  // namespace

std::optional<std::string> resource_kind(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const auto& spelling : spellings)
        if (spelling.word == lower) return std::string(spelling.kind);
    return std::nullopt;
}

}  // namespace ctl::cli
