#include "corpus/part_file.hpp"

#include <fmt/format.h>

#include "config/error.hpp"

namespace rubato {
namespace {

// A chunk: target and number of documents (u32), bytes of text and of tokens (u64), lengths (u32),
// tokens, each filled up to 8 bytes. The last 8 bytes of the file say where the summary begins.
constexpr std::uint64_t alignment = 8;

void fill_up(std::vector<std::byte>& bytes, std::uint64_t size) {
  byte_writer(bytes).put_zeros(round_up(size, alignment) - size);
}

}  // namespace

void part_writer::put(std::uint32_t target, const part_chunk& chunk) {
  std::vector<std::byte> head;
  byte_writer out(head);
  out.put(target);
  out.put(static_cast<std::uint32_t>(chunk.lengths.size()));
  out.put(chunk.text_bytes);
  out.put(std::uint64_t{chunk.tokens.size()});
  out.put_bytes(std::as_bytes(std::span(chunk.lengths)));
  fill_up(head, head.size());
  file_.write(head);
  file_.write(byte_span(chunk.tokens));
  std::vector<std::byte> rest;
  fill_up(rest, chunk.tokens.size());
  if (!rest.empty()) file_.write(byte_span(rest));
  size_ += head.size() + chunk.tokens.size() + rest.size();
}

void part_writer::finish(const part_summary& summary) {
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
  out.put(size_);
  file_.write(byte_span(bytes));
  file_.commit();
}

part_reader::part_reader(const std::string& path) : file_(path) {
  const byte_span all = file_.bytes();
  try {
    if (all.size() < alignment) throw malformed_bytes("it is too short");
    const auto end = byte_reader(all.last(alignment)).take<std::uint64_t>();
    byte_reader in(all.first(all.size() - alignment));
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
    throw usage_error(fmt::format("cannot use {}: {}; remove it and go on", path, error.what()));
  }
}

}  // namespace rubato
