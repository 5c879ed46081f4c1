// Made-up images in classes, for runs that need no download: simple to state, no use to a linear
// classifier, and as hard as one likes. Not here: shards and batches (image_dataset).
#pragma once

#include "data/images/image_set.hpp"

namespace rubato {

/// The images of data.kind = "synthetic-images", data.image_size square, of three colours.
///
/// There are data.clusters patterns, the first clusters / classes of class 0, the next of class 1,
/// and so on. A pattern is a periodic picture: a sum of all waves with at most 3 periods in height
/// and width (24 of them in each colour, constants left out) with normally distributed amplitudes,
/// brought to deviation 1. Image n shows pattern n mod clusters as
///
///   contrast * pattern, moved by a random offset all round, half of the time mirrored
///     + brightness of each colour + data.noise * normal noise of each value,
///
/// with contrast uniform in [0.5, 1.5] and brightness normal of deviation 0.5; all of it divided by
/// sqrt(4/3 + noise^2), so that values have mean 0 and deviation 1 whatever the noise.
///
/// As every offset is as likely, all classes have the same mean image, and a linear classifier
/// finds next to nothing to go by. What tells a class is how colours change from pixel to pixel,
/// wherever that is, as convolutions see it. At 16 x 16 pixels, whoever knows the patterns and
/// weighs up all offsets gets nearly all right up to noise 2, and 98 %, 92 %, 83 %, 72 % and 52 %
/// at noise 3, 4, 5, 6 and 8 (4 classes of 8 patterns). What can be learned is less: a ResNet-8 of
/// width 16 gets 99 %, 97 % and 60 % at noise 0.5, 1 and 2 (10 classes of 2 patterns, 2,000 batches
/// of 16 out of 20,000 images), a linear classifier 27 % where chance is 25 % (4 classes, noise 1).
///
/// A variant of a training image is the image moved by another random offset, all round, and
/// mirrored half of the time; the noise goes along, so it is no new image.
///
/// Images are drawn when they are asked for and not kept. They are a function of the data options
/// alone, not of run.seed; no held-out image is one that is trained on.
class synthetic_images final : public image_set {
 public:
  /// floor(points / clusters) images of each pattern to train on, and so many held out that each
  /// shard has evaluate.batches batches, of all patterns in turn.
  /// Throws usage_error if classes differ in their number of patterns, or a pattern has no image.
  explicit synthetic_images(const config& c);

  data_shape shape() const override;
  const std::vector<std::int32_t>& labels(image_part part) const override {
    return part == image_part::training ? training_labels_ : held_out_labels_;
  }
  bool write(image_part part, std::size_t index, random_generator* augmentation,
             float* values) const override;

 private:
  std::size_t size_;
  std::size_t clusters_;
  std::int64_t classes_;
  float noise_;
  std::vector<float> patterns_;  // [cluster, channel, height, width]
  std::vector<std::int32_t> training_labels_;
  std::vector<std::int32_t> held_out_labels_;
};

}  // namespace rubato
