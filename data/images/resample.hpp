// Making a part of an image into one of another size: which part (random or central crops, after
// torchvision's RandomResizedCrop, Resize and CenterCrop), and the filter. Pure functions.
// Not here: images that keep their size (stored_images).
#pragma once

#include <array>
#include <cstdint>

#include "config/random.hpp"
#include "data/images/image_codec.hpp"

namespace rubato {

/// Where an axis of the result lies on one of the source, in pixels of the source.
struct axis_map {
  std::int64_t first = 0;  // the source's pixels from `first` ...
  std::int64_t last = 0;   // ... to before `last` may be used; first < last
  double origin = 0;       // where the result's first pixel begins
  double scale = 1;        // how much of the source a pixel of the result covers
};

struct image_crop {
  axis_map vertical;
  axis_map horizontal;
};

/// A random part of the image that takes up a share of 0.08 to 1 of its area (uniform) at a ratio
/// of width to height of 3/4 to 4/3 (log-uniform), at a uniform place, both in whole pixels; the
/// largest central one within these ratios where ten draws do not fit into the image.
/// It is stretched to `size` x `size`.
image_crop random_crop(std::int64_t height, std::int64_t width, std::int64_t size,
                       random_generator& random);

/// The central `size` x `size` of the image when its shorter side is `size` * 8/7 (256 for 224) and
/// its ratio is kept.
image_crop central_crop(std::int64_t height, std::int64_t width, std::int64_t size);

/// Of red, green and blue, for values between 0 and 1.
struct normalisation {
  std::array<float, 3> mean;
  std::array<float, 3> deviation;
};

/// Writes a crop as [3, size, size]: (value - mean) / deviation. Bilinear, with a triangle filter
/// as wide as a pixel of the result where that is larger than one of the source, so that
/// shrinking does not alias; pixels outside the crop have no weight. `mirror`: left and right
/// swapped.
void resample(const image& source, const image_crop& crop, std::int64_t size, bool mirror,
              const normalisation& how, float* values);

}  // namespace rubato
