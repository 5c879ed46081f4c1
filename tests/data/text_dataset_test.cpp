#include "data/text_dataset.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "config/error.hpp"
#include "data/ngram.hpp"
#include "tests/data/temporary_folder.hpp"

using doctest::Approx;
using rubato::batch;
using rubato::config;
using rubato::text_dataset;
using rubato::test::temporary_folder;
using rubato::test::words;

namespace fs = std::filesystem;

namespace {

config small_config(const std::vector<std::vector<std::string>>& paths) {
  config c;
  c.data.paths = paths;
  c.data.batch_size = 4;
  c.data.held_out = 0.2;
  c.model.sequence_length = 16;
  c.evaluate.batches = 3;
  return c;
}

std::vector<std::string> rows(const batch& b) {
  std::vector<std::string> result;
  const auto width = b.length + 1;
  for (std::int64_t i = 0; i < b.examples; ++i) {
    const auto start = b.tokens.begin() + i * width;
    result.emplace_back(start, start + width);
  }
  return result;
}

std::vector<std::string> held_out_rows(const text_dataset& data, std::size_t shard) {
  std::vector<std::string> result;
  for (const auto& b : data.held_out(shard)) {
    for (auto& row : rows(b)) result.push_back(row);
  }
  return result;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool same(const std::vector<batch>& a, const std::vector<batch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const batch& x, const batch& y) {
    return x.examples == y.examples && x.length == y.length && x.tokens == y.tokens;
  });
}

std::string error_of(const config& c) {
  try {
    const text_dataset data(c);
  } catch (const rubato::usage_error& error) {
    return error.what();
  }
  return "no error";
}

// A text without a repeated window of 16 bytes, so that a window tells where it is from.
std::string counting(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += std::to_string(1000000 + i) + " ";
  return text;
}

// All that has to be equal for two data sets to be the same.
void check_same_shards(const text_dataset& a, const text_dataset& b) {
  REQUIRE(a.shards() == b.shards());
  for (std::size_t shard = 0; shard < a.shards(); ++shard) {
    CHECK(a.training_text(shard) == b.training_text(shard));
    CHECK(same(a.held_out(shard), b.held_out(shard)));
    CHECK(a.info(shard).held_out_size == b.info(shard).held_out_size);
  }
}

}  // namespace

TEST_CASE("whole files are held out, and the share of bytes is kept") {
  const temporary_folder folder;
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) {
    texts.push_back(words(i, 300 + 10 * i));
    folder.write("text" + std::to_string(i), texts.back());
  }
  const text_dataset data(small_config({{folder.string()}}));
  const auto training = data.training_text(0);

  std::string held_out;
  std::uint64_t trained_on = 0;
  for (const auto& text : texts) {
    if (contains(training, text + '\0')) {
      trained_on += text.size() + 1;
    } else {
      CHECK_FALSE(contains(training, text.substr(0, 40)));
      CHECK_FALSE(contains(training, text.substr(text.size() - 40)));
      held_out += text + '\0';
    }
  }
  const auto info = data.info(0);
  CHECK(info.files == 40);
  CHECK(info.duplicates == 0);
  CHECK(info.training_size == trained_on);
  CHECK(info.training_size == training.size());
  CHECK(info.held_out_size == held_out.size());
  CHECK(data.shard_size(0) == training.size());
  const auto total = static_cast<double>(trained_on + held_out.size());
  CHECK(static_cast<double>(held_out.size()) / total == Approx(0.2).epsilon(0.05));
  for (const auto& row : held_out_rows(data, 0)) CHECK_FALSE(contains(training, row));
}

TEST_CASE("at least one file is held out and one is not, whatever the share") {
  const temporary_folder folder;
  folder.write("long", words(1, 5000));
  folder.write("short", words(2, 100));
  for (const double share : {0.001, 0.05, 0.5, 0.999}) {
    CAPTURE(share);
    auto c = small_config({{folder.string()}});
    c.data.held_out = share;
    const text_dataset data(c);
    CHECK(data.info(0).training_size + data.info(0).held_out_size == 5102);
    CHECK(data.info(0).training_size >= 101);
    CHECK(data.info(0).held_out_size >= 101);
    if (share < 0.5) CHECK(data.info(0).held_out_size == 101);
  }
}

TEST_CASE("near-duplicates are left out within and across shards before the split") {
  const temporary_folder folder;
  // 12 families of 4 texts with 85 % in common, over two shards.
  std::vector<std::string> families;
  for (int family = 0; family < 12; ++family) {
    families.push_back(words(family, 1700));
    for (int version = 0; version < 4; ++version) {
      folder.write(
          (version < 2 ? "one/" : "two/") + std::to_string(family) + "-" + std::to_string(version),
          families.back() + words(1000 + 10 * family + version, 300));
    }
  }
  // Texts of their own, so that each shard has some.
  for (int i = 0; i < 4; ++i) {
    folder.write("one/own" + std::to_string(i), words(100 + i, 1000));
    folder.write("two/own" + std::to_string(i), words(200 + i, 1000));
  }
  const auto c = small_config({{folder / "one"}, {folder / "two"}});
  const text_dataset data(c);
  CHECK(data.info(0).files == 28);
  CHECK(data.info(1).files == 28);
  CHECK(data.info(0).duplicates + data.info(1).duplicates == 36);

  const auto training = std::string(data.training_text(0)) + std::string(data.training_text(1));
  for (const auto& family : families) {
    const auto part = family.substr(200, 1000);
    const auto first = training.find(part);
    if (first != std::string::npos) CHECK(training.find(part, first + 1) == std::string::npos);
  }
  for (std::size_t shard = 0; shard < 2; ++shard) {
    for (const auto& row : held_out_rows(data, shard)) CHECK_FALSE(contains(training, row));
  }

  auto keep_all = c;
  keep_all.data.deduplicate = false;
  const text_dataset everything(keep_all);
  CHECK(everything.info(0).duplicates == 0);
  CHECK(everything.info(0).training_size + everything.info(0).held_out_size ==
        24 * 2001 + 4 * 1001);
}

TEST_CASE("a file that two shards name stays in the first") {
  const temporary_folder folder;
  for (int i = 0; i < 3; ++i) {
    folder.write("one/" + std::to_string(i), words(i, 500));
    folder.write("two/" + std::to_string(i), words(10 + i, 600));
  }
  const text_dataset data(small_config({{folder / "one"}, {folder / "two", folder / "one"}}));
  CHECK(data.info(0).duplicates == 0);
  CHECK(data.info(1).files == 6);
  CHECK(data.info(1).duplicates == 3);
  CHECK(data.info(1).training_size + data.info(1).held_out_size == 3 * 601);
}

TEST_CASE("shards depend on the contents of files, not on names, places or order") {
  const temporary_folder here;
  const temporary_folder there;
  for (int i = 0; i < 20; ++i) {
    here.write("a/" + std::to_string(i) + ".txt", words(i, 400 + 20 * i));
    there.write(std::to_string(i % 3) + "/b/z" + std::to_string(100 - i), words(i, 400 + 20 * i));
  }
  const text_dataset one(small_config({{here.string()}}));
  const text_dataset two(small_config({{there / "2", there / "0/b/*", there / "1"}}));
  check_same_shards(one, two);
  CHECK(one.training_batch(0, 5).tokens == two.training_batch(0, 5).tokens);
}

TEST_CASE("runs with different seeds share shards and held-out batches but not the samples") {
  const temporary_folder folder;
  for (int i = 0; i < 10; ++i) folder.write(std::to_string(i), words(i, 1000));
  auto c = small_config({{folder.string()}});
  const text_dataset one(c);
  c.run.seed = 2;
  const text_dataset two(c);
  check_same_shards(one, two);
  CHECK(one.training_batch(0, 0).tokens != two.training_batch(0, 0).tokens);
  c.run.seed = 1;
  const text_dataset again(c);
  CHECK(one.training_batch(0, 0).tokens == again.training_batch(0, 0).tokens);
}

TEST_CASE("a batch is a function of its position, in any order and from any thread") {
  const temporary_folder folder;
  for (int i = 0; i < 10; ++i) {
    folder.write("one/" + std::to_string(i), words(i, 1000));
    folder.write("two/" + std::to_string(i), words(100 + i, 1000));
  }
  const text_dataset data(small_config({{folder / "one"}, {folder / "two"}}));
  constexpr std::uint64_t far = std::uint64_t{1} << 40;
  std::vector<batch> in_order;
  for (std::uint64_t p = 0; p < 200; ++p) {
    in_order.push_back(data.training_batch(p % 2, p < 100 ? p : far + p));
  }
  CHECK(in_order.front().examples == 4);
  CHECK(in_order.front().length == 16);
  CHECK(in_order.front().tokens.size() == 4 * 17);
  CHECK(data.tokens_per_batch() == 4 * 16);
  CHECK(in_order[0].tokens != in_order[2].tokens);

  std::vector<std::vector<batch>> backwards(4, std::vector<batch>(200));
  std::vector<std::thread> threads;
  for (auto& result : backwards) {
    threads.emplace_back([&] {
      for (std::uint64_t p = 200; p-- > 0;) {
        result[p] = data.training_batch(p % 2, p < 100 ? p : far + p);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : backwards) CHECK(same(result, in_order));
}

TEST_CASE("an epoch predicts each byte once, and epochs differ") {
  const temporary_folder folder;
  folder.write("a", counting(0, 160));
  folder.write("b", counting(200, 330));  // shorter, and so the one that is held out
  auto c = small_config({{folder.string()}});
  c.data.held_out = 0.01;
  for (const std::int64_t length : {16, 17, 100, 640, 641, 1040}) {
    CAPTURE(length);
    c.model.sequence_length = length;
    const text_dataset data(c);
    const std::string text(data.training_text(0));
    REQUIRE(text.size() == 1281);
    const auto ring = text + text;
    const auto windows = text.size() / static_cast<std::size_t>(length);
    std::set<std::vector<std::size_t>> epochs;
    for (std::size_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::size_t> starts;
      std::vector<int> predicted(text.size(), 0);
      for (std::size_t n = epoch * windows; n < (epoch + 1) * windows; ++n) {
        const auto start = ring.find(rows(data.training_batch(0, n / 4))[n % 4]);
        REQUIRE(start < text.size());
        starts.push_back(start);
        for (std::int64_t i = 1; i <= length; ++i) ++predicted[(start + i) % text.size()];
      }
      CHECK(*std::max_element(predicted.begin(), predicted.end()) == 1);
      CHECK(std::accumulate(predicted.begin(), predicted.end(), std::int64_t{0}) ==
            static_cast<std::int64_t>(windows) * length);
      if (windows >= 10) CHECK_FALSE(std::is_sorted(starts.begin(), starts.end()));
      epochs.insert(starts);
    }
    CHECK(epochs.size() == 3);
  }
}

TEST_CASE("an epoch of one-byte windows counts every byte as often as the text has it") {
  const temporary_folder folder;
  folder.write("a", words(1, 1000));
  folder.write("b", words(2, 50));
  auto c = small_config({{folder.string()}});
  c.data.held_out = 0.01;
  c.data.batch_size = 7;  // 143 batches are an epoch
  c.model.sequence_length = 1;
  const text_dataset data(c);
  REQUIRE(data.training_text(0).size() == 1001);
  std::map<char, int> predicted;
  std::map<char, int> in_text;
  for (const char byte : data.training_text(0)) ++in_text[byte];
  for (std::uint64_t p = 143; p < 286; ++p) {
    for (const auto& row : rows(data.training_batch(0, p))) ++predicted[row[1]];
  }
  CHECK(predicted == in_text);
}

TEST_CASE("held-out windows are spread over the text, do not overlap and all differ") {
  const temporary_folder folder;
  folder.write("training", counting(0, 2000));
  folder.write("held out", counting(5000, 5500));
  auto c = small_config({{folder.string()}});
  const auto text = counting(5000, 5500) + '\0';
  const auto starts_of = [&](const text_dataset& data) {
    std::vector<std::size_t> starts;
    for (const auto& row : held_out_rows(data, 0)) starts.push_back(text.find(row));
    return starts;
  };

  const text_dataset data(c);
  REQUIRE(data.held_out(0).size() == 3);
  for (const auto& b : data.held_out(0)) {
    CHECK(b.examples == 4);
    CHECK(b.length == 16);
    CHECK(b.tokens.size() == 4 * 17);
  }
  const auto starts = starts_of(data);
  CHECK(starts.front() == 0);
  for (std::size_t i = 1; i < starts.size(); ++i) {
    // 12 windows over 4001 bytes: one every 333 bytes, on a grid of 16.
    CHECK(starts[i] - starts[i - 1] >= 333 - 16);
    CHECK(starts[i] - starts[i - 1] <= 333 + 16);
  }

  // As many whole batches as there are: 250 windows make 62.
  c.evaluate.batches = 1000;
  const text_dataset all(c);
  CHECK(all.held_out(0).size() == 62);
  const auto dense = starts_of(all);
  REQUIRE(dense.size() == 248);
  for (std::size_t i = 1; i < dense.size(); ++i) CHECK(dense[i] >= dense[i - 1] + 16);

  // Fewer windows than a batch has rows: one smaller batch.
  c.data.batch_size = 300;
  const text_dataset short_text(c);
  REQUIRE(short_text.held_out(0).size() == 1);
  CHECK(short_text.held_out(0).front().examples == 250);
  CHECK(short_text.held_out(0).front().tokens.size() == 250 * 17);
}

TEST_CASE("tokens are bytes, and a zero byte marks the end of a file") {
  const temporary_folder folder;
  folder.write("a", "\xc3\xa4\xff\x01" + words(1, 200));
  folder.write("b", words(2, 20));
  auto c = small_config({{folder.string()}});
  c.data.held_out = 0.01;
  const text_dataset data(c);
  CHECK(data.shape().features == 0);
  CHECK(data.shape().classes == 256);
  CHECK(data.bytes_per_token() == 1.0);
  CHECK(data.training_text(0).back() == '\0');
  std::set<std::int32_t> tokens;
  for (std::uint64_t p = 0; p < 20; ++p) {
    const auto b = data.training_batch(0, p);
    tokens.insert(b.tokens.begin(), b.tokens.end());
  }
  for (const std::int32_t token : {0xc3, 0xa4, 0xff, 1, 0}) CHECK(tokens.count(token) == 1);
  CHECK(*tokens.rbegin() == 0xff);
}

TEST_CASE("shards have names of their own") {
  const temporary_folder folder;
  for (int i = 0; i < 3; ++i) {
    folder.write("x/books/" + std::to_string(i), words(i, 200));
    folder.write("y/books/" + std::to_string(i), words(10 + i, 200));
  }
  const text_dataset data(small_config({{folder / "x/books"}, {folder / "y/books/*"}}));
  CHECK(data.info(0).name == "books");
  CHECK(data.info(1).name == "books (1)");
}

TEST_CASE("the baselines weight shards as data.shard_weights says") {
  const temporary_folder folder;
  // One large shard and one small one of another alphabet.
  for (int i = 0; i < 5; ++i) {
    folder.write("large/" + std::to_string(i), words(i, 4000));
    folder.write("small/" + std::to_string(i), counting(100 * i, 100 * i + 50));
  }
  auto c = small_config({{folder / "large"}, {folder / "small"}});
  for (const std::string weights : {"size", "equal"}) {
    CAPTURE(weights);
    c.data.shard_weights = weights;
    const text_dataset data(c);
    const double sizes[] = {static_cast<double>(data.shard_size(0)),
                            static_cast<double>(data.shard_size(1))};
    const double total = sizes[0] + sizes[1];
    // Frequencies of bytes by hand; the smoothing hardly matters at this size.
    std::map<char, double> frequency;
    double expected = 0;
    for (std::size_t shard = 0; shard < 2; ++shard) {
      const double per_byte = weights == "equal" ? 0.5 / sizes[shard] : 1 / total;
      for (const char byte : data.training_text(shard)) frequency[byte] += per_byte;
    }
    for (std::size_t shard = 0; shard < 2; ++shard) {
      double bits = 0;
      double count = 0;
      for (const auto& row : held_out_rows(data, shard)) {
        for (const char byte : row.substr(1)) bits -= std::log2(frequency[byte]), ++count;
      }
      expected += bits / count * (weights == "equal" ? 0.5 : sizes[shard] / total);
    }
    const auto baselines = data.baselines();
    REQUIRE(baselines.size() == 2);
    CHECK(baselines[0].name == "unigram");
    CHECK(baselines[1].name == "order-2");
    CHECK(baselines[0].bits_per_byte == Approx(expected).epsilon(0.005));
    CHECK(baselines[1].bits_per_byte < baselines[0].bits_per_byte);
  }
}

TEST_CASE("data that cannot be trained on is refused with shard, reason and remedy") {
  const temporary_folder folder;
  const auto text = words(1, 500);
  for (int i = 0; i < 4; ++i) folder.write("good/" + std::to_string(i), words(10 + i, 500));
  folder.write("single/a", text);
  for (const auto* name : {"a", "b", "c"}) folder.write(std::string("copies/") + name, text);
  folder.write("short/a", words(2, 10));
  folder.write("short/b", words(3, 15));
  folder.write("uneven/a", words(4, 1000));
  folder.write("uneven/b", words(5, 10));
  const auto good = folder / "good";

  CHECK(error_of(small_config({})) ==
        "data.paths is empty; give one list of files, folders or patterns a shard");
  CHECK(error_of(small_config({{good}, {}})) ==
        "data.paths, shard 1: the list is empty; give at least one file, folder or pattern");
  CHECK(error_of(small_config({{good}, {folder / "single"}})) ==
        "data.paths, shard 1: there is only one file, but at least 2 are needed, as whole files "
        "are held out; add files or split it into parts");
  CHECK(error_of(small_config({{folder / "copies"}})) ==
        "data.paths, shard 0: 2 of 3 files are near-duplicates of others in this or another "
        "shard, but at least 2 must be left; add files or set data.deduplicate = false");
  CHECK(error_of(small_config({{good}, {good}})) ==
        "data.paths, shard 1: 4 of 4 files are near-duplicates of others in this or another "
        "shard, but at least 2 must be left; add files or set data.deduplicate = false");
  CHECK(error_of(small_config({{folder / "short"}})) ==
        "data.paths, shard 0: the training text has 16 bytes, but one sequence takes 17 "
        "(model.sequence_length + 1); add files, or set data.held_out or model.sequence_length "
        "lower");
  CHECK(error_of(small_config({{good}, {folder / "uneven"}})) ==
        "data.paths, shard 1: the held-out text has 11 bytes, but one sequence takes 17 "
        "(model.sequence_length + 1); add files, or set data.held_out higher or "
        "model.sequence_length lower");
}

TEST_CASE("data.kind chooses the data set") {
  const temporary_folder folder;
  for (int i = 0; i < 4; ++i) folder.write(std::to_string(i), words(i, 500));
  auto c = small_config({{folder.string()}});
  CHECK(rubato::make_dataset(c)->shards() == 1);
  c.data.kind = "images";
  CHECK_THROWS_WITH_AS(rubato::make_dataset(c), "data.kind = \"images\" is not a kind of data set",
                       rubato::usage_error);
}
