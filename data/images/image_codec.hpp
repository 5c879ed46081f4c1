// From the bytes of a JPEG or PNG file to pixels. What a file is, is told by its bytes and not by
// its name. Not here: finding and reading files (image_folder), and making an image of another
// size (resample).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/error.hpp"

namespace rubato {

/// An image of 8-bit red, green and blue in turn, row by row from the top left.
struct image {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::uint8_t> pixels;  // 3 * height * width
};

/// Why a file is no use as an image.
enum class image_fault { empty, unreadable, no_image, cut_short, damaged, too_large };

/// The words for it that follow "the file is": "empty", "neither JPEG nor PNG", ...
const char* to_text(image_fault fault);

/// The error for bytes that make no image. Its text begins with to_text(fault); a library's own
/// words follow in brackets where there are any.
class bad_image : public run_error {
 public:
  explicit bad_image(image_fault fault, const std::string& detail = {});
  image_fault fault() const { return fault_; }

 private:
  image_fault fault_;
};

/// No image may have more pixels: 200 MB when decoded. A damaged header must not take all memory.
inline constexpr std::int64_t most_pixels = std::int64_t{1} << 26;

/// Checks, without decoding, that a file begins with the header of an image and ends like one of
/// its kind; `head` and `tail` are its beginning and end, or both all of it. Data of other programs
/// may follow the image. Throws bad_image; cut_short can mean that `head` or `tail` is too small.
void check_image(std::span<const std::uint8_t> head, std::span<const std::uint8_t> tail);

/// Decodes a whole file. Grey, palettes and 16 bits become 8-bit colours; transparent pixels are
/// laid over white; CMYK is taken as Adobe writes it, with 255 for no ink; an EXIF rotation is not
/// applied. The same bits on every machine with the same libraries.
/// Throws bad_image, also for data that the libraries could patch up to an image with gaps.
/// Thread-safe.
image decode_image(std::span<const std::uint8_t> file);

}  // namespace rubato
