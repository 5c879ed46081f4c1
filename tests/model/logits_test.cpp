// The loss, its gradient and the counts of an evaluation, against LibTorch's in double precision.
#include "model/logits.hpp"

// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>

#include <cmath>

using namespace rubato;

namespace {

struct example {
  torch::Tensor logits;
  torch::Tensor targets;
};

example random_example(std::int64_t rows, std::int64_t classes) {
  torch::manual_seed(1);
  return {torch::randn({rows, classes}) * 3, torch::randint(classes, {rows}, torch::kLong)};
}

struct expectation {
  double loss;
  torch::Tensor gradient;
};

expectation by_libtorch(const example& e, double label_smoothing, double weight) {
  const auto logits = e.logits.detach().to(torch::kDouble).requires_grad_(true);
  const auto loss =
      weight * torch::nn::functional::cross_entropy(logits, e.targets,
                                                    torch::nn::functional::CrossEntropyFuncOptions()
                                                        .label_smoothing(label_smoothing)
                                                        .reduction(torch::kSum));
  loss.backward();
  return {loss.item<double>(), logits.grad()};
}

/// The largest difference, over the largest number.
double distance(const torch::Tensor& a, const torch::Tensor& b) {
  const auto difference = (a.to(torch::kDouble) - b.to(torch::kDouble)).abs().max();
  return (difference / b.to(torch::kDouble).abs().max()).item<double>();
}

}  // namespace

TEST_CASE("the loss and its gradient are LibTorch's, with any number of rows and classes") {
  for (const std::int64_t classes : {1, 2, 10, 1000, 200'000}) {
    for (const std::int64_t rows : {1, 5, 300}) {
      if (rows * classes > 2'000'000) continue;
      for (const double label_smoothing : {0.0, 0.1, 1.0}) {
        CAPTURE(classes);
        CAPTURE(rows);
        CAPTURE(label_smoothing);
        const auto e = random_example(rows, classes);
        const auto expected = by_libtorch(e, label_smoothing, 0.25);
        const auto gradient = e.logits.clone();
        CHECK(cross_entropy_into_gradient(gradient, e.targets, label_smoothing, 0.25) ==
              doctest::Approx(expected.loss).epsilon(1e-5));
        if (classes == 1) {
          CHECK(gradient.abs().max().item<float>() < 1e-6F);
        } else {
          CHECK(distance(gradient, expected.gradient) < 5e-5);
        }
      }
    }
  }
}

TEST_CASE("rows are computed alike, whichever are beside them") {
  const auto e = random_example(100, 4000);
  const auto together = e.logits.clone();
  cross_entropy_into_gradient(together, e.targets, 0.0, 0.5);
  const auto one_by_one = e.logits.clone();
  for (std::int64_t i = 0; i < 100; ++i) {
    cross_entropy_into_gradient(one_by_one.narrow(0, i, 1), e.targets.narrow(0, i, 1), 0.0, 0.5);
  }
  CHECK(together.equal(one_by_one));
}

TEST_CASE("logits in bf16 are taken as they are, and so is the gradient rounded") {
  auto e = random_example(40, 5000);
  e.logits = e.logits.to(torch::kBFloat16);
  const auto expected = by_libtorch(e, 0.0, 1.0);
  const auto gradient = e.logits.clone();
  CHECK(cross_entropy_into_gradient(gradient, e.targets, 0.0, 1.0) ==
        doctest::Approx(expected.loss).epsilon(1e-5));
  REQUIRE((gradient.scalar_type() == torch::kBFloat16));
  CHECK(distance(gradient, expected.gradient) < 0x1p-8);
}

TEST_CASE("logits far apart do not overflow") {
  const auto gradient = torch::tensor({{1e4F, -1e4F, 0.0F}, {-1e30F, 1e30F, 0.0F}});
  const double loss = cross_entropy_into_gradient(gradient, torch::tensor({1, 1}), 0.0, 1.0);
  CHECK(loss == doctest::Approx(2e4));
  CHECK(gradient.equal(torch::tensor({{1.0F, -1.0F, 0.0F}, {0.0F, 0.0F, 0.0F}})));
}

TEST_CASE("an evaluation adds up loss and hits") {
  const auto e = random_example(70, 4000);
  e.logits.narrow(0, 0, 30).scatter_(1, e.targets.narrow(0, 0, 30).unsqueeze(1), 100.0);
  evaluation_sums sums;
  const auto before = e.logits.clone();
  evaluate_logits(e.logits, e.targets, true, sums);
  evaluate_logits(e.logits, e.targets, false, sums);
  CHECK(e.logits.equal(before));
  CHECK(sums.targets == 140);
  CHECK(sums.loss == doctest::Approx(2 * by_libtorch(e, 0.0, 1.0).loss).epsilon(1e-5));
  const auto guesses = std::get<1>(e.logits.topk(5));
  const auto hits = guesses.eq(e.targets.unsqueeze(1));
  CHECK(sums.correct == 2 * hits.select(1, 0).sum().item<std::int64_t>());
  CHECK(sums.correct >= 60);
  CHECK(sums.correct_top5 == hits.sum().item<std::int64_t>());
}
