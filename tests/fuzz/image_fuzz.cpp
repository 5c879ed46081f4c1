// Gives any bytes to the decoder of images.
#include "data/images/image_codec.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace rubato;

namespace {

bool passes_check(std::span<const std::uint8_t> file) {
  try {
    check_image(file, file);
    return true;
  } catch (const bad_image&) {
    return false;
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> file(data, size);
  const bool passes = passes_check(file);
  try {
    const image decoded = decode_image(file);
    require(decoded.height > 0 && decoded.width > 0, "an image has pixels");
    require(decoded.height <= most_pixels / decoded.width, "an image is not too large");
    require(decoded.pixels.size() == static_cast<std::size_t>(3 * decoded.height * decoded.width),
            "an image has as many pixels as its size says");
    require(passes, "what can be decoded passes the check without decoding");
  } catch (const bad_image&) {
    // Damage, told as it should be.
  }
  return 0;
}
