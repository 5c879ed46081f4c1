#include "coordination/divergence_watch.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

using namespace rubato;

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();

void evaluate(divergence_watch& watch, std::uint64_t version, double loss) {
  watch.evaluating(version);
  watch.evaluated(loss);
}

}  // namespace

TEST_CASE("a run has diverged when the loss was no number often enough, in a row") {
  divergence_watch watch(3);
  CHECK_FALSE(watch.last_finite());
  evaluate(watch, 0, 5.0);
  evaluate(watch, 1, no_number);
  CHECK(watch.doubtful());
  evaluate(watch, 2, infinite);
  evaluate(watch, 3, 1e300);  // large, but a number
  CHECK_FALSE(watch.doubtful());
  evaluate(watch, 4, no_number);
  evaluate(watch, 5, -infinite);
  CHECK_FALSE(watch.diverged());
  evaluate(watch, 6, no_number);
  CHECK(watch.diverged());
  CHECK(watch.last_finite() == 3);
  evaluate(watch, 7, 5.0);
  CHECK(watch.diverged());
}

TEST_CASE("a version of which nothing comes counts again, if its loss is no number") {
  divergence_watch watch(3);
  evaluate(watch, 0, 2.0);
  for (int i = 0; i < 5; ++i) watch.again();
  CHECK_FALSE(watch.diverged());
  evaluate(watch, 1, no_number);
  watch.again();
  CHECK_FALSE(watch.diverged());
  watch.again();
  CHECK(watch.diverged());
}

TEST_CASE("what is not known yet can decide only if it could be the last one needed") {
  divergence_watch watch(3);
  watch.evaluating(0);
  watch.evaluating(1);
  CHECK_FALSE(watch.undecided());
  watch.evaluated(no_number);
  CHECK_FALSE(watch.undecided());
  watch.evaluating(2);
  CHECK(watch.undecided());  // one failed, two to come
  watch.evaluated(1.0);
  CHECK_FALSE(watch.undecided());
  watch.again();
  CHECK_FALSE(watch.undecided());
  watch.again();
  CHECK(watch.undecided());
  watch.evaluated(no_number);
  CHECK_FALSE(watch.undecided());
  CHECK(watch.diverged());
  CHECK(watch.last_finite() == 1);
}

TEST_CASE("it makes no difference when results come, if nothing happens while it is undecided") {
  // One waits for each result, the other only as long as it must.
  const double losses[] = {1.0, no_number, 2.0, no_number, infinite, no_number, no_number};
  divergence_watch prompt(3);
  std::uint64_t prompt_end = 0;
  for (std::uint64_t v = 0; v < 7 && !prompt.diverged(); ++v) {
    evaluate(prompt, v, losses[v]);
    prompt_end = v;
  }
  divergence_watch late(3);
  std::uint64_t version = 0, back = 0;
  while (!late.diverged()) {
    if (late.undecided() || version - back == 2) {
      late.evaluated(losses[back++]);
    } else {
      late.evaluating(version);
      ++version;
    }
  }
  CHECK(version - 1 == prompt_end);
  CHECK(late.last_finite() == prompt.last_finite());
}

TEST_CASE("a limit of 0 ends nothing") {
  divergence_watch watch(0);
  for (std::uint64_t v = 0; v < 10; ++v) evaluate(watch, v, no_number);
  CHECK_FALSE(watch.diverged());
  CHECK_FALSE(watch.undecided());
  CHECK(watch.doubtful());
}

TEST_CASE("restored, it goes on counting") {
  divergence_watch watch(3);
  evaluate(watch, 1, 2.0);
  evaluate(watch, 2, no_number);
  watch.evaluating(3);
  watch.again();
  divergence_watch other(3);
  other.restore(nlohmann::json::from_cbor(nlohmann::json::to_cbor(watch.state())));
  CHECK(other.undecided());
  other.evaluated(no_number);
  CHECK(other.diverged());
  CHECK(other.last_finite() == 1);
}
