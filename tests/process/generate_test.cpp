// Sampling from what a run has learned, as a user does it.
#include <doctest/doctest.h>

#include "tests/process/program_fixture.hpp"

using namespace rubato;
namespace fs = std::filesystem;

using fixture = program_fixture;

TEST_CASE_FIXTURE(fixture,
                  "a run goes on with a prompt, from its folder, parameters or checkpoint") {
  REQUIRE(run({"train", "tiny.toml", "--run.directory", "r", "--checkpoint.every_versions", "2"})
              .code == 0);
  const auto text = run({"generate", "r", "--prompt", "the cat", "--tokens", "60"});
  REQUIRE_MESSAGE(text.code == 0, text.err);
  CHECK(text.out.starts_with("the cat"));
  CHECK(text.out.size() > 60);
  CHECK(text.err.find("60 tokens") == 0);
  const auto again = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"generate", "r", "--prompt", "the cat", "--tokens", "60"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run(arguments);
    CHECK_MESSAGE(result.code == 0, result.err);
    return result.out;
  };
  CHECK(again({}) == text.out);
  CHECK(again({"--seed", "2"}) != text.out);
  CHECK(again({"--temperature", "0"}) == again({"--top-k", "1"}));
  CHECK(again({"--tokenizer", "bytes"}) == text.out);

  // A checkpoint is somewhat older.
  const auto from = [&](const std::string& path) {
    return run({"generate", path, "--prompt", "the cat", "--tokens", "60"});
  };
  CHECK(from("r/parameters.safetensors").out == text.out);
  fs::rename(root / "r/parameters.safetensors", root / "alone.safetensors");
  const auto older = from("r");
  CHECK_MESSAGE(older.code == 0, older.err);
  CHECK(older.out.starts_with("the cat"));
  const auto alone = from("alone.safetensors");
  CHECK(alone.code == 2);
  CHECK(alone.err ==
        "rubato: alone.safetensors: there is no config.toml beside it, which says what model it is "
        "of; name one with --config\n");
  const auto with_config = run({"generate", "alone.safetensors", "--config", "r/config.toml",
                                "--prompt", "the cat", "--tokens", "60"});
  CHECK(with_config.out == text.out);
  CHECK(run({"generate", "alone.safetensors", "--config", "r/config.toml", "--model.width", "32"})
            .code == 2);
}

TEST_CASE_FIXTURE(fixture, "a model whose corpus has gone needs to be told its tokenizer") {
  REQUIRE(run({"data", "prepare", "prose", "--output", "corpus", "--held-out", "0.2"}).code == 0);
  std::ofstream(root / "tokens.toml") << "data.kind = 'tokens'\ndata.paths = ['corpus']\n"
                                         "data.batch_size = 2\nrun.local_steps = 8\n"
                                         "monitor.listen = ''\nevaluate.batches = 1\n"
                                         "[model]\nlayers = 1\nwidth = 16\nheads = 2\n"
                                         "sequence_length = 8\n";
  const auto trained = run({"train", "tokens.toml", "--run.directory", "r"});
  REQUIRE_MESSAGE(trained.code == 0, trained.err);
  const auto text = run({"generate", "r", "--tokens", "20"}).out;
  CHECK_FALSE(text.empty());
  fs::rename(root / "corpus", root / "moved");
  const auto without = run({"generate", "r", "--tokens", "20"});
  CHECK(without.code == 2);
  CHECK(without.err ==
        "rubato: corpus is not there, the corpus that the model was trained on; say where it is "
        "with --data.paths, or name its tokenizer with --tokenizer\n");
  CHECK(run({"generate", "r", "--tokens", "20", "--tokenizer", "bytes"}).out == text);
  CHECK(run({"generate", "r", "--tokens", "20", "--data.paths", "['moved']"}).out == text);
}

TEST_CASE_FIXTURE(fixture, "a model that is no language model is refused in words") {
  REQUIRE(run({"train", "--run.directory", "r", "--model.kind", "mlp", "--data.kind",
               "gaussian-mixtures", "--run.local_steps", "8", "tiny.toml"})
              .code == 0);
  const auto result = run({"generate", "r"});
  CHECK(result.code == 2);
  CHECK(result.err ==
        "rubato: r/parameters.safetensors: is of model.kind = \"mlp\"; only a language model, a "
        "transformer, goes on with a text\n");
}
