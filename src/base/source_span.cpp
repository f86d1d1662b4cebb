#include "base/source_span.h"

#include <fmt/format.h>

namespace ctl {

std::string SourceSpan::str() const {
    if (file == nullptr) return {};
    if (line == 0) return *file;
    return fmt::format("{}:{}:{}", *file, line, column);
}

}  // namespace ctl
