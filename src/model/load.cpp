#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <system_error>

#include <fmt/format.h>

#include "base/text.h"
#include "model/parse.h"
#include "model/value_types.h"
#include "model/yaml.h"

namespace ctl::model {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view standard_input = "-";

SourceSpan at_file(const fs::path& path) { return {std::make_shared<const std::string>(path.string())}; }

/// A name for the stack out of a file's or folder's name; what can't be in one becomes a dash.
std::string name_from(const fs::path& path) {
    if (path == standard_input) return "stdin";
    std::error_code failure;
    const fs::path whole = fs::absolute(path, failure).lexically_normal();
    const fs::path last = whole.has_filename() ? whole : whole.parent_path();
    std::string name = fs::is_directory(path, failure) ? last.filename().string() : last.stem().string();
    name.resize(std::min<std::size_t>(name.size(), 63));
    for (char& c : name)
        if (!is_resource_name(std::string("x") + c)) c = '-';
    return is_resource_name(name) ? name : "stack";
}

bool is_manifest(const fs::path& path) { return path.extension() == ".yaml" || path.extension() == ".yml"; }

/// The manifests of a directory by name. Hidden files and those of subdirectories don't belong to it.
std::vector<fs::path> manifests_of(const fs::path& directory, Diagnostics& diagnostics) {
    std::vector<fs::path> files;
    std::error_code failure;
    for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end; entry.increment(failure)) {
        std::error_code unreadable;
        const fs::path& path = entry->path();
        if (is_manifest(path) && !path.filename().string().starts_with('.') && !entry->is_directory(unreadable))
            files.push_back(path);
    }
    if (failure) {
        diagnostics.error("unreadable",
                          fmt::format("can't read the directory {}: {}", ctl::quoted(directory.string()), failure.message()),
                          at_file(directory));
        return {};
    }
    if (files.empty())
        diagnostics.error("no-manifest", fmt::format("no manifest in {}", ctl::quoted(directory.string())),
                          at_file(directory), "it needs a file that ends in .yaml or .yml");
    std::sort(files.begin(), files.end());
    return files;
}

std::vector<Node> load_standard_input(Diagnostics& diagnostics) {
    // One byte more than allowed is enough for the loader to refuse it.
    std::string text(YamlLimits{}.bytes + 1, '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::cin.gcount()));
    return load_yaml(text, "<stdin>", diagnostics);
}

void load_into(std::vector<Node>& documents, const fs::path& path, Diagnostics& diagnostics) {
    auto loaded = path == standard_input ? load_standard_input(diagnostics) : load_yaml_file(path, diagnostics);
    std::move(loaded.begin(), loaded.end(), std::back_inserter(documents));
}

}  // namespace

resource::Stack load_stack(std::span<const fs::path> paths, Diagnostics& diagnostics) {
    std::vector<Node> documents;
    for (const auto& path : paths) {
        std::error_code failure;
        if (path == standard_input || !fs::is_directory(path, failure)) load_into(documents, path, diagnostics);
        else
            for (const auto& file : manifests_of(path, diagnostics)) load_into(documents, file, diagnostics);
    }
    return parse(documents, paths.empty() ? "stack" : name_from(paths.front()), diagnostics);
}

}  // namespace ctl::model
