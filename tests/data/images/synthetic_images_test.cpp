#include "data/images/synthetic_images.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <numbers>
#include <set>
#include <string>

#include "config/error.hpp"

using namespace rubato;

namespace {

constexpr std::size_t size = 12;
constexpr std::size_t pixels = size * size;
using picture = std::vector<float>;

/// 2 classes of 3 patterns each.
config small_config() {
  config c;
  c.data.kind = "synthetic-images";
  c.data.image_size = size;
  c.data.classes = 2;
  c.data.clusters = 6;
  c.data.points = 601;
  c.data.noise = 0.5;
  c.data.shards = 2;
  c.data.batch_size = 5;
  c.evaluate.batches = 4;
  return c;
}

config with_noise(double noise) {
  auto c = small_config();
  c.data.noise = noise;
  return c;
}

picture image_of(const synthetic_images& set, std::size_t index,
                 image_part part = image_part::training, random_generator* augmentation = nullptr) {
  picture values(3 * pixels);
  CHECK(set.write(part, index, augmentation, values.data()));
  return values;
}

double product(const picture& a, const picture& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// Without the mean of each colour, and of length 1.
picture pattern_in(picture p) {
  for (std::size_t c = 0; c < 3; ++c) {
    double mean = 0;
    for (std::size_t i = 0; i < pixels; ++i) mean += p[c * pixels + i] / double{pixels};
    for (std::size_t i = 0; i < pixels; ++i) p[c * pixels + i] -= static_cast<float>(mean);
  }
  const double length = std::sqrt(product(p, p));
  for (float& x : p) x = static_cast<float>(x / length);
  return p;
}

picture moved(const picture& p, std::size_t down, std::size_t right, bool mirror) {
  picture result(p.size());
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t y = 0; y < size; ++y) {
      for (std::size_t x = 0; x < size; ++x) {
        const auto column = mirror ? size - 1 - x : x;
        result[(c * size + y) * size + x] =
            p[(c * size + (y + down) % size) * size + (column + right) % size];
      }
    }
  }
  return result;
}

/// The largest product with any version of a pattern: 1 if the picture shows it.
double likeness(const picture& p, const picture& pattern) {
  double best = -1;
  for (std::size_t down = 0; down < size; ++down) {
    for (std::size_t right = 0; right < size; ++right) {
      for (const bool mirror : {false, true}) {
        best = std::max(best, product(p, moved(pattern, down, right, mirror)));
      }
    }
  }
  return best;
}

/// The share of images whose class is that of the pattern they are most like.
double share_right(const config& c, std::size_t images) {
  std::vector<picture> patterns;
  const synthetic_images clean(with_noise(0));
  for (std::size_t k = 0; k < 6; ++k) patterns.push_back(pattern_in(image_of(clean, k)));
  const synthetic_images set(c);
  std::size_t right = 0;
  for (std::size_t n = 0; n < images; ++n) {
    const auto p = pattern_in(image_of(set, n, image_part::held_out));
    std::size_t best = 0;
    std::vector<double> like;
    for (const auto& pattern : patterns) like.push_back(likeness(p, pattern));
    best = static_cast<std::size_t>(std::max_element(like.begin(), like.end()) - like.begin());
    right += static_cast<std::int32_t>(best / 3) == set.labels(image_part::held_out)[n];
  }
  return static_cast<double>(right) / static_cast<double>(images);
}

std::string error_of(const config& c) {
  try {
    const synthetic_images set(c);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("made-up images say what they are") {
  const synthetic_images set(small_config());
  CHECK(set.shape().features == 3 * pixels);
  CHECK(set.shape().classes == 2);
  CHECK(set.shape().channels == 3);
  CHECK(set.shape().height == size);
  CHECK(set.shape().width == size);
  CHECK_FALSE(set.is_slow());
  const auto& labels = set.labels(image_part::training);
  CHECK(labels.size() == 600);
  CHECK(set.labels(image_part::held_out).size() == 40);  // 2 shards of 4 batches of 5
  for (std::size_t n = 0; n < labels.size(); ++n) {
    CHECK(labels[n] == static_cast<std::int32_t>(n % 6 / 3));
  }
}

TEST_CASE("without noise an image shows its pattern, moved and mirrored, and no other") {
  const synthetic_images set(with_noise(0));
  std::vector<picture> patterns;
  for (std::size_t k = 0; k < 6; ++k) patterns.push_back(pattern_in(image_of(set, k)));
  std::set<picture> distinct;
  for (std::size_t n = 6; n < 30; ++n) {
    const auto p = pattern_in(image_of(set, n));
    distinct.insert(p);
    for (std::size_t k = 0; k < 6; ++k) {
      const double like = likeness(p, patterns[k]);
      if (k == n % 6) {
        CHECK(like == doctest::Approx(1.0).epsilon(1e-5));
      } else {
        CHECK(like < 0.9);
      }
    }
  }
  CHECK(distinct.size() == 24);
}

TEST_CASE("a pattern has waves of up to three periods each way, and no others") {
  const auto pattern = pattern_in(image_of(synthetic_images(with_noise(0)), 0));
  for (std::size_t c = 0; c < 3; ++c) {
    int present = 0;
    for (int down = 0; down <= 6; ++down) {
      for (int across = -5; across <= 6; ++across) {
        std::complex<double> amplitude = 0;
        for (std::size_t y = 0; y < size; ++y) {
          for (std::size_t x = 0; x < size; ++x) {
            const double phase = 2 * std::numbers::pi *
                                 (down * static_cast<double>(y) + across * static_cast<double>(x)) /
                                 double{size};
            amplitude += std::polar(double{pattern[(c * size + y) * size + x]}, phase);
          }
        }
        const bool wave = down <= 3 && std::abs(across) <= 3 && (down > 0 || across != 0);
        if (!wave) CHECK(std::abs(amplitude) < 1e-4);
        present += wave && std::abs(amplitude) > 1e-3;
      }
    }
    // 24 waves; those along a row are counted from both of their ends.
    CHECK(present == 27);
  }
}

TEST_CASE("values have mean 0 and deviation 1, whatever the noise") {
  for (const double noise : {0.0, 0.5, 4.0}) {
    CAPTURE(noise);
    const synthetic_images set(with_noise(noise));
    double sum = 0;
    double squares = 0;
    for (std::size_t n = 0; n < 600; ++n) {
      for (const double x : image_of(set, n)) {
        sum += x;
        squares += x * x;
      }
    }
    const double count = 600.0 * 3 * pixels;
    // The brightness of 1,800 colours is what varies most: deviation 0.43 each.
    CHECK(std::abs(sum / count) < 4 * 0.44 / std::sqrt(1800.0));
    CHECK(squares / count == doctest::Approx(1.0).epsilon(0.05));
  }
}

TEST_CASE("noise makes the classes harder to tell, from all right down to chance") {
  CHECK(share_right(with_noise(0.5), 40) == 1.0);
  const double hard = share_right(with_noise(4), 40);
  CHECK(hard < 0.98);
  CHECK(hard > 0.6);
  CHECK(std::abs(share_right(with_noise(100), 40) - 0.5) < 0.3);
}

TEST_CASE("the classes have the same mean image, so that no linear classifier tells them apart") {
  auto c = with_noise(0);
  c.data.points = 12000;
  const synthetic_images set(c);
  std::vector<double> means[2] = {std::vector<double>(3 * pixels), std::vector<double>(3 * pixels)};
  for (std::size_t n = 0; n < 12000; ++n) {
    const auto p = image_of(set, n);
    auto& mean = means[set.labels(image_part::training)[n]];
    for (std::size_t i = 0; i < p.size(); ++i) mean[i] += p[i] / 6000.0;
  }
  double largest = 0;
  for (std::size_t i = 0; i < means[0].size(); ++i) {
    largest = std::max(largest, std::abs(means[0][i] - means[1][i]));
  }
  // The difference of two means of 6,000 has a deviation of 0.018; this is the largest of 432.
  CHECK(largest < 5 * 0.018);
}

TEST_CASE("a variant is the same image moved all round and mirrored, noise and all") {
  const synthetic_images set(small_config());
  const auto plain = image_of(set, 3);
  std::set<picture> versions;
  for (std::size_t down = 0; down < size; ++down) {
    for (std::size_t right = 0; right < size; ++right) {
      for (const bool mirror : {false, true}) versions.insert(moved(plain, down, right, mirror));
    }
  }
  std::set<picture> seen;
  for (std::uint64_t draw = 0; draw < 200; ++draw) {
    random_generator random(draw, random_stream::test);
    const auto variant = image_of(set, 3, image_part::training, &random);
    CHECK(versions.count(variant) == 1);
    seen.insert(variant);
  }
  // 200 draws of 288.
  CHECK(seen.size() > 120);
}

TEST_CASE("images are a function of their index, differ, and are never held out and trained on") {
  const synthetic_images one(small_config());
  auto c = small_config();
  c.run.seed = 7;
  const synthetic_images two(c);
  std::set<picture> seen;
  for (std::size_t n = 0; n < 40; ++n) {
    for (const auto part : {image_part::training, image_part::held_out}) {
      CHECK(image_of(one, n, part) == image_of(two, n, part));
      seen.insert(image_of(one, n, part));
    }
  }
  CHECK(seen.size() == 80);
}

TEST_CASE("made-up images that cannot be are refused") {
  auto c = small_config();
  c.data.clusters = 7;
  CHECK(error_of(c) == "data.clusters = 7 is not a multiple of data.classes = 2");
  c.data.clusters = 8;
  c.data.points = 7;
  CHECK(error_of(c) == "data.points = 7 must be at least data.clusters = 8");
}
