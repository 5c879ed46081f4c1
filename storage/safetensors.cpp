#include "storage/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "config/error.hpp"
#include "storage/file_io.hpp"

namespace rubato {

namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr const char* metadata_key = "__metadata__";
constexpr std::size_t prefix_size = 8;               // the header's length
constexpr std::uint64_t header_limit = 100'000'000;  // set by the format

/// Elements of a shape; false if an extent is negative or the product overflows.
bool element_count(const std::vector<std::int64_t>& shape, std::uint64_t& count) {
  count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return false;
    const auto factor = static_cast<std::uint64_t>(extent);
    if (factor != 0 && count > std::numeric_limits<std::uint64_t>::max() / factor) return false;
    count *= factor;
  }
  return true;
}

// -- reading ------------------------------------------------------------------------------------

/// What the JSON parser lets pass and this format does not: a key given twice, and deep nesting.
class strict_structure {
 public:
  bool start_object(std::size_t) { return open(); }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(); }
  bool end_array() { return close(); }
  bool key(std::string& name) { return keys_.back().insert(name).second; }

  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(json::number_integer_t) { return true; }
  bool number_unsigned(json::number_unsigned_t) { return true; }
  bool number_float(json::number_float_t, const std::string&) { return true; }
  bool string(std::string&) { return true; }
  bool binary(json::binary_t&) { return true; }
  bool parse_error(std::size_t, const std::string&, const json::exception&) { return false; }

 private:
  static constexpr std::size_t max_depth = 3;  // header, tensor, shape

  bool open() {
    keys_.emplace_back();
    return keys_.size() <= max_depth;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys_;  // of each object or array that is open
};

struct element_type {
  std::string_view name;
  std::uint64_t size;  // in bytes
};

constexpr element_type all_types[] = {{"F64", 8},     {"F32", 4},     {"F16", 2}, {"BF16", 2},
                                      {"I64", 8},     {"I32", 4},     {"I16", 2}, {"I8", 1},
                                      {"U64", 8},     {"U32", 4},     {"U16", 2}, {"U8", 1},
                                      {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};
/// Those whose values can be given as f32.
constexpr auto float_types = std::span(all_types).subspan(1, 3);

std::string list_of(std::span<const element_type> types) {
  std::string names(types.front().name);
  for (std::size_t i = 1; i < types.size(); ++i) {
    names += i + 1 < types.size() ? ", " : " and ";
    names += types[i].name;
  }
  return names;
}

float from_f16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1f;
  const std::uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {
    // Zero or subnormal: fraction * 2^-24, exact in f32.
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  const std::uint32_t wide_exponent = exponent == 0x1f ? 0xff : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

float from_bf16(std::uint16_t upper_half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(upper_half) << 16);
}

/// One file while it is read. Every failure is a usage_error that begins with the path.
class reader {
 public:
  /// Refuses tensors of other types than these.
  reader(const std::string& path, std::span<const element_type> types)
      : path_(path), types_(types) {
    std::error_code error;
    size_ = std::filesystem::file_size(path, error);  // refuses what is not a regular file
    if (error) fail(error.message());
    file_.open(path, std::ios::binary);
    if (!file_) fail(std::generic_category().message(errno));
  }

  /// Entries in the order in which they lie in the file, checked to cover it without gap.
  std::vector<stored_tensor> read_header(std::map<std::string, std::string>& metadata) {
    if (size_ < prefix_size) fail("not a safetensors file: it is shorter than 8 bytes");
    std::uint64_t length = 0;
    read(0, &length, sizeof(length));
    if (length > header_limit || length > size_ - prefix_size) {
      fail("not a safetensors file, or truncated: its header should have " +
           std::to_string(length) + " bytes");
    }
    data_start_ = prefix_size + length;

    const json header = parse_header(length);
    std::vector<stored_tensor> entries;
    for (const auto& [name, value] : header.items()) {
      if (name == metadata_key) {
        metadata = parse_metadata(value);
      } else {
        entries.push_back(parse_entry(name, value));
      }
    }
    std::sort(entries.begin(), entries.end(), [](const stored_tensor& a, const stored_tensor& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    check_coverage(entries);
    return entries;
  }

  /// Of one of float_types.
  std::vector<float> read_values(const stored_tensor& entry) {
    std::vector<float> values(entry.elements);
    if (entry.type == "F32") {
      read(entry.begin, values.data(), values.size() * sizeof(float));
      return values;
    }
    std::vector<std::uint16_t> narrow(entry.elements);
    read(entry.begin, narrow.data(), narrow.size() * sizeof(std::uint16_t));
    std::transform(narrow.begin(), narrow.end(), values.begin(),
                   entry.type == "F16" ? from_f16 : from_bf16);
    return values;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw usage_error("cannot read " + path_ + ": " + reason);
  }

  /// Fails with the tensor's name in quotes, control characters escaped.
  [[noreturn]] void fail_at(const std::string& name, const std::string& reason) const {
    fail("tensor " + json(name).dump() + " " + reason);
  }

  void read(std::uint64_t offset, void* target, std::size_t count) {
    file_.seekg(static_cast<std::streamoff>(offset));
    file_.read(static_cast<char*>(target), static_cast<std::streamsize>(count));
    if (!file_) fail("it could not be read to its end");
  }

  json parse_header(std::uint64_t length) {
    std::string text(length, '\0');
    read(prefix_size, text.data(), text.size());
    // The parser takes a NUL for the end of its input, and would not see what is behind it.
    const bool is_text = !text.empty() && text.front() == '{' && text.find('\0') == text.npos;
    strict_structure structure;
    if (!is_text || !json::sax_parse(text, &structure)) {
      fail("not a safetensors file: its header is not a JSON object with unique keys");
    }
    return json::parse(text);
  }

  std::map<std::string, std::string> parse_metadata(const json& value) const {
    std::map<std::string, std::string> metadata;
    if (!value.is_object()) fail("its __metadata__ is not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail("its __metadata__ has a value that is not a string");
      metadata[key] = text.get<std::string>();
    }
    return metadata;
  }

  stored_tensor parse_entry(const std::string& name, const json& value) const {
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
        !value.contains("shape") || !value.contains("data_offsets")) {
      fail_at(name, "must have exactly dtype, shape and data_offsets");
    }
    stored_tensor entry;
    entry.name = name;

    const json& type = value.at("dtype");
    const auto known = std::find_if(types_.begin(), types_.end(), [&type](const element_type& t) {
      return type == std::string(t.name);
    });
    if (known == types_.end()) {
      fail_at(name, "has the type " + type.dump() + "; supported are " + list_of(types_));
    }
    entry.type = known->name;

    for (const std::uint64_t extent : parse_integers(name, "shape", value.at("shape"))) {
      if (extent > std::numeric_limits<std::int64_t>::max()) fail_at(name, "is too large");
      entry.shape.push_back(static_cast<std::int64_t>(extent));
    }
    if (!element_count(entry.shape, entry.elements)) fail_at(name, "is too large");

    const auto offsets = parse_integers(name, "data_offsets", value.at("data_offsets"));
    const std::uint64_t data_size = size_ - data_start_;
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      fail_at(name, "has data_offsets that are not a range");
    }
    if (offsets[1] > data_size) {
      fail_at(name, "ends behind the end of the file, which seems to be truncated");
    }
    entry.begin = data_start_ + offsets[0];
    entry.end = data_start_ + offsets[1];
    const std::uint64_t bytes = entry.end - entry.begin;
    if (bytes % known->size != 0 || bytes / known->size != entry.elements) {
      fail_at(name, "has " + std::to_string(bytes) + " bytes, which do not fit its shape and type");
    }
    return entry;
  }

  std::vector<std::uint64_t> parse_integers(const std::string& name, const std::string& key,
                                            const json& value) const {
    std::vector<std::uint64_t> integers;
    if (!value.is_array()) fail_at(name, "has a " + key + " that is not a list");
    for (const json& element : value) {
      if (!element.is_number_unsigned()) {
        fail_at(name, "has a " + key + " with an entry that is not a whole number from 0");
      }
      integers.push_back(element.get<std::uint64_t>());
    }
    return integers;
  }

  void check_coverage(const std::vector<stored_tensor>& entries) const {
    std::uint64_t covered = data_start_;
    for (const stored_tensor& entry : entries) {
      if (entry.begin < covered) fail_at(entry.name, "overlaps another one");
      if (entry.begin > covered) fail_at(entry.name, "has a gap before it");
      covered = entry.end;
    }
    if (covered != size_) fail("it has bytes that belong to no tensor");
  }

  std::string path_;
  std::span<const element_type> types_;
  std::ifstream file_;
  std::uint64_t size_ = 0;
  std::uint64_t data_start_ = 0;
};

// -- writing ------------------------------------------------------------------------------------

std::string make_header(const std::vector<named_tensor>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header[metadata_key] = metadata;
  std::uint64_t offset = 0;
  for (const named_tensor& tensor : tensors) {
    std::uint64_t elements = 0;
    if (!element_count(tensor.shape, elements) || elements != tensor.values.size()) {
      throw std::invalid_argument("write_safetensors: " + tensor.name +
                                  " has a shape that does not fit its values");
    }
    if (tensor.name == metadata_key || header.contains(tensor.name)) {
      throw std::invalid_argument("write_safetensors: the name " + tensor.name +
                                  " is reserved or there twice");
    }
    const std::uint64_t end = offset + tensor.values.size_bytes();
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  try {
    std::string text = header.dump();
    text.append((prefix_size - text.size() % prefix_size) % prefix_size, ' ');
    return text;
  } catch (const json::type_error&) {
    throw std::invalid_argument("write_safetensors: a name or metadata value is not UTF-8");
  }
}

std::string_view as_bytes(const void* data, std::size_t size) {
  return {static_cast<const char*>(data), size};
}

}  // namespace

std::vector<stored_tensor> list_safetensors(const std::string& path) {
  std::map<std::string, std::string> metadata;
  return reader(path, all_types).read_header(metadata);
}

safetensors_file::safetensors_file(const std::string& path) {
  reader file(path, float_types);
  // The spans stay valid when storage_ grows: moving a vector keeps its elements where they are.
  for (stored_tensor& entry : file.read_header(metadata_)) {
    const std::vector<float>& values = storage_.emplace_back(file.read_values(entry));
    tensors_.push_back({std::move(entry.name), std::move(entry.shape), values});
  }
}

const named_tensor* safetensors_file::find(const std::string& name) const {
  const auto found =
      std::find_if(tensors_.begin(), tensors_.end(),
                   [&name](const named_tensor& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

void write_safetensors(const std::string& path, const std::vector<named_tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = make_header(tensors, metadata);
  const std::uint64_t length = header.size();
  atomic_file file(path);
  file.write(as_bytes(&length, sizeof(length)));
  file.write(header);
  for (const named_tensor& tensor : tensors) {
    file.write(as_bytes(tensor.values.data(), tensor.values.size_bytes()));
  }
  file.commit();
}

}  // namespace rubato
