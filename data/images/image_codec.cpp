#include "data/images/image_codec.hpp"

// Each of these needs the one before.
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>

namespace rubato {
namespace {

using bytes = std::span<const std::uint8_t>;

constexpr std::array<std::uint8_t, 3> jpeg_start = {0xff, 0xd8, 0xff};
constexpr std::array<std::uint8_t, 2> jpeg_end = {0xff, 0xd9};
constexpr std::array<std::uint8_t, 8> png_start = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr std::array<std::uint8_t, 4> png_end = {'I', 'E', 'N', 'D'};

template <std::size_t N>
bool starts_with(bytes file, const std::array<std::uint8_t, N>& mark) {
  return file.size() >= N && std::equal(mark.begin(), mark.end(), file.begin());
}

template <std::size_t N>
bool contains(bytes file, const std::array<std::uint8_t, N>& mark) {
  return std::search(file.begin(), file.end(), mark.begin(), mark.end()) != file.end();
}

void check_size(std::int64_t height, std::int64_t width) {
  if (height * width <= most_pixels) return;
  throw bad_image(image_fault::too_large, fmt::format("{} x {} pixels", width, height));
}

// -- JPEG ---------------------------------------------------------------------------------------

/// libjpeg's decoder of one file. The library leaves a function on an error by longjmp, which must
/// not pass over C++ objects: so the two steps that call it have none, and say by their result
/// whether they got to their end.
class jpeg_decoder {
 public:
  jpeg_decoder() {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { std::longjmp(of(info).back_, 1); };
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0) of(info).warn();
    };
  }
  ~jpeg_decoder() { jpeg_destroy_decompress(&info_); }
  jpeg_decoder(const jpeg_decoder&) = delete;
  jpeg_decoder& operator=(const jpeg_decoder&) = delete;

  void read_header(bytes file) {
    if (!start(file)) fail();
    check_size(height(), width());
  }

  image decode() {
    const bool inks = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
    info_.out_color_space = inks ? JCS_CMYK : JCS_RGB;
    info_.dct_method = JDCT_ISLOW;  // the one that has the same bits on every CPU
    const std::size_t channels = inks ? 4 : 3;
    const auto count = static_cast<std::size_t>(height() * width());
    image result{height(), width(), std::vector<std::uint8_t>(channels * count)};
    const bool done = read(result.pixels.data(), channels * static_cast<std::size_t>(width()));
    if (!done || gap_ != 0) fail();
    if (inks) {
      auto& p = result.pixels;
      for (std::size_t i = 0; i < count; ++i) {
        const unsigned black = p[4 * i + 3];
        for (std::size_t c = 0; c < 3; ++c) {
          p[3 * i + c] = static_cast<std::uint8_t>((p[4 * i + c] * black + 127) / 255);
        }
      }
      p.resize(3 * count);
    }
    return result;
  }

 private:
  std::int64_t height() const { return info_.image_height; }
  std::int64_t width() const { return info_.image_width; }

  static jpeg_decoder& of(j_common_ptr info) {
    return *static_cast<jpeg_decoder*>(info->client_data);
  }

  /// Notes the first warning that means pixels were made up; others are about what pixels do not
  /// depend on.
  void warn() {
    const int code = errors_.msg_code;
    const bool made_up = code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                         code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC ||
                         code == JWRN_ARITH_BAD_CODE;
    if (!made_up || gap_ != 0) return;
    gap_ = code;
    describe();
  }

  void describe() { errors_.format_message(reinterpret_cast<j_common_ptr>(&info_), text_.data()); }

  bool start(bytes file) {
    if (setjmp(back_) != 0) return false;
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, file.data(), file.size());
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  bool read(std::uint8_t* pixels, std::size_t row_size) {
    if (setjmp(back_) != 0) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      auto* row = pixels + info_.output_scanline * row_size;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  [[noreturn]] void fail() {
    // Where a file ends too early, the library goes on with an end of its own making and then
    // stumbles over that.
    if (gap_ == JWRN_JPEG_EOF) throw bad_image(image_fault::cut_short);
    if (gap_ == 0) describe();
    throw bad_image(image_fault::damaged, text_.data());
  }

  jpeg_decompress_struct info_ = {};
  jpeg_error_mgr errors_ = {};
  std::jmp_buf back_ = {};
  int gap_ = 0;                                  // message code of the first gap in the data
  std::array<char, JMSG_LENGTH_MAX> text_ = {};  // what it says, or the error
};

// -- PNG ----------------------------------------------------------------------------------------

/// libpng's simplified reader of one file.
class png_decoder {
 public:
  png_decoder() { info_.version = PNG_IMAGE_VERSION; }
  ~png_decoder() { png_image_free(&info_); }
  png_decoder(const png_decoder&) = delete;
  png_decoder& operator=(const png_decoder&) = delete;

  void read_header(bytes file) {
    file_ = file;
    if (png_image_begin_read_from_memory(&info_, file.data(), file.size()) == 0) fail();
    check_size(info_.height, info_.width);
  }

  image decode() {
    // The library does not read on after the last pixel.
    if (!contains(file_, png_end)) throw bad_image(image_fault::cut_short);
    info_.format = PNG_FORMAT_RGB;
    info_.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // as all programs that write such files mean it
    image result{info_.height, info_.width, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(info_))};
    constexpr png_color white = {255, 255, 255};
    if (png_image_finish_read(&info_, &white, result.pixels.data(), 0, nullptr) == 0) fail();
    return result;
  }

 private:
  [[noreturn]] void fail() {
    if (!contains(file_, png_end)) throw bad_image(image_fault::cut_short);
    throw bad_image(image_fault::damaged, info_.message);
  }

  bytes file_;
  png_image info_ = {};
};

// -- either -------------------------------------------------------------------------------------

/// Hands `work` a decoder that has read the header of the file.
template <class Work>
auto with_decoder(bytes file, const Work& work) {
  if (starts_with(file, jpeg_start)) {
    jpeg_decoder decoder;
    decoder.read_header(file);
    return work(decoder);
  }
  if (starts_with(file, png_start)) {
    png_decoder decoder;
    decoder.read_header(file);
    return work(decoder);
  }
  throw bad_image(file.empty() ? image_fault::empty : image_fault::no_image);
}

}  // namespace

const char* to_text(image_fault fault) {
  switch (fault) {
    case image_fault::empty:
      return "empty";
    case image_fault::unreadable:
      return "unreadable";
    case image_fault::no_image:
      return "neither JPEG nor PNG";
    case image_fault::cut_short:
      return "cut short";
    case image_fault::damaged:
      return "damaged";
    case image_fault::too_large:
      return "too large";
  }
  return "";
}

bad_image::bad_image(image_fault fault, const std::string& detail)
    : run_error(detail.empty() ? to_text(fault) : fmt::format("{} ({})", to_text(fault), detail)),
      fault_(fault) {}

void check_image(bytes head, bytes tail) {
  with_decoder(head, [](const auto& /*header*/) {});
  const bool ends =
      starts_with(head, jpeg_start) ? contains(tail, jpeg_end) : contains(tail, png_end);
  if (!ends) throw bad_image(image_fault::cut_short);
}

image decode_image(bytes file) {
  return with_decoder(file, [](auto& decoder) { return decoder.decode(); });
}

}  // namespace rubato
