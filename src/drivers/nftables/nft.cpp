#include "drivers/nftables/nft.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <thread>

#include "base/fd.h"
#include "base/text.h"

namespace ctl::drivers::nftables {

namespace {

struct GenerationRequest {
    nlmsghdr header;
    nfgenmsg family;
};

Error refusal(int errno_value) {
    if (errno_value == EPERM || errno_value == EACCES)
        return Error(ErrorCode::permission,
                     "firewall rules can't be read or changed without the right to change the network")
            .hint("run it as root");
    return Error(ErrorCode::missing_driver,
                 fmt::format("this kernel has no nf_tables, which firewall rules need: {}", std::strerror(errno_value)))
        .hint("load the module nf_tables, or use a kernel with CONFIG_NF_TABLES");
}

/// Only of a file does nft say which line it means.
Result<Fd> in_memory(const std::string& text) {
    Fd fd(::memfd_create("nft", MFD_CLOEXEC));
    if (!fd) return system_error(errno, "making a file for nft");
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::lseek(fd.get(), 0, SEEK_SET) != 0)
        return system_error(errno, "writing a file for nft");
    return fd;
}

/// Where an error message says it is: "/proc/self/fd/7:4:2-4: Error: …".
std::optional<std::size_t> line_number(std::string_view message) {
    const std::size_t colon = message.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::size_t number = 0;
    const auto [end, failure] = std::from_chars(message.data() + colon + 1, message.data() + message.size(), number);
    return failure == std::errc() && number != 0 && *end == ':' ? std::optional(number) : std::nullopt;
}

Error said(std::string_view messages, const std::string& commands) {
    constexpr std::string_view mark = "Error: ";
    for (const std::string_view message : split(messages, '\n')) {
        const std::size_t at = message.find(mark);
        if (at == std::string_view::npos) continue;
        std::string text = fmt::format("nft says: {}", escaped(message.substr(at + mark.size())));
        const auto lines = split(commands, '\n');
        const auto number = line_number(message.substr(0, at));
        if (number && *number <= lines.size()) text += fmt::format(", in {}", quoted(trimmed(lines[*number - 1])));
        return {ErrorCode::io, text};
    }
    return {ErrorCode::io, fmt::format("nft says: {}", quoted(trimmed(messages)))};
}

}  // namespace

Status check_access() {
    const Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    if (!fd) return refusal(errno);
    GenerationRequest request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.family.version = NFNETLINK_V0;
    if (::send(fd.get(), &request, sizeof request, 0) < 0) return refusal(errno);
    alignas(nlmsghdr) std::array<char, 4096> answer{};
    const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), 0);
    if (size < 0) return refusal(errno);
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
    if (!NLMSG_OK(header, static_cast<unsigned>(size)) || header->nlmsg_type != NLMSG_ERROR) return ok();
    const int code = static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
    return code == 0 ? ok() : Status(refusal(-code));
}

void Nft::Free::operator()(nft_ctx* context) const { nft_ctx_free(context); }

Status Nft::open() {
    Status outcome;
    const auto make = [&] {
        outcome = check_access();
        if (outcome) context_.reset(nft_ctx_new(NFT_CTX_DEFAULT));
    };
    if (netns_.empty()) {
        make();
    } else {
        // The context keeps to the namespace that its maker is in; only the thread goes there.
        std::jthread([&] {
            const Fd netns(::open(netns_.c_str(), O_RDONLY | O_CLOEXEC));
            if (!netns || ::setns(netns.get(), CLONE_NEWNET) != 0) outcome = system_error(errno, "entering " + netns_);
            else make();
        }).join();
    }
    CTL_TRY(std::move(outcome));
    if (!context_ || nft_ctx_buffer_output(context_.get()) != 0 || nft_ctx_buffer_error(context_.get()) != 0) {
        context_.reset();
        return Error(ErrorCode::io, "libnftables can't be used: out of memory");
    }
    nft_ctx_output_set_flags(context_.get(), NFT_CTX_OUTPUT_STATELESS);
    return ok();
}

Result<std::string> Nft::run(const std::string& commands) {
    if (!context_) CTL_TRY(open());
    CTL_ASSIGN(const Fd file, in_memory(commands));
    const int outcome = nft_run_cmd_from_filename(context_.get(), fmt::format("/proc/self/fd/{}", file.get()).c_str());
    // Reading empties both buffers; what one command leaves there would be taken for the next one's.
    std::string printed = nft_ctx_get_output_buffer(context_.get());
    const std::string messages = nft_ctx_get_error_buffer(context_.get());
    if (outcome != 0) return said(messages, commands);
    return printed;
}

}  // namespace ctl::drivers::nftables
