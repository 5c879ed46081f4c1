#include "bench/step.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "config/error.hpp"
#include "tests/actors/fake_parts.hpp"

using namespace rubato;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Uses up CPU time, however busy the machine is.
void compute(double seconds) {
  const double end = thread_seconds() + seconds;
  while (thread_seconds() < end) {
  }
}

/// The benchmark on the fake parts, with a folder of its own for temporary files.
struct fixture {
  fixture() : root(fs::temp_directory_path() / ("rubato-bench-test-" + std::to_string(getpid()))) {
    fs::create_directories(root);
    if (const char* folder = getenv("TMPDIR")) before = folder;
    setenv("TMPDIR", root.c_str(), 1);
    c.quota.local_steps = 10;
    c.inner.lr = 0.05;
    parts.data = data;
    parts.make_learner = [this] { return std::make_unique<fake::quadratic>(disturb); };
    parts.initialize = [](learner&) {};  // all zero
  }
  ~fixture() {
    before.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", before.c_str(), 1);
    fs::remove_all(root);
  }

  step_report measure(const step_options& options) {
    return measure_step(
        c, options, [this](std::string_view line) { told.emplace_back(line); }, parts);
  }

  fs::path root;
  std::string before;
  config c;
  std::shared_ptr<fake::points> data = std::make_shared<fake::points>(3);
  fake::quadratic::disturbance disturb;
  run_parts parts;
  std::vector<std::string> told;
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "both sides of the step benchmark take the steps they are told to") {
  std::atomic<int> bare{0}, runtime{0};
  disturb = [&, here = std::this_thread::get_id()] {
    (std::this_thread::get_id() == here ? bare : runtime) += 1;
    std::this_thread::sleep_for(100us);  // so that the first evaluation is soon out of the way
  };
  const auto report = measure({.steps = 193, .repeats = 2});

  CHECK(report.steps == 200);
  CHECK(report.round_steps == 10);
  CHECK(report.plan.parameters == fake::dimension);
  CHECK(report.plan.workers.size() == 1);
  CHECK(bare == 3 * (200 + 20));  // a warm-up, and two rounds of it in each
  CHECK(runtime == bare);
  REQUIRE(report.bare.size() == 2);
  REQUIRE(report.runtime.size() == 2);
  for (const auto& cost : report.bare) CHECK(cost.tokens == 200);
  CHECK(told.size() == 2);
  CHECK(fs::is_empty(root));
}

TEST_CASE_FIXTURE(fixture, "the step benchmark sees what a step costs in the runtime alone") {
  disturb = [here = std::this_thread::get_id()] {
    compute(std::this_thread::get_id() == here ? 1e-3 : 3e-3);
  };
  const auto report = measure({.steps = 100, .repeats = 1});
  // The fake learner itself and the messages come on top, which the ratio has room for; a token is
  // a step here.
  CHECK(report.bare[0].cpu_microseconds_per_token() > 1000.0);
  CHECK(report.runtime[0].cpu_microseconds_per_token() > 3000.0);
  CHECK(report.ratio_of_medians() > 2.0);
  CHECK(report.ratio_of_medians() < 4.0);
}

TEST_CASE_FIXTURE(fixture, "sides that do not do the same work are not compared") {
  parts.initialize = [calls = 0](learner& model) mutable {
    model.parameters()[0] = static_cast<float>(++calls);
  };
  disturb = [] { std::this_thread::sleep_for(100us); };
  CHECK_THROWS_AS(measure({.steps = 200, .repeats = 1}), run_error);
}

TEST_CASE_FIXTURE(fixture, "a measurement too short to leave the start out is refused") {
  data->held_out_delay = 20ms;  // longer than all of training
  CHECK_THROWS_AS(measure({.steps = 10, .repeats = 1}), run_error);
  CHECK(fs::is_empty(root));
}

TEST_CASE("the step benchmark reports medians and their spread") {
  step_report report;
  for (const double seconds : {1.0, 4.0, 2.0}) report.bare.push_back({1000000, seconds, 4.0});
  for (const double seconds : {2.0, 4.4, 2.2}) report.runtime.push_back({1000000, seconds, 8.0});
  CHECK(report.ratio_of_medians() == doctest::Approx(1.1));
  CHECK(report.median_of_ratios() == doctest::Approx(1.1));  // of 2, 1.1, 1.1
  report.runtime[2].cpu_seconds = 3.0;
  CHECK(report.ratio_of_medians() == doctest::Approx(1.5));
  CHECK(report.median_of_ratios() == doctest::Approx(1.5));  // of 2, 1.1, 1.5
  report.runtime.push_back({1000000, 1.0, 8.0});
  report.bare.push_back({1000000, 1.0, 4.0});
  CHECK(report.ratio_of_medians() == doctest::Approx(2.5 / 1.5));
  CHECK(report.median_of_ratios() == doctest::Approx(1.3));  // of 2, 1.1, 1.5, 1

  const auto json = nlohmann::json::parse(to_json(report));
  const auto& cpu = json["runtime"]["cpu_microseconds_per_token"];
  CHECK(cpu["median"] == doctest::Approx(2.5));
  CHECK(cpu["mad"] == doctest::Approx(1.0));  // of 0.5, 1.9, 0.5, 1.5
  CHECK(cpu["values"].size() == 4);
  CHECK(json["bare"]["tokens_per_second"]["median"] == 250000.0);
  CHECK(json["ratio_of_medians"] == doctest::Approx(2.5 / 1.5));

  const auto text = to_text(report);
  CHECK(text.find("in the runtime       2.500       1.000          125k           0\n") !=
        std::string::npos);
  CHECK(text.find("1.6667 times the CPU time") != std::string::npos);
}
