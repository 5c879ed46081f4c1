// A run of the real actors on the fake parts, as a process to be killed:  witnessed_run CONFIG
// Says every update that is certain, as it becomes so, in a line of worker, incarnation and
// sequence. Whoever reads that still knows it when this process is gone.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <thread>

#include "actors/run.hpp"
#include "config/load.hpp"
#include "tests/actors/fake_parts.hpp"

using namespace rubato;

namespace {

struct speaker : run_observer {
  void progressed(const progress& p) override {
    const auto line = fmt::format("{} {} {}\n", p.worker, p.incarnation, p.sequence);
    // One call a line, and no buffer that would be lost.
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::terminate();
  }
};

void take_a_while() {
  std::this_thread::sleep_for(std::chrono::microseconds(100));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    run_parts parts;
    parts.data = std::make_shared<fake::points>(4);
    parts.make_learner = [] { return std::make_unique<fake::quadratic>(take_a_while); };
    parts.initialize = [](learner&) {};
    parts.observer = std::make_shared<speaker>();
    run_training(load_config(argv[1]), parts);
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "witnessed_run: {}\n", e.what());
    return 1;
  }
}
