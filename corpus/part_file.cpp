#include "corpus/part_file.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "bytes/crc32c.hpp"
#include "config/error.hpp"

namespace rubato {
namespace {

// A chunk: target and number of documents (u32), bytes of text and of tokens (u64), lengths (u32),
// tokens, each filled up to 8 bytes. Behind the chunks the summary, and the footer: where the
// summary begins (u64), `footer_mark` (u32), and the checksum of all before it (u32).
constexpr std::uint64_t alignment = 8;
constexpr std::size_t footer_size = 16;
constexpr std::uint32_t footer_mark = 0x54524150;  // PART

std::uint64_t padding_of(std::uint64_t size) {
  return round_up(size, alignment) - size;
}

}  // namespace

part_writer::part_writer(const std::string& path)
    : file_(posix_file_system().open_to_append(path)) {
  file_->truncate(0);
}

void part_writer::write(std::span<const byte_span> pieces) {
  for (const byte_span piece : pieces) checksum_ = crc32c(piece, checksum_);
  file_->append(pieces);
}

void part_writer::put(std::uint32_t target, const part_chunk& chunk) {
  std::vector<std::byte> head;
  byte_writer out(head);
  out.put(target);
  out.put(static_cast<std::uint32_t>(chunk.lengths.size()));
  out.put(chunk.text_bytes);
  out.put(std::uint64_t{chunk.tokens.size()});
  out.put_bytes(std::as_bytes(std::span(chunk.lengths)));
  out.put_zeros(padding_of(head.size()));
  const std::vector<std::byte> zeros(padding_of(chunk.tokens.size()));
  const std::array<byte_span, 3> pieces{head, chunk.tokens, zeros};
  write(pieces);
}

void part_writer::finish(const part_summary& summary) {
  const std::uint64_t begin = file_->size();
  std::vector<std::byte> bytes;
  byte_writer out(bytes);
  for (const auto number :
       {summary.counts.lines, summary.counts.documents, summary.counts.empty, summary.counts.bad,
        summary.counts.text_bytes, std::uint64_t{summary.bad_lines.size()}}) {
    out.put(number);
  }
  for (const auto& bad : summary.bad_lines) {
    out.put(bad.line);
    out.put_text(bad.reason);
  }
  out.put(begin);
  out.put(footer_mark);
  out.put(crc32c(bytes, checksum_));
  const byte_span all = bytes;
  write({&all, 1});
}

bool is_whole_part(const std::string& path) {
  if (!std::filesystem::exists(path)) return false;
  const mapped_file file(path);
  const byte_span all = file.bytes();
  if (all.size() < footer_size) return false;
  byte_reader footer(all.last(8));
  file.read_in_order();
  return footer.take<std::uint32_t>() == footer_mark &&
         footer.take<std::uint32_t>() == crc32c(all.first(all.size() - 4));
}

part_reader::part_reader(const std::string& path) : file_(path) {
  const byte_span all = file_.bytes();
  try {
    if (all.size() < footer_size) throw malformed_bytes("it is too short");
    const auto end = byte_reader(all.last(footer_size)).take<std::uint64_t>();
    byte_reader in(all.first(all.size() - footer_size));
    byte_reader chunks(in.take_bytes(end));
    byte_reader& summary = in;
    auto& counts = summary_.counts;
    for (auto* number :
         {&counts.lines, &counts.documents, &counts.empty, &counts.bad, &counts.text_bytes}) {
      *number = summary.take<std::uint64_t>();
    }
    for (auto left = summary.take<std::uint64_t>(); left > 0; --left) {
      const auto line = summary.take<std::uint64_t>();
      summary_.bad_lines.push_back({line, summary.take_text()});
    }
    summary.finish();
    for (std::uint64_t offset = 0; offset < end;) {
      chunk next;
      next.target = chunks.take<std::uint32_t>();
      const std::uint64_t documents = chunks.take<std::uint32_t>();
      next.text_bytes = chunks.take<std::uint64_t>();
      const auto bytes = chunks.take<std::uint64_t>();
      const auto lengths = chunks.take_bytes(documents * 4);
      chunks.take_zeros(round_up(lengths.size(), alignment) - lengths.size());
      next.lengths = {reinterpret_cast<const std::uint32_t*>(lengths.data()), documents};
      next.tokens = chunks.take_bytes(bytes);
      chunks.take_zeros(round_up(bytes, alignment) - bytes);
      offset += 24 + round_up(lengths.size(), alignment) + round_up(bytes, alignment);
      chunks_.push_back(next);
    }
  } catch (const malformed_bytes& error) {
    throw run_error(fmt::format("cannot use {}: {}; remove it and go on", path, error.what()));
  }
}

}  // namespace rubato
