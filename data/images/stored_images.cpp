#include "data/images/stored_images.hpp"

#include <utility>

namespace rubato {

stored_images::stored_images(std::int64_t size, std::int64_t classes, const normalisation& how,
                             part_data training, part_data held_out, std::vector<std::string> notes)
    : size_(size),
      classes_(classes),
      how_(how),
      training_(std::move(training)),
      held_out_(std::move(held_out)),
      notes_(std::move(notes)) {}

data_shape stored_images::shape() const {
  return {3 * size_ * size_, classes_, 3, size_, size_};
}

bool stored_images::write(image_part part, std::size_t index, random_generator* augmentation,
                          float* values) const {
  std::int64_t down = 0;  // how far the crop lies below the image's own place
  std::int64_t right = 0;
  bool mirror = false;
  if (augmentation) {
    const auto frame = size_ / 8;
    const auto shift = [&] {
      return static_cast<std::int64_t>(
                 augmentation->below(2 * static_cast<std::uint64_t>(frame) + 1)) -
             frame;
    };
    down = shift();
    right = shift();
    mirror = augmentation->below(2) == 1;
  }
  const std::uint8_t* pixels =
      of(part).pixels.data() + index * static_cast<std::size_t>(3 * size_ * size_);
  for (std::size_t c = 0; c < 3; ++c, pixels += size_ * size_) {
    const float scale = 1.0F / (255.0F * how_.deviation[c]);
    const float shift = how_.mean[c] / how_.deviation[c];
    for (std::int64_t y = 0; y < size_; ++y) {
      const auto row = y + down;
      for (std::int64_t x = 0; x < size_; ++x) {
        const auto column = (mirror ? size_ - 1 - x : x) + right;
        const bool inside = row >= 0 && row < size_ && column >= 0 && column < size_;
        *values++ =
            inside ? static_cast<float>(pixels[row * size_ + column]) * scale - shift : 0.0F;
      }
    }
  }
  return true;
}

}  // namespace rubato
