#include "data/images/synthetic_images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include "config/error.hpp"
#include "data/normal.hpp"

namespace rubato {
namespace {

// In place of the run's: runs with different seeds share the images.
constexpr std::uint64_t data_seed = 0;

/// What is drawn from the stream synthetic_data; the first of its keys.
enum draw : std::uint64_t { pattern, training_image, held_out_image };

constexpr std::size_t channels = 3;
constexpr std::size_t most_periods = 3;
constexpr float brightness_deviation = 0.5F;

/// Writes a pattern, [channel, height, width].
void draw_pattern(std::uint64_t cluster, std::size_t size, std::span<float> values) {
  std::vector<double> cosine(size), sine(size);  // of one period
  for (std::size_t i = 0; i < size; ++i) {
    const double angle =
        2.0 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(size);
    cosine[i] = std::cos(angle);
    sine[i] = std::sin(angle);
  }
  random_generator random(data_seed, random_stream::synthetic_data, {draw::pattern, cluster});
  std::vector<double> sums(values.size(), 0.0);
  const auto add_wave = [&](std::size_t down, std::size_t across) {
    std::array<float, 2 * channels> amplitudes;  // of cosine and sine, for each channel
    fill_normal(random, amplitudes);
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t y = 0; y < size; ++y) {
        for (std::size_t x = 0; x < size; ++x) {
          const auto phase = (down * y + across * x) % size;
          sums[(c * size + y) * size + x] +=
              amplitudes[2 * c] * cosine[phase] + amplitudes[2 * c + 1] * sine[phase];
        }
      }
    }
  };
  // Half of all directions, for the other half are the same waves. Periods to the left are counted
  // as what they are to the right in whole pixels.
  for (std::size_t across = 1; across <= most_periods; ++across) add_wave(0, across);
  for (std::size_t down = 1; down <= most_periods; ++down) {
    for (std::size_t across = 0; across <= most_periods; ++across) add_wave(down, across);
    for (std::size_t across = 1; across <= most_periods; ++across) add_wave(down, size - across);
  }
  double squares = 0;
  for (const double s : sums) squares += s * s;
  const double scale = std::sqrt(static_cast<double>(sums.size()) / squares);
  for (std::size_t i = 0; i < sums.size(); ++i) values[i] = static_cast<float>(sums[i] * scale);
}

/// Where a picture that is moved all round is read from.
struct placement {
  std::size_t down = 0;
  std::size_t right = 0;
  bool mirror = false;
};

placement random_placement(std::size_t size, random_generator& random) {
  placement result;
  result.down = random.below(size);
  result.right = random.below(size);
  result.mirror = random.below(2) == 1;
  return result;
}

/// Calls visit(to, from) for each place in a picture and the one that is put there.
template <class Visit>
void move_round(std::size_t size, const placement& by, const Visit& visit) {
  for (std::size_t y = 0; y < size; ++y) {
    const auto row = (y + by.down) % size * size;
    for (std::size_t x = 0; x < size; ++x) {
      const auto column = (x + by.right) % size;
      visit(y * size + x, row + (by.mirror ? size - 1 - column : column));
    }
  }
}

}  // namespace

synthetic_images::synthetic_images(const config& c)
    : size_(static_cast<std::size_t>(c.data.image_size)),
      clusters_(static_cast<std::size_t>(c.data.clusters)),
      classes_(c.data.classes),
      noise_(static_cast<float>(c.data.noise)) {
  const auto& d = c.data;
  if (d.clusters % d.classes != 0) {
    throw usage_error(fmt::format("data.clusters = {} is not a multiple of data.classes = {}",
                                  d.clusters, d.classes));
  }
  if (d.points < d.clusters) {
    throw usage_error(
        fmt::format("data.points = {} must be at least data.clusters = {}", d.points, d.clusters));
  }
  const auto values = channels * size_ * size_;
  patterns_.resize(clusters_ * values);
  for (std::size_t k = 0; k < clusters_; ++k) {
    draw_pattern(k, size_, {patterns_.data() + k * values, values});
  }
  const auto labels = [&](std::int64_t count) {
    std::vector<std::int32_t> result;
    for (std::int64_t n = 0; n < count; ++n) {
      result.push_back(static_cast<std::int32_t>(n % d.clusters / (d.clusters / d.classes)));
    }
    return result;
  };
  training_labels_ = labels(d.points / d.clusters * d.clusters);
  held_out_labels_ = labels(d.shards * c.evaluate.batches * d.batch_size);
}

data_shape synthetic_images::shape() const {
  const auto size = static_cast<std::int64_t>(size_);
  return {static_cast<std::int64_t>(channels) * size * size, classes_, channels, size, size};
}

bool synthetic_images::write(image_part part, std::size_t index, random_generator* augmentation,
                             float* values) const {
  const auto which = part == image_part::training ? draw::training_image : draw::held_out_image;
  random_generator random(data_seed, random_stream::synthetic_data, {which, index});
  const auto place = random_placement(size_, random);
  const auto contrast = static_cast<float>(0.5 + random.uniform());
  std::array<float, channels> brightness;
  fill_normal(random, brightness);
  const auto pixels = size_ * size_;
  fill_normal(random, {values, channels * pixels});

  const float scale = 1.0F / std::sqrt(4.0F / 3.0F + noise_ * noise_);
  std::vector<float> moved(pixels);
  const auto moves = augmentation ? random_placement(size_, *augmentation) : placement{};
  for (std::size_t c = 0; c < channels; ++c, values += pixels) {
    const float* from = patterns_.data() + (index % clusters_ * channels + c) * pixels;
    const float base = brightness_deviation * brightness[c];
    move_round(size_, place, [&](std::size_t to, std::size_t source) {
      values[to] = (contrast * from[source] + base + noise_ * values[to]) * scale;
    });
    if (!augmentation) continue;
    move_round(size_, moves,
               [&](std::size_t to, std::size_t source) { moved[to] = values[source]; });
    std::copy(moved.begin(), moved.end(), values);
  }
  return true;
}

}  // namespace rubato
