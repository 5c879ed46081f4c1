// The bytes of JPEG, PNG and CIFAR files, as tests want them: written with the libraries' encoders.
#pragma once

#include <cstdint>
#include <cstdio>

#include <jpeglib.h>

#include <png.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "config/random.hpp"

namespace rubato::test {

using byte_list = std::vector<std::uint8_t>;

inline std::string as_text(const byte_list& bytes) {
  return {bytes.begin(), bytes.end()};
}

/// `channels` values a pixel, smooth enough for JPEG to keep.
inline byte_list smooth_pixels(std::int64_t height, std::int64_t width, std::int64_t channels,
                               std::uint64_t key = 0) {
  random_generator random(key, random_stream::test);
  std::vector<double> slopes(static_cast<std::size_t>(3 * channels));
  for (auto& s : slopes) s = random.uniform();
  byte_list pixels;
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const double* s = slopes.data() + 3 * c;
        pixels.push_back(static_cast<std::uint8_t>(40 + 60 * s[0] +
                                                   70 * s[1] * static_cast<double>(y) / height +
                                                   70 * s[2] * static_cast<double>(x) / width));
      }
    }
  }
  return pixels;
}

/// A JPEG file; `space` says what the pixels are, `stored` what the file has in their place.
inline byte_list jpeg_file(std::int64_t height, std::int64_t width, const byte_list& pixels,
                           J_COLOR_SPACE space, J_COLOR_SPACE stored) {
  jpeg_compress_struct info = {};
  jpeg_error_mgr errors = {};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_height = static_cast<JDIMENSION>(height);
  info.image_width = static_cast<JDIMENSION>(width);
  info.in_color_space = space;
  info.input_components = space == JCS_GRAYSCALE ? 1 : space == JCS_RGB ? 3 : 4;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, stored);
  jpeg_set_quality(&info, 98, TRUE);
  for (int c = 0; c < info.num_components; ++c) {
    info.comp_info[c].h_samp_factor = info.comp_info[c].v_samp_factor = 1;
  }
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row =
        const_cast<JSAMPROW>(pixels.data()) +
        info.next_scanline * info.image_width * static_cast<JDIMENSION>(info.input_components);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  byte_list file(bytes, bytes + size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return file;
}

inline byte_list jpeg_file(std::int64_t height, std::int64_t width, std::uint64_t key = 0) {
  return jpeg_file(height, width, smooth_pixels(height, width, 3, key), JCS_RGB, JCS_YCbCr);
}

/// A PNG file of rows as it stores them; `palette` and `alphas` where there are any.
inline byte_list png_file(std::int64_t height, std::int64_t width, int depth, int colour_type,
                          byte_list rows, const std::vector<png_color>& palette = {},
                          const byte_list& alphas = {}) {
  byte_list file;
  auto* png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  auto* info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp p, png_bytep bytes, std::size_t count) {
        auto& to = *static_cast<byte_list*>(png_get_io_ptr(p));
        to.insert(to.end(), bytes, bytes + count);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth,
               colour_type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (!palette.empty()) png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
  if (!alphas.empty()) {
    png_set_tRNS(png, info, alphas.data(), static_cast<int>(alphas.size()), nullptr);
  }
  png_write_info(png, info);
  const auto row_size = rows.size() / static_cast<std::size_t>(height);
  for (std::int64_t y = 0; y < height; ++y) {
    png_write_row(png, rows.data() + static_cast<std::size_t>(y) * row_size);
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

inline byte_list png_file(std::int64_t height, std::int64_t width, std::uint64_t key = 0) {
  return png_file(height, width, 8, PNG_COLOR_TYPE_RGB, smooth_pixels(height, width, 3, key));
}

/// What a CIFAR file has for an image: `labels` and then 3072 random bytes.
inline byte_list cifar_record(const byte_list& labels, std::uint64_t key) {
  random_generator random(key, random_stream::test);
  auto record = labels;
  for (int i = 0; i < 3072; ++i) record.push_back(static_cast<std::uint8_t>(random()));
  return record;
}

inline byte_list& operator+=(byte_list& list, const byte_list& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

}  // namespace rubato::test
