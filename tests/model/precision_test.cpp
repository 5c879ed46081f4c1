// Products in bf16: when they are chosen, where they end, and that training does not mind.
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include "model/precision.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/random.hpp"
#include "model/learner.hpp"
#include "optim/inner_optimizer.hpp"

using namespace rubato;

namespace {

constexpr std::int64_t vocabulary = 32;

/// Big enough for "auto" to be bf16: 2 * 64 tokens, 2 * 64 * 128 products for each output.
config small(const char* wanted) {
  config c;
  c.model.layers = 2;
  c.model.width = 128;
  c.model.heads = 2;
  c.model.sequence_length = 64;
  c.data.batch_size = 2;
  c.inner.precision = wanted;
  return c;
}

/// Each token follows from the one before, so that there is something to learn.
batch counting_batch(std::uint64_t seed) {
  random_generator random(seed, random_stream::test);
  batch b;
  b.examples = 2;
  b.length = 64;
  for (std::int64_t row = 0; row < b.examples; ++row) {
    auto token = static_cast<std::int32_t>(random.below(vocabulary));
    for (std::int64_t i = 0; i <= b.length; ++i) {
      b.tokens.push_back(token);
      token = (token + 1 + static_cast<std::int32_t>(random.below(2))) % vocabulary;
    }
  }
  return b;
}

std::unique_ptr<learner> make_model(const char* wanted) {
  const auto c = small(wanted);
  auto model = make_learner_factory(c, {0, vocabulary})();
  initialize_parameters(c, *model);
  return model;
}

std::string type_of_product() {
  const auto matrix = torch::ones({4, 4});
  return torch::toString(torch::linear(matrix, matrix).scalar_type());
}

std::vector<float> gradient_of(learner& model, const batch& b) {
  model.compute_gradient(b);
  return {model.gradient().begin(), model.gradient().end()};
}

/// |x - y| / |y|
double distance(const std::vector<float>& x, const std::vector<float>& y) {
  double difference = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference += std::pow(static_cast<double>(x[i]) - y[i], 2);
    squares += std::pow(static_cast<double>(y[i]), 2);
  }
  return std::sqrt(difference / squares);
}

double loss_after(const char* wanted, int steps) {
  const auto model = make_model(wanted);
  const auto optimizer = make_inner_optimizer(config().inner, model->layout());
  inner_state state;
  for (int i = 0; i < steps; ++i) {
    model->compute_gradient(counting_batch(static_cast<std::uint64_t>(i)));
    optimizer->step(model->parameters(), model->gradient(), state, 0.003);
  }
  const auto sums = model->evaluate(counting_batch(1000));
  return sums.loss / static_cast<double>(sums.targets);
}

}  // namespace

TEST_CASE("auto is bf16 for transformers with long steps where the CPU is made for it") {
  CHECK(choose_precision(small("auto"), true) == precision::bf16);
  CHECK(choose_precision(small("auto"), false) == precision::f32);

  auto c = small("auto");
  c.data.batch_size = 1;  // 64 tokens: converting the weights costs more than it brings
  CHECK(choose_precision(c, true) == precision::f32);
  c.model.width = 4096;
  CHECK(choose_precision(c, true) == precision::f32);

  c = small("auto");
  c.model.width = 64;  // 128 tokens of width 64: the calls cost more
  CHECK(choose_precision(c, true) == precision::f32);
  c.data.batch_size = 4;
  CHECK(choose_precision(c, true) == precision::bf16);

  c.model.kind = "mlp";
  CHECK(choose_precision(c, true) == precision::f32);
}

TEST_CASE("auto is bf16 for residual networks with enough images times channels") {
  config c;
  c.model.kind = "resnet";
  c.inner.precision = "auto";
  c.model.depth = 8;  // 16 channels
  c.data.batch_size = 63;
  CHECK(choose_precision(c, true) == precision::f32);
  c.data.batch_size = 64;
  CHECK(choose_precision(c, true) == precision::bf16);
  CHECK(choose_precision(c, false) == precision::f32);
  c.data.batch_size = 16;
  CHECK(choose_precision(c, true) == precision::f32);
  c.model.depth = 18;  // 64 channels
  CHECK(choose_precision(c, true) == precision::bf16);
  c.model.channels = 32;
  CHECK(choose_precision(c, true) == precision::f32);
}

TEST_CASE("AVX512-BF16 is fast by AMD, and on Intel's CPUs only what AMX adds") {
  CHECK_FALSE(has_fast_bf16(cpu_features{}));
  CHECK_FALSE(has_fast_bf16({.avx2 = true, .avx512 = true, .amd = true}));
  cpu_features cpu{.avx2 = true, .avx512 = true, .avx512_bf16 = true};
  CHECK_FALSE(has_fast_bf16(cpu));
  cpu.amd = true;
  CHECK(has_fast_bf16(cpu));
  cpu.amd = false;
  cpu.amx_bf16 = true;
  CHECK(has_fast_bf16(cpu));
}

TEST_CASE("a precision that is asked for is taken, whatever the machine and the model") {
  for (const bool fast : {false, true}) {
    for (const char* kind : {"transformer", "mlp"}) {
      auto c = small("f32");
      c.model.kind = kind;
      CHECK(choose_precision(c, fast) == precision::f32);
      c.inner.precision = "bf16";
      CHECK(choose_precision(c, fast) == precision::bf16);
      CHECK(to_string(choose_precision(c, fast)) == "bf16");
    }
  }
}

TEST_CASE("products are in bf16 as long as asked for, and not after an exception either") {
  CHECK(type_of_product() == "Float");
  {
    const product_precision products(precision::bf16, processor::cpu);
    CHECK(type_of_product() == "BFloat16");
  }
  CHECK(type_of_product() == "Float");
  {
    const product_precision products(precision::f32, processor::cpu);
    CHECK(type_of_product() == "Float");
  }
  try {
    const product_precision products(precision::bf16, processor::cpu);
    throw std::runtime_error("out of memory");
  } catch (const std::runtime_error&) {
  }
  CHECK(type_of_product() == "Float");
}

TEST_CASE("bf16 gradients are those of f32 but for rounding, and evaluation is f32") {
  const auto f32 = make_model("f32");
  const auto bf16 = make_model("bf16");
  const auto b = counting_batch(1);
  CHECK(bf16->compute_gradient(b) == doctest::Approx(f32->compute_gradient(b)).epsilon(1e-3));
  const double error = distance(gradient_of(*bf16, b), gradient_of(*f32, b));
  CHECK(error > 1e-4);  // f32 would be at 1e-6
  CHECK(error < 2e-2);  // a number in bf16 has an error of up to 4e-3
  CHECK(bf16->evaluate(b).loss == f32->evaluate(b).loss);
}

TEST_CASE("a bf16 gradient is of the parameters as they are now, with the same bits every time") {
  const auto b = counting_batch(2);
  const auto used = make_model("bf16");
  const auto before = gradient_of(*used, b);
  for (float& x : used->parameters()) x *= 1.5F;
  const auto after = gradient_of(*used, b);
  CHECK(distance(after, before) > 0.1);

  const auto fresh = make_model("bf16");
  std::copy(used->parameters().begin(), used->parameters().end(), fresh->parameters().begin());
  const auto expected = gradient_of(*fresh, b);
  CHECK(std::memcmp(after.data(), expected.data(), after.size() * sizeof(float)) == 0);
}

TEST_CASE("training in bf16 learns what it learns in f32") {
  const double f32 = loss_after("f32", 60);
  REQUIRE(f32 < 0.6 * std::log(vocabulary));
  CHECK(loss_after("bf16", 60) == doctest::Approx(f32).epsilon(0.02));
}
