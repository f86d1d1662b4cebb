#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cli/diagnostics_output.h"
#include "model/lower.h"
#include "model/parse.h"
#include "model/resolve.h"
#include "model/validate.h"
#include "model/yaml.h"

/// Whatever the bytes: load, check, validate, layer, print. What has no fault is lowered too, as apply would do.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ctl;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Diagnostics diagnostics;
    const auto documents = model::load_yaml(text, "fuzz.yaml", diagnostics);
    const auto stack = model::parse(documents, "fuzz", diagnostics);
    model::validate(stack, diagnostics);
    const auto resolved = model::resolve(stack);
    if (!diagnostics.has_errors()) (void)model::lower(resolved, {}, {});
    for (const auto format : {cli::DiagnosticsFormat::text, cli::DiagnosticsFormat::json, cli::DiagnosticsFormat::github,
                              cli::DiagnosticsFormat::sarif, cli::DiagnosticsFormat::junit})
        (void)cli::render(diagnostics, format);
    return 0;
}
