#include "storage/file_header.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "bytes/crc32c.hpp"

namespace rubato {

namespace {

file_header decode(const file_format& format, byte_span bytes) {
  byte_reader in(bytes);
  const byte_span magic = in.take_bytes(format.magic.size());
  if (!std::equal(magic.begin(), magic.end(), as_bytes(format.magic).begin())) {
    throw malformed_bytes(fmt::format("it does not begin as {} does", format.name));
  }
  // Before the version: a damaged one must not pass for one of the future.
  if (!seal_holds(bytes)) throw malformed_bytes("the checksum of its header is wrong");
  const auto version = in.take<std::uint32_t>();
  if (version != format.version) {
    throw malformed_bytes(fmt::format("it has version {} of the format; this program reads {}",
                                      version, format.version));
  }
  in.take_zeros(4);
  file_header header;
  const byte_span id = in.take_bytes(header.run.id.size());
  std::copy(id.begin(), id.end(), header.run.id.begin());
  header.run.created = std::chrono::nanoseconds(in.take<std::int64_t>());
  header.number = in.take<std::uint64_t>();
  header.record = in.take<std::uint64_t>();
  in.take_zeros(4);
  return header;
}

}  // namespace

std::array<std::byte, file_header::size> encode(const file_format& format,
                                                const file_header& header) {
  std::vector<std::byte> bytes;
  byte_writer out(bytes);
  out.put_bytes(as_bytes(format.magic));
  out.put(format.version);
  out.put_zeros(4);
  out.put_bytes(header.run.id);
  out.put<std::int64_t>(header.run.created.count());
  out.put(header.number);
  out.put(header.record);
  out.put_zeros(4);
  seal(bytes);
  std::array<std::byte, file_header::size> result{};
  std::copy_n(bytes.begin(), result.size(), result.begin());
  return result;
}

file_header read_file_header(const file_format& format, readable_file& file,
                             std::string_view path) {
  if (file.size() < file_header::size) fail_at(path, file.size(), "it ends within its header");
  std::array<std::byte, file_header::size> bytes{};
  file.read(0, bytes);
  try {
    return decode(format, bytes);
  } catch (const malformed_bytes& error) {
    fail_at(path, 0, error.what());
  }
}

void fail_at(std::string_view path, std::uint64_t offset, std::string_view reason) {
  throw file_error("read", path, fmt::format("at byte {}: {}", offset, reason));
}

void seal(std::vector<std::byte>& header) {
  const std::uint32_t checksum = crc32c(header);
  byte_writer(header).put(checksum);
}

bool seal_holds(byte_span header) {
  const byte_span content = header.first(header.size() - sizeof(std::uint32_t));
  return byte_reader(header.subspan(content.size())).take<std::uint32_t>() == crc32c(content);
}

}  // namespace rubato
