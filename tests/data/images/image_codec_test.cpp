#include "data/images/image_codec.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string>

#include "tests/data/images/image_files.hpp"

using namespace rubato;
using namespace rubato::test;

namespace {

/// What keeps a file from being decoded, with the library's words left out.
std::string fault_of(const byte_list& file) {
  try {
    decode_image(file);
  } catch (const bad_image& error) {
    CHECK(std::string(error.what()).rfind(to_text(error.fault()), 0) == 0);
    return to_text(error.fault());
  }
  return "none";
}

/// The same for what is found without decoding.
std::string fault_at_a_glance(std::span<const std::uint8_t> head,
                              std::span<const std::uint8_t> tail) {
  try {
    check_image(head, tail);
  } catch (const bad_image& error) {
    return to_text(error.fault());
  }
  return "none";
}

int largest_difference(const byte_list& a, const byte_list& b) {
  REQUIRE(a.size() == b.size());
  int largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

/// The three colours of a pixel, from what is stored of it.
byte_list grey(const byte_list& values) {
  byte_list result;
  for (const auto v : values) result.insert(result.end(), 3, v);
  return result;
}

byte_list cut(byte_list file, std::size_t size) {
  file.resize(size);
  return file;
}

byte_list bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

}  // namespace

TEST_CASE("a PNG gives the pixels that were put in, however it stores them") {
  const auto colours = smooth_pixels(5, 7, 3);
  const auto decoded = decode_image(png_file(5, 7, 8, PNG_COLOR_TYPE_RGB, colours));
  CHECK(decoded.height == 5);
  CHECK(decoded.width == 7);
  CHECK(decoded.pixels == colours);

  const auto shades = smooth_pixels(5, 7, 1);
  CHECK(decode_image(png_file(5, 7, 8, PNG_COLOR_TYPE_GRAY, shades)).pixels == grey(shades));

  byte_list doubled;  // 16 bits, of which the lower 8 repeat the upper ones
  for (const auto v : shades) doubled.insert(doubled.end(), 2, v);
  CHECK(decode_image(png_file(5, 7, 16, PNG_COLOR_TYPE_GRAY, doubled)).pixels == grey(shades));

  // One bit a pixel, eight pixels a byte.
  CHECK(decode_image(png_file(1, 4, 1, PNG_COLOR_TYPE_GRAY, {0b01100000})).pixels ==
        grey({0, 255, 255, 0}));

  const std::vector<png_color> palette = {{1, 2, 3}, {250, 100, 50}};
  CHECK(decode_image(png_file(1, 3, 8, PNG_COLOR_TYPE_PALETTE, {1, 0, 1}, palette)).pixels ==
        byte_list{250, 100, 50, 1, 2, 3, 250, 100, 50});
}

TEST_CASE("transparent pixels of a PNG are laid over white") {
  const byte_list rows = {10, 20, 30, 255, 10, 20, 30, 0};
  CHECK(decode_image(png_file(1, 2, 8, PNG_COLOR_TYPE_RGB_ALPHA, rows)).pixels ==
        byte_list{10, 20, 30, 255, 255, 255});
  const std::vector<png_color> palette = {{1, 2, 3}, {250, 100, 50}};
  CHECK(decode_image(png_file(1, 2, 8, PNG_COLOR_TYPE_PALETTE, {0, 1}, palette, {0, 255})).pixels ==
        byte_list{255, 255, 255, 250, 100, 50});
}

TEST_CASE("a JPEG gives the pixels that were put in but for its loss, in colour and grey") {
  const auto colours = smooth_pixels(33, 50, 3);
  const auto decoded = decode_image(jpeg_file(33, 50, colours, JCS_RGB, JCS_YCbCr));
  CHECK(decoded.height == 33);
  CHECK(decoded.width == 50);
  CHECK(largest_difference(decoded.pixels, colours) <= 4);
  const auto shades = smooth_pixels(33, 50, 1);
  CHECK(largest_difference(
            decode_image(jpeg_file(33, 50, shades, JCS_GRAYSCALE, JCS_GRAYSCALE)).pixels,
            grey(shades)) <= 4);
}

TEST_CASE("the inks of a CMYK JPEG, 255 for none, give the colour of the paper they are on") {
  const auto inks = smooth_pixels(16, 24, 4);
  byte_list expected;
  for (std::size_t i = 0; i < inks.size(); i += 4) {
    for (std::size_t c = 0; c < 3; ++c) {
      expected.push_back(static_cast<std::uint8_t>(inks[i + c] * inks[i + 3] / 255.0 + 0.5));
    }
  }
  for (const auto stored : {JCS_CMYK, JCS_YCCK}) {
    const auto decoded = decode_image(jpeg_file(16, 24, inks, JCS_CMYK, stored));
    CHECK(largest_difference(decoded.pixels, expected) <= 4);
  }
}

TEST_CASE("bytes that are no image are told by what they are") {
  CHECK(fault_of({}) == "empty");
  CHECK(fault_of(bytes_of("GIF89a and so on")) == "neither JPEG nor PNG");
  CHECK(fault_of({0xff}) == "neither JPEG nor PNG");
  for (const auto& file : {jpeg_file(20, 30), png_file(20, 30)}) {
    CHECK(fault_of(file) == "none");
    CHECK(fault_at_a_glance(file, file) == "none");
  }
}

TEST_CASE("a file that is cut short is told wherever it is cut") {
  for (const auto& file : {jpeg_file(20, 30), png_file(20, 30)}) {
    for (std::size_t size = 8; size + 4 < file.size(); ++size) {
      CAPTURE(size);
      const auto part = cut(file, size);
      CHECK(fault_of(part) == "cut short");
      CHECK(fault_at_a_glance(part, part) == "cut short");
    }
  }
}

TEST_CASE("the beginning and the end of a file are enough to see that it is whole") {
  for (const auto& file : {jpeg_file(300, 300), png_file(300, 300)}) {
    REQUIRE(file.size() > 1300);
    const std::span<const std::uint8_t> all(file);
    CHECK(fault_at_a_glance(all.first(700), all.last(20)) == "none");
    CHECK(fault_at_a_glance(all.first(700), all.subspan(700, 20)) == "cut short");
    CHECK(fault_at_a_glance(all.first(20), all.last(20)) == "cut short");
  }
}

TEST_CASE("what other programs have added behind an image does not matter") {
  for (const auto& file : {jpeg_file(20, 30), png_file(20, 30)}) {
    auto longer = file;
    longer += bytes_of("a maker's note");
    CHECK(decode_image(longer).pixels == decode_image(file).pixels);
    CHECK(fault_at_a_glance(longer, longer) == "none");
  }
}

TEST_CASE("a warning of the JPEG library that no pixel depends on is passed over") {
  const auto file = jpeg_file(20, 30);
  auto padded = file;
  padded.insert(padded.end() - 2, 5, std::uint8_t{0});  // before the end mark
  CHECK(decode_image(padded).pixels == decode_image(file).pixels);
}

TEST_CASE("damage gives an error or an image of the same size, never a crash") {
  for (const auto& file : {jpeg_file(20, 30), png_file(20, 30)}) {
    std::size_t found = 0;
    for (std::size_t i = 8; i < file.size(); ++i) {
      auto damaged = file;
      damaged[i] ^= 0x55;
      try {
        const auto decoded = decode_image(damaged);
        CHECK(decoded.pixels.size() ==
              static_cast<std::size_t>(3 * decoded.height * decoded.width));
      } catch (const bad_image&) {
        ++found;
      }
    }
    CHECK(found > 20);
  }
}

TEST_CASE("every damaged byte of a PNG's pixels is found") {
  const auto file = png_file(20, 30);
  const byte_list mark = {'I', 'D', 'A', 'T'};
  const auto data = std::search(file.begin(), file.end(), mark.begin(), mark.end()) + 4;
  const auto end = file.end() - 12;  // of the last chunk, which has no data
  REQUIRE(end - data > 20);
  for (auto at = data; at != end; ++at) {
    auto damaged = file;
    damaged[static_cast<std::size_t>(at - file.begin())] ^= 0x01;
    CHECK(fault_of(damaged) == "damaged");
  }
}

TEST_CASE("a header that would take all memory is refused") {
  auto file = jpeg_file(20, 30);
  // The frame header: ff c0, two bytes of length, one of depth, two each of height and width.
  const byte_list mark = {0xff, 0xc0};
  const auto frame = std::search(file.begin(), file.end(), mark.begin(), mark.end()) - file.begin();
  for (int i = 5; i < 9; ++i) file[static_cast<std::size_t>(frame + i)] = 0xf0;
  try {
    decode_image(file);
    FAIL("no error");
  } catch (const bad_image& error) {
    CHECK(std::string(error.what()) == "too large (61680 x 61680 pixels)");
  }
  CHECK(fault_at_a_glance(file, file) == "too large");
}
