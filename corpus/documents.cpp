#include "corpus/documents.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

namespace rubato {
namespace {

constexpr std::string_view white_space = " \t\r\n\f\v";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(white_space) == std::string_view::npos;
}

/// The text of a line of JSON, which stays until the parser's next; or why there is none.
std::string_view text_of(std::string_view line, simdjson::dom::parser& parser, std::string& fault) {
  static_assert(text_block::padding >= simdjson::SIMDJSON_PADDING);
  simdjson::dom::object object;
  std::string_view text;
  auto error = parser.parse(line.data(), line.size(), false).get(object);
  if (error == simdjson::INCORRECT_TYPE) {
    fault = "not an object";
  } else if (error) {
    fault = simdjson::error_message(error);
  } else if ((error = object["text"].get(text))) {
    fault = error == simdjson::NO_SUCH_FIELD ? "no member \"text\"" : "\"text\" is not a string";
  }
  return text;
}

}  // namespace

text_format format_of(std::string_view path) {
  if (path.ends_with(".gz")) path.remove_suffix(3);
  for (const std::string_view ending : {".json", ".jsonl", ".ndjson"}) {
    if (path.ends_with(ending)) return text_format::json_lines;
  }
  return text_format::plain;
}

void line_counts::add(const line_counts& other) {
  lines += other.lines;
  documents += other.documents;
  empty += other.empty;
  bad += other.bad;
  text_bytes += other.text_bytes;
}

line_counts for_each_document(const text_block& block, text_format format,
                              const std::function<void(std::string_view)>& use,
                              const std::function<void(bad_line)>& refuse,
                              std::uint64_t& all_lines) {
  line_counts found;
  all_lines = 0;
  const auto count_bad = [&](std::string reason) {
    ++found.lines;
    ++found.bad;
    refuse({all_lines, std::move(reason)});
  };
  const auto take = [&](std::string_view text) {
    ++found.lines;
    if (is_blank(text)) {
      ++found.empty;
      return;
    }
    ++found.documents;
    found.text_bytes += text.size();
    use(text);
  };

  std::string_view rest = block.text();
  if (block.is_too_long) {
    all_lines = 1;
    count_bad(fmt::format("longer than {} MiB", text_source::longest_line >> 20));
  } else if (format == text_format::plain) {
    all_lines = 1;
    if (rest.empty()) {
      if (block.is_first) take(rest);
    } else if (!simdjson::validate_utf8(rest)) {
      count_bad("the text from here on is not UTF-8");
    } else {
      take(rest);
    }
    all_lines = static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
  } else {
    thread_local simdjson::dom::parser parser;
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size());
      const auto line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      ++all_lines;
      if (is_blank(line)) continue;
      std::string fault;
      const auto text = text_of(line, parser, fault);
      if (fault.empty()) {
        take(text);
      } else {
        count_bad(std::move(fault));
      }
    }
  }
  return found;
}

}  // namespace rubato
