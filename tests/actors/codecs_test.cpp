// Runs whose parameters travel in fewer bits: what the two ends make of it, against loops that do
// the same by hand.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "coordination/schedule.hpp"
#include "optim/inner_optimizer.hpp"
#include "tests/actors/run_fixture.hpp"
#include "transfer/codec.hpp"

using namespace rubato;
using fixture = fake::run_fixture;

namespace {

constexpr const char* all_codecs[] = {"f32", "bf16", "int8", "int4"};

std::vector<float> there_and_back(codec c, const std::vector<float>& x) {
  std::vector<std::byte> bytes(encoded_size(c, x.size()));
  encode(c, x, bytes);
  std::vector<float> out(x.size());
  decode(c, bytes, out);
  return out;
}

std::vector<float> minus(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> out(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) out[i] = a[i] - b[i];
  return out;
}

std::vector<float> plus(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> out(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) out[i] = a[i] + b[i];
  return out;
}

/// The parameters of a layout's tensors in a flat buffer, without padding.
std::vector<float> without_padding(const parameter_layout& layout, const std::vector<float>& flat) {
  std::vector<float> out;
  for (const auto& t : layout.tensors()) {
    const auto begin = flat.begin() + static_cast<std::ptrdiff_t>(t.offset);
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(t.size));
  }
  return out;
}

/// One parameter falls for ever; the others have a little way to go, less than half a step of int4
/// beside it.
class lopsided final : public learner {
 public:
  static constexpr std::size_t values = 16;
  static constexpr float target = 0.05F;

  const parameter_layout& layout() const override { return layout_; }
  std::span<float> parameters() override { return parameters_.span(); }
  std::span<float> gradient() override { return gradient_.span(); }
  double compute_gradient(const batch& /*b*/) override {
    gradient_.data()[0] = 1.0F;
    for (std::size_t i = 1; i < values; ++i) gradient_.data()[i] = parameters_.data()[i] - target;
    return 1.0;
  }
  evaluation_sums evaluate(const batch& /*b*/) override { return {1.0, 1, 0}; }
  void update_statistics(const batch& /*b*/, double /*share*/) override {}

 private:
  static parameter_layout make_layout() {
    parameter_layout layout;
    layout.add("weight", {values});
    return layout;
  }
  parameter_layout layout_ = make_layout();
  parameter_buffer parameters_{layout_.size()};
  parameter_buffer gradient_{layout_.size()};
};

struct one_worker : fixture {
  one_worker() {
    c.workers.count = 1;
    c.workers.heterogeneity = "none";
    c.outer.optimizer = "sgd";
    c.outer.lr = 1.0;
    data = std::make_shared<fake::points>(1);
  }
};

}  // namespace

TEST_CASE_FIXTURE(one_worker, "a run with codecs is a bare loop with codecs, bit for bit") {
  c.run.local_steps = 200;
  for (const codec up : {codec::f32, codec::bf16, codec::int8, codec::int4}) {
    for (const codec down : {codec::f32, codec::bf16, codec::int8, codec::int4}) {
      CAPTURE(std::string(name(up)));
      CAPTURE(std::string(name(down)));
      c.network.codec_up = name(up);
      c.network.codec_down = name(down);
      run();

      fake::quadratic model;
      const auto optimizer = make_inner_optimizer(c.inner, model.layout());
      const auto size = model.layout().size();
      inner_state state;
      std::vector<float> theta(size), base, residual(size);
      for (const auto& u : lines("updates.jsonl")) {
        if (down == codec::f32 || (down != codec::bf16 && base.empty())) {
          base = theta;
        } else if (down == codec::bf16) {
          base = there_and_back(down, theta);
        } else {
          base = plus(base, there_and_back(down, minus(theta, base)));
        }
        std::copy(base.begin(), base.end(), model.parameters().begin());
        const rate_span rates{u["rate_span"]["start"], u["rate_span"]["total"],
                              u["rate_span"]["warmup"]};
        for (std::uint64_t i = 0; i < 10; ++i) {
          model.compute_gradient(
              data->training_batch(0, u["data_position"].get<std::uint64_t>() + i));
          optimizer->step(model.parameters(), model.gradient(), state,
                          learning_rate(c.inner, rates, static_cast<std::int64_t>(i)));
        }
        const std::vector<float> end(model.parameters().begin(), model.parameters().end());
        const auto wanted = up == codec::f32 ? minus(base, end) : plus(minus(base, end), residual);
        const auto sent = there_and_back(up, wanted);
        residual = minus(wanted, sent);
        theta = minus(theta, sent);
      }
      CHECK(parameters() == without_padding(model.layout(), theta));
    }
  }
}

TEST_CASE_FIXTURE(one_worker, "what a codec takes arrives in the end, where it else never would") {
  c.run.local_steps = 400;
  c.quota.local_steps = 1;
  c.inner.optimizer = "sgd";
  c.inner.lr = c.inner.final_lr = 0.05;
  c.inner.weight_decay = c.inner.clip = 0.0;
  c.inner.warmup_steps = 0;
  make_learner = [] { return std::make_unique<lopsided>(); };
  const auto distance = [](const std::vector<float>& x) {
    return std::abs(double{x[1]} - double{lopsided::target});
  };
  c.network.codec_up = "int4";
  run();
  // A value of the largest, 0.05, is off by at most that / 13; and the step before it is noticed.
  CHECK(distance(parameters({"weight"})) < 0.05 / 13 + 0.05 * 0.05);

  // The same without feedback.
  std::vector<float> x(lopsided::values);
  for (int step = 0; step < 400; ++step) {
    std::vector<float> delta(x.size(), 0.05F);
    for (std::size_t i = 1; i < x.size(); ++i) delta[i] = 0.05F * (x[i] - lopsided::target);
    x = minus(x, there_and_back(codec::int4, delta));
  }
  CHECK(distance(x) == doctest::Approx(lopsided::target));
}

TEST_CASE_FIXTURE(fixture, "every codec gives the same bits on any number of threads") {
  c.run.local_steps = 200;
  c.quota.policy = "dylu";
  c.workers.jitter = 0.3;
  c.outer.optimizer = "delayed-nesterov";
  std::set<std::string> results;
  const auto exact = run();
  for (const std::string up : all_codecs) {
    for (const std::string down : all_codecs) {
      CAPTURE(up);
      CAPTURE(down);
      c.network.codec_up = up;
      c.network.codec_down = down;
      c.run.threads = 1;
      const auto expected = run();
      CHECK(expected.final->loss == doctest::Approx(exact.final->loss).epsilon(0.02));
      results.insert(expected.params_sha256);
      c.run.threads = 4;
      CHECK(run().params_sha256 == expected.params_sha256);
    }
  }
  CHECK(results.size() == 16);
}

TEST_CASE_FIXTURE(fixture, "methods that look at where a worker started see what it had") {
  // Of a single worker nothing is ever stale: delay compensation and mixing find no difference
  // between its base and the current version but what the codec took on the way down.
  c.workers.count = 1;
  c.workers.heterogeneity = "none";
  c.run.local_steps = 100;
  c.inner.optimizer = "sgd";
  c.outer.optimizer = "mixing";
  c.outer.lr = 1.0;  // theta becomes what the worker ended with
  c.network.codec_down = "int4";
  run();
  const auto mixed = parameters();
  const auto last = lines("updates.jsonl").back();
  CHECK(last["fate"] == "applied");

  fake::quadratic model;
  const auto optimizer = make_inner_optimizer(c.inner, model.layout());
  inner_state state;
  std::vector<float> theta(model.layout().size()), base;
  for (const auto& u : lines("updates.jsonl")) {
    base = base.empty() ? theta : plus(base, there_and_back(codec::int4, minus(theta, base)));
    std::copy(base.begin(), base.end(), model.parameters().begin());
    const rate_span rates{u["rate_span"]["start"], u["rate_span"]["total"],
                          u["rate_span"]["warmup"]};
    for (std::uint64_t i = 0; i < 10; ++i) {
      model.compute_gradient(data->training_batch(u["shard"].get<std::size_t>(),
                                                  u["data_position"].get<std::uint64_t>() + i));
      optimizer->step(model.parameters(), model.gradient(), state,
                      learning_rate(c.inner, rates, static_cast<std::int64_t>(i)));
    }
    theta.assign(model.parameters().begin(), model.parameters().end());
  }
  CHECK(fake::relative_difference(mixed, without_padding(model.layout(), theta)) < 1e-5);
}

TEST_CASE_FIXTURE(one_worker, "bytes and link times are those of what travels") {
  c.run.local_steps = 30;  // three rounds
  c.workers.seconds_per_step = {0.5};
  c.network.latency_seconds = {0.25};
  c.network.bandwidth_mbit = {0.001};  // 8 milliseconds a byte
  // 5 and 16 values are 16 and 16 with padding; of int8 one scale and 32 bytes.
  struct expectation {
    const char* up;
    const char* down;
    std::uint64_t bytes_up, bytes_down;
  };
  for (const auto& e :
       {expectation{"f32", "f32", 3 * 128, 3 * 128}, expectation{"bf16", "f32", 3 * 64, 3 * 128},
        expectation{"f32", "bf16", 3 * 128, 3 * 64},
        expectation{"int8", "int4", 3 * 36, 128 + 2 * 20},
        expectation{"int4", "int8", 3 * 20, 128 + 2 * 36}}) {
    CAPTURE(e.up);
    CAPTURE(e.down);
    c.network.codec_up = e.up;
    c.network.codec_down = e.down;
    const auto s = run();
    CHECK(s.bytes.up == e.bytes_up);
    CHECK(s.bytes.down == e.bytes_down);
    const double transfers = 6 * 0.25 + 0.008 * static_cast<double>(e.bytes_up + e.bytes_down);
    CHECK(s.virtual_seconds == doctest::Approx(30 * 0.5 + transfers));
  }
}

TEST_CASE_FIXTURE(fixture, "averaged and local tensors come through every codec untouched") {
  c.run.local_steps = 60;
  c.workers.count = 1;
  c.workers.heterogeneity = "none";
  make_learner = [] { return std::make_unique<fake::counter>(); };
  for (const std::string codec : all_codecs) {
    CAPTURE(codec);
    c.network.codec_up = c.network.codec_down = codec;
    run();
    CHECK(parameters({"averaged"}) == std::vector<float>{60.0F});
  }
}

TEST_CASE_FIXTURE(fixture, "an update with a NaN is refused, whatever the codec") {
  c.run.threads = 1;
  c.inner.clip = 0.0;
  data->poisoned_position = 15;  // of shard 0: in some worker's round
  for (const std::string codec : all_codecs) {
    CAPTURE(codec);
    c.network.codec_up = c.network.codec_down = codec;
    const auto s = run();
    CHECK(s.outcome == "finished");
    CHECK(s.updates.rejected == 1);
    CHECK(std::isfinite(s.final->loss));
    int refused = 0;
    for (const auto& u : lines("updates.jsonl")) refused += u["fate"] == "not_finite" ? 1 : 0;
    CHECK(refused == 1);
  }
}

TEST_CASE_FIXTURE(fixture, "codecs go with stages, groups and accumulation") {
  c.network.codec_up = "int8";
  c.outer.mode = "sync";
  c.outer.optimizer = "nesterov";
  c.network.codec_down = "int8";
  c.quota.stages = {"0 data-parallel", "40 5"};
  CHECK(run().outcome == "finished");
  const auto first = lines("metrics.jsonl").front()["loss"].get<double>();
  CHECK(lines("metrics.jsonl").back()["loss"].get<double>() < 0.7 * first);

  c.quota.stages = {};
  c.network.codec_down = "f32";
  c.outer.group_size = 2;
  c.outer.group_rounds = 2;
  const auto s = run();
  CHECK(s.final->loss < 0.8 * first);
  // Half of all rounds begin, and half of them end, within a group.
  CHECK(s.bytes.within_groups == (s.bytes.up + s.bytes.down) / 2);
}
