#include "data/images/resample.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/data/images/image_files.hpp"

using namespace rubato;
using namespace rubato::test;

namespace {

constexpr normalisation plain = {{0, 0, 0}, {1, 1, 1}};
constexpr normalisation uneven = {{0.25F, 0.5F, 0.75F}, {0.5F, 0.25F, 2.0F}};

image random_image(std::int64_t height, std::int64_t width, std::uint64_t key) {
  random_generator random(key, random_stream::test);
  image result{height, width, {}};
  for (std::int64_t i = 0; i < 3 * height * width; ++i) {
    result.pixels.push_back(static_cast<std::uint8_t>(random()));
  }
  return result;
}

std::vector<float> resampled(const image& source, const image_crop& crop, std::int64_t size,
                             bool mirror = false, const normalisation& how = plain) {
  std::vector<float> values(static_cast<std::size_t>(3 * size * size));
  resample(source, crop, size, mirror, how, values.data());
  return values;
}

/// The weight of source pixel j for result pixel i, not brought to the sum 1.
double weight(const axis_map& map, std::int64_t i, std::int64_t j) {
  if (j < map.first || j >= map.last) return 0.0;
  const double centre = map.origin + (static_cast<double>(i) + 0.5) * map.scale;
  const double distance = std::abs(static_cast<double>(j) + 0.5 - centre);
  return std::max(0.0, 1.0 - distance / std::max(1.0, map.scale));
}

/// The definition, in two dimensions at once and in double precision.
double by_definition(const image& source, const image_crop& crop, std::int64_t c, std::int64_t y,
                     std::int64_t x) {
  double sum = 0;
  double weights = 0;
  for (std::int64_t i = 0; i < source.height; ++i) {
    for (std::int64_t j = 0; j < source.width; ++j) {
      const double w = weight(crop.vertical, y, i) * weight(crop.horizontal, x, j);
      sum += w * source.pixels[static_cast<std::size_t>(3 * (i * source.width + j) + c)];
      weights += w;
    }
  }
  return sum / weights / 255.0;
}

image_crop whole(std::int64_t height, std::int64_t width, std::int64_t size) {
  const auto all = [&](std::int64_t extent) {
    return axis_map{0, extent, 0.0, static_cast<double>(extent) / static_cast<double>(size)};
  };
  return {all(height), all(width)};
}

}  // namespace

TEST_CASE("resampling follows its definition, larger and smaller, in any part of an image") {
  random_generator random(1, random_stream::test);
  for (int round = 0; round < 30; ++round) {
    const auto height = 1 + static_cast<std::int64_t>(random.below(40));
    const auto width = 1 + static_cast<std::int64_t>(random.below(40));
    const std::int64_t size = 8;
    const auto source = random_image(height, width, static_cast<std::uint64_t>(round));
    const bool mirror = round % 2 == 1;
    const auto crop = round % 3 == 0 ? central_crop(height, width, size)
                                     : random_crop(height, width, size, random);
    const auto values = resampled(source, crop, size, mirror, uneven);
    for (std::int64_t c = 0; c < 3; ++c) {
      for (std::int64_t y = 0; y < size; ++y) {
        for (std::int64_t x = 0; x < size; ++x) {
          const double value = by_definition(source, crop, c, y, mirror ? size - 1 - x : x);
          const auto i = static_cast<std::size_t>(c);
          const double expected = (value - uneven.mean[i]) / uneven.deviation[i];
          CHECK(std::abs(values[static_cast<std::size_t>((c * size + y) * size + x)] - expected) <
                1e-5);
        }
      }
    }
  }
}

TEST_CASE("an image that is as large as asked for stays as it is") {
  const auto source = random_image(16, 16, 5);
  const auto values = resampled(source, whole(16, 16, 16), 16);
  for (std::size_t i = 0; i < 256; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(values[c * 256 + i] == doctest::Approx(source.pixels[3 * i + c] / 255.0).epsilon(1e-6));
    }
  }
}

TEST_CASE("half the size averages, and does not pick") {
  // Columns black and white in turn: any pick of pixels would be one or the other.
  image source{16, 16, {}};
  for (int i = 0; i < 256; ++i) source.pixels.insert(source.pixels.end(), 3, i % 2 ? 255 : 0);
  const auto values = resampled(source, whole(16, 16, 8), 8);
  for (int y = 0; y < 8; ++y) {
    for (int x = 1; x < 7; ++x) CHECK(values[static_cast<std::size_t>(8 * y + x)] == 0.5F);
  }
}

TEST_CASE("random crops have areas, ratios and places of the distributions asked for") {
  random_generator random(2, random_stream::test);
  constexpr int draws = 4000;
  constexpr double height = 400;
  constexpr double width = 500;
  double share_sum = 0;
  double log_ratio_sum = 0;
  int left_of_middle = 0;
  for (int i = 0; i < draws; ++i) {
    const auto [v, h] = random_crop(400, 500, 32, random);
    REQUIRE(v.first >= 0);
    REQUIRE(v.last <= 400);
    REQUIRE(h.first >= 0);
    REQUIRE(h.last <= 500);
    const auto high = static_cast<double>(v.last - v.first);
    const auto wide = static_cast<double>(h.last - h.first);
    CHECK(v.origin == static_cast<double>(v.first));
    CHECK(v.scale == high / 32);
    CHECK(h.scale == wide / 32);
    const double share = high * wide / (height * width);
    CHECK(share > 0.078);
    CHECK(share <= 1.0);
    CHECK(wide / high > 0.74);
    CHECK(wide / high < 1.35);
    share_sum += share;
    log_ratio_sum += std::log(wide / high);
    left_of_middle += static_cast<double>(h.first + h.last) < width;
  }
  // Wide crops do not fit in height where narrow ones would, so means are near, not at, the middle.
  CHECK(share_sum / draws == doctest::Approx(0.52).epsilon(0.05));
  CHECK(std::abs(log_ratio_sum / draws) < 0.05);
  CHECK(std::abs(left_of_middle / double{draws} - 0.5) < 0.04);
}

TEST_CASE("an image too narrow or too flat for any crop gives its middle, at the limit's ratio") {
  random_generator random(3, random_stream::test);
  const auto narrow = random_crop(1000, 12, 8, random);
  CHECK(narrow.horizontal.first == 0);
  CHECK(narrow.horizontal.last == 12);
  CHECK(narrow.vertical.first == 492);
  CHECK(narrow.vertical.last == 508);
  const auto flat = random_crop(12, 1000, 8, random);
  CHECK(flat.vertical.last - flat.vertical.first == 12);
  CHECK(flat.horizontal.first == 492);
  CHECK(flat.horizontal.last == 508);
}

TEST_CASE("the central crop is 224 of 256 pixels of the shorter side, in the middle of both") {
  const auto crop = central_crop(512, 1024, 224);
  CHECK(crop.vertical.scale == 2.0);
  CHECK(crop.vertical.origin == 32.0);
  CHECK(crop.horizontal.scale == 2.0);
  CHECK(crop.horizontal.origin == 288.0);
  CHECK(crop.horizontal.last == 1024);
}
