#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/storage/store_backend.h"
#include "drivers/storage/store_pool.h"
#include "drivers/storage/tree_store.h"

// One folder a case, of what a pool's tools are told and what ctl makes of what they say:
//
//   store        the pool, as ctl keeps it in its directory; "missing=PROGRAM" for one that isn't installed
//   steps        what is done to it, one a line
//   transcript   "$ " a command, "| " what it prints, "! " what it complains, "= " how it ends unless that is 0
//   result       how each step ends, and what is seen
//
// Every command has to be the transcript's next, word for word. {dir} stands for a scratch directory.
// CTL_ACCEPT=1 rewrites the results and fails the run, so that nobody accepts by accident.

namespace {

namespace fs = std::filesystem;
using namespace ctl;
using namespace ctl::drivers::storage;

struct Exchange {
    std::string command;
    ProcessResult answer;
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    return text;
}

std::string words_of(const std::vector<std::string>& argv) {
    std::string text;
    for (const auto& word : argv) {
        const bool is_plain = !word.empty() && word.find_first_of(" \t\n'") == std::string::npos;
        text += (text.empty() ? "" : " ") + (is_plain ? word : "'" + word + "'");
    }
    return text;
}

class Transcript {
public:
    Transcript(const std::string& text, std::string dir) : dir_(std::move(dir)) {
        for (const auto line : split(text, '\n')) {
            const std::string rest = line.size() > 2 ? std::string(line.substr(2)) : std::string();
            if (line.starts_with("$ ")) exchanges_.push_back({rest, {}});
            else if (line.starts_with("| ")) exchanges_.back().answer.out += replaced(rest, "{dir}", dir_) + "\n";
            else if (line.starts_with("! ")) exchanges_.back().answer.err += rest + "\n";
            else if (line.starts_with("= ")) exchanges_.back().answer.exit_code = std::atoi(rest.c_str());
        }
    }

    ProcessResult answer(const std::string& command) {
        const std::string said = replaced(command, dir_, "{dir}");
        if (exchanges_.empty()) {
            FAIL_CHECK("a command that the transcript doesn't have: " << said);
            return {99, "", "no such command"};
        }
        Exchange next = std::move(exchanges_.front());
        exchanges_.pop_front();
        CHECK(said == next.command);
        return std::move(next.answer);
    }

    [[nodiscard]] bool is_at_end() const { return exchanges_.empty(); }
    [[nodiscard]] std::string next() const { return exchanges_.empty() ? "" : exchanges_.front().command; }

private:
    std::string dir_;
    std::deque<Exchange> exchanges_;
};

Status outcome(const ProcessResult& answer) {
    return answer.exit_code == 0 ? ok() : Status(Error(ErrorCode::io, std::string(trimmed(answer.err))));
}

Commands replay(Transcript& transcript, const std::vector<std::string>& missing) {
    Commands commands = host_commands();
    const auto size_file = commands.size_file;
    commands.run = [&](const std::vector<std::string>& argv) -> Result<ProcessResult> {
        return transcript.answer(words_of(argv));
    };
    commands.mount = [&](const std::string& type, const std::string& source, const std::string& flag) -> Result<Fd> {
        CTL_TRY(outcome(transcript.answer(words_of({"MOUNT", type, source, flag}))));
        return Fd();
    };
    commands.grow_ext4 = [&](const std::string& device, int, std::int64_t bytes) {
        return outcome(transcript.answer(words_of({"GROW", device, std::to_string(bytes)})));
    };
    commands.size_of_ext4 = [&](const std::string& device) -> std::optional<std::int64_t> {
        const ProcessResult answer = transcript.answer(words_of({"EXT4", device}));
        return answer.out.empty() ? std::nullopt : std::optional<std::int64_t>(std::stoll(answer.out));
    };
    commands.size_file = [&, size_file](const std::string& path, std::int64_t bytes) -> Status {
        CTL_TRY(outcome(transcript.answer(words_of({"SIZE", path, std::to_string(bytes)}))));
        return size_file(path, bytes);
    };
    commands.is_installed = [missing](const std::string& program) {
        return std::find(missing.begin(), missing.end(), program) == missing.end();
    };
    return commands;
}

std::string text_of(const StoreView& view) {
    std::string text = view.ready ? "ready" : "not ready";
    if (view.size) text += fmt::format(", {} bytes", *view.size);
    for (const auto& [volume, bytes] : view.trees) text += fmt::format("\n  {} {}", volume, bytes);
    return text;
}

std::string text_of(const Status& status) { return status ? "ok" : status.error().str(); }

/// A case: its pool, whose record changes as steps are done.
class Case {
public:
    Case(const fs::path& folder, const std::string& dir) : transcript_(read_file(folder / "transcript").value(), dir) {
        const std::string text = replaced(read_file(folder / "store").value(), "{dir}", dir);
        record_ = parse_store_record(text).value();
        for (const auto line : split(text, '\n'))
            if (line.starts_with("missing=")) missing_.emplace_back(line.substr(8));
    }

    std::string run(const std::string& line) {
        std::istringstream words(line);
        std::string verb;
        std::string first;
        std::string second;
        words >> verb >> first >> second;
        const auto store = make_store(record_, replay(transcript_, missing_)).value();
        const auto bytes = [](const std::string& text) {
            return text.empty() ? std::nullopt : std::optional<std::int64_t>(std::stoll(text));
        };
        if (verb == "check-host") return text_of(store->check_host());
        if (verb == "check") return text_of(store->check(bytes(first)));
        if (verb == "begin") {
            auto begun = store->begin();
            if (!begun) return begun.error().str();
            record_ = *begun;
            return fmt::format("made_file={} made_store={}", record_.made_file, record_.made_store);
        }
        if (verb == "open") {
            const Status opened = store->open(bytes(first));
            record_.ready = record_.ready || opened.has_value();
            return text_of(opened);
        }
        if (verb == "look") {
            const auto view = store->look();
            return view ? text_of(*view) : view.error().str();
        }
        if (verb == "make") return text_of(store->make(first, std::stoll(second)));
        if (verb == "clone") return text_of(store->clone(first, second));
        if (verb == "resize") return text_of(store->resize(first, -1, std::stoll(second)));
        if (verb == "mount") {
            const auto mount = store->mount(first);
            return mount ? "ok" : mount.error().str();
        }
        if (verb == "remove") return text_of(first.empty() ? store->remove() : store->remove(first));
        return "no such step";
    }

    [[nodiscard]] const Transcript& transcript() const { return transcript_; }

private:
    Transcript transcript_;
    StoreRecord record_;
    std::vector<std::string> missing_;
};

std::vector<std::string> cases() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(CTL_SOURCE_DIR "/tests/golden/storage"))
        if (entry.is_directory()) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

TEST_CASE("the tools of storage pools are told what the transcripts say, and understood") {
    const char* accept = std::getenv("CTL_ACCEPT");
    const bool is_accepting = accept != nullptr && std::string_view(accept) == "1";
    for (const auto& name : cases()) {
        INFO("case: ", name);
        const fs::path folder = fs::path(CTL_SOURCE_DIR "/tests/golden/storage") / name;
        std::string dir = "/tmp/ctl-golden-XXXXXX";
        REQUIRE(::mkdtemp(dir.data()) != nullptr);
        Case one(folder, dir);
        std::string result;
        const std::string steps = read_file(folder / "steps").value();
        for (const auto line : split(steps, '\n')) {
            if (line.empty() || line.starts_with('#')) continue;
            INFO("step: ", std::string(line));
            result += fmt::format("{}: {}\n", line, replaced(one.run(std::string(line)), dir, "{dir}"));
        }
        CHECK_MESSAGE(one.transcript().is_at_end(), "never asked for: ", one.transcript().next());
        fs::remove_all(dir);
        if (is_accepting) {
            REQUIRE(write_file_atomically(folder / "result", result));
            continue;
        }
        const auto expected = read_file(folder / "result");
        REQUIRE(expected);
        CHECK(result == *expected);
    }
    CHECK_FALSE_MESSAGE(is_accepting, "the results were rewritten: look at them and run again without CTL_ACCEPT");
}

TEST_CASE("a volume that is deleted while its group is away is removed when that is back") {
    std::string dir = "/tmp/ctl-golden-XXXXXX";
    REQUIRE(::mkdtemp(dir.data()) != nullptr);
    bool is_away = true;
    std::vector<std::string> removed;
    Commands commands = host_commands();
    commands.run = [&](const std::vector<std::string>& argv) -> Result<ProcessResult> {
        const bool has_rows = !is_away && removed.empty();
        if (argv.front() == "vgs")
            return ProcessResult{0, is_away ? "" : R"({"report": [{"vg": [{"vg_name":"fast", "vg_tags":""}]}]})", ""};
        if (argv.front() == "lvs")
            return ProcessResult{
                0,
                has_rows ? R"({"report": [{"lv": [{"vg_name":"fast", "lv_name":"ctl_a", "lv_tags":"ctl:pool/fast"}]}]})"
                         : "",
                ""};
        removed.push_back(words_of(argv));
        return ProcessResult{};
    };
    const auto record = parse_store_record("pool=fast\ndriver=lvm\nsource=fast\noption.lvm.vg_name=fast\nready=yes\n");
    const auto backend = make_store_backend(make_store(*record, commands).value(), dir);
    const Fd pool = open_directory(dir).value();
    fs::create_symlink("ctl_a", dir + "/data");
    const auto left = [&] { return fs::is_symlink(fmt::format("{}/{}/ctl_a", dir, leftovers_name)); };

    REQUIRE(backend->remove_tree(pool.get(), "data").has_value());
    CHECK_FALSE(fs::is_symlink(dir + "/data"));
    CHECK(left());
    backend->tidy(pool.get());
    CHECK(left());
    CHECK(removed.empty());

    is_away = false;
    backend->tidy(pool.get());
    CHECK(removed == std::vector<std::string>{"lvremove --quiet --yes -- fast/ctl_a"});
    CHECK(fs::is_empty(dir));
    fs::remove_all(dir);
}
