// What the kinds of image data have in common: labelled images by their index. Not here: shards,
// orders and batches (image_dataset).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "config/random.hpp"
#include "data/dataset.hpp"

namespace rubato {

enum class image_part { training, held_out };

/// Immutable for those who use it, and thread-safe.
class image_set {
 public:
  virtual ~image_set() = default;

  /// Of every image, held out or not.
  virtual data_shape shape() const = 0;

  /// The class of each image of a part.
  virtual const std::vector<std::int32_t>& labels(image_part part) const = 0;

  /// Writes an image as [channels, height, width], with values around 0: as it is or, given random
  /// numbers, as a variant that is drawn with them. A pure function of its arguments.
  /// False: its file turned out to be of no use, and data.bad_files says to skip it; the values
  /// are undefined. Throws usage_error if it says otherwise.
  virtual bool write(image_part part, std::size_t index, random_generator* augmentation,
                     float* values) const = 0;

  /// As dataset::notes() and dataset::has_slow_batches().
  virtual std::vector<std::string> notes() const { return {}; }
  virtual bool is_slow() const { return false; }
};

}  // namespace rubato
