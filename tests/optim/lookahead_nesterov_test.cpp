#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "config/random.hpp"
#include "optim/outer_optimizer.hpp"

using namespace rubato;

namespace {

using floats = std::vector<float>;

/// The parameters on a server of `workers` workers.
struct server {
  server(const std::string& method, std::int64_t workers, double lr, floats start)
      : theta(std::move(start)) {
    config::outer_section outer;
    outer.optimizer = method;
    outer.lr = lr;
    outer.momentum = 0.9;
    optimizer = make_outer_optimizer(outer, workers);
    state = optimizer->initial_state(theta.size());
  }

  void merge(const floats& g) {
    floats next(theta.size());
    optimizer->merge(theta, state, g, next, /*inner_lr=*/0.01);
    theta = std::move(next);
  }

  std::unique_ptr<outer_optimizer> optimizer;
  outer_state state;
  floats theta;
};

floats random_values(std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  floats values(300);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

double relative_error(const floats& a, const floats& b) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace

TEST_CASE("look-ahead nesterov publishes where heavy-ball momentum arrives k merges later") {
  for (const std::int64_t workers : {1, 2, 4, 16}) {
    for (const std::uint64_t merges : {1, 2, 20}) {
      server ahead("lookahead-nesterov", workers, 0.7, random_values(1));
      server heavy_ball("momentum", workers, 0.7, random_values(1));
      for (std::uint64_t t = 0; t < merges; ++t) {
        ahead.merge(random_values(100 + t));
        heavy_ball.merge(random_values(100 + t));
      }
      for (std::int64_t k = 0; k < workers; ++k) heavy_ball.merge(floats(300, 0.0F));
      CAPTURE(workers);
      CAPTURE(merges);
      CHECK(relative_error(ahead.theta, heavy_ball.theta) < 1e-6);
    }
  }
}

TEST_CASE("look-ahead nesterov with one worker is nesterov, bit for bit") {
  server ahead("lookahead-nesterov", 1, 0.7, random_values(1));
  server plain("nesterov", 1, 0.7, random_values(1));
  for (std::uint64_t t = 0; t < 20; ++t) {
    ahead.merge(random_values(100 + t));
    plain.merge(random_values(100 + t));
    CHECK(ahead.theta == plain.theta);
  }
}

TEST_CASE("look-ahead nesterov bears a learning rate at which the others diverge on a parabola") {
  // The loss is theta^2 / 2; four equally fast workers, so a gradient is three merges old.
  const auto distance_after_many_merges = [](const char* method) {
    server s(method, 4, 0.06, {1.0F});
    std::vector<floats> versions(4, s.theta);
    for (std::size_t t = 0; t < 500; ++t) {
      s.merge(versions[versions.size() - 4]);
      versions.push_back(s.theta);
    }
    return std::abs(s.theta[0]);
  };
  CHECK(distance_after_many_merges("lookahead-nesterov") < 1e-3F);
  CHECK(distance_after_many_merges("nesterov") > 100.0F);
  CHECK(distance_after_many_merges("momentum") > 100.0F);
}
