// A run of the real actors on the fake parts, in a folder of its own.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "actors/run.hpp"
#include "storage/safetensors.hpp"
#include "tests/actors/fake_parts.hpp"

namespace rubato::fake {

/// A config for the fake parts, with a run directory of its own that goes away with it.
struct run_fixture {
  run_fixture() {
    static std::atomic<int> count{0};
    // In memory, if there is such a place: a run waits for the disk again and again.
    const bool in_memory = std::filesystem::is_directory("/dev/shm");
    root = (in_memory ? "/dev/shm" : std::filesystem::temp_directory_path()) /
           ("rubato-actors-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(root);
    c.run.local_steps = 400;
    c.run.threads = 2;
    c.quota.local_steps = 10;
    c.quota.policy = "fixed";
    c.evaluate.every_local_steps = 100;
    c.evaluate.baselines = false;
    c.inner.optimizer = "adamw";
    c.inner.lr = 0.05;
    c.inner.final_lr = 0.01;
  }
  ~run_fixture() { std::filesystem::remove_all(root); }

  run_summary run(quadratic::disturbance disturb = {}, std::atomic<bool>* stop = nullptr) {
    c.run.directory = (root / ("run" + std::to_string(runs++))).string();
    return go_on(std::move(disturb), stop);
  }

  /// In the directory of the run before; with run.resume = "auto" that one goes on.
  run_summary go_on(quadratic::disturbance disturb = {}, std::atomic<bool>* stop = nullptr) {
    run_parts parts;
    parts.data = data;
    parts.make_learner = make_learner;
    if (!make_learner) {
      parts.make_learner = [disturb] { return std::make_unique<quadratic>(disturb); };
    }
    parts.initialize = [](learner&) {};  // all zero
    parts.stop = stop;
    parts.observer = observer;
    return run_training(c, parts);
  }

  std::vector<nlohmann::json> lines(const std::string& file) const {
    std::ifstream in(std::filesystem::path(c.run.directory) / file);
    std::vector<nlohmann::json> result;
    for (std::string line; std::getline(in, line);) result.push_back(nlohmann::json::parse(line));
    return result;
  }

  /// The final parameters, in the order of the layout, without padding.
  std::vector<float> parameters() const { return parameters({"first", "second"}); }
  std::vector<float> parameters(const std::vector<std::string>& names) const {
    const safetensors_file file(
        (std::filesystem::path(c.run.directory) / "parameters.safetensors").string());
    std::vector<float> result;
    for (const auto& name : names) {
      const auto values = file.find(name)->values;
      result.insert(result.end(), values.begin(), values.end());
    }
    return result;
  }

  config c;
  std::filesystem::path root;
  std::shared_ptr<points> data = std::make_shared<points>(4);
  std::shared_ptr<run_observer> observer;
  learner_factory make_learner;  // in place of one for quadratics
  int runs = 0;
};

/// The largest difference, over the largest value of x.
inline double relative_difference(const std::vector<float>& x, const std::vector<float>& y) {
  REQUIRE(x.size() == y.size());
  double difference = 0.0, scale = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference = std::max(difference, std::abs(double{x[i]} - double{y[i]}));
    scale = std::max(scale, std::abs(double{x[i]}));
  }
  return difference / scale;
}

}  // namespace rubato::fake
