#include "optim/merger.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "config/instruction_set.hpp"
#include "config/random.hpp"
#include "optim/methods.hpp"

using namespace rubato;

namespace {

constexpr double inner_lr = 0.01;

parameter_layout three_sections() {
  parameter_layout layout;
  layout.add("weight", {2});
  layout.add("running_mean", {1}, section::averaged);
  layout.add("private", {1}, section::local);
  return layout;
}

/// Longer than a block, and the sections' borders lie within blocks.
parameter_layout long_sections() {
  parameter_layout layout;
  layout.add("weight", {3, 700});
  layout.add("running_mean", {77}, section::averaged);
  layout.add("private", {5}, section::local);
  return layout;
}

/// A buffer with these values for weight[0], weight[1], running_mean and private.
version_ptr filled(const parameter_layout& layout, std::vector<float> values) {
  auto buffer = std::make_shared<parameter_buffer>(layout.size());
  std::size_t next = 0;
  for (const auto& t : layout.tensors()) {
    for (std::size_t i = 0; i < t.size; ++i) buffer->data()[t.offset + i] = values.at(next++);
  }
  return buffer;
}

version_ptr random_version(const parameter_layout& layout, std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  auto buffer = std::make_shared<parameter_buffer>(layout.size());
  for (const auto& t : layout.tensors()) {
    for (std::size_t i = 0; i < t.size; ++i) {
      buffer->data()[t.offset + i] = static_cast<float>(random.normal());
    }
  }
  return buffer;
}

std::vector<float> values_of(const parameter_layout& layout, const parameter_buffer& buffer) {
  std::vector<float> values;
  for (const auto& t : layout.tensors()) {
    for (std::size_t i = 0; i < t.size; ++i) values.push_back(buffer.data()[t.offset + i]);
  }
  return values;
}

bool same_bits(const parameter_buffer& a, const parameter_buffer& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

config with(const std::string& optimizer, double lr) {
  config c;
  c.outer.optimizer = optimizer;
  c.outer.lr = lr;
  c.outer.momentum = 0.5;
  return c;
}

version_ptr merge_one(merger& m, const version_ptr& current, const version_ptr& delta,
                      double weight = 1.0, const version_ptr& base = nullptr) {
  return m.merge(current, std::vector<merge_input>{{delta, base, weight}}, inner_lr);
}

}  // namespace

// -- threads and pieces -------------------------------------------------------------------------

TEST_CASE(
    "a model too large for the caches is merged with the same bits on any number of threads") {
  parameter_layout layout;
  layout.add("weight", {9'000'001});
  layout.add("running_mean", {77}, section::averaged);
  layout.add("private", {5}, section::local);
  auto c = with("delayed-nesterov", 0.7);
  c.outer.buffer = 2;
  const auto first = random_version(layout, 1);
  const auto delta = random_version(layout, 2);

  // The method itself, on whole buffers and past no cache.
  const auto optimizer = make_outer_optimizer(c.outer, c.workers.count);
  const auto size = layout.end(section::trainable);
  auto state = optimizer->initial_state(size);
  auto expected = copy_of(*first);
  for (int i = 0; i < 3; ++i) {
    const auto theta = copy_of(*expected);
    optimizer->merge(theta->span().first(size), state, delta->span().first(size),
                     expected->span().first(size), inner_lr);
  }

  const auto sets = instruction_sets_here();
  for (const std::size_t threads : {1, 2, 3, 4, 7}) {
    CAPTURE(threads);
    use_instruction_set(name(sets[threads % sets.size()]));
    c.outer.threads = static_cast<std::int64_t>(threads);
    merger m(layout, c);
    auto current = first;
    for (int i = 0; i < 3; ++i) current = merge_one(m, current, delta);
    CHECK(std::memcmp(current->data(), expected->data(), size * sizeof(float)) == 0);
    CHECK(std::memcmp(current->data() + layout.end(section::averaged),
                      first->data() + layout.end(section::averaged), 5 * sizeof(float)) == 0);
  }
  use_instruction_set("auto");
}

TEST_CASE("updates that are read in parts are merged as whole ones are") {
  const auto layout = long_sections();
  for (const auto& method : outer_methods) {
    for (const bool compensate : {false, true}) {
      CAPTURE(method.name);
      auto c = with(std::string(method.name), 0.3);
      if (compensate) c.staleness.compensation = "adaptive";
      if (method.name == "sgd") c.outer.accumulate = 2;
      merger whole(layout, c);
      merger parts(layout, c);
      auto there = random_version(layout, 1);
      auto here = there;
      const auto base = random_version(layout, 2);
      for (std::uint64_t i = 0; i < 5; ++i) {
        std::vector<merge_input> inputs;
        for (std::uint64_t k = 0; k <= i % 3; ++k) {
          inputs.push_back({random_version(layout, 10 * i + k), base, 0.5 + 0.25 * k});
        }
        there = whole.merge(there, inputs, inner_lr);
        for (auto& input : inputs) {
          input.read = [delta = std::exchange(input.delta, nullptr)](std::size_t first,
                                                                     std::span<float> out) {
            std::copy_n(delta->data() + first, out.size(), out.data());
          };
        }
        here = parts.merge(here, inputs, inner_lr);
        CHECK(same_bits(*here, *there));
      }
    }
  }
}

// -- weights and sections -----------------------------------------------------------------------

TEST_CASE("the optimizer moves trainable tensors, averaged ones go to the worker's, local stay") {
  const auto layout = three_sections();
  merger m(layout, with("sgd", 0.5));
  const auto current = filled(layout, {1, 2, 3, 4});
  const auto next = merge_one(m, current, filled(layout, {1, -1, 1, 9}));
  CHECK(values_of(layout, *next) == std::vector<float>{0.5F, 2.5F, 2.5F, 4.0F});
  CHECK(values_of(layout, *current) == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("one update is multiplied with its weight, several are averaged with theirs") {
  const auto layout = three_sections();
  merger m(layout, with("sgd", 1.0));
  const auto zero = filled(layout, {0, 0, 0, 0});
  CHECK(values_of(layout, *merge_one(m, zero, filled(layout, {8, 4, 2, 0}), 0.25)) ==
        std::vector<float>{-2, -1, 0.125F, 0});
  const std::vector<merge_input> two{{filled(layout, {8, 4, 2, 0}), nullptr, 3.0},
                                     {filled(layout, {0, 8, 6, 0}), nullptr, 1.0}};
  CHECK(values_of(layout, *m.merge(zero, two, inner_lr)) == std::vector<float>{-6, -5, 3, 0});
}

TEST_CASE("a version in use is never written to again, one that nobody holds is recycled") {
  const auto layout = three_sections();
  merger m(layout, with("sgd", 1.0));
  const auto delta = filled(layout, {1, 1, 0, 1});
  version_ptr current = filled(layout, {0, 0, 0, 0});
  const auto held = merge_one(m, current, delta);
  current = held;
  std::set<const float*> places;
  for (int i = 0; i < 10; ++i) {
    current = merge_one(m, current, delta);
    places.insert(current->data());
  }
  CHECK(values_of(layout, *held) == std::vector<float>{-1, -1, 0, 0});
  CHECK(values_of(layout, *current) == std::vector<float>{-11, -11, 0, 0});
  CHECK(places.size() == 2);
}

// -- averaged tensors ---------------------------------------------------------------------------

TEST_CASE("a synchronous round leaves the workers' mean in averaged tensors, whatever was there") {
  const auto layout = three_sections();
  auto c = with("nesterov", 0.7);
  c.outer.mode = "sync";
  merger m(layout, c);
  const auto current = filled(layout, {1, 2, 1000, 4});
  const std::vector<merge_input> inputs{{filled(layout, {1, 1, 2, 0}), nullptr, 1.0},
                                        {filled(layout, {1, 1, 4, 0}), nullptr, 1.0},
                                        {filled(layout, {1, 1, 9, 0}), nullptr, 2.0}};
  CHECK(values_of(layout, *m.merge(current, inputs, inner_lr))[2] == 6.0F);
  CHECK(values_of(layout, *merge_one(m, current, inputs[0].delta, 0.25))[2] == 2.0F);
}

TEST_CASE("asynchronously every worker counts 1 / k, so that workers who agree do not overshoot") {
  const auto layout = three_sections();
  for (const std::int64_t workers : {1, 2, 16}) {
    for (const std::int64_t accumulate : {1, 3}) {
      auto c = with("sgd", 0.5);
      c.workers.count = workers;
      c.outer.accumulate = accumulate;
      merger m(layout, c);
      const auto k = static_cast<double>(workers);
      double expected = 9.0;
      version_ptr current = filled(layout, {0, 0, 9, 0});
      for (int arrival = 1; arrival <= 30; ++arrival) {
        current = merge_one(m, current, filled(layout, {1, 1, 1, 0}), 0.5);
        if (arrival % accumulate == 0) {
          const double step = 0.5 * static_cast<double>(accumulate) / k;
          expected += std::min(1.0, step) * (1.0 - expected);
        }
        CHECK(values_of(layout, *current)[2] == doctest::Approx(expected));
      }
    }
  }
}

TEST_CASE("averaged tensors never leave the range of what they are made of, by no bit") {
  const auto layout = long_sections();
  const auto first = layout.end(section::trainable);
  const auto last = first + 77;
  random_generator random(1, random_stream::test, {5});
  for (const char* mode : {"sync", "async"}) {
    for (const std::int64_t accumulate : {1, 3}) {
      auto c = with("sgd", 1.0);
      c.outer.mode = mode;
      c.outer.accumulate = accumulate;
      merger m(layout, c);
      version_ptr current = random_version(layout, 1);
      for (std::uint64_t t = 0; t < 60; t += 3) {
        std::vector<float> low(current->data(), current->data() + layout.size());
        auto high = low;
        for (std::uint64_t i = 0; i < 3; ++i) {
          const auto delta = random_version(layout, 100 + (t + i) / 2);  // some are equal
          for (std::size_t j = first; j < last; ++j) {
            low[j] = std::min(low[j], delta->data()[j]);
            high[j] = std::max(high[j], delta->data()[j]);
          }
          current = merge_one(m, current, delta, 0.01 + 3.0 * random.uniform());
        }
        std::size_t outside = 0;
        for (std::size_t j = first; j < last; ++j) {
          outside += current->data()[j] < low[j] || current->data()[j] > high[j] ? 1 : 0;
        }
        CHECK(outside == 0);
      }
    }
  }
}

// -- corrections --------------------------------------------------------------------------------

TEST_CASE("mixing replaces a share of the parameters by the worker's, whatever came in between") {
  const auto layout = three_sections();
  merger m(layout, with("mixing", 0.5));
  const auto base = filled(layout, {10, 20, 30, 40});
  const auto delta = filled(layout, {2, 4, 22, 0});  // so the worker ended with 8, 16, 22
  const auto current = filled(layout, {0, 32, 30, 7});
  CHECK(values_of(layout, *merge_one(m, current, delta, 1.0, base)) ==
        std::vector<float>{4, 24, 28, 7});
  // The weight is a factor of the share: a quarter of the worker's.
  CHECK(values_of(layout, *merge_one(m, current, delta, 0.5, base)) ==
        std::vector<float>{2, 28, 29, 7});
}

TEST_CASE("delay compensation comes before the weight, each input with its own base") {
  const auto layout = three_sections();
  auto c = with("sgd", 1.0);
  c.staleness.compensation = "constant";
  c.staleness.compensation_strength = 0.5;
  merger m(layout, c);
  const auto current = filled(layout, {0, 0, 0, 0});
  const auto delta = filled(layout, {2, 4, 1, 0});
  // g + g g (theta - base) / 2
  const auto base = filled(layout, {-1, 1, 9, 0});
  CHECK(values_of(layout, *merge_one(m, current, delta, 0.5, base)) ==
        std::vector<float>{-2, 2, 0.125F, 0});
  const auto other_base = filled(layout, {0, -1, 9, 0});
  const std::vector<merge_input> two{{delta, base, 1.0}, {delta, other_base, 3.0}};
  CHECK(values_of(layout, *m.merge(current, two, inner_lr)) == std::vector<float>{-2.5F, -8, 1, 0});
}

TEST_CASE("delay compensation reaches every trainable element of a long buffer, and no other") {
  const auto layout = long_sections();
  auto c = with("sgd", 1.0);
  c.staleness.compensation = "adaptive";
  merger m(layout, c);
  const auto trainable = layout.end(section::trainable);
  compensation whole(c.staleness, trainable);
  auto base = random_version(layout, 1);
  auto current = random_version(layout, 2);
  for (std::uint64_t t = 0; t < 4; ++t) {
    const auto delta = random_version(layout, 100 + t);
    std::vector<float> moved(delta->data(), delta->data() + delta->size());
    whole.apply(0, current->span().first(trainable), base->span().first(trainable),
                std::span(moved).first(trainable));
    const auto next = merge_one(m, current, delta, 1.0, base);
    std::size_t wrong = 0;
    for (const auto& tensor : layout.tensors()) {
      for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
        const float before = current->data()[i];
        const float expected = tensor.part == section::trainable  ? before - moved[i]
                               : tensor.part == section::averaged ? before + (moved[i] - before) / 4
                                                                  : before;
        wrong += next->data()[i] == doctest::Approx(expected).epsilon(1e-6) ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
    base = current;
    current = next;
  }
}

TEST_CASE("mixing goes to the worker's parameters as delay compensation changes them") {
  const auto layout = three_sections();
  auto c = with("mixing", 0.5);
  c.staleness.compensation = "constant";
  c.staleness.compensation_strength = 0.5;
  merger m(layout, c);
  // g = 2 becomes 2 + 4 * 4 / 2 = 10, so the worker's end is 6 - 10 = -4, half way to it from 10.
  const auto next = merge_one(m, filled(layout, {10, 0, 0, 0}), filled(layout, {2, 0, 0, 0}), 1.0,
                              filled(layout, {6, 0, 0, 0}));
  CHECK(values_of(layout, *next) == std::vector<float>{3, 0, 0, 0});
}

TEST_CASE("compensation of strength 0 changes no bit and needs no base") {
  const auto layout = long_sections();
  for (const char* kind : {"constant", "adaptive"}) {
    auto c = with("nesterov", 0.7);
    merger plain(layout, c);
    c.staleness.compensation = kind;
    c.staleness.compensation_strength = 0.0;
    merger without_effect(layout, c);
    CHECK(!without_effect.needs_base());
    auto current = random_version(layout, 1);
    for (std::uint64_t t = 0; t < 3; ++t) {
      const auto delta = random_version(layout, 100 + t);
      const auto expected = merge_one(plain, current, delta, 0.3);
      current = merge_one(without_effect, current, delta, 0.3);
      CHECK(same_bits(*current, *expected));
    }
  }
}

TEST_CASE("bases are needed by mixing and by delay compensation only") {
  const auto layout = three_sections();
  for (const auto& method : outer_methods) {
    auto c = with(std::string(method.name), 0.5);
    CAPTURE(c.outer.optimizer);
    CHECK(merger(layout, c).needs_base() == (method.name == "mixing"));
    c.staleness.compensation = "constant";
    CHECK(merger(layout, c).needs_base());
    c.staleness.compensation = "adaptive";
    CHECK(merger(layout, c).needs_base());
  }
}

// -- accumulation -------------------------------------------------------------------------------

TEST_CASE(
    "accumulation keeps the very same version until the last update, then moves by the mean") {
  const auto layout = three_sections();
  auto c = with("sgd", 0.5);
  c.outer.accumulate = 4;
  merger m(layout, c);
  const auto start = filled(layout, {0, 0, 0, 5});
  // Weights count against the number of updates, not against each other: (8 + 4 + 4 + 0) / 4. For
  // averaged tensors they do: (16 + 8 + 8 + 0) / 3.75, and as many of four workers' shares.
  const double weights[] = {1.0, 0.5, 2.0, 0.25};
  const float values[] = {8, 8, 2, 0};
  for (int window = 1; window <= 3; ++window) {
    version_ptr current = filled(layout, {0, 0, 0, 5});
    for (int arrival = 0; arrival < 3; ++arrival) {
      const float x = values[arrival];
      CHECK(merge_one(m, current, filled(layout, {x, -x, 2 * x, 1}), weights[arrival]) == current);
    }
    current = merge_one(m, current, filled(layout, {0, 0, 0, 1}), weights[3]);
    const auto values = values_of(layout, *current);
    CHECK(values[0] == -2.0F);
    CHECK(values[1] == 2.0F);
    CHECK(values[2] == doctest::Approx(8));
    CHECK(values[3] == 5.0F);
    CHECK(m.state().updates == static_cast<std::uint64_t>(window));
  }
}

// -- the cosine ---------------------------------------------------------------------------------

TEST_CASE("the cosine to the momentum is that of the trainable section, and NaN without one") {
  const auto layout = three_sections();
  const auto zero = filled(layout, {0, 0, 0, 0});
  const auto delta = filled(layout, {3, 0, 100, 0});
  merger plain(layout, with("sgd", 1.0));
  CHECK(std::isnan(plain.cosine_to_momentum({delta, nullptr}, 3.0)));
  merger heavy(layout, with("nesterov", 1.0));
  CHECK(std::isnan(heavy.cosine_to_momentum({delta, nullptr}, 3.0)));  // the momentum is still zero
  merge_one(heavy, zero, delta);
  CHECK(heavy.cosine_to_momentum({filled(layout, {1, 1, -7, 0}), nullptr}, std::sqrt(2.0)) ==
        doctest::Approx(std::sqrt(0.5)));
  CHECK(heavy.cosine_to_momentum({filled(layout, {-2, 0, 1, 0}), nullptr}, 2.0) ==
        doctest::Approx(-1.0));
}

TEST_CASE("the cosine is to the momentum as it is, when every merge renews it and when few do") {
  const auto layout = three_sections();
  for (const char* optimizer : {"nesterov", "delayed-nesterov", "adam"}) {
    for (const std::int64_t accumulate : {1, 3}) {
      auto c = with(optimizer, 0.7);
      c.outer.buffer = 3;
      c.outer.accumulate = accumulate;
      merger m(layout, c);
      auto current = random_version(layout, 1);
      const auto probe = random_version(layout, 2);
      const double length = std::hypot(probe->data()[0], probe->data()[1]);
      merge_input input{probe, nullptr};
      const auto check = [&] {
        const auto* momentum = m.state().buffers.at(0).values->data();
        const auto* g = probe->data();
        const double dot = g[0] * momentum[0] + g[1] * momentum[1];
        const double norm = length * std::hypot(momentum[0], momentum[1]);
        if (norm > 0.0) {
          CHECK(m.cosine_to_momentum(input, length) == doctest::Approx(dot / norm));
        } else {
          CHECK(std::isnan(m.cosine_to_momentum(input, length)));
        }
      };
      for (std::uint64_t t = 0; t < 12; ++t) {
        check();
        current = merge_one(m, current, random_version(layout, 100 + t));
        check();
      }
      merger restored(layout, c);
      CHECK(std::isnan(restored.cosine_to_momentum(input, length)));
      restored.restore(m.state());
      const double cosine = m.cosine_to_momentum(input, length);
      CHECK(restored.cosine_to_momentum(input, length) == cosine);
      merge_input read;
      read.read = [&](std::size_t first, std::span<float> out) {
        std::copy_n(probe->data() + first, out.size(), out.data());
      };
      CHECK(m.cosine_to_momentum(read, length) == cosine);
    }
  }
}

// -- state --------------------------------------------------------------------------------------

TEST_CASE("a state goes on bit for bit in a fresh merger, wherever it was taken") {
  const auto layout = long_sections();
  for (const auto& method : outer_methods) {
    for (const std::int64_t accumulate : {1, 3}) {
      for (const char* kind : {"none", "constant", "adaptive"}) {
        for (const std::uint64_t taken_after : {0, 4, 6}) {
          auto c = with(std::string(method.name), 0.7);
          c.outer.buffer = 3;
          c.outer.activation = 0.1;
          c.outer.accumulate = accumulate;
          c.staleness.compensation = kind;
          merger original(layout, c);
          auto base = random_version(layout, 1);
          auto current = base;
          const auto step = [&](merger& m, std::uint64_t t) {
            return merge_one(m, current, random_version(layout, 100 + t), 0.6, base);
          };
          for (std::uint64_t t = 0; t < taken_after; ++t) current = step(original, t);

          // Through copies, as through a file.
          auto saved = original.state();
          for (auto& buffer : saved.buffers) {
            auto copy = std::make_shared<parameter_buffer>(buffer.values->size());
            std::copy_n(buffer.values->data(), copy->size(), copy->data());
            buffer.values = copy;
          }
          merger fresh(layout, c);
          merge_one(fresh, current, random_version(layout, 99), 1.0, base);  // must leave no trace
          fresh.restore(saved);

          CAPTURE(method.name);
          CAPTURE(accumulate);
          CAPTURE(kind);
          CAPTURE(taken_after);
          for (std::uint64_t t = taken_after; t < taken_after + 7; ++t) {
            const auto expected = step(original, t);
            CHECK(same_bits(*step(fresh, t), *expected));
            base = current;
            current = expected;
          }
          CHECK(fresh.state().updates == original.state().updates);
          CHECK(fresh.state().pending == original.state().pending);
        }
      }
    }
  }
}

TEST_CASE("a state names what it holds") {
  const auto names_of = [](merger&& m) {
    std::vector<std::string> names;
    for (const auto& buffer : m.state().buffers) names.push_back(buffer.name);
    return names;
  };
  using names = std::vector<std::string>;
  const auto layout = three_sections();
  CHECK(names_of(merger(layout, with("sgd", 1.0))).empty());
  CHECK(names_of(merger(layout, with("delayed-nesterov", 1.0))) ==
        names{"momentum", "accumulated"});
  auto c = with("adam", 1.0);
  c.outer.accumulate = 2;
  c.staleness.compensation = "adaptive";
  merger m(layout, c);
  CHECK(names_of(merger(layout, c)) == names{"momentum", "variance", "pending", "mean_square"});

  const auto zero = filled(layout, {0, 0, 0, 0});
  merge_one(m, zero, filled(layout, {1, 2, 3, 4}), 1.0, zero);
  const auto state = m.state();
  CHECK(state.updates == 0);
  CHECK(state.pending == 1);
  CHECK(state.pending_weight == 1.0);
  CHECK(state.buffers[2].values->size() == layout.end(section::averaged));
  CHECK(state.buffers[2].values->data()[1] == 2.0F);
  CHECK(state.buffers[3].values->data()[1] == doctest::Approx(0.05 * 4));
}

TEST_CASE("a state that was handed out stays as it is while merging goes on") {
  const auto layout = three_sections();
  auto c = with("adam", 0.5);
  c.outer.accumulate = 2;
  c.staleness.compensation = "adaptive";
  merger m(layout, c);
  merger undisturbed(layout, c);
  auto current = filled(layout, {1, 2, 3, 4});
  auto expected = current;
  const auto base = filled(layout, {0, 1, 0, 0});
  for (std::uint64_t t = 0; t < 5; ++t) {
    const auto state = m.state();
    std::vector<std::vector<float>> before;
    for (const auto& b : state.buffers) {
      before.emplace_back(b.values->data(), b.values->data() + b.values->size());
    }
    current = merge_one(m, current, random_version(layout, t), 1.0, base);
    expected = merge_one(undisturbed, expected, random_version(layout, t), 1.0, base);
    CHECK(same_bits(*current, *expected));
    for (std::size_t i = 0; i < before.size(); ++i) {
      CHECK(std::equal(before[i].begin(), before[i].end(), state.buffers[i].values->data()));
    }
  }
}

TEST_CASE("a state of another configuration or layout is refused, and changes nothing") {
  const auto layout = three_sections();
  auto c = with("nesterov", 1.0);
  c.outer.accumulate = 2;
  merger m(layout, c);
  const auto zero = filled(layout, {0, 0, 0, 0});
  merge_one(m, zero, filled(layout, {1, 2, 3, 4}));
  const auto good = m.state();

  auto too_many = good;
  too_many.pending = 2;
  auto unnamed = good;
  unnamed.buffers[0].name = "moment";
  auto short_one = good;
  short_one.buffers.pop_back();
  auto small = good;
  small.buffers[1].values = std::make_shared<parameter_buffer>(1);
  auto missing = good;
  missing.buffers[0].values = nullptr;
  for (auto* bad : {&too_many, &unnamed, &short_one, &small, &missing}) {
    bad->updates = 77;
    CHECK_THROWS_AS(m.restore(*bad), std::invalid_argument);
  }
  CHECK(m.state().updates == 0);
  CHECK(m.state().pending == 1);
  CHECK_NOTHROW(m.restore(good));
}

// -- misuse -------------------------------------------------------------------------------------

TEST_CASE("buffers of another size, and missing inputs and bases, are refused") {
  const auto layout = three_sections();
  merger m(layout, with("sgd", 1.0));
  merger mixing(layout, with("mixing", 1.0));
  const auto good = filled(layout, {0, 0, 0, 0});
  const version_ptr small = std::make_shared<parameter_buffer>(16);
  CHECK_THROWS_AS(m.merge(good, {}, inner_lr), std::invalid_argument);
  CHECK_THROWS_AS(merge_one(m, good, nullptr), std::invalid_argument);
  CHECK_THROWS_AS(merge_one(m, nullptr, good), std::invalid_argument);
  CHECK_THROWS_AS(merge_one(m, good, small), std::invalid_argument);
  CHECK_THROWS_AS(merge_one(m, small, good), std::invalid_argument);
  CHECK_THROWS_AS(merge_one(mixing, good, good), std::invalid_argument);
  CHECK_THROWS_AS(merge_one(mixing, good, good, 1.0, small), std::invalid_argument);
  CHECK_NOTHROW(merge_one(mixing, good, good, 1.0, good));
  for (const double weight : {0.0, -1.0, double{INFINITY}, double{NAN}}) {
    CHECK_THROWS_AS(merge_one(m, good, good, weight), std::invalid_argument);
  }
}

TEST_CASE("an unknown kind of delay compensation is refused with the list of the known ones") {
  auto c = with("sgd", 1.0);
  c.staleness.compensation = "adaptve";
  CHECK_THROWS_WITH_AS(merger(three_sections(), c),
                       "staleness.compensation = \"adaptve\" is not known; it must be one of "
                       "none, constant, adaptive",
                       usage_error);
}
