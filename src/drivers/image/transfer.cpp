#include "drivers/image/transfer.h"

#include <curl/curl.h>
#include <strings.h>

#include <array>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::drivers::image {

namespace {

constexpr long connect_seconds = 20;
/// Less than this many bytes in a second, for that long, is a connection that is dead.
constexpr long slow_bytes = 16;
constexpr long slow_seconds = 30;
constexpr long most_redirects = 8;

struct CurlFree {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlPtr = std::unique_ptr<CURL, CurlFree>;
using ListPtr = std::unique_ptr<curl_slist, CurlFree>;

/// What the callbacks need.
struct Running {
    CURL* handle;
    const Begin& begin;
    const Sink& sink;
    const std::stop_token& stop;
    Response response{};
    std::string etag{};
    std::string modified{};
    bool begun = false;

    bool start() {
        if (begun) return true;
        begun = true;
        curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &response.status);
        response.validator = etag.empty() ? modified : etag;
        curl_off_t length = 0;
        if (curl_easy_getinfo(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK && length > 0)
            response.length = length;
        return response.status != 200 && response.status != 206 ? false : begin(response);
    }
};

std::size_t take_header(char* data, std::size_t, std::size_t size, void* context) {
    auto& running = *static_cast<Running*>(context);
    const std::string_view line(data, size);
    const auto is = [&](std::string_view name) {
        return line.size() > name.size() && ::strncasecmp(line.data(), name.data(), name.size()) == 0;
    };
    // Each answer on the way begins with its own status line; only the last one's headers count.
    if (is("HTTP/")) {
        running.etag.clear();
        running.modified.clear();
    } else if (is("etag:")) {
        running.etag = trimmed(line.substr(5));
        // A weak one says nothing of the bytes.
        if (running.etag.starts_with("W/")) running.etag.clear();
    } else if (is("last-modified:")) {
        running.modified = trimmed(line.substr(14));
    }
    return size;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* context) {
    auto& running = *static_cast<Running*>(context);
    return running.start() && running.sink({data, size}) ? size : CURL_WRITEFUNC_ERROR;
}

int look_for_stop(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Running*>(context)->stop.stop_requested() ? 1 : 0;
}

void set_options(CURL* handle, const Request& request, Running& running, std::array<char, CURL_ERROR_SIZE>& reason) {
    const bool secure = request.url.starts_with("https://");
    curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(handle, CURLOPT_MAXREDIRS, most_redirects);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "ctl");
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, connect_seconds);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, slow_bytes);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, slow_seconds);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason.data());
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &take_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &running);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &take_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &running);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &look_for_stop);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &running);
    if (!request.certificate.empty()) {
        curl_blob blob{const_cast<char*>(request.certificate.data()), request.certificate.size(), CURL_BLOB_COPY};
        curl_easy_setopt(handle, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (request.from > 0) curl_easy_setopt(handle, CURLOPT_RANGE, fmt::format("{}-", request.from).c_str());
}

Error failure(const Running& running, CURLcode code, const std::string& reason, const std::string& url) {
    if (running.stop.stop_requested()) return {ErrorCode::cancelled, "interrupted while downloading"};
    const std::string where = ctl::quoted(url);
    if (running.response.status >= 400)
        return {running.response.status < 500 ? ErrorCode::not_found : ErrorCode::io,
                fmt::format("{} answers with status {}", where, running.response.status)};
    Error error(ErrorCode::io,
                fmt::format("{} can't be read: {}", where, escaped(reason.empty() ? curl_easy_strerror(code) : reason)));
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        return std::move(error).hint("if the server is yours, give the certificate that signed its own as certificate:");
    return error;
}

}  // namespace

Result<Response> transfer(const Request& request, const Begin& begin, const Sink& sink, std::stop_token stop) {
    static std::once_flag initialised;
    std::call_once(initialised, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    const CurlPtr handle(curl_easy_init());
    if (!handle) return Error(ErrorCode::io, "libcurl can't be used");
    std::array<char, CURL_ERROR_SIZE> reason{};
    Running running{handle.get(), begin, sink, stop};
    set_options(handle.get(), request, running, reason);
    ListPtr headers;
    if (request.from > 0 && !request.unchanged.empty()) {
        headers.reset(curl_slist_append(nullptr, fmt::format("If-Range: {}", request.unchanged).c_str()));
        curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
    }
    const CURLcode code = curl_easy_perform(handle.get());
    // An answer may have no body at all.
    const bool good = running.start();
    if (code == CURLE_OK && good) return running.response;
    return failure(running, code, reason.data(), request.url);
}

}  // namespace ctl::drivers::image
