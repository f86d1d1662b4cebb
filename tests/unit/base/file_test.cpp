#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "base/file.h"

using namespace ctl;

namespace {

/// A directory of the test's own, gone at its end.
class Directory {
public:
    Directory() {
        std::string path = std::filesystem::temp_directory_path() / "ctl-file-test-XXXXXX";
        REQUIRE(::mkdtemp(path.data()) != nullptr);
        path_ = path;
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::filesystem::path operator/(const char* name) const { return path_ / name; }
    [[nodiscard]] std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
    }

private:
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("what is written atomically is read back whole, with the asked mode") {
    const Directory directory;
    const std::string content = std::string("a\0b", 3) + std::string(200'000, 'x');
    REQUIRE(write_file_atomically(directory / "f", content, 0600));
    CHECK(*read_file(directory / "f") == content);
    struct stat status {};
    REQUIRE(::stat((directory / "f").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    REQUIRE(write_file_atomically(directory / "f", "short"));
    CHECK(*read_file(directory / "f") == "short");
    CHECK(directory.entries() == 1);
}

TEST_CASE("a failed write leaves nothing behind and the old content as it was") {
    const Directory directory;
    CHECK(write_file_atomically(directory / "nowhere/f", "x").error().code() == ErrorCode::not_found);
    REQUIRE(std::filesystem::create_directory(directory / "taken"));
    REQUIRE(write_file_atomically(directory / "taken/inner", "x"));
    CHECK_FALSE(write_file_atomically(directory / "taken", "x"));
    CHECK(directory.entries() == 1);
}

TEST_CASE("reading says what is wrong: not there, too large, no file") {
    const Directory directory;
    CHECK(read_file(directory / "none").error().code() == ErrorCode::not_found);
    REQUIRE(write_file_atomically(directory / "f", "12345"));
    CHECK(read_file(directory / "f", 5)->size() == 5);
    CHECK(read_file(directory / "f", 4).error().code() == ErrorCode::invalid);
    CHECK(read_file(directory / "").error().code() == ErrorCode::io);
}
