// One short measurement of each benchmark, so that none of them falls into disrepair.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/process/program_fixture.hpp"

using namespace rubato;

namespace {

struct bench_fixture : program_fixture {
  /// The report of a benchmark that ends well.
  nlohmann::json measure(std::vector<std::string> arguments) const {
    CAPTURE(arguments.front());
    arguments.insert(arguments.begin(), "bench");
    arguments.insert(arguments.end(), {"--json", "--repeats", "1"});
    const auto result = run(arguments);
    REQUIRE_MESSAGE(result.code == 0, result.out << result.err);
    return nlohmann::json::parse(result.out);
  }

  /// Answers at once that it took half a second.
  const std::string peer = "sh -c 'while read line; do echo 0.5; done' peer";
};

}  // namespace

TEST_CASE_FIXTURE(bench_fixture, "a merge can be measured beside a peer") {
  const auto report =
      measure({"merge", "--parameters", "100000", "--peer", peer, "--outer.optimizer", "nesterov"});
  CHECK(report["optimizer"] == "nesterov");
  CHECK(report["of_triad"].get<double>() > 0.0);
}

TEST_CASE_FIXTURE(bench_fixture, "how fast steps are can be measured without actors") {
  const auto report = measure({"step", "tiny.toml", "--bare", "--steps", "20", "--lanes", "2",
                               "--peak-tflops", "1", "--peer", peer});
  CHECK(report["steps"] == 20);
  CHECK(report["lanes"] == 2);
  CHECK(report["tokens_per_second"] > 0.0);
  CHECK(report["tokens_per_second_together"] > 0.0);
  CHECK(report["utilisation"] > 0.0);
  CHECK(report["utilisation"] < 1.0);
  CHECK(report["peer_seconds"] == std::vector<double>{0.5});

  CHECK(run({"bench", "step", "tiny.toml", "--lanes", "2"}).code == 2);
  const auto refused = run({"bench", "step", "tiny.toml", "--workers.device", "cuda:99"});
  CHECK(refused.code == 2);
  CHECK(refused.err.find("workers.device = cuda:99") != std::string::npos);
}

TEST_CASE_FIXTURE(bench_fixture, "steps can be measured beside a peer") {
  const auto report = measure({"step", "tiny.toml", "--steps", "20", "--peer", peer});
  CHECK(report["steps"] == 20);
  CHECK(report["peer_seconds"][0] == 0.5);
}

TEST_CASE_FIXTURE(bench_fixture, "training can be measured beside a peer") {
  const auto report =
      measure({"train", "tiny.toml", "--vocabulary", "50", "--rounds", "4", "--peer", peer});
  CHECK(report["workers"] == 4);
  CHECK(report["peer_seconds"][0] == 0.5);
  CHECK(report["tokens"] == 4 * 5 * 4 * 4 * 24);
}

TEST_CASE_FIXTURE(bench_fixture, "thousands of workers can be measured, and few") {
  const auto report = measure({"scale", "--workers", "40", "--few", "4", "--updates", "2000"});
  CHECK(report["merging"]["many_updates_per_second"][0].get<double>() > 0.0);
  CHECK(report["network"]["parameters"] == 10116);
}

TEST_CASE_FIXTURE(bench_fixture, "the journal can be measured") {
  const auto report = measure({"journal", "--update-kib", "64", "--groups", "2"});
  CHECK(report["groups"] == 2);
}

TEST_CASE_FIXTURE(bench_fixture, "recovery can be measured where files are on a disk") {
  const auto result =
      run({"bench", "recovery", "--parameters", "100000", "--updates", "2", "--repeats", "1"});
  const bool in_memory = result.err.find("memory") != std::string::npos;
  CHECK_MESSAGE(result.code == (in_memory ? 2 : 0), result.out << result.err);
}

TEST_CASE_FIXTURE(bench_fixture, "the wire can be measured where there is an iperf3") {
  if (std::system("command -v iperf3 > /dev/null") != 0) {
    MESSAGE("there is no iperf3 here");
    return;
  }
  const auto report = measure({"wire", "--mib", "1"});
  CHECK(report["codecs"].size() == 4);
}
