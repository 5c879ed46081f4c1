// Images of one size that are held in memory, a byte a value. Not here: the files that they come
// from (cifar).
#pragma once

#include "data/images/image_set.hpp"
#include "data/images/resample.hpp"

namespace rubato {

/// Square images of three colours. A variant of one (He et al. 2015) is a crop at a random place of
/// the image with a frame of an eighth of its size (4 pixels at 32), which has the mean colour,
/// around it, and mirrored half of the time.
class stored_images final : public image_set {
 public:
  struct part_data {
    std::vector<std::uint8_t> pixels;  // [image, channel, height, width]
    std::vector<std::int32_t> labels;
  };

  stored_images(std::int64_t size, std::int64_t classes, const normalisation& how,
                part_data training, part_data held_out, std::vector<std::string> notes);

  data_shape shape() const override;
  const std::vector<std::int32_t>& labels(image_part part) const override {
    return of(part).labels;
  }
  bool write(image_part part, std::size_t index, random_generator* augmentation,
             float* values) const override;
  std::vector<std::string> notes() const override { return notes_; }

 private:
  const part_data& of(image_part part) const {
    return part == image_part::training ? training_ : held_out_;
  }

  std::int64_t size_;
  std::int64_t classes_;
  normalisation how_;
  part_data training_;
  part_data held_out_;
  std::vector<std::string> notes_;
};

}  // namespace rubato
