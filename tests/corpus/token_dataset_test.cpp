#include "data/tokens/token_dataset.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "corpus/shard_writer.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using rubato::test::temporary_folder;

namespace {

/// A shard of so many tokens that count up from `first`, 20 of a document, of three bytes each.
manifest_part write_part(const temporary_folder& folder, const std::string& name,
                         std::uint32_t first, std::uint64_t tokens) {
  shard_header header{2, 1000, tokens, tokens / 20, tokens * 3};
  std::vector<std::uint16_t> values(tokens);
  std::iota(values.begin(), values.end(), static_cast<std::uint16_t>(first));
  shard_writer writer(folder / name, header);
  writer.put_tokens(std::as_bytes(std::span(values)));
  writer.put_lengths(std::vector<std::uint32_t>(tokens / 20, 20));
  const auto digest = writer.finish();
  return {name, tokens, tokens / 20, tokens * 3, header.file_size(), digest};
}

/// Two shards, in which every token tells where it is.
void write_corpus(const temporary_folder& folder) {
  manifest m;
  m.vocabulary = 1000;
  m.tokenizer = "none";
  m.shards = {{"long", 3, write_part(folder, "a", 0, 400), write_part(folder, "b", 400, 60)},
              {"short", 1, write_part(folder, "c", 500, 100), write_part(folder, "d", 600, 40)}};
  folder.write("manifest.json", to_json(m));
}

config config_for(const temporary_folder& folder) {
  config c;
  c.data.kind = "tokens";
  c.data.paths = {{folder.string()}};
  c.data.batch_size = 4;
  c.model.sequence_length = 10;
  c.evaluate.batches = 1;
  return c;
}

std::string error_of(const config& c) {
  try {
    const token_dataset data(c);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a corpus of tokens says what its manifest says, with sizes in bytes of text") {
  const temporary_folder folder;
  write_corpus(folder);
  const auto made = make_dataset(config_for(folder));
  const dataset& data = *made;
  CHECK(data.shards() == 2);
  CHECK(data.shape().classes == 1000);
  CHECK(data.shape().features == 0);
  CHECK(data.tokens_per_batch() == 40);
  CHECK(data.shard_size(0) == 1220);  // 400 tokens of 3 bytes, and 20 documents
  CHECK(data.info(0).name == "long");
  CHECK(data.info(0).files == 3);
  CHECK(data.info(1).held_out_size == 122);
  CHECK(data.bytes_per_token() == 305.0 / 100.0);
}

TEST_CASE("an epoch of a token shard trains on every token once, in rows of neighbours") {
  const temporary_folder folder;
  write_corpus(folder);
  const token_dataset data(config_for(folder));
  std::multiset<std::int32_t> predicted;
  for (std::uint64_t position = 0; position < 10; ++position) {
    const auto b = data.training_batch(0, position);
    REQUIRE(b.examples == 4);
    REQUIRE(b.tokens.size() == 44);
    for (std::int64_t row = 0; row < 4; ++row) {
      const auto* token = b.tokens.data() + row * 11;
      for (int i = 1; i <= 10; ++i) {
        CHECK(token[i] == (token[i - 1] + 1) % 400);  // going round at the end
        predicted.insert(token[i]);
      }
    }
  }
  CHECK(predicted.size() == 400);
  CHECK(std::set<std::int32_t>(predicted.begin(), predicted.end()).size() == 400);
}

TEST_CASE(
    "batches of tokens are a function of seed, shard and position, those held out of neither") {
  const temporary_folder folder;
  write_corpus(folder);
  auto c = config_for(folder);
  const token_dataset data(c), same(c);
  c.run.seed = 2;
  const token_dataset other(c);
  CHECK(data.training_batch(1, 7).tokens == same.training_batch(1, 7).tokens);
  CHECK(data.training_batch(1, 7).tokens != other.training_batch(1, 7).tokens);
  CHECK(data.training_batch(1, 7).tokens != data.training_batch(1, 8).tokens);
  CHECK(data.training_batch(1, 7).tokens.front() >= 500);
  CHECK(data.held_out(0).size() == 1);
  CHECK(data.held_out(0)[0].tokens == other.held_out(0)[0].tokens);
  CHECK(data.held_out(0)[0].tokens.front() == 400);
  CHECK(data.held_out(1)[0].examples == 3);  // 39 tokens to predict, 10 in a row
}

TEST_CASE("who only trains on a corpus needs no files of what is held out") {
  const temporary_folder folder;
  write_corpus(folder);
  const auto c = config_for(folder);
  const token_dataset all(c);
  for (const auto& shard : read_manifest(folder.string()).shards) {
    REQUIRE(std::filesystem::remove(folder / shard.held_out.file));
  }
  CHECK(error_of(c) != "no error");
  const auto training = make_dataset(c, data_use::training);
  REQUIRE(training->shards() == 2);
  for (std::size_t shard = 0; shard < 2; ++shard) {
    CHECK(training->held_out(shard).empty());
    CHECK(training->info(shard).training_size == all.info(shard).training_size);
    CHECK(training->training_batch(shard, 3).tokens == all.training_batch(shard, 3).tokens);
  }
}

TEST_CASE("a corpus that cannot be trained on is told in a line") {
  const temporary_folder folder;
  auto c = config_for(folder);
  CHECK(error_of(c) == folder.string() +
                           " has no manifest.json; name a folder that `rubato data prepare` has "
                           "made");
  write_corpus(folder);
  c.model.sequence_length = 40;
  CHECK(error_of(c) == "data.paths: d in " + folder.string() +
                           " has 40 tokens, but one sequence takes 41 (model.sequence_length + 1); "
                           "set it lower, or prepare the corpus with a higher --held-out or fewer "
                           "--shards");
  c = config_for(folder);
  c.data.shard_sampling = "fixed";
  c.workers.count = 2;
  CHECK(error_of(c) == "no error");
  c.workers.count = 1;
  CHECK(error_of(c) ==
        "data.shard_sampling = \"fixed\" with workers.count = 1 would never train on "
        "the rest of the 2 shards in " +
            folder.string() + "; use \"balanced\" or more workers");
  c = config_for(folder);
  std::filesystem::copy_file(folder / "b", folder / "a",
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(error_of(c) == "cannot use " + (folder / "a") +
                           ": it is not the file that manifest.json tells of; prepare the corpus "
                           "again");
  std::filesystem::remove(folder / "c");
  write_part(folder, "a", 0, 400);
  CHECK(error_of(c) == "cannot read " + (folder / "c") + ": No such file or directory");
  folder.write("manifest.json", "{\"version\": 2}");
  CHECK(error_of(c) == "cannot use " + (folder / "manifest.json") +
                           ": it has version 2 of the format; this program reads 1; prepare the "
                           "corpus again");
  folder.write("manifest.json", "{\"version\": 1");
  CHECK(error_of(c).starts_with("cannot use " + (folder / "manifest.json") + ": "));
  c.data.paths = {{"a"}, {"b"}};
  CHECK(error_of(c) == "data.paths must name one folder that `rubato data prepare` has made");
}

TEST_CASE("damage in a token shard is found when a batch needs it") {
  const temporary_folder folder;
  write_corpus(folder);
  std::fstream(folder / "c", std::ios::in | std::ios::out | std::ios::binary).seekp(70).put('x');
  const token_dataset data(config_for(folder));
  CHECK_THROWS_AS(data.training_batch(1, 0), run_error);
  CHECK_NOTHROW(data.training_batch(0, 0));
}
