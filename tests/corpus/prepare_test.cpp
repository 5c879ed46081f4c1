#include "corpus/prepare.hpp"

#include <doctest/doctest.h>
#include <isa-l/igzip_lib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bytes/sha256.hpp"
#include "config/error.hpp"
#include "corpus/inspect.hpp"
#include "data/tokens/corpus_files.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using rubato::test::temporary_folder;
using rubato::test::words;

namespace fs = std::filesystem;

namespace {

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Every file of a folder.
std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> result;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) result[entry.path().filename().string()] = content(entry.path());
  }
  return result;
}

std::string gzip(std::string text) {
  std::string out(text.size() + 1000, '\0');
  isal_zstream stream;
  isal_deflate_stateless_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<std::uint8_t*>(text.data());
  stream.avail_in = static_cast<std::uint32_t>(text.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(out.data());
  stream.avail_out = static_cast<std::uint32_t>(out.size());
  REQUIRE(isal_deflate_stateless(&stream) == COMP_OK);
  out.resize(stream.total_out);
  return out;
}

std::string line(const std::string& text) {
  return "{\"text\":\"" + text + "\",\"timestamp\":\"2019\",\"url\":\"http://a\"}\n";
}

/// So many documents of C4's form, all different.
std::string lines(std::uint64_t key, int count, std::size_t length = 40) {
  std::string result;
  for (int i = 0; i < count; ++i) {
    auto text = words(key * 100000 + static_cast<std::uint64_t>(i), length);
    std::replace(text.begin(), text.end(), '\n', ' ');
    result += line(text);
  }
  return result;
}

prepare_options options_for(const std::vector<std::string>& inputs, const std::string& output) {
  prepare_options options;
  options.inputs = inputs;
  options.output = output;
  options.held_out = 0.2;
  options.threads = 2;
  return options;
}

/// The documents of a token shard of bytes, without the zero at their end.
std::vector<std::string> documents(const std::string& folder, const manifest& m,
                                   const manifest_part& part) {
  const auto shard = open_part(folder, m, part);
  std::vector<std::string> result;
  for (std::uint64_t i = 0; i < shard.documents(); ++i) {
    const auto [first, count] = shard.document(i);
    std::vector<std::int32_t> tokens(count);
    shard.read(first, count, tokens.data());
    REQUIRE(tokens.back() == 0);
    result.emplace_back(tokens.begin(), tokens.end() - 1);
  }
  return result;
}

std::multiset<std::string> all_documents(const std::string& folder, const manifest& m) {
  std::multiset<std::string> result;
  for (const auto& shard : m.shards) {
    for (const auto* part : {&shard.training, &shard.held_out}) {
      for (auto& text : documents(folder, m, *part)) result.insert(std::move(text));
    }
  }
  return result;
}

std::string error_of(const prepare_options& options) {
  try {
    prepare_corpus(options);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a corpus has every document of its inputs once, as it was") {
  const temporary_folder folder;
  folder.write("in/a.json.gz",
               gzip(line("caf\\u00e9 \\n \\\"x\\\"") + line("two") + line("three")));
  folder.write("in/deeper/b.jsonl", line("four") + "\n  \r\n" + line("five") + line("six"));
  folder.write("in/c.txt", "plain\ntext\n");
  folder.write("in/d.txt.gz", gzip("squeezed") + gzip(" twice"));
  folder.write("in/.hidden", "not this");
  folder.write("in/nothing.txt", "");
  auto options = options_for({folder / "in"}, folder / "out");
  options.held_out = 0.4;
  const auto result = prepare_corpus(options);
  CHECK_FALSE(result.was_there);
  CHECK(result.bad_lines.empty());
  CHECK(all_documents(folder / "out", result.corpus) ==
        std::multiset<std::string>{"caf\xc3\xa9 \n \"x\"", "two", "three", "four", "five", "six",
                                   "plain\ntext\n", "squeezed twice"});
  CHECK(result.corpus.lines == 8);
  CHECK(result.corpus.inputs.size() == 4);
  const auto& shard = result.corpus.shards.at(0);
  CHECK(shard.training.text_bytes + shard.held_out.text_bytes == 11 + 3 + 5 + 4 + 4 + 3 + 11 + 14);
  CHECK(shard.training.sha256 == sha256_hex(content(folder / ("out/" + shard.training.file))));
  CHECK(read_manifest(folder / "out") == result.corpus);
  CHECK_FALSE(fs::exists(folder / "out/parts"));
}

TEST_CASE("bad lines are counted, listed with file and line, and too many of them are an error") {
  const temporary_folder folder;
  const auto path = folder.write(
      "c4.json.gz", gzip(lines(1, 20) + "{\"text\":\"cut\n" + line("") + line("  ") +
                         "{\"txt\":\"a\"}\n" + line("\xff\xfe") + "[1]\n" + "{\"text\":7}\n" +
                         lines(2, 20) + "{\"text\":\"no line end\"}"));
  auto options = options_for({path}, folder / "out");
  const std::string error = error_of(options);
  CHECK(error.starts_with("5 of 48 lines are bad, more than --max-bad-lines 0.001 allows: " + path +
                          ":21: "));
  CHECK_FALSE(fs::exists(folder / "out/manifest.json"));

  options.max_bad_lines = 0.2;
  const auto result = prepare_corpus(options);
  CHECK(result.corpus.bad_lines == 5);
  CHECK(result.corpus.empty_documents == 2);
  CHECK(result.corpus.lines == 48);
  std::vector<std::string> listed;
  for (const auto& bad : result.bad_lines) {
    listed.push_back(std::to_string(bad.what.line) + " " + bad.what.reason);
  }
  REQUIRE(listed.size() == 5);
  CHECK(listed[0].starts_with("21 "));
  CHECK(listed[1] == "24 no member \"text\"");
  CHECK(listed[2].starts_with("25 "));  // in the words of simdjson, which differ by version
  CHECK(listed[2].ends_with("The input is not valid UTF-8"));
  CHECK(listed[3] == "26 not an object");
  CHECK(listed[4] == "27 \"text\" is not a string");
  CHECK(content(folder / "out/bad-lines.txt").find(path + ":26: not an object\n") !=
        std::string::npos);
  const auto& shard = result.corpus.shards.at(0);
  CHECK(shard.training.documents + shard.held_out.documents == 41);
}

TEST_CASE("plain text that is not UTF-8, and a line without an end, are bad lines") {
  const temporary_folder folder;
  folder.write("in/a.txt", "fine\n");
  folder.write("in/b.txt", "not \xff fine\n");
  folder.write("in/c.jsonl",
               lines(3, 30) + "{\"text\":\"" + std::string(70 << 20, 'x') + "\"}\n" + lines(4, 2));
  auto options = options_for({folder / "in"}, folder / "out");
  options.max_bad_lines = 0.5;
  const auto result = prepare_corpus(options);
  REQUIRE(result.bad_lines.size() == 2);
  CHECK(result.bad_lines[0].path == folder / "in/b.txt");
  CHECK(result.bad_lines[1].what.line == 31);
  CHECK(result.bad_lines[1].what.reason == "longer than 64 MiB");
  CHECK(all_documents(folder / "out", result.corpus).size() == 33);
}

TEST_CASE("a gzip file that ends early or is damaged is named, and what is done stays done") {
  const temporary_folder folder;
  const auto whole = gzip(lines(5, 3000));
  folder.write("in/a.json.gz", gzip(lines(6, 100)));
  const auto path = folder.write("in/b.json.gz", whole.substr(0, whole.size() / 2));
  const auto options = options_for({folder / "in"}, folder / "out");
  CHECK(error_of(options) == path + ": the gzip data ends early, after " +
                                 std::to_string(whole.size() / 2) +
                                 " bytes of the file; get the file again or leave it out");
  CHECK(contents(folder / "out/parts").size() == 2);

  auto damaged = whole;
  damaged[damaged.size() - 6] ^= 1;
  folder.write("in/b.json.gz", damaged);
  CHECK(error_of(options).starts_with(path + ": the checksum is wrong, before byte "));
  folder.write("in/b.json.gz", "this is not gzip");
  CHECK(error_of(options).starts_with(path + ": this is not gzip data, before byte "));

  folder.write("in/b.json.gz", whole);
  CHECK(prepare_corpus(options).corpus.lines == 3100);
}

TEST_CASE(
    "the corpus is the same on any number of threads, and after a part of the work was lost") {
  const temporary_folder folder;
  folder.write("in/large.jsonl", lines(7, 5000, 800));  // several blocks
  folder.write("in/small.json.gz", gzip(lines(8, 300)));
  folder.write("in/text.txt", words(9, 2500000));
  for (const std::string split : {"iid", "cluster"}) {
    auto options = options_for({folder / "in"}, folder / (split + "-1"));
    options.split = split;
    options.shards = 3;
    options.threads = 1;
    prepare_corpus(options);
    const auto expected = contents(options.output);
    CHECK(expected.size() == 8);  // of three shards, the manifest, and the lock
    for (const int threads : {2, 5}) {
      options.threads = threads;
      options.output = folder / (split + std::to_string(threads));
      prepare_corpus(options);
      auto same = contents(options.output);
      same["run.lock"] = expected.at("run.lock");
      CHECK(same == expected);
    }

    // Of work that ended early, what is whole is kept: here all but a part that is gone, one that
    // was cut, and one that has changed.
    options.output = folder / (split + "-again");
    folder.write("in/zz.jsonl", "bad\n");
    auto cut = options;
    cut.max_bad_lines = 0;
    CHECK(error_of(cut).starts_with("1 of "));
    fs::remove(folder / "in/zz.jsonl");
    std::vector<fs::path> parts;
    for (const auto& entry : fs::directory_iterator(options.output + "/parts")) {
      parts.push_back(entry.path());
    }
    REQUIRE(parts.size() == 4);
    fs::remove(parts[0]);
    fs::resize_file(parts[1], fs::file_size(parts[1]) / 2);
    std::fstream(parts[2], std::ios::in | std::ios::out | std::ios::binary).seekp(40).put('~');
    prepare_corpus(options);
    auto again = contents(options.output);
    again.erase("bad-lines.txt");
    CHECK(again == expected);
    CHECK(prepare_corpus(options).was_there);
    options.seed = 2;
    CHECK(error_of(options) ==
          options.output + " holds another corpus; choose another folder, or remove it");
  }
}

TEST_CASE("a corpus whose making is killed, at any moment, ends up the same") {
  const temporary_folder folder;
  for (std::uint64_t i = 0; i < 6; ++i) {
    folder.write("in/" + std::to_string(i) + ".jsonl", lines(20 + i, 700, 1000));
  }
  auto options = options_for({folder / "in"}, folder / "whole");
  options.shards = 2;
  prepare_corpus(options);
  auto expected = contents(options.output);

  options.output = folder / "killed";
  for (int kills = 0; kills < 12; ++kills) {
    const pid_t child = fork();
    if (child == 0) {
      prepare_corpus(options);
      _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + 3 * kills));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  prepare_corpus(options);
  auto after = contents(options.output);
  after["run.lock"] = expected["run.lock"];
  CHECK(after == expected);
}

TEST_CASE("copies of a document go to the same side, and shards by hash are about equal") {
  const temporary_folder folder;
  const auto text = lines(10, 2000);
  folder.write("in/a.jsonl", text);
  folder.write("in/b.jsonl", text);
  auto options = options_for({folder / "in"}, folder / "out");
  options.shards = 4;
  const auto m = prepare_corpus(options).corpus;
  std::set<std::string> trained, held_out;
  for (const auto& shard : m.shards) {
    for (auto& d : documents(folder / "out", m, shard.training)) trained.insert(d);
    for (auto& d : documents(folder / "out", m, shard.held_out)) held_out.insert(d);
    CHECK(shard.training.documents > 600);  // 800 on average
    CHECK(shard.training.documents < 1000);
    CHECK(shard.files == 2);
  }
  CHECK(trained.size() + held_out.size() == 2000);
  CHECK(held_out.size() > 300);
  CHECK(held_out.size() < 500);
}

TEST_CASE("shards by source are the inputs, shards by cluster what documents are about") {
  const temporary_folder folder;
  std::string mixed;
  for (int i = 0; i < 300; ++i) {
    const auto n = std::to_string(i);
    mixed += line("the sailor saw the ship and the storm at sea number " + n);
    mixed += line("bread needs flour and water in a warm oven recipe " + n);
  }
  folder.write("kitchen/a.jsonl", mixed);
  folder.write("harbour/b.jsonl", lines(11, 100));
  auto by_source = options_for({folder / "kitchen", (folder / "harbour") + "/"}, folder / "source");
  by_source.split = "source";
  CHECK(error_of(by_source) ==
        "--split source makes a shard of each of the 2 inputs, not --shards 1");
  by_source.shards = 2;
  const auto m = prepare_corpus(by_source).corpus;
  CHECK(m.shards[0].name == "kitchen");
  CHECK(m.shards[1].name == "harbour");
  CHECK(m.shards[0].training.documents + m.shards[0].held_out.documents == 600);
  CHECK(m.shards[1].training.documents + m.shards[1].held_out.documents == 100);

  auto by_cluster = options_for({folder / "kitchen"}, folder / "cluster");
  by_cluster.split = "cluster";
  by_cluster.shards = 2;
  const auto clustered = prepare_corpus(by_cluster).corpus;
  for (const auto& shard : clustered.shards) {
    const auto texts = documents(folder / "cluster", clustered, shard.training);
    const auto about_sea = std::count_if(texts.begin(), texts.end(), [](const std::string& text) {
      return text.find("sea") != std::string::npos;
    });
    CHECK((about_sea == 0 || about_sea == static_cast<std::ptrdiff_t>(texts.size())));
  }
}

TEST_CASE("wrong options and inputs are told in a line") {
  const temporary_folder folder;
  const auto path = folder.write("a.txt", "one document\n");
  CHECK(error_of(options_for({}, folder / "out")) == "name at least one file or folder with text");
  CHECK(error_of(options_for({folder / "none"}, folder / "out")) ==
        (folder / "none") + " does not exist; name a file or folder with text");
  CHECK(error_of(options_for({path, path}, folder / "out")) ==
        path + " is named twice; leave one out");
  CHECK(error_of(options_for({path}, path)).starts_with(path + " cannot be made: "));
  CHECK(
      error_of(options_for({path}, folder / "out")).starts_with("shard 0 would have no document "));
  auto options = options_for({path}, folder / "out");
  options.held_out = 1;
  CHECK(error_of(options) == "--held-out 1: it must be above 0 and below 1");
  options.held_out = 0.5;
  options.split = "thirds";
  CHECK(error_of(options) == "--split thirds: it must be iid, source or cluster");
  options.split = "cluster";
  options.shards = 2;
  CHECK(error_of(options) == "--shards 2: there are only 1 documents to find clusters in");
  options.tokenizer = path;
  CHECK(error_of(options) ==
        "cannot use " + path +
            ": it is not a SentencePiece model; `rubato data tokenizer` makes one");
}

TEST_CASE("looking into a corpus shows lengths and samples, and finds damage") {
  const temporary_folder folder;
  folder.write("in/a.jsonl", lines(12, 500) + line(std::string(999, 'x')));
  auto options = options_for({folder / "in"}, folder / "out");
  options.held_out = 0.05;
  const auto m = prepare_corpus(options).corpus;
  const auto seen = inspect_corpus(folder / "out", 2, true);
  CHECK(seen.corpus == m);
  const auto& shard = seen.shards.at(0);
  CHECK(shard.lengths.shortest == 41);
  CHECK(shard.lengths.median == 41);
  CHECK(shard.lengths.most == 41);
  CHECK(shard.lengths.longest == 1000);
  REQUIRE(shard.samples.size() == 2);
  CHECK(shard.samples[0] != shard.samples[1]);
  const auto texts = documents(folder / "out", m, m.shards[0].training);
  for (const auto& sample : shard.samples) {
    CAPTURE(sample);
    CHECK(std::any_of(texts.begin(), texts.end(),
                      [&](const std::string& text) { return text.starts_with(sample); }));
  }

  auto bytes = content(folder / "out/00000-train.tokens");
  bytes[100] ^= 1;
  folder.write("out/00000-train.tokens", bytes);
  CHECK_THROWS_AS(inspect_corpus(folder / "out", 0, true), run_error);
  CHECK_THROWS_AS(inspect_corpus(folder / "in", 0, false), usage_error);
}
