#include "optim/merger.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

using namespace rubato;

namespace {

parameter_layout three_sections() {
  parameter_layout layout;
  layout.add("weight", {2});
  layout.add("running_mean", {1}, section::averaged);
  layout.add("private", {1}, section::local);
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

std::vector<float> values_of(const parameter_layout& layout, const parameter_buffer& buffer) {
  std::vector<float> values;
  for (const auto& t : layout.tensors()) {
    for (std::size_t i = 0; i < t.size; ++i) values.push_back(buffer.data()[t.offset + i]);
  }
  return values;
}

merger make_merger(const parameter_layout& layout, const std::string& optimizer, double lr) {
  config::outer_section outer;
  outer.optimizer = optimizer;
  outer.lr = lr;
  outer.momentum = 0.5;
  return merger(layout, make_outer_optimizer(outer, 4));
}

}  // namespace

TEST_CASE("the optimizer moves trainable tensors, averaged ones move plainly, local ones stay") {
  const auto layout = three_sections();
  auto m = make_merger(layout, "sgd", 0.5);
  const auto current = filled(layout, {1, 2, 3, 4});
  const std::vector<version_ptr> deltas{filled(layout, {1, -1, 1, 9})};
  const auto next = m.merge(*current, deltas, std::vector<double>{1.0});
  CHECK(values_of(layout, *next) == std::vector<float>{0.5f, 2.5f, 2.0f, 4.0f});
  CHECK(values_of(layout, *current) == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("one update is multiplied with its weight, several are averaged with theirs") {
  const auto layout = three_sections();
  auto m = make_merger(layout, "sgd", 1.0);
  const auto zero = filled(layout, {0, 0, 0, 0});
  const std::vector<version_ptr> one{filled(layout, {8, 4, 2, 0})};
  CHECK(values_of(layout, *m.merge(*zero, one, std::vector<double>{0.25})) ==
        std::vector<float>{-2, -1, -0.5f, 0});
  const std::vector<version_ptr> two{filled(layout, {8, 4, 2, 0}), filled(layout, {0, 8, 2, 0})};
  CHECK(values_of(layout, *m.merge(*zero, two, std::vector<double>{3.0, 1.0})) ==
        std::vector<float>{-6, -5, -2, 0});
}

TEST_CASE("the cosine to the momentum is that of the trainable section, and NaN without one") {
  const auto layout = three_sections();
  const auto zero = filled(layout, {0, 0, 0, 0});
  const std::vector<version_ptr> delta{filled(layout, {3, 0, 100, 0})};
  auto plain = make_merger(layout, "sgd", 1.0);
  CHECK(std::isnan(plain.cosine_to_momentum(*delta[0])));
  auto heavy = make_merger(layout, "nesterov", 1.0);
  CHECK(std::isnan(heavy.cosine_to_momentum(*delta[0])));  // the momentum is still zero
  heavy.merge(*zero, delta, std::vector<double>{1.0});
  CHECK(heavy.cosine_to_momentum(*filled(layout, {1, 1, -7, 0})) ==
        doctest::Approx(std::sqrt(0.5)));
  CHECK(heavy.cosine_to_momentum(*filled(layout, {-2, 0, 1, 0})) == doctest::Approx(-1.0));
}

TEST_CASE("a version in use is never written to again, one that nobody holds is recycled") {
  const auto layout = three_sections();
  auto m = make_merger(layout, "sgd", 1.0);
  const std::vector<version_ptr> delta{filled(layout, {1, 1, 1, 1})};
  const std::vector<double> weight{1.0};
  version_ptr current = filled(layout, {0, 0, 0, 0});
  const auto held = m.merge(*current, delta, weight);
  current = held;
  for (int i = 0; i < 10; ++i) current = m.merge(*current, delta, weight);
  CHECK(values_of(layout, *held) == std::vector<float>{-1, -1, -1, 0});
  CHECK(values_of(layout, *current) == std::vector<float>{-11, -11, -11, 0});
}

TEST_CASE("buffers of another size, and missing deltas or weights, are refused") {
  const auto layout = three_sections();
  auto m = make_merger(layout, "sgd", 1.0);
  const auto current = filled(layout, {0, 0, 0, 0});
  const std::vector<version_ptr> none;
  const std::vector<version_ptr> good{current};
  const std::vector<version_ptr> small{std::make_shared<parameter_buffer>(16)};
  const std::vector<double> weight{1.0};
  CHECK_THROWS_AS(m.merge(*current, none, {}), std::invalid_argument);
  CHECK_THROWS_AS(m.merge(*current, good, {}), std::invalid_argument);
  CHECK_THROWS_AS(m.merge(*current, small, weight), std::invalid_argument);
  CHECK_THROWS_AS(m.merge(*small[0], good, weight), std::invalid_argument);
}
