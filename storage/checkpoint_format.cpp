#include "storage/checkpoint_format.hpp"

#include <algorithm>

namespace rubato {

namespace {

constexpr std::uint32_t footer_mark = 0x2e444e45;  // "END."

}  // namespace

std::vector<std::byte> encode_manifest(const std::vector<checkpoint_section>& sections) {
  std::vector<std::byte> bytes;
  byte_writer out(bytes);
  out.put<std::uint64_t>(sections.size());
  for (const checkpoint_section& section : sections) {
    out.put(section.offset);
    out.put(section.size);
    out.put(section.checksum);
    out.put_text(section.name);
  }
  return bytes;
}

std::vector<checkpoint_section> decode_manifest(byte_span bytes) {
  byte_reader in(bytes);
  std::vector<checkpoint_section> sections;
  // Memory grows with what is there, not with the number that it claims.
  for (auto left = in.take<std::uint64_t>(); left > 0; --left) {
    checkpoint_section section;
    section.offset = in.take<std::uint64_t>();
    section.size = in.take<std::uint64_t>();
    section.checksum = in.take<std::uint32_t>();
    section.name = in.take_text();
    sections.push_back(std::move(section));
  }
  in.finish();
  return sections;
}

std::array<std::byte, checkpoint_footer::size> encode(const checkpoint_footer& footer) {
  std::vector<std::byte> bytes;
  byte_writer out(bytes);
  out.put(footer.manifest_offset);
  out.put(footer.manifest_size);
  out.put(footer.manifest_checksum);
  out.put_zeros(4);
  out.put(footer_mark);
  seal(bytes);
  std::array<std::byte, checkpoint_footer::size> result{};
  std::copy_n(bytes.begin(), result.size(), result.begin());
  return result;
}

std::optional<checkpoint_footer> decode_footer(
    std::span<const std::byte, checkpoint_footer::size> bytes) {
  if (!seal_holds(bytes)) return std::nullopt;
  byte_reader in(bytes);
  checkpoint_footer footer;
  footer.manifest_offset = in.take<std::uint64_t>();
  footer.manifest_size = in.take<std::uint64_t>();
  footer.manifest_checksum = in.take<std::uint32_t>();
  if (in.take<std::uint32_t>() != 0 || in.take<std::uint32_t>() != footer_mark) return std::nullopt;
  return footer;
}

}  // namespace rubato
