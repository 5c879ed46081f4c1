#include "data/tokens/token_shard.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "bytes/crc32c.hpp"
#include "bytes/sha256.hpp"
#include "config/error.hpp"
#include "corpus/shard_writer.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using rubato::test::temporary_folder;

namespace {

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A shard of documents of these lengths, whose tokens count up and begin anew at the vocabulary.
std::string write_shard(const std::string& path, std::uint32_t vocabulary,
                        const std::vector<std::uint32_t>& lengths) {
  shard_header header;
  header.vocabulary = vocabulary;
  header.token_width = token_width_for(vocabulary);
  header.tokens = std::accumulate(lengths.begin(), lengths.end(), std::uint64_t{0});
  header.documents = lengths.size();
  header.text_bytes = 7;
  std::vector<std::byte> tokens;
  for (std::uint64_t i = 0; i < header.tokens; ++i) {
    const auto token = static_cast<std::uint32_t>(i % vocabulary);
    byte_writer(tokens).put_bytes(std::as_bytes(std::span(&token, 1)).first(header.token_width));
  }
  shard_writer writer(path, header);
  writer.put_tokens(byte_span(tokens).first(tokens.size() / 8 * 4));
  writer.put_tokens(byte_span(tokens).subspan(tokens.size() / 8 * 4));
  writer.put_lengths(lengths);
  return writer.finish();
}

template <class Error>
std::string message_of(const auto& what) {
  try {
    what();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a token shard gives back tokens of 1, 2 and 4 bytes, and where documents lie") {
  const temporary_folder folder;
  for (const std::uint32_t vocabulary : {256u, 257u, 65536u, 65537u}) {
    const auto path = folder / std::to_string(vocabulary);
    const auto digest = write_shard(path, vocabulary, {5, 0, 70000, 3});
    CHECK(digest == sha256_hex(content(path)));

    const token_shard shard(path);
    CHECK(std::filesystem::file_size(path) == shard.header().file_size());
    CHECK(shard.tokens() == 70008);
    CHECK(shard.documents() == 4);
    CHECK(shard.header().text_bytes == 7);
    std::vector<std::int32_t> tokens(70008);
    shard.read(0, tokens.size(), tokens.data());
    bool counts_up = true;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      counts_up = counts_up && tokens[i] == static_cast<std::int32_t>(i % vocabulary);
    }
    CHECK(counts_up);
    std::int32_t some[2];
    shard.read(65535, 2, some);
    CHECK(some[1] == static_cast<std::int32_t>(65536 % vocabulary));
    CHECK(shard.document(0).count == 5);
    CHECK(shard.document(1).count == 0);
    CHECK(shard.document(2).first == 5);
    CHECK(shard.document(3).first == 70005);
    CHECK(shard.document(3).count == 3);
    CHECK_NOTHROW(shard.verify());
    CHECK_THROWS_AS(shard.document(4), std::out_of_range);
    CHECK_THROWS_AS(shard.read(70007, 2, some), std::out_of_range);
  }
}

TEST_CASE("a token shard is as docs/formats.md says, byte by byte") {
  const temporary_folder folder;
  write_shard(folder / "shard", 300, {2, 1});
  const auto bytes = content(folder / "shard");
  std::vector<std::byte> expected;
  byte_writer out(expected);
  out.put_bytes(as_bytes("RUBATO-T"));
  out.put(std::uint32_t{1});
  out.put(std::uint32_t{2});
  out.put(std::uint64_t{3});
  out.put(std::uint64_t{2});
  out.put(std::uint64_t{7});
  out.put(std::uint32_t{300});
  out.put_zeros(16);
  out.put(crc32c(expected));
  for (const std::uint16_t token : {0, 1, 2, 0}) out.put(token);  // the last one fills up
  out.put(std::uint64_t{2});
  out.put(std::uint64_t{3});
  const auto block = crc32c(byte_span(expected).subspan(64));
  out.put(block);
  out.put(crc32c(std::as_bytes(std::span(&block, 1))));
  CHECK(bytes == std::string(reinterpret_cast<const char*>(expected.data()), expected.size()));
}

TEST_CASE("no damaged byte of a token shard goes unseen, and the error names file and place") {
  const temporary_folder folder;
  write_shard(folder / "shard", 256, {9, 4});
  const auto good = content(folder / "shard");
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    folder.write("bad", bad);
    CAPTURE(i);
    CHECK_THROWS_AS(token_shard(folder / "bad").verify(), std::runtime_error);
    bad = good.substr(0, i);
    folder.write("bad", bad);
    CHECK_THROWS_AS(token_shard(folder / "bad"), usage_error);
  }

  write_shard(folder / "long", 256, {200000});
  auto bad = content(folder / "long");
  bad[64 + 131072 + 5] ^= 1;
  folder.write("long", bad);
  const token_shard shard(folder / "long");
  std::vector<std::int32_t> tokens(131073);
  CHECK_NOTHROW(shard.read(0, 131072, tokens.data()));
  CHECK(message_of<run_error>([&] { shard.read(0, 131073, tokens.data()); }) ==
        "cannot use " + (folder / "long") +
            ": the 65536 bytes are damaged at byte 131136; prepare the corpus again");
  CHECK(message_of<usage_error>([&] { token_shard(folder.write("other", "no shard at all")); }) ==
        "cannot use " + (folder / "other") + ": it is not a token shard; prepare the corpus again");
}

TEST_CASE("a token that is not of the vocabulary is refused, for a model has no place for it") {
  const temporary_folder folder;
  shard_header header{2, 300, 1, 1, 1};
  const std::uint16_t token = 300;
  shard_writer writer(folder / "shard", header);
  writer.put_tokens(std::as_bytes(std::span(&token, 1)));
  writer.put_lengths(std::vector<std::uint32_t>{1});
  writer.finish();
  std::int32_t read = 0;
  CHECK(message_of<run_error>([&] { token_shard(folder / "shard").read(0, 1, &read); }) ==
        "cannot use " + (folder / "shard") +
            ": there is the token 300 in a vocabulary of 300 at byte 64; prepare the corpus again");
}

TEST_CASE("a shard that is not written to its end does not appear") {
  const temporary_folder folder;
  {
    shard_writer writer(folder / "shard", {1, 256, 4, 1, 4});
    writer.put_tokens(as_bytes("ab"));
    CHECK_THROWS_AS(writer.put_lengths(std::vector<std::uint32_t>{4}), std::logic_error);
  }
  CHECK(std::filesystem::is_empty(folder.string()));
}
