#include "data/images/resample.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace rubato {
namespace {

/// What a pixel of the result is made of: `weights` of the source's pixels from `first` on.
struct taps {
  std::int64_t first = 0;
  std::vector<float> weights;  // their sum is 1
};

std::vector<taps> make_taps(const axis_map& map, std::int64_t size) {
  const double radius = std::max(map.scale, 1.0);
  std::vector<taps> all;
  all.reserve(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) {
    const double centre = map.origin + (static_cast<double>(i) + 0.5) * map.scale;
    const auto from = static_cast<std::int64_t>(std::floor(centre - radius));
    const auto to = static_cast<std::int64_t>(std::ceil(centre + radius));
    // A centre in the outermost half pixel of the crop still has the pixel it is in.
    auto& t = all.emplace_back();
    t.first = std::clamp(from, map.first, map.last - 1);
    const auto end = std::clamp(to, t.first + 1, map.last);
    double sum = 0;
    std::vector<double> weights;
    for (auto j = t.first; j < end; ++j) {
      const double distance = std::abs(static_cast<double>(j) + 0.5 - centre);
      weights.push_back(std::max(0.0, 1.0 - distance / radius));
      sum += weights.back();
    }
    for (const double w : weights) t.weights.push_back(static_cast<float>(w / sum));
  }
  return all;
}

axis_map stretched(std::int64_t first, std::int64_t extent, std::int64_t size) {
  return {first, first + extent, static_cast<double>(first),
          static_cast<double>(extent) / static_cast<double>(size)};
}

}  // namespace

image_crop random_crop(std::int64_t height, std::int64_t width, std::int64_t size,
                       random_generator& random) {
  constexpr double smallest_share = 0.08;
  constexpr double narrowest = 3.0 / 4.0;
  constexpr double widest = 4.0 / 3.0;
  const auto area = static_cast<double>(height) * static_cast<double>(width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double part = area * (smallest_share + (1.0 - smallest_share) * random.uniform());
    const double ratio =
        std::exp(std::log(narrowest) + (std::log(widest) - std::log(narrowest)) * random.uniform());
    const auto w = std::llround(std::sqrt(part * ratio));
    const auto h = std::llround(std::sqrt(part / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const auto top =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height - h) + 1));
    const auto left =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(width - w) + 1));
    return {stretched(top, h, size), stretched(left, w, size)};
  }
  const auto side = [](std::int64_t other, double ratio) {
    return std::max<std::int64_t>(1, std::llround(static_cast<double>(other) * ratio));
  };
  const auto h = std::min(height, side(width, 1.0 / narrowest));
  const auto w = std::min(width, side(height, widest));
  return {stretched((height - h) / 2, h, size), stretched((width - w) / 2, w, size)};
}

image_crop central_crop(std::int64_t height, std::int64_t width, std::int64_t size) {
  const auto s = static_cast<double>(size);
  const double scale = static_cast<double>(std::min(height, width)) / std::round(s * 8.0 / 7.0);
  const auto central = [&](std::int64_t extent) {
    return axis_map{0, extent, (static_cast<double>(extent) - s * scale) / 2.0, scale};
  };
  return {central(height), central(width)};
}

void resample(const image& source, const image_crop& crop, std::int64_t size, bool mirror,
              const normalisation& how, float* values) {
  const auto rows = make_taps(crop.vertical, size);
  const auto columns = make_taps(crop.horizontal, size);
  const auto top = rows.front().first;
  const auto bottom = rows.back().first + static_cast<std::int64_t>(rows.back().weights.size());

  // First across, [row of the source][colour][column of the result], then down.
  std::vector<float> across(static_cast<std::size_t>((bottom - top) * 3 * size));
  float* out = across.data();
  for (auto y = top; y < bottom; ++y, out += 3 * size) {
    for (std::int64_t x = 0; x < size; ++x) {
      const auto& t = columns[mirror ? size - 1 - x : x];
      const std::uint8_t* pixel = source.pixels.data() + 3 * (y * source.width + t.first);
      float red = 0, green = 0, blue = 0;
      for (const float w : t.weights) {
        red += w * static_cast<float>(pixel[0]);
        green += w * static_cast<float>(pixel[1]);
        blue += w * static_cast<float>(pixel[2]);
        pixel += 3;
      }
      out[x] = red;
      out[size + x] = green;
      out[2 * size + x] = blue;
    }
  }
  for (std::int64_t c = 0; c < 3; ++c) {
    const float scale = 1.0F / (255.0F * how.deviation[c]);
    const float shift = how.mean[c] / how.deviation[c];
    for (std::int64_t y = 0; y < size; ++y, values += size) {
      std::fill_n(values, size, 0.0F);
      const float* line = across.data() + ((rows[y].first - top) * 3 + c) * size;
      for (const float w : rows[y].weights) {
        for (std::int64_t x = 0; x < size; ++x) values[x] += w * line[x];
        line += 3 * size;
      }
      for (std::int64_t x = 0; x < size; ++x) values[x] = values[x] * scale - shift;
    }
  }
}

}  // namespace rubato
