#include "data/tensors/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

#include "config/error.hpp"

namespace rubato {
namespace {

constexpr std::string_view magic("\x93NUMPY", 6);

/// The Python literals that NumPy writes into a header. Every take returns nothing when what comes
/// next is something else.
class literal_reader {
 public:
  explicit literal_reader(std::string_view text) : rest_(text) {}

  bool take(char wanted) {
    skip_space();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::optional<std::string_view> take_string() {
    skip_space();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return std::nullopt;
    const auto end = rest_.find(rest_.front(), 1);
    if (end == rest_.npos) return std::nullopt;
    const auto text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::optional<bool> take_boolean() {
    for (const bool value : {true, false}) {
      if (take_word(value ? "True" : "False")) return value;
    }
    return std::nullopt;
  }

  /// A tuple of numbers from 0, of up to 2^63 - 1.
  std::optional<std::vector<std::int64_t>> take_shape() {
    if (!take('(')) return std::nullopt;
    std::vector<std::int64_t> shape;
    while (!take(')')) {
      const auto number = take_number();
      if (!number) return std::nullopt;
      shape.push_back(*number);
      if (!take(',')) {
        if (shape.size() < 2 || !take(')')) return std::nullopt;  // (3) is no tuple
        break;
      }
    }
    return shape;
  }

  bool at_end() {
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() {
    const auto begin = rest_.find_first_not_of(" \n");
    rest_.remove_prefix(std::min(begin, rest_.size()));
  }

  bool take_word(std::string_view word) {
    skip_space();
    if (rest_.substr(0, word.size()) != word) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::optional<std::int64_t> take_number() {
    skip_space();
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      const std::int64_t digit = rest_[digits] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) return std::nullopt;
      value = 10 * value + digit;
    }
    if (digits == 0) return std::nullopt;
    rest_.remove_prefix(digits);
    return value;
  }

  std::string_view rest_;
};

struct description {
  std::optional<std::string_view> type;  // nothing: of several fields
  std::optional<bool> by_column;
  std::optional<std::vector<std::int64_t>> shape;
};

/// Nothing if the text is no dictionary with these three keys, each once.
std::optional<description> parse(std::string_view text) {
  literal_reader reader(text);
  description d;
  bool has_type = false;
  if (!reader.take('{')) return std::nullopt;
  while (!reader.take('}')) {
    const auto key = reader.take_string();
    if (!key || !reader.take(':')) return std::nullopt;
    if (*key == "descr" && !has_type) {
      has_type = true;
      d.type = reader.take_string();
      if (!d.type) return d;  // what follows is of no interest any more
    } else if (*key == "fortran_order" && !d.by_column) {
      d.by_column = reader.take_boolean();
      if (!d.by_column) return std::nullopt;
    } else if (*key == "shape" && !d.shape) {
      d.shape = reader.take_shape();
      if (!d.shape) return std::nullopt;
    } else {
      return std::nullopt;
    }
    if (!reader.take(',')) {
      if (!reader.take('}')) return std::nullopt;
      break;
    }
  }
  if (!reader.at_end() || !has_type || !d.by_column || !d.shape) return std::nullopt;
  return d;
}

/// In bytes; nothing if no number can say it.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, element_type type) {
  std::uint64_t size = size_of(type);
  for (const auto extent : shape) {
    if (__builtin_mul_overflow(size, static_cast<std::uint64_t>(extent), &size)) {
      return std::nullopt;
    }
  }
  return size;
}

}  // namespace

npy_header read_npy_header(const std::string& path, byte_span file) {
  const auto refusal = [&path](const std::string& reason) {
    return usage_error(fmt::format("cannot read {}: {}", path, reason));
  };
  byte_reader reader(file);
  std::string_view text;
  try {
    const auto start = reader.take_bytes(magic.size());
    if (std::string_view(reinterpret_cast<const char*>(start.data()), start.size()) != magic) {
      throw refusal("it is no .npy file");
    }
    const auto version = reader.take<std::uint8_t>();
    reader.take<std::uint8_t>();  // versions differ in their first number
    if (version < 1 || version > 3) {
      throw refusal(fmt::format("it has version {} of its format; 1 to 3 are known", version));
    }
    const std::uint64_t length =
        version == 1 ? reader.take<std::uint16_t>() : reader.take<std::uint32_t>();
    const auto header = reader.take_bytes(length);
    text = {reinterpret_cast<const char*>(header.data()), header.size()};
  } catch (const malformed_bytes&) {
    throw refusal("it is no .npy file, or ends within its header");
  }

  const auto found = parse(text);
  if (!found) throw refusal("its header is not one that NumPy writes");
  const auto type = found->type ? find_numpy_type(*found->type) : std::nullopt;
  if (!type) {
    throw refusal(
        fmt::format("its elements are of the type {}; supported are <f8, <f4, <f2, <i8, "
                    "<i4, <i2, |i1, |u1 and |b1",
                    found->type ? *found->type : "of a structure with several fields"));
  }
  if (*found->by_column && found->shape->size() > 1) {
    throw refusal("it is stored column by column; save numpy.ascontiguousarray() of it");
  }
  const auto size = bytes_of(*found->shape, *type);
  const auto left = reader.take_rest().size();
  if (!size || *size != left) {
    throw refusal(fmt::format("its values should have {} bytes, but there are {}{}",
                              size ? fmt::to_string(*size) : "more than 2^64", left,
                              !size || *size > left ? ": it has been cut short" : ""));
  }
  return {*type, *found->shape, file.size() - left};
}

}  // namespace rubato
