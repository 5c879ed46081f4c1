#include "config/toml_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "config/error.hpp"
#include "config/schema.hpp"

namespace rubato {
namespace {

std::string read_text(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text;
  char block[4096];
  while (in.read(block, sizeof block), in.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(in.gcount()));
  }
  if (!in.is_open() || in.bad()) {
    throw usage_error(
        fmt::format("{}: cannot be read: {}", path, std::generic_category().message(errno)));
  }
  return text;
}

/// The parser's words quote the text as it is, and a line break in it would break theirs.
std::string on_one_line(std::string_view words) {
  std::string line;
  for (const char c : words) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      line += fmt::format("\\u{:04x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

}  // namespace

toml::table read_toml(const std::string& path) {
  try {
    return toml::parse(read_text(path));
  } catch (const toml::parse_error& error) {
    const auto begin = error.source().begin;
    throw usage_error(fmt::format("{}:{}:{}: {}", path, begin.line, begin.column,
                                  on_one_line(error.description())));
  }
}

std::string to_text(const toml::node& node) {
  if (node.is_table()) return "{...}";
  if (const auto* array = node.as_array()) {
    std::string text;
    for (const auto& element : *array) text += (text.empty() ? "" : ", ") + to_text(element);
    return "[" + text + "]";
  }
  if (const auto* string = node.as_string()) return to_text(key_value(string->get()));
  if (const auto* number = node.as_floating_point()) return to_text(key_value(number->get()));
  std::ostringstream text;
  node.visit([&](const auto& plain) { text << plain; });
  return text.str();
}

std::string place_of(const toml::node& node, const std::string& path) {
  return fmt::format("{}:{}", path, node.source().begin.line);
}

}  // namespace rubato
