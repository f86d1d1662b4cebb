#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <rapidjson/document.h>

#include "base/file.h"
#include "cli/diagnostics_output.h"

using namespace ctl;
using namespace ctl::cli;

namespace {

/// A manifest on disk, gone at the end of the test.
class Manifest {
public:
    explicit Manifest(std::string_view content)
        : path_(std::make_shared<const std::string>(std::filesystem::temp_directory_path() /
                                                    ("ctl-diagnostics-" + std::to_string(::getpid()) + ".yaml"))) {
        REQUIRE(write_file_atomically(*path_, content));
    }
    Manifest(const Manifest&) = delete;
    Manifest& operator=(const Manifest&) = delete;
    ~Manifest() { std::filesystem::remove(*path_); }

    [[nodiscard]] SourceSpan at(unsigned line, unsigned column, unsigned length) const {
        return {path_, line, column, length};
    }
    [[nodiscard]] const std::string& path() const { return *path_; }

private:
    std::shared_ptr<const std::string> path_;
};

Diagnostics one(SourceSpan where, std::string message = "bad", std::string hint = "mend it") {
    Diagnostics diagnostics;
    diagnostics.error("some-rule", std::move(message), std::move(where), std::move(hint));
    return diagnostics;
}

rapidjson::Document parsed(const std::string& text) {
    rapidjson::Document document;
    document.Parse(text);
    REQUIRE_FALSE(document.HasParseError());
    return document;
}

}  // namespace

TEST_CASE("text shows place, message and hint, then the line with a caret below") {
    const Manifest file("a: 1\nname: web\n");
    CHECK(render_text(one(file.at(2, 7, 3))) ==
          file.path() + ":2:7: error: bad; mend it\n    2 | name: web\n      |       ^~~\n");
}

TEST_CASE("the caret stands right behind tabs and letters of several bytes") {
    const Manifest file("\tgr\xc3\xbc\xc3\x9f\x65: xy\n");
    const std::string text = render_text(one(file.at(1, 11, 2)));
    CHECK(text.find("    1 |  gr\xc3\xbc\xc3\x9f\x65: xy\n      |         ^~\n") != std::string::npos);
}

TEST_CASE("of a very long line only the surroundings of the place are shown") {
    const Manifest file("a: " + std::string(5000, 'x') + "HERE" + std::string(5000, 'y') + "\n");
    const std::string text = render_text(one(file.at(1, 5004, 4)));
    CHECK(text.size() < 600);
    CHECK(text.find("xHEREy") != std::string::npos);
    CHECK(text.find("^~~~\n") != std::string::npos);
}

TEST_CASE("a hostile line can't drive the terminal") {
    const Manifest file("a: \x1b[2J\xff\n");
    const std::string text = render_text(one(file.at(1, 4, 1)));
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find("a: \\x1b[2J\\xff") != std::string::npos);
}

TEST_CASE("without the file, or with a line it doesn't have, the message stands alone") {
    const Manifest file("a: 1\n");
    CHECK(render_text(one(file.at(7, 1, 1))) == file.path() + ":7:1: error: bad; mend it\n");
    CHECK(render_text(one({std::make_shared<const std::string>("<stdin>"), 1, 1, 1})) ==
          "<stdin>:1:1: error: bad; mend it\n");
    CHECK(render_text(one({})) == "error: bad; mend it\n");
    CHECK(render_text(one({}, "bad", "")) == "error: bad\n");
}

TEST_CASE("colours come only when asked for") {
    CHECK(render_text(one({})).find('\x1b') == std::string::npos);
    CHECK(render_text(one({}), {.colour = true}).find("\x1b[1;31merror:\x1b[0m") != std::string::npos);
}

TEST_CASE("json is versioned and counts by severity") {
    Diagnostics diagnostics = one({std::make_shared<const std::string>("f.yaml"), 3, 5, 2}, "say \"no\"");
    diagnostics.warning("w", "careful", {});
    const auto json = parsed(render(diagnostics, DiagnosticsFormat::json));
    CHECK(std::string(json["format"].GetString()) == "ctl.diagnostics/1");
    CHECK(json["errors"].GetInt() == 1);
    CHECK(json["warnings"].GetInt() == 1);
    CHECK(json["notes"].GetInt() == 0);
    const auto& first = json["diagnostics"][0];
    CHECK(std::string(first["message"].GetString()) == "say \"no\"");
    CHECK(std::string(first["rule"].GetString()) == "some-rule");
    CHECK(first["line"].GetInt() == 3);
    CHECK_FALSE(json["diagnostics"][1].HasMember("line"));
}

TEST_CASE("workflow commands escape what would end them") {
    const auto file = std::make_shared<const std::string>("a,b:c%.yaml");
    CHECK(render(one({file, 3, 5, 2}, "50% of\nit"), DiagnosticsFormat::github) ==
          "::error file=a%2Cb%3Ac%25.yaml,line=3,col=5,endColumn=7,title=some-rule::50%25 of%0Ait; mend it\n");
    Diagnostics note;
    note.note("n", "hm", {});
    CHECK(render(note, DiagnosticsFormat::github) == "::notice title=n::hm\n");
}

TEST_CASE("sarif names rule, region and a fingerprint that survives moved lines") {
    const auto fingerprint = [](std::string_view content, unsigned line) {
        const Manifest file(content);
        const auto json = parsed(render(one(file.at(line, 4, 3)), DiagnosticsFormat::sarif));
        CHECK(std::string(json["version"].GetString()) == "2.1.0");
        const auto& run = json["runs"][0];
        CHECK(std::string(run["tool"]["driver"]["rules"][0]["id"].GetString()) == "some-rule");
        const auto& result = run["results"][0];
        CHECK(std::string(result["ruleId"].GetString()) == "some-rule");
        CHECK(std::string(result["level"].GetString()) == "error");
        const auto& region = result["locations"][0]["physicalLocation"]["region"];
        CHECK(region["startLine"].GetUint() == line);
        CHECK(region["startColumn"].GetUint() == 4);
        CHECK(region["endColumn"].GetUint() == 7);
        return std::string(result["partialFingerprints"]["primaryLocationLineHash"].GetString());
    };
    CHECK(fingerprint("a: web\n", 1) == fingerprint("# a remark\na: web\n", 2));
    CHECK(fingerprint("a: web\n", 1) != fingerprint("a: wob\n", 1));
}

TEST_CASE("junit has one case per file, failed or not, and escapes markup") {
    const auto bad = std::make_shared<const std::string>("b<&\">.yaml");
    const std::vector<std::string> files{"good.yaml"};
    CHECK(
        render(one({bad, 1, 2, 3}, "a < b & c"), DiagnosticsFormat::junit, files) ==
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites>\n"
        "  <testsuite name=\"ctl validate\" tests=\"2\" failures=\"1\" errors=\"0\">\n"
        "    <testcase classname=\"ctl.validate\" name=\"good.yaml\">\n"
        "    </testcase>\n"
        "    <testcase classname=\"ctl.validate\" name=\"b&lt;&amp;&quot;&gt;.yaml\">\n"
        "      <failure message=\"1 errors\" type=\"invalid\">b&lt;&amp;\"&gt;.yaml:1:2: error: a &lt; b &amp; c; mend it\n"
        "</failure>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        "</testsuites>\n");
}

TEST_CASE("formats are known by name") {
    CHECK(format_from("sarif") == DiagnosticsFormat::sarif);
    CHECK_FALSE(format_from("yaml").has_value());
}
