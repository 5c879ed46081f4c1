#include "optim/update_cosines.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "config/random.hpp"

using namespace rubato;

namespace {

/// A buffer with these values, and one more that is not looked at.
version_ptr vector_of(std::vector<float> values) {
  values.push_back(1e6F);
  auto buffer = std::make_shared<parameter_buffer>(values.size());
  std::copy(values.begin(), values.end(), buffer->data());
  return buffer;
}

}  // namespace

TEST_CASE("orthogonal updates have cosine 0, equal directions 1, opposite ones -1") {
  update_cosines cosines(2);
  cosines.set(0, vector_of({3, 4}));
  CHECK(std::isnan(cosines.mean_to_others(0)));
  SUBCASE("orthogonal") {
    cosines.set(1, vector_of({-8, 6}));
    CHECK(cosines.mean_to_others(0) == 0.0);
  }
  SUBCASE("equal directions") {
    cosines.set(1, vector_of({0.3F, 0.4F}));
    CHECK(cosines.mean_to_others(0) == doctest::Approx(1.0).epsilon(1e-7));
    CHECK(cosines.mean_to_others(0) <= 1.0);
  }
  SUBCASE("opposite ones") {
    cosines.set(1, vector_of({-6, -8}));
    CHECK(cosines.mean_to_others(0) == -1.0);
  }
  CHECK(cosines.mean_to_others(1) == cosines.mean_to_others(0));
}

TEST_CASE("each worker counts with its latest update, and the mean is that of the matrix") {
  constexpr std::size_t size = 300;
  constexpr std::uint32_t workers = 4;
  update_cosines cosines(size);
  random_generator random(1, random_stream::test);
  std::vector<std::vector<float>> latest(workers, std::vector<float>(size, 0.5F));
  for (std::uint32_t w = 0; w < workers; ++w) cosines.set(w, vector_of(latest[w]));
  for (const std::uint32_t worker : {2U, 0U, 2U, 3U, 1U, 1U}) {
    for (auto& x : latest[worker]) x = static_cast<float>(random.normal() + 0.3);
    cosines.set(worker, vector_of(latest[worker]));
    double of_all = 0.0;
    for (std::uint32_t w = 0; w < workers; ++w) of_all += cosines.mean_to_others(w) / workers;
    double expected = 0.0;
    for (std::uint32_t a = 0; a < workers; ++a) {
      for (std::uint32_t b = 0; b < a; ++b) {
        long double ab = 0, aa = 0, bb = 0;
        for (std::size_t i = 0; i < size; ++i) {
          ab += static_cast<long double>(latest[a][i]) * latest[b][i];
          aa += static_cast<long double>(latest[a][i]) * latest[a][i];
          bb += static_cast<long double>(latest[b][i]) * latest[b][i];
        }
        expected += static_cast<double>(ab / std::sqrt(aa * bb)) / 6.0;
      }
    }
    CHECK(of_all == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("an update of zeros has no direction, and who was forgotten is not compared to") {
  update_cosines cosines(2);
  cosines.set(0, vector_of({1, 0}));
  cosines.set(1, vector_of({0, 0}));
  CHECK(std::isnan(cosines.mean_to_others(0)));
  CHECK(std::isnan(cosines.mean_to_others(7)));
  cosines.clear();
  cosines.set(0, vector_of({1, 0}));
  cosines.set(2, vector_of({1, 1}));
  CHECK(cosines.mean_to_others(0) == doctest::Approx(std::sqrt(0.5)));
  CHECK(cosines.mean_to_others(2) == cosines.mean_to_others(0));
}

TEST_CASE("the latest updates, set again elsewhere in another order, give the same cosines") {
  update_cosines original(2);
  original.set(2, vector_of({0.3F, -1.7F}));
  original.set(0, vector_of({1.1F, 0.7F}));
  original.set(1, vector_of({-0.9F, 0.1F}));
  original.set(2, vector_of({0.2F, 5.0F}));
  update_cosines restored(2);
  for (const auto& [worker, delta] : original.latest()) restored.set(worker, delta);
  for (const std::uint32_t worker : {0, 1, 2}) {
    CHECK(restored.mean_to_others(worker) == original.mean_to_others(worker));
  }
}
