#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "drivers/image/assemble.h"
#include "model/object.h"

namespace ctl::drivers::image {

/// Where and how long an image may be built.
struct Workshop {
    std::string state_dir;
    std::stop_token stop{};

    [[nodiscard]] std::string downloads() const { return state_dir + "/images/downloads"; }
};

/// An option of an image's source, "" without it.
[[nodiscard]] std::string option(const model::Image& image, const std::string& name);

/// Fills the empty directory `aside` from the image's source. Errors: invalid for what is no root filesystem, unsupported
/// for one of another kind of machine, io, not_found and cancelled for what has to be downloaded.
[[nodiscard]] Result<Built> build_image(const model::Image& image, int aside, const Workshop& workshop);

/// Errors: invalid for an unknown type or a source that the type can't have.
[[nodiscard]] Status check_source(const model::Image& image);

/// What has to be there before build_image can work: files, programs. The value is how many bytes it needs at least.
[[nodiscard]] Result<std::uint64_t> check_ingredients(const model::Image& image);

/// By type, for build_image: from a web server, from a server of the simplestreams protocol.
[[nodiscard]] Result<Built> build_from_url(const model::Image& image, int aside, const Workshop& workshop);
[[nodiscard]] Result<Built> build_from_server(const model::Image& image, int aside, const Workshop& workshop);
/// By debootstrap, in namespaces of its own; what belongs to one machine only is taken out.
[[nodiscard]] Result<Built> build_by_debootstrap(const model::Image& image, int aside, const Workshop& workshop);
/// From a stopped container's root filesystem as it sees it itself. Errors: conflict while it runs.
[[nodiscard]] Result<Built> build_from_container(const model::Image& image, int aside, const Workshop& workshop);

/// Errors: invalid for words that debootstrap could take for something else.
[[nodiscard]] Status check_debootstrap(const model::Image& image);
[[nodiscard]] Status check_container(const model::Image& image);
/// Errors: invalid for addresses that can't be asked, or whose answer nothing would vouch for.
[[nodiscard]] Status check_remote(const model::Image& image);

}  // namespace ctl::drivers::image
