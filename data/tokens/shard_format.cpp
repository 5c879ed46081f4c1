#include "data/tokens/shard_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bytes/crc32c.hpp"

namespace rubato {

std::array<std::byte, shard_header::size> encode(const shard_header& header) {
  std::vector<std::byte> bytes;
  byte_writer out(bytes);
  out.put_bytes(as_bytes(shard_header::magic));
  out.put(shard_header::version);
  out.put(header.token_width);
  out.put(header.tokens);
  out.put(header.documents);
  out.put(header.text_bytes);
  out.put(header.vocabulary);
  out.put_zeros(shard_header::size - 4 - bytes.size());
  out.put(crc32c(bytes));
  std::array<std::byte, shard_header::size> result{};
  std::copy(bytes.begin(), bytes.end(), result.begin());
  return result;
}

shard_header decode_shard_header(byte_span file) {
  byte_reader in(file.first(std::min<std::size_t>(file.size(), shard_header::size)));
  const byte_span magic = in.take_bytes(shard_header::magic.size());
  if (!std::equal(magic.begin(), magic.end(), as_bytes(shard_header::magic).begin())) {
    throw malformed_bytes("it is not a token shard");
  }
  const auto version = in.take<std::uint32_t>();
  if (version != shard_header::version) {
    throw malformed_bytes(fmt::format("it has version {} of the format; this program reads {}",
                                      version, shard_header::version));
  }
  shard_header header;
  header.token_width = in.take<std::uint32_t>();
  header.tokens = in.take<std::uint64_t>();
  header.documents = in.take<std::uint64_t>();
  header.text_bytes = in.take<std::uint64_t>();
  header.vocabulary = in.take<std::uint32_t>();
  in.take_zeros(16);
  if (in.take<std::uint32_t>() != crc32c(file.first(shard_header::size - 4))) {
    throw malformed_bytes("its header is damaged");
  }
  if (header.vocabulary == 0 || header.vocabulary > std::uint32_t{1} << 31) {
    throw malformed_bytes(fmt::format("there is no vocabulary of {}", header.vocabulary));
  }
  if (header.token_width != token_width_for(header.vocabulary)) {
    throw malformed_bytes(fmt::format("tokens of {} bytes do not go with a vocabulary of {}",
                                      header.token_width, header.vocabulary));
  }
  // Compared this way round, for sums of made-up numbers may overflow.
  if (header.tokens > file.size() || header.documents > file.size() / 8 ||
      header.file_size() != file.size()) {
    throw malformed_bytes(fmt::format("{} tokens in {} documents do not make a file of {} bytes",
                                      header.tokens, header.documents, file.size()));
  }
  return header;
}

}  // namespace rubato
