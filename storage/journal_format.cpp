#include "storage/journal_format.hpp"

#include <algorithm>
#include <vector>

namespace rubato {

std::array<std::byte, record_header::size> encode(const record_header& header) {
  std::vector<std::byte> bytes;
  byte_writer out(bytes);
  out.put(header.length);
  out.put(header.number);
  out.put(header.durable_before);
  out.put(static_cast<std::uint32_t>(header.type));
  seal(bytes);
  std::array<std::byte, record_header::size> result{};
  std::copy_n(bytes.begin(), result.size(), result.begin());
  return result;
}

std::optional<record_header> decode_record_header(
    std::span<const std::byte, record_header::size> bytes) {
  if (!seal_holds(bytes)) return std::nullopt;
  byte_reader in(bytes);
  record_header header;
  header.length = in.take<std::uint64_t>();
  header.number = in.take<std::uint64_t>();
  header.durable_before = in.take<std::uint64_t>();
  header.type = static_cast<record_type>(in.take<std::uint32_t>());
  return header;
}

}  // namespace rubato
