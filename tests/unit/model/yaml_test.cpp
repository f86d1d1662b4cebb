#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "model/yaml.h"

using namespace ctl;
using namespace ctl::model;

namespace {

struct Loaded {
    std::vector<Node> documents;
    Diagnostics diagnostics;

    [[nodiscard]] std::string rules() const {
        std::string text;
        for (const auto& diagnostic : diagnostics.all()) {
            if (!text.empty()) text += " ";
            text += diagnostic.where.str() + ":" + diagnostic.rule;
        }
        return text;
    }
};

Loaded load(std::string_view text, const YamlLimits& limits = {}) {
    Loaded loaded;
    loaded.documents = load_yaml(text, "f", loaded.diagnostics, limits);
    return loaded;
}

std::string repeated(std::string_view piece, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += piece;
    return text;
}

}  // namespace

TEST_CASE("every node knows its line and column, counted from 1") {
    const auto loaded = load("name: web\ndevices:\n  eth0:\n    mtu: 1500\n  list: [a, \"b c\"]\n");
    REQUIRE(loaded.documents.size() == 1);
    CHECK(loaded.diagnostics.empty());
    const Node& root = loaded.documents[0];
    CHECK(root.find("name")->where.str() == "f:1:7");
    CHECK(root.find("name")->where.length == 3);
    const Node& devices = *root.find("devices");
    CHECK(devices.find("eth0")->find("mtu")->where.str() == "f:4:10");
    CHECK(devices.find("eth0")->find("mtu")->text == "1500");
    const Node& list = *devices.find("list");
    REQUIRE(list.items.size() == 2);
    CHECK(list.items[1].where.str() == "f:5:13");
    CHECK(list.items[1].where.length == 5);
    CHECK(list.items[1].quoted);
    CHECK_FALSE(list.items[0].quoted);
}

TEST_CASE("an empty value stands where its key or its dash is, not on the next line") {
    const auto loaded = load("a:\nb: ~\nl:\n- x\n-\n# a remark\n\n- y\n-\n");
    const Node& root = loaded.documents.at(0);
    CHECK(root.find("a")->is_null());
    CHECK(root.find("a")->where.str() == "f:1:1");
    CHECK(root.find("b")->where.str() == "f:2:4");
    CHECK(root.find("l")->items.at(1).where.str() == "f:5:1");
    CHECK(root.find("l")->items.at(3).where.str() == "f:9:1");
}

TEST_CASE("windows line ends and a byte order mark change no position") {
    const auto loaded = load(
        "\xEF\xBB\xBF"
        "a: 1\r\nb: c\r\n");
    REQUIRE(loaded.documents.size() == 1);
    CHECK(loaded.documents[0].find("a")->where.str() == "f:1:4");
    CHECK(loaded.documents[0].find("b")->where.str() == "f:2:4");
    CHECK(loaded.documents[0].find("b")->text == "c");
}

TEST_CASE("a stream gives its documents and leaves the empty ones out") {
    const auto loaded = load("a: 1\n---\n---\n# nothing\n---\nb: 2\n...\n");
    CHECK(loaded.diagnostics.empty());
    REQUIRE(loaded.documents.size() == 2);
    CHECK(loaded.documents[1].find("b")->where.str() == "f:6:4");
    CHECK(load("").documents.empty());
    CHECK(load("# only a remark\n").documents.empty());
}

TEST_CASE("all duplicate keys are told with the place of the first, which is kept") {
    const auto loaded = load("a: 1\nb: {x: 1, x: 2}\na: 3\na: 4\n");
    CHECK(loaded.rules() == "f:2:11:duplicate-key f:3:1:duplicate-key f:4:1:duplicate-key");
    CHECK(loaded.diagnostics.all()[1].message == "key \"a\" is given twice, first at f:1:1");
    REQUIRE(loaded.documents.size() == 1);
    CHECK(loaded.documents[0].pairs.size() == 2);
    CHECK(loaded.documents[0].find("a")->text == "1");
}

TEST_CASE("anchors, aliases and merge keys are refused where they stand") {
    const auto loaded = load("a: &x [1, 1]\nb: *x\nc:\n  <<: *x\n");
    CHECK(loaded.rules() == "f:1:4:yaml-anchor f:2:4:yaml-alias f:4:3:yaml-merge");
    CHECK(load("a: *nothing\n").rules() == "f:1:4:yaml-syntax");
}

TEST_CASE("an alias bomb and a list that contains itself end at once") {
    std::string bomb = "a0: &a0 [x, x]\n";
    for (int i = 1; i < 30; ++i)
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + ", *a" +
                std::to_string(i - 1) + "]\n";
    const auto loaded = load(bomb);
    CHECK(loaded.diagnostics.has_errors());
    CHECK(loaded.diagnostics.all().size() <= 51);
    CHECK(load("a: &a [1, *a]\n").rules() == "f:1:4:yaml-anchor f:1:11:yaml-alias");
}

TEST_CASE("keys have to be plain text") {
    CHECK(load("[a]: 1\n").rules() == "f:1:1:yaml-key");
    CHECK(load("? {a: b}\n: 1\n").rules() == "f:1:3:yaml-key");
    CHECK(load(": 1\n").rules() == "f:1:1:yaml-key");
    CHECK(load("\"a\\nb\": 1\n").rules() == "f:1:1:yaml-key");
}

TEST_CASE("tags are refused but for !!str") {
    CHECK(load("a: !!int 3\n").rules() == "f:1:4:yaml-tag");
    CHECK(load("a: !python/object:os.system {}\n").rules() == "f:1:4:yaml-tag");
    const auto text = load("a: !!str 007\n");
    CHECK(text.diagnostics.empty());
    CHECK(text.documents.at(0).find("a")->quoted);
    CHECK(text.documents.at(0).find("a")->text == "007");
}

TEST_CASE("bytes that are no text are refused at their place") {
    CHECK(load(std::string("a: b\nc: \0d\n", 11)).rules() == "f:2:4:bad-byte");
    CHECK(load("a: b\nc: \xff\n").rules() == "f:2:4:bad-byte");
    CHECK(load("a: \xed\xa0\x80\n").rules() == "f:1:4:bad-byte");
    CHECK(load("a: \x1b[31m\n").rules() == "f:1:4:bad-byte");
    CHECK(load("a: b\rc: d\n").rules() == "f:1:5:bad-byte");
    CHECK(load("a: \xc2\x85\n").rules() == "f:1:4:bad-byte");
    CHECK(load("a: \"x\\0y\"\n").rules() == "f:1:4:bad-byte");
    CHECK(load("a: gr\xc3\xbc\xc3\x9f\x65 \xe2\x9c\x93 \xf0\x9f\x90\xa7\n").diagnostics.empty());
}

TEST_CASE("syntax faults have a place and say what to look at") {
    CHECK(load("a: b: c\n").rules() == "f:1:5:yaml-syntax");
    CHECK(load("a: [1, 2\n").rules() == "f:2:1:yaml-syntax");
    CHECK(load("a: 'x\nb: 1\n").rules() == "f:1:4:yaml-syntax");
    CHECK(load("a: \"x").rules() == "f:1:6:yaml-syntax");
    CHECK(load("a: ]\n").rules() == "f:1:4:yaml-syntax");
    const auto tab = load("a:\n\tb: 1\n");
    CHECK(tab.rules() == "f:2:3:yaml-syntax");
    CHECK(tab.diagnostics.all()[0].message == "a tab is used to indent");
    CHECK(load("\"a\" \"b\"\n").rules() == "f:1:5:yaml-syntax");
}

TEST_CASE("documents before a syntax fault are kept") {
    const auto loaded = load("a: 1\n---\nb: [\n");
    CHECK(loaded.diagnostics.error_count() == 1);
    REQUIRE(loaded.documents.size() == 1);
    CHECK(loaded.documents[0].find("a") != nullptr);
}

TEST_CASE("ten thousand levels are refused, however they are written") {
    for (const auto piece : {"[", "{a: ", "- ", "? ", "[{a: "}) {
        const auto loaded = load(repeated(piece, 10'000));
        REQUIRE(loaded.diagnostics.error_count() == 1);
        CHECK(loaded.diagnostics.all()[0].rule == "yaml-depth");
        CHECK(loaded.diagnostics.all()[0].where.is_known());
    }
}

TEST_CASE("depth is counted exactly") {
    YamlLimits limits;
    limits.depth = 3;
    CHECK(load("[[[x]]]", limits).diagnostics.empty());
    CHECK(load("[[[[x]]]]", limits).rules() == "f:1:4:yaml-depth");
}

TEST_CASE("too many values and too many bytes are refused") {
    YamlLimits limits;
    limits.nodes = 10;
    CHECK(load("[1,2,3]", limits).diagnostics.empty());
    CHECK(load("[1,2,3,4,5,6,7,8,9,0,1]", limits).rules() == "f:1:22:yaml-size");
    limits.bytes = 5;
    CHECK(load("a: bcd", limits).rules() == "f:1:1:yaml-size");
}

TEST_CASE("messages stay short whatever the input") {
    for (const auto& text : {"a: !<" + std::string(100'000, 'x') + "> b\n", "a: &" + std::string(100'000, 'x') + " b\n",
                             std::string(2000, 'x') + ": 1\n" + std::string(2000, 'x') + ": 1\n"}) {
        const auto loaded = load(text);
        REQUIRE(loaded.diagnostics.error_count() >= 1);
        for (const auto& diagnostic : loaded.diagnostics.all()) CHECK(diagnostic.message.size() < 300);
    }
}

TEST_CASE("a file that can't be read is told, a sparse file of 100 MB is refused unread") {
    Diagnostics diagnostics;
    CHECK(load_yaml_file("/nonexistent/stack.yaml", diagnostics).empty());
    CHECK(diagnostics.all().at(0).rule == "unreadable");
    CHECK(diagnostics.all().at(0).where.str() == "/nonexistent/stack.yaml");

    const auto path = std::filesystem::temp_directory_path() / ("ctl-yaml-test-" + std::to_string(::getpid()));
    { std::ofstream(path) << "a: 1\n"; }
    Diagnostics good;
    CHECK(load_yaml_file(path, good).size() == 1);
    CHECK(good.empty());
    std::filesystem::resize_file(path, std::uintmax_t{100} << 20);
    Diagnostics large;
    CHECK(load_yaml_file(path, large).empty());
    CHECK(large.all().at(0).rule == "yaml-size");
    std::filesystem::remove(path);
}
