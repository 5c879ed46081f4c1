// The programs of examples/, as their users run them.
#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/process/cluster_fixture.hpp"

using namespace rubato;

namespace {

/// RUBATO_BINARY, which the fixture runs, is examples/own_model.
struct examples_fixture : cluster_fixture {
  outcome run_program(const char* program, const std::vector<std::string>& arguments) {
    return finish(start({}, [&] {
      std::vector<char*> argv{const_cast<char*>(program)};
      for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
      argv.push_back(nullptr);
      execv(program, argv.data());
    }));
  }

  const std::string spirals_toml = RUBATO_SOURCE_DIR "/examples/own_model.toml";
  const std::vector<std::string> spirals{"--model.kind", "spiral-net",   "--data.kind",
                                         "spirals",      "--data.turns", "1.5"};
};

}  // namespace

TEST_CASE_FIXTURE(examples_fixture,
                  "own_model learns to tell the spirals apart, the same on any number of threads") {
  const auto train = [&](const std::string& directory, const std::string& threads) {
    const auto result = run({"train", spirals_toml, "--run.directory", directory, "--run.threads",
                             threads, "--monitor.listen", ""});
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return summary(directory);
  };
  const auto one = train("one", "1");
  CHECK(one["final"]["accuracy"] > 0.95);
  CHECK(one["unit"] == "point");
  CHECK(train("two", "2")["params_sha256"] == one["params_sha256"]);
}

TEST_CASE_FIXTURE(examples_fixture, "own_model's nodes take part in its run, and rubato's cannot") {
  serve(spirals);
  work("a", 2);
  work("b", 1);
  const auto stranger = run_program(RUBATO_PLAIN, {"work", "--server", address});
  CHECK(stranger.code == 2);
  CHECK(stranger.err.find("model.kind = \"spiral-net\" must be one of \"transformer\"") !=
        std::string::npos);
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("a").code == 0);
  CHECK(end_of("b").code == 0);
  CHECK(summary("run")["per_worker"].size() == 4);
  check_balance();
}

TEST_CASE_FIXTURE(examples_fixture, "own_method trains, and its journal can be replayed") {
  const auto trained =
      run_program(RUBATO_OWN_METHOD,
                  {"train", "tiny.toml", "--run.directory", "run", "--outer.optimizer", "lion",
                   "--outer.lr", "0.002", "--outer.mix", "0.8", "--journal.keep", "all"});
  REQUIRE_MESSAGE(trained.code == 0, trained.err);
  const auto found = lines("run", "metrics.jsonl");
  CHECK(found.back()["loss"] < found.front()["loss"]);
  const auto replayed = run_program(RUBATO_OWN_METHOD, {"replay", "run"});
  CHECK_MESSAGE(replayed.code == 0, replayed.err);
  CHECK(replayed.out.find("the end: same") != std::string::npos);
  const auto stranger = run_program(RUBATO_PLAIN, {"replay", "run"});
  CHECK(stranger.code == 2);
  CHECK(stranger.err.find("outer.optimizer = \"lion\" must be one of") != std::string::npos);
}

TEST_CASE_FIXTURE(examples_fixture,
                  "embedding tells its actor of a run, and ends it when content") {
  const auto result =
      run_program(RUBATO_EMBEDDING, {RUBATO_SOURCE_DIR "/examples/embedding.toml", "0.5"});
  CHECK_MESSAGE(result.code == 0, result.err);
  CHECK(result.out.find("that is enough") != std::string::npos);
  CHECK(result.out.find("interrupted after") != std::string::npos);
}
