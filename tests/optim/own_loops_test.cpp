// The loops that move and sum parameters against plain ones, one float at a time, bit for bit: in
// every instruction set, at any length and alignment, with values that are not finite or denormal.
// What the formulas are to mean is tested beside each of them.
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/random.hpp"
#include "optim/compensation.hpp"
#include "optim/inner_optimizer.hpp"
#include "optim/merger.hpp"
#include "optim/methods.hpp"
#include "optim/power.hpp"
#include "optim/reductions.hpp"
#include "tests/each_instruction_set.hpp"

using namespace rubato;

namespace {

using floats = std::vector<float>;

constexpr double gamma_of_workers = 0.01;

/// None, one, odd, around what registers hold, longer than a block, and some at random.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> result{0, 1, 3, 16, 33, 1024, 1025, 4097};
  random_generator random(1, random_stream::test, {100});
  for (int i = 0; i < 8; ++i) result.push_back(random.below(3000));
  return result;
}

/// Normal ones, and among them the others.
float any_value(random_generator& random) {
  using limits = std::numeric_limits<float>;
  constexpr std::array<float, 8> rare{limits::quiet_NaN(),
                                      limits::infinity(),
                                      -limits::infinity(),
                                      -0.0F,
                                      limits::max(),
                                      limits::denorm_min(),
                                      -1e-41F,
                                      limits::min()};
  const auto place = random.below(20 * rare.size());
  return place < rare.size() ? rare[place] : static_cast<float>(random.normal());
}

void fill(std::span<float> values, std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  for (float& value : values) value = any_value(random);
}

/// Values that begin somewhere between two 64-byte boundaries.
class shifted {
 public:
  shifted(std::size_t size, std::uint64_t key)
      : buffer_(size + 16), offset_(key % 16), size_(size) {
    fill(span(), key);
  }
  std::span<float> span() { return buffer_.span().subspan(offset_, size_); }

 private:
  parameter_buffer buffer_;
  std::size_t offset_;
  std::size_t size_;
};

/// Which of two NaNs comes out of an operation is not said anywhere.
bool same(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return true;
}

config options_for(std::string_view method) {
  config c;
  c.outer.optimizer = std::string(method);
  c.outer.lr = 0.7;
  c.outer.momentum = 0.9;
  c.outer.buffer = 2;
  c.outer.activation = 0.3;
  c.outer.weight_decay = 0.01;
  return c;
}

/// theta' of options_for(method) for one element, whose state is a and b, at merge t.
float plain_outer(std::string_view method, float theta, float g, float& a, float& b,
                  std::uint64_t t) {
  constexpr float lr = 0.7F;
  constexpr float beta = 0.9F;
  if (method == "sgd" || method == "mixing") return theta - lr * g;
  if (method == "adam" || method == "adamw") {
    const bool decoupled = method == "adamw";
    const auto steps = t + 1;
    const auto rate = static_cast<float>(0.7 / (1.0 - power(0.9, steps)));
    const auto correction = static_cast<float>(1.0 / std::sqrt(1.0 - power(0.999, steps)));
    const float decayed = g + (decoupled ? 0.0F : 0.01F) * theta;
    a = 0.9F * a + static_cast<float>(1.0 - 0.9) * decayed;
    b = 0.999F * b + static_cast<float>(1.0 - 0.999) * (decayed * decayed);
    const auto shrink = static_cast<float>(decoupled ? 0.7 * 0.01 : 0.0);
    return theta - (shrink * theta + rate * (a / (std::sqrt(b) * correction + 1e-8F)));
  }
  if (method == "delayed-nesterov") {
    if (t % 2 == 0) {
      b += g;
      return theta - lr * (static_cast<float>(0.3 * 0.9) * a + g / 2.0F);
    }
    a = beta * a + (b + g) / 2.0F;
    b = 0.0F;
    return theta - lr * (static_cast<float>((1.0 - 0.3 * 2.0 + 0.3) * 0.9) * a + g / 2.0F);
  }
  if (method == "slowmo") {
    a = beta * a + g / static_cast<float>(gamma_of_workers);
    return theta - static_cast<float>(0.7 * gamma_of_workers) * a;
  }
  a = beta * a + g;
  if (method == "momentum") return theta - lr * a;
  if (method == "nesterov") return theta - lr * (g + beta * a);
  REQUIRE(method == "lookahead-nesterov");  // with the four workers that a config has by default
  const auto share = static_cast<float>((1.0 - power(0.9, 4)) / (1.0 - 0.9));
  return theta - lr * (share * g + static_cast<float>(power(0.9, 4)) * a);
}

}  // namespace

TEST_CASE("outer methods have the bits of a plain loop") {
  in_each_instruction_set([] {
    for (const auto& method : outer_methods) {
      CAPTURE(method.name);
      const auto optimizer = make_outer_optimizer(options_for(method.name));
      for (const std::size_t size : lengths()) {
        CAPTURE(size);
        auto state = optimizer->initial_state(size);
        std::array<floats, 2> expected_state{floats(size, 0.0F), floats(size, 0.0F)};
        for (std::uint64_t t = 0; t < 3; ++t) {
          shifted theta(size, size + 3 * t);
          shifted g(size, size + 3 * t + 1);
          shifted next(size, size + 3 * t + 2);
          optimizer->merge(theta.span(), state, g.span(), next.span(), gamma_of_workers);
          floats expected(size);
          for (std::size_t i = 0; i < size; ++i) {
            expected[i] = plain_outer(method.name, theta.span()[i], g.span()[i],
                                      expected_state[0][i], expected_state[1][i], t);
          }
          REQUIRE(same(next.span(), expected));
          for (std::size_t i = 0; i < state.buffers.size(); ++i) {
            REQUIRE(same(state.buffers[i]->span(), expected_state[i]));
          }
        }
      }
    }
  });
}

TEST_CASE("all stages of a merge have the bits of plain loops") {
  struct setting {
    const char* method;
    const char* compensation;
    std::int64_t accumulate;
    std::size_t inputs;
    double weight;
  };
  const std::array<setting, 6> settings{{{"nesterov", "none", 1, 1, 1.0},
                                         {"nesterov", "none", 1, 1, 0.3},
                                         {"sgd", "constant", 2, 1, 0.5},
                                         {"sgd", "adaptive", 1, 3, 0.7},
                                         {"mixing", "none", 1, 1, 0.6},
                                         {"mixing", "adaptive", 2, 2, 1.0}}};
  // More than one piece of what a thread takes at a time, and an end within a block.
  constexpr std::size_t size = 65536 + 1024 + 112;
  parameter_layout layout;
  layout.add("weight", {static_cast<std::int64_t>(size)});
  in_each_instruction_set([&] {
    for (const auto& s : settings) {
      CAPTURE(s.method);
      CAPTURE(s.compensation);
      CAPTURE(s.inputs);
      auto c = options_for(s.method);
      c.outer.accumulate = s.accumulate;
      c.staleness.compensation = s.compensation;
      merger m(layout, c);
      auto start = std::make_shared<parameter_buffer>(size);
      fill(start->span(), 1);
      version_ptr current = start;
      floats expected(start->span().begin(), start->span().end());
      floats momentum(size, 0.0F), unused(size, 0.0F), waiting(size, 0.0F), square(size, 0.0F);
      for (std::uint64_t t = 0; t < 4; ++t) {
        std::vector<merge_input> inputs;
        for (std::size_t k = 0; k < s.inputs; ++k) {
          auto delta = std::make_shared<parameter_buffer>(size);
          auto base = std::make_shared<parameter_buffer>(size);
          fill(delta->span(), 10 * t + 2 * k + 2);
          fill(base->span(), 10 * t + 2 * k + 3);
          inputs.push_back({delta, base, s.weight + static_cast<double>(k)});
        }
        current = m.merge(current, inputs, gamma_of_workers);

        for (std::size_t i = 0; i < size; ++i) {
          const float theta = expected[i];
          double sum = 0.0;
          double weights = 0.0;
          float g = 0.0F;
          for (const auto& input : inputs) {
            g = input.delta->data()[i];
            const float moved = theta - input.base->data()[i];
            const std::string kind = s.compensation;
            if (kind == "constant") g += 0.04F * (g * g) * moved;
            if (kind == "adaptive") {
              square[i] = 0.95F * square[i] + static_cast<float>(1.0 - 0.95) * (g * g);
              g += 0.04F / std::sqrt(square[i] + 1e-7F) * (g * g) * moved;
            }
            if (std::string(s.method) == "mixing") g += moved;
            sum += input.weight * static_cast<double>(g);
            weights += input.weight;
          }
          if (inputs.size() > 1) {
            g = static_cast<float>(sum / weights);
          } else if (s.weight != 1.0) {
            g = static_cast<float>(s.weight) * g;
          }
          if (s.accumulate == 2) {
            if (t % 2 == 0) {
              waiting[i] += g;
              continue;
            }
            g = (waiting[i] + g) / 2.0F;
            waiting[i] = 0.0F;
          }
          expected[i] = plain_outer(s.method, theta, g, momentum[i], unused[i], t);
        }
        REQUIRE(same(current->span(), expected));
      }
    }
  });
}

TEST_CASE("inner steps have the bits of a plain loop") {
  in_each_instruction_set([] {
    for (const std::string name : {"sgd", "momentum", "nesterov", "lars", "adamw"}) {
      CAPTURE(name);
      config::inner_section inner;
      inner.optimizer = name;
      inner.clip = 0.0;
      for (const std::size_t size : lengths()) {
        CAPTURE(size);
        parameter_layout layout;
        layout.add("weight", {static_cast<std::int64_t>(size)});
        const auto padded = layout.size();
        const auto optimizer = make_inner_optimizer(inner, layout);
        inner_state state;
        shifted theta(padded, size);
        floats expected(theta.span().begin(), theta.span().end());
        floats m(padded, 0.0F), v(padded, 0.0F);
        for (std::uint64_t step = 1; step <= 3; ++step) {
          shifted gradient(padded, size + step);
          const auto g = gradient.span();
          const double lr = 0.1 / static_cast<double>(step);
          const auto rate = static_cast<float>(lr);
          const auto own = std::span(std::as_const(expected)).first(size);
          float local = 1.0F;
          if (name == "lars") {
            const double w_norm = std::sqrt(sum_of_squares(own));
            const double g_norm = std::sqrt(sum_of_squares(g.first(size)));
            if (w_norm != 0.0 && g_norm != 0.0) {
              local = static_cast<float>(1e-3 * w_norm / (g_norm + 0.1 * w_norm + 1e-8));
            }
          }
          for (std::size_t i = 0; i < size; ++i) {
            float& w = expected[i];
            const float decayed = 1.0F * g[i] + 0.1F * w;
            if (name == "sgd") {
              w -= rate * decayed;
            } else if (name == "momentum" || name == "lars") {
              m[i] = 0.9F * m[i] + local * decayed;
              w -= rate * m[i];
            } else if (name == "nesterov") {
              m[i] = 0.9F * m[i] + decayed;
              w -= rate * (decayed + 0.9F * m[i]);
            } else {
              m[i] = 0.9F * m[i] + static_cast<float>(1.0 - 0.9) * g[i];
              v[i] = 0.999F * v[i] + static_cast<float>(1.0 - 0.999) * (g[i] * g[i]);
              const auto corrected = static_cast<float>(lr / (1.0 - power(0.9, step)));
              const auto root = static_cast<float>(1.0 / std::sqrt(1.0 - power(0.999, step)));
              w = static_cast<float>(1.0 - lr * 0.1) * w -
                  corrected * (m[i] / (std::sqrt(v[i]) * root + 1e-8F));
            }
          }
          optimizer->step(theta.span(), g, state, lr);
          REQUIRE(same(theta.span(), expected));
          if (state.buffers.size() > 0) REQUIRE(same(state.buffers[0]->span(), m));
          if (state.buffers.size() > 1) REQUIRE(same(state.buffers[1]->span(), v));
        }
      }
    }
  });
}

TEST_CASE("sums and means have the bits of plain loops") {
  in_each_instruction_set([] {
    for (const std::size_t size : lengths()) {
      CAPTURE(size);
      random_generator random(1, random_stream::test, {size});
      shifted x_there(size, size);
      shifted y_there(size, size + 7);
      // Of large and small ones, so that the order of additions shows.
      for (float& x : x_there.span()) x = static_cast<float>(std::exp(10.0 * random.normal()));
      for (float& y : y_there.span()) y = static_cast<float>(random.normal());
      const auto x = x_there.span();
      const auto y = y_there.span();
      double expected = 0.0;
      for (std::size_t first = 0; first < size; first += 4096) {
        std::array<double, 16> sums{};
        for (std::size_t i = first; i < std::min(size, first + 4096); ++i) {
          sums[i % 16] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
        }
        double block = 0.0;
        for (const double sum : sums) block += sum;
        expected += block;
      }
      CHECK(dot(x, y) == expected);

      fill(x, size);
      fill(y, size + 1);
      bool finite = true;
      floats mean(size), expected_mean(size);
      for (std::size_t i = 0; i < size; ++i) {
        finite = finite && std::isfinite(x[i]);
        double sum = 0.0;
        sum += 0.25 * static_cast<double>(x[i]);
        sum += 0.5 * static_cast<double>(y[i]);
        expected_mean[i] = static_cast<float>(sum / 0.75);
      }
      CHECK(all_finite(x) == finite);
      const std::array<std::span<const float>, 2> inputs{x, y};
      weighted_mean(inputs, std::array{0.25, 0.5}, mean);
      CHECK(same(mean, expected_mean));
    }
  });
}
