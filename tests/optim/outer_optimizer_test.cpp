#include "optim/outer_optimizer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "config/error.hpp"
#include "config/random.hpp"
#include "config/schema.hpp"
#include "optim/methods.hpp"
#include "storage/safetensors.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

constexpr double lr = 0.7;
constexpr double beta = 0.9;
constexpr double inner_lr = 0.01;

using doubles = std::vector<double>;
using floats = std::vector<float>;

std::vector<std::string> all_methods() {
  std::vector<std::string> names;
  for (const auto& method : outer_methods) names.emplace_back(method.name);
  return names;
}

std::unique_ptr<outer_optimizer> make(const std::string& method, std::int64_t buffer = 4,
                                      double activation = 0.0) {
  config::outer_section outer;
  outer.optimizer = method;
  outer.lr = lr;
  outer.momentum = beta;
  outer.buffer = buffer;
  outer.activation = activation;
  outer.weight_decay = 0.01;
  return make_outer_optimizer(outer, 4);
}

floats random_values(std::size_t size, std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  floats values(size);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

/// The parameters on the server: theta is replaced at each merge, as versions are.
struct server {
  server(std::unique_ptr<outer_optimizer> method, floats start)
      : optimizer(std::move(method)),
        theta(std::move(start)),
        state(optimizer->initial_state(theta.size())) {}

  void merge(std::span<const float> g, double gamma = inner_lr) {
    // A recycled buffer holds anything: all of it must be overwritten.
    floats next(theta.size(), std::numeric_limits<float>::quiet_NaN());
    optimizer->merge(theta, state, g, next, gamma);
    theta = std::move(next);
  }

  std::unique_ptr<outer_optimizer> optimizer;
  floats theta;
  outer_state state;
};

outer_state deep_copy(const outer_state& state) {
  outer_state copy{state.updates, {}};
  for (const buffer_ptr& buffer : state.buffers) {
    copy.buffers.push_back(std::make_shared<parameter_buffer>(buffer->size()));
    std::copy_n(buffer->data(), buffer->size(), copy.buffers.back()->data());
  }
  return copy;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

bool same_bits(const outer_state& a, const outer_state& b) {
  return a.updates == b.updates &&
         std::equal(a.buffers.begin(), a.buffers.end(), b.buffers.begin(), b.buffers.end(),
                    [](const buffer_ptr& x, const buffer_ptr& y) {
                      return same_bits(x->span(), y->span());
                    });
}

/// |a - b| / |b| in the Euclidean norm.
double relative_error(std::span<const float> a, const doubles& b) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace

// -- the formulas -------------------------------------------------------------------------------

TEST_CASE("sgd moves by lr times the pseudo-gradient") {
  server sync(make("sgd"), random_values(1000, 1));
  doubles theta(sync.theta.begin(), sync.theta.end());
  for (std::uint64_t t = 0; t < 30; ++t) {
    const auto g = random_values(1000, 100 + t);
    sync.merge(g);
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] -= lr * g[i];
  }
  CHECK(relative_error(sync.theta, theta) < 1e-6);
  CHECK(sync.state.updates == 30);
}

TEST_CASE("momentum moves by lr times the decayed sum of pseudo-gradients") {
  server sync(make("momentum"), random_values(1000, 1));
  doubles theta(sync.theta.begin(), sync.theta.end());
  std::vector<floats> received;
  for (std::uint64_t t = 0; t < 30; ++t) {
    received.push_back(random_values(1000, 100 + t));
    sync.merge(received.back());
    for (std::size_t s = 0; s <= t; ++s) {
      const double decay = std::pow(beta, static_cast<double>(t - s));
      for (std::size_t i = 0; i < theta.size(); ++i) theta[i] -= lr * decay * received[s][i];
    }
  }
  CHECK(relative_error(sync.theta, theta) < 1e-6);
}

TEST_CASE("nesterov follows Eq 4 in the form of the paper") {
  server sync(make("nesterov"), random_values(1000, 1));
  doubles theta(sync.theta.begin(), sync.theta.end());
  doubles m(1000, 0.0);
  for (std::uint64_t t = 0; t < 30; ++t) {
    const auto g = random_values(1000, 100 + t);
    sync.merge(g);
    for (std::size_t i = 0; i < theta.size(); ++i) {
      theta[i] -= lr * (beta * beta * m[i] + (1.0 + beta) * g[i]);
      m[i] = beta * m[i] + g[i];
    }
  }
  CHECK(relative_error(sync.theta, theta) < 1e-6);
  CHECK(relative_error(sync.optimizer->momentum_of(sync.state)->span(), m) < 1e-6);
}

TEST_CASE("four equal pseudo-gradients in turn over-count the momentum as Eq 5 says") {
  const auto start = random_values(1000, 1);
  const auto earlier = random_values(1000, 2);
  const auto g = random_values(1000, 3);
  server async(make("nesterov"), floats(1000, 0.0F));
  async.merge(earlier);  // so that the momentum is not zero: it is `earlier` now
  async.theta = start;
  for (int arrival = 0; arrival < 4; ++arrival) async.merge(g);

  const double b = beta;
  doubles theta;
  doubles m;
  for (std::size_t i = 0; i < start.size(); ++i) {
    theta.push_back(start[i] - lr * (4 + 4 * b + 3 * b * b + 2 * b * b * b + b * b * b * b) * g[i] -
                    lr * b * b * (1 + b + b * b + b * b * b) * earlier[i]);
    m.push_back(b * b * b * b * earlier[i] + (1 + b + b * b + b * b * b) * g[i]);
  }
  CHECK(relative_error(async.theta, theta) < 1e-6);
  CHECK(relative_error(async.optimizer->momentum_of(async.state)->span(), m) < 1e-6);
}

TEST_CASE("delayed nesterov with c = 0 takes one synchronous nesterov step a window") {
  for (const std::int64_t n : {1, 2, 3, 4, 8, 16}) {
    server async(make("delayed-nesterov", n), random_values(1000, 1));
    doubles theta(async.theta.begin(), async.theta.end());
    doubles m(1000, 0.0);
    for (std::uint64_t window = 0; window < 25; ++window) {
      doubles mean(1000, 0.0);
      for (std::int64_t arrival = 0; arrival < n; ++arrival) {
        const auto g = random_values(1000, 1000 * window + static_cast<std::uint64_t>(arrival));
        async.merge(g);
        for (std::size_t i = 0; i < g.size(); ++i) mean[i] += g[i] / static_cast<double>(n);
      }
      for (std::size_t i = 0; i < theta.size(); ++i) {
        m[i] = beta * m[i] + mean[i];
        theta[i] -= lr * (mean[i] + beta * m[i]);
      }
      CAPTURE(n);
      CAPTURE(window);
      CHECK(relative_error(async.theta, theta) < 1e-6);
      CHECK(relative_error(async.optimizer->momentum_of(async.state)->span(), m) < 1e-6);
    }
  }
}

TEST_CASE("delayed nesterov with N = 1 and c = 0 is nesterov") {
  server delayed(make("delayed-nesterov", 1), random_values(1000, 1));
  server plain(make("nesterov"), random_values(1000, 1));
  for (std::uint64_t t = 0; t < 20; ++t) {
    const auto g = random_values(1000, 100 + t);
    delayed.merge(g);
    plain.merge(g);
    CHECK(delayed.theta == plain.theta);
  }
}

TEST_CASE("delayed nesterov goes through Alg. 3 as worked out by hand") {
  config::outer_section outer;
  outer.optimizer = "delayed-nesterov";
  outer.lr = 1.0;
  outer.momentum = 0.5;
  outer.buffer = 2;
  outer.activation = 0.25;
  server async(make_outer_optimizer(outer, 7), {0.0F});
  const float g[] = {4.0F, 8.0F, 2.0F, -6.0F};
  // c beta = 1/8, (1 - cN + c) beta = 3/8; the momentum is 0, 6, 6, 1 after each merge.
  const float theta[] = {-2.0F, -8.25F, -10.0F, -7.375F};
  const float m[] = {0.0F, 6.0F, 6.0F, 1.0F};
  const float accumulated[] = {4.0F, 0.0F, 2.0F, 0.0F};
  for (int t = 0; t < 4; ++t) {
    async.merge({g + t, 1});
    CHECK(async.theta[0] == theta[t]);
    CHECK(async.state.buffers[0]->data()[0] == m[t]);
    CHECK(async.state.buffers[1]->data()[0] == accumulated[t]);
  }
}

TEST_CASE("delayed nesterov with c > 0 follows Alg. 3, and its momentum is that of c = 0") {
  for (const double c : {0.05, 0.1, 0.25}) {
    constexpr std::int64_t n = 4;
    server async(make("delayed-nesterov", n, c), random_values(300, 1));
    server without(make("delayed-nesterov", n, 0.0), random_values(300, 1));
    doubles theta(async.theta.begin(), async.theta.end());
    doubles m(300, 0.0);
    doubles accumulated(300, 0.0);
    for (std::uint64_t t = 0; t < 4 * n + 2; ++t) {
      const auto g = random_values(300, 100 + t);
      async.merge(g);
      without.merge(g);
      for (std::size_t i = 0; i < theta.size(); ++i) {
        accumulated[i] += g[i];
        if ((t + 1) % n == 0) {
          m[i] = beta * m[i] + accumulated[i] / n;
          theta[i] -= lr * ((1 - c * n + c) * beta * m[i] + g[i] / n);
          accumulated[i] = 0.0;
        } else {
          theta[i] -= lr * (c * beta * m[i] + g[i] / n);
        }
      }
      CAPTURE(c);
      CAPTURE(t);
      CHECK(relative_error(async.theta, theta) < 1e-6);
      CHECK(same_bits(async.state, without.state));
    }
    CHECK(async.theta != without.theta);
  }
}

TEST_CASE("adam follows its definition, with weight decay in the gradient or beside it") {
  for (const std::string method : {"adam", "adamw"}) {
    config::outer_section outer;
    outer.optimizer = method;
    outer.lr = 0.05;
    outer.beta1 = 0.8;
    outer.beta2 = 0.95;
    outer.epsilon = 1e-3;
    outer.weight_decay = 0.1;
    server sync(make_outer_optimizer(outer, 4), random_values(300, 1));
    doubles theta(sync.theta.begin(), sync.theta.end());
    doubles m(300, 0.0);
    doubles v(300, 0.0);
    for (int t = 1; t <= 30; ++t) {
      const auto g = random_values(300, 100 + static_cast<std::uint64_t>(t));
      sync.merge(g);
      for (std::size_t i = 0; i < theta.size(); ++i) {
        const double decayed = method == "adam" ? g[i] + 0.1 * theta[i] : g[i];
        if (method == "adamw") theta[i] -= 0.05 * 0.1 * theta[i];
        m[i] = 0.8 * m[i] + 0.2 * decayed;
        v[i] = 0.95 * v[i] + 0.05 * decayed * decayed;
        theta[i] -= 0.05 * (m[i] / (1 - std::pow(0.8, t))) /
                    (std::sqrt(v[i] / (1 - std::pow(0.95, t))) + 1e-3);
      }
    }
    CAPTURE(method);
    CHECK(relative_error(sync.theta, theta) < 1e-6);
    CHECK(relative_error(sync.optimizer->momentum_of(sync.state)->span(), m) < 1e-6);
  }
}

TEST_CASE("slowmo follows its definition while the workers' learning rate changes") {
  server sync(make("slowmo"), random_values(300, 1));
  doubles theta(sync.theta.begin(), sync.theta.end());
  doubles u(300, 0.0);
  for (std::uint64_t t = 0; t < 30; ++t) {
    const double gamma = 0.1 / (1.0 + static_cast<double>(t));
    const auto g = random_values(300, 100 + t);
    sync.merge(g, gamma);
    for (std::size_t i = 0; i < theta.size(); ++i) {
      u[i] = beta * u[i] + g[i] / gamma;
      theta[i] -= lr * gamma * u[i];
    }
  }
  CHECK(relative_error(sync.theta, theta) < 1e-6);
  CHECK(relative_error(sync.optimizer->momentum_of(sync.state)->span(), u) < 1e-6);
}

TEST_CASE("slowmo refuses a learning rate that it cannot divide by, and changes nothing") {
  for (const double gamma : {0.0, -0.1, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
    server sync(make("slowmo"), floats(3, 1.0F));
    CHECK_THROWS_AS(sync.merge(floats(3, 1.0F), gamma), std::invalid_argument);
    CHECK(sync.state.updates == 0);
    CHECK(same_bits(sync.state.buffers[0]->span(), floats(3, 0.0F)));
  }
}

// -- bits ---------------------------------------------------------------------------------------

TEST_CASE("merges have the same bits at every alignment") {
  for (const auto& method : all_methods()) {
    for (const std::size_t size : {0, 1, 15, 16, 17, 1023, 1024, 1025, 5003}) {
      const auto theta = random_values(size, 1);
      const auto g = random_values(size, 2);
      server reference(make(method, 2, 0.3), theta);
      for (int merges = 0; merges < 3; ++merges) reference.merge(g);

      for (std::size_t offset = 0; offset < 16; ++offset) {
        // Each span at a place of its own.
        const std::size_t theta_offset = offset;
        const std::size_t g_offset = (5 * offset + 3) % 16;
        const std::size_t next_offset = (11 * offset + 6) % 16;
        parameter_buffer theta_there(size + 16);
        parameter_buffer g_there(size + 16);
        parameter_buffer next_there(size + 16);
        std::copy(theta.begin(), theta.end(), theta_there.data() + theta_offset);
        std::copy(g.begin(), g.end(), g_there.data() + g_offset);
        auto state = reference.optimizer->initial_state(size);
        for (int merges = 0; merges < 3; ++merges) {
          const auto next = next_there.span().subspan(next_offset, size);
          const auto current = theta_there.span().subspan(theta_offset, size);
          reference.optimizer->merge(current, state, g_there.span().subspan(g_offset, size), next,
                                     inner_lr);
          std::copy(next.begin(), next.end(), current.begin());
        }
        CAPTURE(method);
        CAPTURE(size);
        CAPTURE(offset);
        CHECK(same_bits(theta_there.span().subspan(theta_offset, size), reference.theta));
        CHECK(same_bits(state, reference.state));
      }
    }
  }
}

TEST_CASE("merging in pieces gives the bits of merging the whole") {
  constexpr std::size_t size = 5003;
  for (const auto& method : all_methods()) {
    server whole(make(method, 2, 0.3), random_values(size, 1));
    for (std::uint64_t t = 0; t < 5; ++t) whole.merge(random_values(size, 100 + t));

    random_generator random(1, random_stream::test, {7});
    for (int attempt = 0; attempt < 10; ++attempt) {
      std::vector<std::size_t> cuts = {0, size};
      for (int i = 0; i < 4; ++i) cuts.push_back(random.below(size));
      std::sort(cuts.begin(), cuts.end());

      const auto start = random_values(size, 1);
      floats joined;
      for (std::size_t piece = 0; piece + 1 < cuts.size(); ++piece) {
        const std::size_t first = cuts[piece];
        const std::size_t count = cuts[piece + 1] - first;
        server part(make(method, 2, 0.3),
                    floats(start.begin() + static_cast<std::ptrdiff_t>(first),
                           start.begin() + static_cast<std::ptrdiff_t>(first + count)));
        for (std::uint64_t t = 0; t < 5; ++t) {
          const auto g = random_values(size, 100 + t);
          part.merge(std::span(g).subspan(first, count));
        }
        joined.insert(joined.end(), part.theta.begin(), part.theta.end());
      }
      CAPTURE(method);
      CHECK(same_bits(joined, whole.theta));
    }
  }
}

TEST_CASE("a value that is not finite spoils its own element and no other") {
  constexpr std::size_t size = 2051;
  for (const auto& method : all_methods()) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      auto g = random_values(size, 2);
      server clean(make(method), random_values(size, 1));
      server spoilt(make(method), random_values(size, 1));
      clean.merge(g);
      const std::vector<std::size_t> places = {0, 17, 1024, size - 1};
      for (const std::size_t place : places) g[place] = bad;
      spoilt.merge(g);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < size; ++i) {
        const bool hit = std::count(places.begin(), places.end(), i) > 0;
        if (hit ? std::isfinite(spoilt.theta[i]) : spoilt.theta[i] != clean.theta[i]) ++wrong;
      }
      CAPTURE(method);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("padding stays zero") {
  parameter_layout layout;
  layout.add("weight", {3, 7});
  layout.add("bias", {5});
  for (const auto& method : all_methods()) {
    floats start(layout.size(), 0.0F);
    floats g(layout.size(), 0.0F);
    std::vector<bool> padding(layout.size(), true);
    for (const tensor_entry& tensor : layout.tensors()) {
      for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
        start[i] = 1.0F;
        g[i] = -0.5F;
        padding[i] = false;
      }
    }
    server async(make(method, 3, 0.2), start);
    for (int t = 0; t < 7; ++t) async.merge(g);
    for (std::size_t i = 0; i < layout.size(); ++i) {
      const bool zero = std::bit_cast<std::uint32_t>(async.theta[i]) == 0;
      CHECK(zero == padding[i]);
    }
  }
}

// -- state --------------------------------------------------------------------------------------

TEST_CASE("a copied state goes on bit for bit, also from a half-full buffer") {
  for (const auto& method : all_methods()) {
    server original(make(method, 4, 0.1), random_values(777, 1));
    for (std::uint64_t t = 0; t < 6; ++t) original.merge(random_values(777, 100 + t));
    server copy(make(method, 4, 0.1), original.theta);
    copy.state = deep_copy(original.state);
    for (std::uint64_t t = 6; t < 13; ++t) {
      original.merge(random_values(777, 100 + t));
      copy.merge(random_values(777, 100 + t));
    }
    CAPTURE(method);
    CHECK(same_bits(copy.theta, original.theta));
    CHECK(same_bits(copy.state, original.state));
  }
}

TEST_CASE("a state saved to a file and loaded goes on bit for bit") {
  const temporary_folder folder;
  const std::string path = folder.file("state.safetensors");
  for (const auto& method : all_methods()) {
    server original(make(method, 4, 0.1), random_values(777, 1));
    for (std::uint64_t t = 0; t < 6; ++t) original.merge(random_values(777, 100 + t));

    const auto names = original.optimizer->buffer_names();
    std::vector<named_tensor> tensors = {{"theta", {777}, original.theta}};
    for (std::size_t i = 0; i < names.size(); ++i) {
      tensors.push_back({std::string(names[i]), {777}, original.state.buffers[i]->span()});
    }
    write_safetensors(path, tensors, {{"updates", std::to_string(original.state.updates)}});

    const safetensors_file file(path);
    const auto loaded_theta = file.find("theta")->values;
    server loaded(make(method, 4, 0.1), floats(loaded_theta.begin(), loaded_theta.end()));
    loaded.state.updates = std::stoull(file.metadata().at("updates"));
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto values = file.find(std::string(names[i]))->values;
      std::copy(values.begin(), values.end(), loaded.state.buffers[i]->data());
    }

    for (std::uint64_t t = 6; t < 13; ++t) {
      original.merge(random_values(777, 100 + t));
      loaded.merge(random_values(777, 100 + t));
    }
    CAPTURE(method);
    CHECK(same_bits(loaded.theta, original.theta));
    CHECK(same_bits(loaded.state, original.state));
  }
}

TEST_CASE("a fresh state has a zero buffer for each name") {
  for (const auto& method : all_methods()) {
    const auto optimizer = make(method);
    const auto state = optimizer->initial_state(33);
    CHECK(state.updates == 0);
    REQUIRE(state.buffers.size() == optimizer->buffer_names().size());
    for (const buffer_ptr& buffer : state.buffers) {
      CHECK(same_bits(buffer->span(), floats(33, 0.0F)));
    }
  }
}

TEST_CASE("the momentum is to be had from every method that has one") {
  for (const auto& method : all_methods()) {
    const auto optimizer = make(method);
    const auto state = optimizer->initial_state(3);
    const parameter_buffer* momentum = optimizer->momentum_of(state);
    CHECK((momentum == nullptr) == (method == "sgd" || method == "mixing"));
    if (momentum != nullptr) CHECK(momentum == state.buffers[0].get());
  }
}

TEST_CASE("a merge refuses sizes that do not match, and changes nothing") {
  const auto optimizer = make("delayed-nesterov");
  auto state = optimizer->initial_state(8);
  const floats eight(8, 1.0F);
  const floats nine(9, 1.0F);
  floats next(8, 5.0F);
  floats next_nine(9, 5.0F);
  CHECK_THROWS_AS(optimizer->merge(nine, state, eight, next, inner_lr), std::invalid_argument);
  CHECK_THROWS_AS(optimizer->merge(eight, state, nine, next, inner_lr), std::invalid_argument);
  CHECK_THROWS_AS(optimizer->merge(eight, state, eight, next_nine, inner_lr),
                  std::invalid_argument);
  CHECK_THROWS_AS(optimizer->merge(nine, state, nine, next_nine, inner_lr), std::invalid_argument);
  CHECK(state.updates == 0);
  CHECK(next == floats(8, 5.0F));
  CHECK(state.buffers[1]->data()[0] == 0.0F);

  auto of_another_method = make("nesterov")->initial_state(8);
  CHECK_THROWS_AS(optimizer->merge(eight, of_another_method, eight, next, inner_lr),
                  std::invalid_argument);
}

TEST_CASE("a method knows which merges change its momentum") {
  for (const auto& method : all_methods()) {
    server async(make(method, 3, 0.1), random_values(50, 1));
    const auto* momentum = async.optimizer->momentum_of(async.state);
    if (momentum == nullptr) continue;
    for (std::uint64_t t = 0; t < 7; ++t) {
      const floats before(momentum->span().begin(), momentum->span().end());
      const bool renews = async.optimizer->renews_momentum(async.state.updates);
      async.merge(random_values(50, 100 + t));
      CAPTURE(method);
      CAPTURE(t);
      CHECK(same_bits(momentum->span(), before) == !renews);
    }
  }
}

// -- the register -------------------------------------------------------------------------------

TEST_CASE("every method is found under its own name") {
  for (const auto& method : all_methods()) CHECK(make(method)->name() == method);
}

TEST_CASE("an unknown method is refused with the list of the known ones") {
  CHECK_THROWS_WITH_AS(make("nestrov"),
                       "outer.optimizer = \"nestrov\" is not known; it must be one of "
                       "sgd, momentum, nesterov, delayed-nesterov, adam, adamw, mixing, slowmo, "
                       "lookahead-nesterov",
                       usage_error);
}

TEST_CASE("the configuration allows the methods that there are, and no others") {
  const auto& choices = find_key("outer.optimizer")->choices;
  std::vector<std::string> allowed(choices.begin(), choices.end());
  auto known = all_methods();
  std::sort(allowed.begin(), allowed.end());
  std::sort(known.begin(), known.end());
  CHECK(allowed == known);
}

TEST_CASE("a buffer of 0 stands for the number of workers") {
  config::outer_section outer;
  outer.optimizer = "delayed-nesterov";
  outer.buffer = 0;
  server async(make_outer_optimizer(outer, 3), {0.0F});
  const floats one = {1.0F};
  std::vector<bool> renewed;
  for (int t = 0; t < 6; ++t) {
    const float before = async.state.buffers[0]->data()[0];
    async.merge(one);
    renewed.push_back(async.state.buffers[0]->data()[0] != before);
  }
  CHECK(renewed == std::vector<bool>{false, false, true, false, false, true});
}

TEST_CASE("delayed nesterov refuses a buffer and an activation out of range") {
  CHECK_THROWS_WITH_AS(make("delayed-nesterov", 4, 0.26),
                       "outer.activation = 0.26 is not allowed; it must be from 0 to 1/N = 0.25 "
                       "for a buffer of N = 4",
                       usage_error);
  CHECK_THROWS_AS(make("delayed-nesterov", 4, -0.01), usage_error);
  CHECK_THROWS_AS(make("delayed-nesterov", 4, std::numeric_limits<double>::quiet_NaN()),
                  usage_error);
  CHECK_THROWS_AS(make("delayed-nesterov", -1), usage_error);
  for (std::int64_t n = 1; n <= 200; ++n) {
    CHECK_NOTHROW(make("delayed-nesterov", n, 1.0 / static_cast<double>(n)));
  }
}
