#include "bench/step_rate.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/bare_loop.hpp"
#include "config/error.hpp"
#include "model/learner.hpp"

using namespace rubato;

namespace {

config tiny() {
  config c;
  c.model.layers = 2;
  c.model.width = 16;
  c.model.heads = 2;
  c.model.sequence_length = 8;
  c.data.batch_size = 2;
  c.quota.local_steps = 3;
  return c;
}

}  // namespace

TEST_CASE("the work of a token is that of every matrix product, forwards and twice backwards") {
  // By hand: two FLOPs for each number of a matrix and each token, three times.
  auto c = tiny();
  const data_shape text{0, 11};
  const auto parameters = [&] {
    const auto model = make_learner_factory(c, text)();
    return static_cast<std::int64_t>(model->layout().count(section::trainable));
  };
  const double block = 3 * 16 * 16 + 16 * 16 + 2 * 4 * 16 * 16;  // attention, feed-forward
  const double vectors = 2 * (4 * 16 + 3 * 16 + 16 + 4 * 16 + 16) + 2 * 16;  // norms and biases
  const double scores = 2 * (2.0 * 8 * 16 + 2.0 * 8 * 16);  // q k and the mean of v, in each block
  const double tied = 3 * (2 * (2 * block + vectors + 11 * 16) + scores);
  CHECK(training_flops(c, text, parameters()) == doctest::Approx(tied));

  c.model.embeddings = "untied";  // which are looked up, and another matrix multiplies
  CHECK(training_flops(c, text, parameters()) == doctest::Approx(tied));
  c.model.positions = "rotary";
  CHECK(training_flops(c, text, parameters()) == doctest::Approx(tied));
  c.model.head_size = 4;  // half as wide
  CHECK(training_flops(c, text, parameters()) < tied - 3 * scores / 2);
  c.model.kind = "mlp";
  CHECK(training_flops(c, {12, 5}, 100) == 0.0);
}

TEST_CASE("the rate of local steps is that of whole rounds, alone and at once") {
  auto c = tiny();
  std::vector<std::string> told;
  const auto report =
      measure_rate(c, {.steps = 4, .repeats = 2, .vocabulary = 11, .lanes = 3, .peak_tflops = 1.0},
                   [&](std::string_view line) { told.emplace_back(line); });
  CHECK(report.device == "cpu");
  CHECK(report.steps == 6);
  CHECK(report.tokens_per_step == 16);
  CHECK(report.seconds.size() == 2);
  REQUIRE(report.crowd.has_value());
  CHECK(report.crowd->own.size() == 2);
  CHECK_FALSE(report.peer.has_value());
  CHECK(told.size() == 2);
  c.workers.device = {"cuda:99"};
  CHECK_THROWS_AS(measure_rate(c, {.steps = 4, .repeats = 1, .vocabulary = 11}, {}), usage_error);
}

TEST_CASE("a rate is told in tokens, and as a share of what the device can do") {
  rate_report report;
  report.device = "cuda";
  report.precision = "bf16";
  report.unit = "token";
  report.parameters = 150000000;
  report.tokens_per_step = 16384;
  report.steps = 100;
  report.lanes = 4;
  report.flops_per_token = 1e9;
  report.peak_tflops = 1000.0;
  report.seconds = {4.0, 5.0, 4.5};
  report.crowd = paired_times{{16.0, 18.0}, {4.0, 4.5}};
  report.peer = paired_times{{4.0, 4.5}, {5.0, 5.625}};
  CHECK(report.tokens_per_second() == doctest::Approx(1638400.0 / 4.5));
  CHECK(report.tokens_per_second_together() == doctest::Approx(4 * 1638400.0 / 17.0));

  const auto text = to_text(report);
  CHECK(text.find("one worker      364k tokens/s, 364.089 TFLOP/s: 36.4 % of 1000.0 TFLOP/s") !=
        std::string::npos);
  CHECK(text.find("4 at once       386k tokens/s") != std::string::npos);
  CHECK(text.find("1.000 times as many as one") != std::string::npos);
  CHECK(text.find("one worker is 1.250 times as fast") != std::string::npos);

  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["utilisation"] == doctest::Approx(0.364089).epsilon(1e-5));
  CHECK(json["together_seconds"].size() == 2);
  report.flops_per_token = 0.0;
  report.peer.reset();
  CHECK(to_text(report).find("FLOP") == std::string::npos);
}
