#include "network/handshake.hpp"

#include <doctest/doctest.h>

#include "config/error.hpp"

using namespace rubato;

namespace {

run_manifest a_manifest() {
  run_manifest manifest;
  manifest.layout.add("weight", {3, 4});
  manifest.layout.add("mean", {4}, section::averaged);
  manifest.contents = {{"the SHA-256 of model.path", "0a1b"}, {"what it holds", "x F32 [2]"}};
  manifest.shards = {{"prose", 1200}, {"sums", 800}};
  manifest.numerics = {{"compiler", "12.2"}, {"matrix kernels", "OpenBLAS, SkylakeX"}};
  return manifest;
}

}  // namespace

TEST_CASE("offers are read as they were written") {
  const node_offer node{"gpu-3", "abcd", 4, "0123", {2, 3}};
  CHECK(parse_node_offer(to_text(node)) == node);

  const run_offer run{
      "0123", {{"run.seed", "7"}, {"inner.optimizer", "\"adamw\""}}, a_manifest(), {0, 5}};
  const auto read = parse_run_offer(to_text(run));
  CHECK(read.run == run.run);
  CHECK(read.settings == run.settings);
  CHECK(read.manifest == run.manifest);
  CHECK(read.workers == run.workers);

  const std::vector<worker_life> lives{{3, 2, {}}, {5, 1, {7, 8}}};
  CHECK(parse_lives(to_text(lives)) == lives);
  CHECK(parse_lives("[]").empty());
}

TEST_CASE("whatever else comes in their place is refused") {
  const std::string good = to_text(node_offer{"n", "i", 1, "", {}});
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"), std::string("7"),
        std::string("\xff\xfe"), std::string(R"({"name":"n","instance":"i","run":"","before":[]})"),
        std::string(R"({"name":"n","instance":"i","workers":0,"run":"","before":[]})"),
        std::string(R"({"name":"n","instance":"i","workers":1e9,"run":"","before":[]})"),
        std::string(R"({"name":"","instance":"i","workers":1,"run":"","before":[]})"),
        std::string("{\"name\":\"a\\u001b[2J\",\"instance\":\"i\",\"workers\":1,\"run\":\"\","
                    "\"before\":[]}"),
        std::string(R"({"name":"n","instance":"i","workers":1,"run":"","before":7})")}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_node_offer(text), run_error);
    CHECK_THROWS_AS(parse_run_offer(text), run_error);
    if (text != "[]") CHECK_THROWS_AS(parse_lives(text), run_error);
  }
  CHECK_THROWS_AS(parse_run_offer(good), run_error);
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK_THROWS_AS(parse_node_offer(good.substr(0, size)), run_error);
  }
}

TEST_CASE("the first thing that differs is named, with both sides") {
  const auto run = a_manifest();
  CHECK_FALSE(difference(run, a_manifest()));

  auto here = a_manifest();
  here.layout = {};
  here.layout.add("weight", {3, 5});
  here.layout.add("mean", {4}, section::averaged);
  CHECK(
      difference(run, here) ==
      "another model: tensor 0 is \"weight\" [3, 4], trainable in the run, and \"weight\" [3, 5], "
      "trainable here");

  here = a_manifest();
  here.layout.add("bias", {4});
  CHECK(difference(run, here) ==
        "another model: tensor 1 is \"mean\" [4], averaged in the run, and \"bias\" [4], trainable "
        "here");

  here = a_manifest();
  here.shards[1].training_size = 801;
  CHECK(difference(run, here) ==
        "other data: shard 1 is \"sums\" with 800 to train on in the run, and \"sums\" with 801 to "
        "train on here");

  here = a_manifest();
  here.shards.pop_back();
  CHECK(difference(run, here) == "other data: the run has 2 shards, and here are 1");

  here = a_manifest();
  here.contents[0].second = "0a1c";
  CHECK(difference(run, here) ==
        "other files: the SHA-256 of model.path is \"0a1b\" in the run, and \"0a1c\" here");

  here = a_manifest();
  here.numerics[1].second = "MKL";
  CHECK(difference(run, here) ==
        "other numerics, so that its steps may have other bits: matrix kernels is \"OpenBLAS, "
        "SkylakeX\" in the run, and \"MKL\" here");
  here.numerics.pop_back();
  CHECK(difference(run, here)->find("and \"unknown\" here") != std::string::npos);
}

TEST_CASE("text of others is shown on one line, and not endless") {
  CHECK(printable("a\nb\x1b[2Jc\x7f") == "a b [2Jc ");
  CHECK(printable(std::string(10000, 'x')).size() < 600);
}
