// What the papers say the methods have in common: special cases of one that are another, and
// asynchronous ones that are synchronous when nobody is late. The merger is given what a server of
// k equally fast workers would give it.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "config/random.hpp"
#include "optim/merger.hpp"

using namespace rubato;

namespace {

constexpr std::size_t size = 304;  // no padding, so that whole buffers compare
constexpr double gamma_0 = 0.01;

parameter_layout one_tensor() {
  parameter_layout layout;
  layout.add("weight", {static_cast<std::int64_t>(size)});
  return layout;
}

version_ptr random_version(std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  auto buffer = std::make_shared<parameter_buffer>(size);
  for (float& x : buffer->span()) x = static_cast<float>(random.normal());
  return buffer;
}

version_ptr combination(double a, const version_ptr& x, double b, const version_ptr& y) {
  auto result = std::make_shared<parameter_buffer>(size);
  for (std::size_t i = 0; i < size; ++i) {
    result->data()[i] = static_cast<float>(a * x->data()[i] + b * y->data()[i]);
  }
  return result;
}

double relative_error(const version_ptr& a, const version_ptr& b) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < size; ++i) {
    const double d = static_cast<double>(a->data()[i]) - b->data()[i];
    difference += d * d;
    norm += static_cast<double>(b->data()[i]) * b->data()[i];
  }
  return std::sqrt(difference / norm);
}

bool same_bits(const version_ptr& a, const version_ptr& b) {
  return std::memcmp(a->data(), b->data(), size * sizeof(float)) == 0;
}

config::outer_section outer(const std::string& optimizer, double lr, double momentum = 0.9) {
  config::outer_section result;
  result.optimizer = optimizer;
  result.lr = lr;
  result.momentum = momentum;
  return result;
}

/// A merger and the version it is at.
struct server {
  explicit server(const config::outer_section& section) : server(with(section)) {}
  explicit server(const config& c) : m(one_tensor(), c) {}

  void merge(const std::vector<version_ptr>& deltas, double weight = 1.0,
             double inner_lr = gamma_0) {
    std::vector<merge_input> inputs;
    for (const auto& delta : deltas) inputs.push_back({delta, base, weight});
    current = m.merge(current, inputs, inner_lr);
  }

  static config with(const config::outer_section& section) {
    config c;
    c.outer = section;
    return c;
  }

  merger m;
  version_ptr base = random_version(0);
  version_ptr current = base;
};

/// The pseudo-gradients of k workers in round t.
std::vector<version_ptr> round_of(std::size_t k, std::uint64_t t) {
  std::vector<version_ptr> deltas;
  for (std::size_t i = 0; i < k; ++i) deltas.push_back(random_version(1000 * (t + 1) + i));
  return deltas;
}

}  // namespace

// -- asynchronous and synchronous ---------------------------------------------------------------

TEST_CASE("accumulating k updates on one base is the synchronous step on their mean") {
  for (const char* optimizer : {"sgd", "momentum", "nesterov", "adam", "adamw"}) {
    for (const std::size_t k : {1, 2, 3, 4, 16}) {
      auto section = outer(optimizer, 0.07);
      server sync(section);
      section.accumulate = static_cast<std::int64_t>(k);
      server async(section);
      for (std::uint64_t t = 0; t < 10; ++t) {
        const auto deltas = round_of(k, t);
        sync.merge(deltas);
        const auto before = async.current;
        for (const auto& delta : deltas) {
          CHECK(async.current == before);
          async.merge({delta});
        }
        CAPTURE(optimizer);
        CAPTURE(k);
        // The mean is summed in float here and in double there: not the same bits.
        CHECK(relative_error(async.current, sync.current) < 1e-6);
      }
    }
  }
}

TEST_CASE("a constant weight on all updates of a window scales the accumulated step") {
  auto section = outer("sgd", 0.7);
  section.accumulate = 4;
  server fedbuff(section);
  server half_the_rate(outer("sgd", 0.35));
  for (std::uint64_t t = 0; t < 5; ++t) {
    const auto deltas = round_of(4, t);
    for (const auto& delta : deltas) fedbuff.merge({delta}, 0.5);
    half_the_rate.merge(deltas);
    CHECK(relative_error(fedbuff.current, half_the_rate.current) < 1e-6);
  }
}

TEST_CASE("delayed nesterov with c = 0 and k workers in step is synchronous nesterov") {
  for (const std::int64_t k : {1, 2, 4, 8}) {
    auto section = outer("delayed-nesterov", 0.7);
    section.buffer = k;
    server async(section);
    server sync(outer("nesterov", 0.7));
    for (std::uint64_t t = 0; t < 10; ++t) {
      const auto deltas = round_of(static_cast<std::size_t>(k), t);
      for (const auto& delta : deltas) async.merge({delta});
      sync.merge(deltas);
      CAPTURE(k);
      CHECK(relative_error(async.current, sync.current) < 1e-6);
    }
  }
}

TEST_CASE("delayed nesterov with c > 0 gives the old momentum part of the new one's weight") {
  constexpr double lr = 0.7;
  constexpr double beta = 0.9;
  constexpr double n = 4;
  for (const double c : {0.05, 0.1, 0.25}) {
    auto section = outer("delayed-nesterov", lr, beta);
    section.buffer = 4;
    server without(section);
    section.activation = c;
    server with(section);
    auto expected = with.current;
    for (std::uint64_t t = 0; t < 10; ++t) {
      const auto old_momentum = combination(1, with.m.state().buffers[0].values, 0, with.current);
      for (const auto& delta : round_of(4, t)) {
        with.merge({delta});
        const auto before = without.current;
        without.merge({delta});
        // What both move by, but for the momentum.
        expected = combination(1, expected, 1, combination(1, without.current, -1, before));
      }
      const auto new_momentum = with.m.state().buffers[0].values;
      CHECK(same_bits(new_momentum, without.m.state().buffers[0].values));
      // (N - 1) c on the old and 1 - cN + c on the new one, where c = 0 has 0 and 1.
      const double shift = lr * beta * (n - 1) * c;
      expected = combination(1, expected, shift, combination(1, new_momentum, -1, old_momentum));
      CAPTURE(c);
      CAPTURE(t);
      CHECK(relative_error(with.current, expected) < 1e-6);
    }
  }
}

TEST_CASE("a weight of one half on every update is half the learning rate, bit for bit") {
  for (const char* optimizer : {"sgd", "momentum", "nesterov", "delayed-nesterov"}) {
    server soup(outer(optimizer, 0.5));
    server plain(outer(optimizer, 0.25));
    for (std::uint64_t t = 0; t < 20; ++t) {
      const auto delta = random_version(100 + t);
      soup.merge({delta}, 0.5);
      plain.merge({delta});
      CAPTURE(optimizer);
      CHECK(same_bits(soup.current, plain.current));
    }
  }
}

TEST_CASE("mixing without staleness is sgd, bit for bit") {
  server fedasync(outer("mixing", 0.6));
  server plain(outer("sgd", 0.6));
  for (std::uint64_t t = 0; t < 10; ++t) {
    fedasync.base = fedasync.current;
    const auto delta = random_version(100 + t);
    fedasync.merge({delta}, 0.8);
    plain.merge({delta}, 0.8);
    CHECK(same_bits(fedasync.current, plain.current));
  }
}

TEST_CASE("mixing with a share of 1 ends with the worker's parameters") {
  server fedasync(outer("mixing", 1.0));
  fedasync.current = random_version(5);
  const auto delta = random_version(6);
  fedasync.merge({delta});
  CHECK(relative_error(fedasync.current, combination(1, fedasync.base, -1, delta)) < 1e-6);
}

// -- SlowMo -------------------------------------------------------------------------------------

TEST_CASE("slowmo with beta = 0 and alpha = 1 is Local SGD: the mean of the workers") {
  server slow(outer("slowmo", 1.0, 0.0));
  for (std::uint64_t t = 0; t < 10; ++t) {
    auto mean_of_ends = combination(0, slow.current, 0, slow.current);
    const auto deltas = round_of(4, t);
    for (const auto& delta : deltas) {
      mean_of_ends = combination(1, mean_of_ends, 0.25, combination(1, slow.current, -1, delta));
    }
    slow.merge(deltas, 1.0, gamma_0 / static_cast<double>(t + 1));
    CHECK(relative_error(slow.current, mean_of_ends) < 1e-6);
  }
}

TEST_CASE("slowmo with one local SGD step a round is large-batch SGD with momentum") {
  // theta' = theta - gamma m', m' = beta m + gradient, where a round's delta is gamma gradient.
  server slow(outer("slowmo", 1.0, 0.7));
  auto theta = slow.current;
  auto m = combination(0, theta, 0, theta);
  for (std::uint64_t t = 0; t < 10; ++t) {
    const double gamma = 0.3 / static_cast<double>(t + 1);
    const auto gradients = round_of(2, t);
    std::vector<version_ptr> deltas;
    for (const auto& gradient : gradients) {
      deltas.push_back(combination(gamma, gradient, 0, gradient));
    }
    slow.merge(deltas, 1.0, gamma);
    m = combination(0.7, m, 1, combination(0.5, gradients[0], 0.5, gradients[1]));
    theta = combination(1, theta, -gamma, m);
    CHECK(relative_error(slow.current, theta) < 1e-6);
  }
}

TEST_CASE("slowmo with one worker, beta = 0 and alpha < 1 is Lookahead") {
  // The slow weights go the share alpha of the way to the fast ones.
  server slow(outer("slowmo", 0.5, 0.0));
  for (std::uint64_t t = 0; t < 10; ++t) {
    const auto delta = random_version(100 + t);
    const auto fast = combination(1, slow.current, -1, delta);
    const auto expected = combination(0.5, slow.current, 0.5, fast);
    slow.merge({delta});
    CHECK(relative_error(slow.current, expected) < 1e-6);
  }
}

TEST_CASE("slowmo at a constant learning rate is block momentum on the mean, whatever the rate") {
  for (const double gamma : {1e-4, 0.1, 3.0}) {
    server slow(outer("slowmo", 0.8, 0.6));
    server block_momentum(outer("momentum", 0.8, 0.6));
    for (std::uint64_t t = 0; t < 10; ++t) {
      const auto deltas = round_of(4, t);
      slow.merge(deltas, 1.0, gamma);
      block_momentum.merge(deltas);
      CAPTURE(gamma);
      CHECK(relative_error(slow.current, block_momentum.current) < 1e-6);
    }
  }
}
