// Inner optimizers by their formulas: LARS, what is left out of weight decay, momentum while the
// learning rate changes, clipping. tests/model/inner_against_torch_test.cpp has LibTorch's.
#include "optim/inner_optimizer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "coordination/schedule.hpp"
#include "optim/reductions.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

config::inner_section options_for(const char* name, double weight_decay = 0.0, double clip = 0.0) {
  config::inner_section inner;
  inner.optimizer = name;
  inner.weight_decay = weight_decay;
  inner.clip = clip;
  return inner;
}

parameter_layout one_tensor(std::int64_t size) {
  parameter_layout layout;
  layout.add("weight", {size});
  return layout;
}

/// Matrices and vectors by turns, with padding behind each.
parameter_layout small_network() {
  parameter_layout layout;
  layout.add("stem.weight", {4, 3, 3, 3});
  layout.add("stem.scale", {13});
  layout.add("zero.weight", {5, 7});  // starts at 0
  layout.add("dead.weight", {6, 6});  // its gradient is always 0
  layout.add("output.weight", {9, 131});
  layout.add("output.bias", {9});  // starts at 0
  layout.add("temperature", {});
  layout.add("running_mean", {5}, section::averaged);
  return layout;
}

/// Normal values, zeros in the padding.
std::vector<float> random_values(const parameter_layout& layout, std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  std::vector<float> values(layout.end(section::trainable));
  for (const auto& t : layout.tensors()) {
    if (t.part != section::trainable) continue;
    for (std::size_t i = 0; i < t.size; ++i) {
      values[t.offset + i] = static_cast<float>(random.normal());
    }
  }
  return values;
}

void fill(std::vector<float>& values, const tensor_entry& t, float value) {
  std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(t.offset), t.size, value);
}

std::vector<float> initial_values(const parameter_layout& layout) {
  auto theta = random_values(layout, 0);
  for (const auto& t : layout.tensors()) {
    if (t.name == "zero.weight" || t.name == "output.bias") fill(theta, t, 0.0F);
  }
  return theta;
}

/// Gradients of norms from a tenth of the parameters' to ten times it.
std::vector<float> gradient_at(const parameter_layout& layout, int step) {
  auto g = random_values(layout, 1 + static_cast<std::uint64_t>(step));
  for (float& x : g) x *= std::pow(10.0F, static_cast<float>(step % 5 - 2) / 2.0F);
  for (const auto& t : layout.tensors()) {
    if (t.name == "dead.weight") fill(g, t, 0.0F);
  }
  return g;
}

double norm(const std::vector<double>& x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
}

/// One tensor under LARS, as You et al. 2017 have it, with the rate outside of the momentum.
struct lars_reference {
  std::vector<double> w, m;

  void step(const config::inner_section& inner, std::vector<double> g, bool left_out, double lr) {
    const double decay = left_out ? 0.0 : inner.weight_decay;
    double local = 1.0;
    if (!left_out && norm(w) > 0.0 && norm(g) > 0.0) {
      local = inner.trust * norm(w) / (norm(g) + decay * norm(w) + inner.epsilon);
    }
    for (std::size_t i = 0; i < w.size(); ++i) {
      m[i] = inner.momentum * m[i] + local * (g[i] + decay * w[i]);
      w[i] -= lr * m[i];
    }
  }
};

}  // namespace

TEST_CASE("LARS is what its authors' formula says, tensor by tensor, over a random stream") {
  const auto layout = small_network();
  for (const char* weight_decay_on : {"all", "matrices"}) {
    for (const double clip : {0.0, 10.0}) {
      CAPTURE(weight_decay_on);
      CAPTURE(clip);
      auto inner = options_for("lars", 0.05, clip);
      inner.weight_decay_on = weight_decay_on;
      inner.trust = 0.02;
      inner.epsilon = 0.01;
      const auto optimizer = make_inner_optimizer(inner, layout);
      inner_state state;
      auto theta = initial_values(layout);
      const auto start = theta;
      std::vector<lars_reference> references;
      for (const auto& t : layout.tensors()) {
        const auto first = theta.begin() + static_cast<std::ptrdiff_t>(t.offset);
        if (t.part != section::trainable) continue;
        references.push_back({{first, first + static_cast<std::ptrdiff_t>(t.size)},
                              std::vector<double>(t.size, 0.0)});
      }
      for (int step = 0; step < 50; ++step) {
        const double lr = 0.5 - 0.005 * step;
        const auto g = gradient_at(layout, step);
        const double length = norm({g.begin(), g.end()});
        const double scale = clip > 0.0 ? std::min(1.0, clip / (length + 1e-6)) : 1.0;
        for (std::size_t i = 0; i < references.size(); ++i) {
          const auto& t = layout.tensors()[i];
          std::vector<double> gradient(t.size);
          for (std::size_t j = 0; j < t.size; ++j) gradient[j] = scale * double{g[t.offset + j]};
          const bool left_out = inner.weight_decay_on == "matrices" && t.shape.size() < 2;
          references[i].step(inner, gradient, left_out, lr);
        }
        optimizer->step(theta, g, state, lr);
      }
      for (std::size_t i = 0; i < references.size(); ++i) {
        const auto& t = layout.tensors()[i];
        CAPTURE(t.name);
        std::vector<double> difference(t.size), moved(t.size);
        for (std::size_t j = 0; j < t.size; ++j) {
          difference[j] = double{theta[t.offset + j]} - references[i].w[j];
          moved[j] = double{theta[t.offset + j]} - double{start[t.offset + j]};
        }
        CHECK(norm(difference) < 1e-6 * norm(references[i].w));
        CHECK(norm(moved) > 0.01 * norm(references[i].w));
      }
      const auto values = random_values(layout, 0);  // zeros in the padding alone
      for (std::size_t i = 0; i < theta.size(); ++i) {
        if (values[i] == 0.0F) CHECK(theta[i] == 0.0F);
      }
    }
  }
}

TEST_CASE("LARS moves a tensor by its share of the norm, however long the gradient is") {
  parameter_layout layout;
  layout.add("weight", {1, 2});
  auto inner = options_for("lars");
  inner.trust = 0.1;
  inner.epsilon = 1e-30;
  const auto optimizer = make_inner_optimizer(inner, layout);
  for (const float length : {1e-12F, 1.0F, 1e12F}) {
    CAPTURE(length);
    std::vector<float> theta(16), g(16);
    theta[0] = 3.0F;
    theta[1] = 4.0F;
    g[1] = -length;
    inner_state state;
    optimizer->step(theta, g, state, 2.0);
    CHECK(theta[0] == 3.0F);
    CHECK(theta[1] == doctest::Approx(4.0 + 2.0 * 0.1 * 5.0).epsilon(1e-6));
  }
}

TEST_CASE("LARS takes a tensor of zeros, or with a gradient of zeros, as momentum does") {
  const auto layout = one_tensor(3);
  const auto lars = make_inner_optimizer(options_for("lars", 0.1), layout);
  const auto momentum = make_inner_optimizer(options_for("momentum", 0.1), layout);
  const std::vector<float> zeros(16);
  auto other = zeros;
  std::iota(other.begin(), other.begin() + 3, 1.0F);
  const auto result = [](const inner_optimizer& optimizer, std::vector<float> theta,
                         const std::vector<float>& g) {
    inner_state state;
    optimizer.step(theta, g, state, 0.5);
    return theta;
  };
  CHECK(result(*lars, zeros, other) == result(*momentum, zeros, other));
  CHECK(result(*lars, other, zeros) == result(*momentum, other, zeros));
  CHECK(result(*lars, zeros, zeros) == zeros);
  CHECK(result(*lars, other, other) != result(*momentum, other, other));
}

TEST_CASE("a gradient that is not finite leaves parameters that are not") {
  const auto layout = one_tensor(16);
  for (const char* name : {"sgd", "momentum", "nesterov", "lars", "adamw"}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      CAPTURE(name);
      CAPTURE(bad);
      std::vector<float> theta(16, 1.0F), g(16, 1.0F);
      g[5] = bad;
      inner_state state;
      make_inner_optimizer(options_for(name), layout)->step(theta, g, state, 0.1);
      CHECK_FALSE(all_finite(theta));
    }
  }
}

TEST_CASE("a step is the same, to the last bit, however parameters are cut into tensors") {
  const auto whole = one_tensor(256);
  parameter_layout cut;
  cut.add("first", {16});
  cut.add("matrix", {3, 64});
  cut.add("last", {3, 4, 4});
  REQUIRE(cut.size() == whole.size());
  for (const char* name : {"sgd", "momentum", "nesterov", "adamw"}) {
    CAPTURE(name);
    const auto inner = options_for(name, 0.1, 1.0);
    inner_state states[2];
    auto theta = random_values(whole, 0);
    auto again = theta;
    for (int step = 0; step < 5; ++step) {
      const auto g = gradient_at(whole, step);
      make_inner_optimizer(inner, whole)->step(theta, g, states[0], 0.1);
      make_inner_optimizer(inner, cut)->step(again, g, states[1], 0.1);
    }
    CHECK(theta == again);
  }
}

TEST_CASE("a state in files does what one in memory does, wherever it is moved on the way") {
  const temporary_folder folder;
  const auto layout = small_network();
  for (const char* name : {"momentum", "nesterov", "lars", "adamw"}) {
    CAPTURE(name);
    auto inner = options_for(name);
    const auto in_memory = make_inner_optimizer(inner, layout);
    inner.state_files = true;
    const auto in_files = make_inner_optimizer(inner, layout);
    inner_state states[2];
    std::vector<float> theta[2] = {random_values(layout, 0), random_values(layout, 0)};
    for (int step = 0; step < 4; ++step) {
      in_memory->step(theta[0], gradient_at(layout, step), states[0], 0.1);
      in_files->step(theta[1], gradient_at(layout, step), states[1], 0.1);
      let_go(states[1]);
      if (step == 1) states[1] = copy_of(states[1], folder.path().string());
      if (step == 2) states[1] = copy_of(states[1]);
      will_need(states[1]);
    }
    CHECK(theta[0] == theta[1]);
  }
}

TEST_CASE("what is left out of weight decay moves as without any, the rest as with it") {
  const auto layout = small_network();
  for (const char* name : {"sgd", "momentum", "nesterov", "lars", "adamw"}) {
    CAPTURE(name);
    const auto result = [&](double weight_decay, const char* weight_decay_on) {
      auto inner = options_for(name, weight_decay);
      inner.weight_decay_on = weight_decay_on;
      const auto optimizer = make_inner_optimizer(inner, layout);
      inner_state state;
      auto theta = random_values(layout, 0);
      for (int step = 0; step < 3; ++step) {
        optimizer->step(theta, gradient_at(layout, step), state, 0.1);
      }
      return theta;
    };
    const auto matrices = result(0.1, "matrices");
    const auto all = result(0.1, "all");
    const auto none = result(0.0, "matrices");
    for (const auto& t : layout.tensors()) {
      if (t.part != section::trainable) continue;
      CAPTURE(t.name);
      const auto same = [&](const std::vector<float>& other) {
        const auto at = static_cast<std::ptrdiff_t>(t.offset);
        return std::equal(matrices.begin() + at,
                          matrices.begin() + at + static_cast<std::ptrdiff_t>(t.size),
                          other.begin() + at);
      };
      CHECK(same(t.shape.size() < 2 ? none : all));
      CHECK_FALSE(same(t.shape.size() < 2 ? all : none));
    }
  }
}

TEST_CASE("momentum needs no correction where the learning rate changes") {
  auto inner = options_for("momentum");
  inner.lr = 0.1;
  inner.schedule = "step";
  const auto layout = one_tensor(16);
  const rate_span span{.start = 0, .total = 90, .warmup = 5};
  for (const char* name : {"momentum", "nesterov"}) {
    CAPTURE(name);
    inner.optimizer = name;
    const bool nesterov = inner.optimizer == "nesterov";
    const auto optimizer = make_inner_optimizer(inner, layout);
    inner_state state;
    auto theta = random_values(layout, 0);
    // The form with the rate in the buffer.
    struct recurrence {
      std::vector<double> w;
      std::vector<double> v = std::vector<double>(16, 0.0);
    };
    recurrence corrected{{theta.begin(), theta.end()}}, uncorrected = corrected;
    double previous = learning_rate(inner, span, 0);
    for (int step = 0; step < 90; ++step) {
      const double lr = learning_rate(inner, span, step);
      const auto g = random_values(layout, 1 + static_cast<std::uint64_t>(step));
      optimizer->step(theta, g, state, lr);
      const auto advance = [&](recurrence& r, double correction) {
        for (std::size_t i = 0; i < 16; ++i) {
          r.v[i] = inner.momentum * correction * r.v[i] + lr * double{g[i]};
          r.w[i] -= nesterov ? inner.momentum * r.v[i] + lr * double{g[i]} : r.v[i];
        }
      };
      advance(corrected, lr / previous);
      advance(uncorrected, 1.0);
      previous = lr;
    }
    CHECK(previous == doctest::Approx(1e-4));  // all of warm-up and milestones were there
    const auto error = [&](const recurrence& r) {
      std::vector<double> difference(16);
      for (std::size_t i = 0; i < 16; ++i) difference[i] = double{theta[i]} - r.w[i];
      return norm(difference) / norm(r.w);
    };
    CHECK(error(corrected) < 1e-6);
    CHECK(error(uncorrected) > 1e-2);
  }
}

TEST_CASE("clipping scales a long gradient to the limit and leaves a short one alone") {
  const auto optimizer = make_inner_optimizer(options_for("sgd", 0.0, 1.0), one_tensor(2));
  inner_state state;
  std::vector<float> theta(16), g(16);
  g[0] = 3.0F;
  g[1] = 4.0F;
  optimizer->step(theta, g, state, 1.0);
  CHECK(theta[0] == doctest::Approx(-0.6).epsilon(1e-6));
  CHECK(theta[1] == doctest::Approx(-0.8).epsilon(1e-6));

  theta.assign(16, 0.0F);
  g[0] = 0.25F;
  g[1] = 0.5F;
  optimizer->step(theta, g, state, 1.0);
  CHECK(theta[0] == -0.25F);
  CHECK(theta[1] == -0.5F);
}

TEST_CASE("a state gets its buffers at the first step, as many as the method needs") {
  const auto layout = small_network();
  const auto size = layout.end(section::trainable);
  const auto buffers_after_a_step = [&](const char* name) {
    inner_state state;
    std::vector<float> theta(size);
    const std::vector<float> g(size);
    make_inner_optimizer(options_for(name), layout)->step(theta, g, state, 0.1);
    for (const auto& buffer : state.buffers) CHECK(buffer->size() == size);
    return state.buffers.size();
  };
  CHECK(buffers_after_a_step("sgd") == 0);
  CHECK(buffers_after_a_step("momentum") == 1);
  CHECK(buffers_after_a_step("nesterov") == 1);
  CHECK(buffers_after_a_step("lars") == 1);
  CHECK(buffers_after_a_step("adamw") == 2);
}

TEST_CASE("parameters, gradients and states of another size than the layout's are refused") {
  const auto optimizer = make_inner_optimizer(options_for("adamw"), one_tensor(16));
  inner_state state;
  std::vector<float> theta(16), longer(32);
  CHECK_THROWS_AS(optimizer->step(theta, longer, state, 0.1), std::invalid_argument);
  CHECK_THROWS_AS(optimizer->step(longer, theta, state, 0.1), std::invalid_argument);
  CHECK_THROWS_AS(optimizer->step(longer, longer, state, 0.1), std::invalid_argument);
  const auto other = make_inner_optimizer(options_for("adamw"), one_tensor(32));
  other->step(longer, longer, state, 0.1);
  CHECK_THROWS_AS(optimizer->step(theta, theta, state, 0.1), std::invalid_argument);
}

TEST_CASE("an unknown inner optimizer is refused with the list of those there are") {
  for (const char* name : {"sgd", "momentum", "nesterov", "lars", "adamw"}) {
    CHECK(make_inner_optimizer(options_for(name), one_tensor(1))->name() == name);
  }
  CHECK_THROWS_WITH_AS(make_inner_optimizer(options_for("lion"), one_tensor(1)),
                       "inner.optimizer = \"lion\" is not known; it must be one of sgd, momentum, "
                       "nesterov, lars, adamw",
                       usage_error);
}
