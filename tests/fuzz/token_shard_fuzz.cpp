// Gives any bytes to the reader of token shards. As a search does not find checksums, they are also
// mended.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "bytes/crc32c.hpp"
#include "config/error.hpp"
#include "data/tokens/token_shard.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace rubato;

namespace {

void put(std::vector<std::byte>& file, std::size_t offset, std::uint32_t value) {
  std::memcpy(file.data() + offset, &value, sizeof value);
}

/// With the checksums that its content should have, as far as they have a place.
std::vector<std::byte> mended(std::vector<std::byte> file) {
  if (file.size() < shard_header::size) return file;
  put(file, shard_header::size - 4, crc32c(byte_span(file).first(shard_header::size - 4)));
  try {
    const auto header = decode_shard_header(file);
    const auto body = byte_span(file).subspan(shard_header::size, header.body_size());
    const auto table = shard_header::size + body.size();
    for (std::uint64_t i = 0; i < header.blocks(); ++i) {
      const auto block = body.subspan(i * shard_header::block);
      put(file, table + i * 4,
          crc32c(block.first(std::min<std::size_t>(block.size(), shard_header::block))));
    }
    put(file, file.size() - 4, crc32c(byte_span(file).subspan(table, header.blocks() * 4)));
  } catch (const malformed_bytes&) {
    // It will be refused.
  }
  return file;
}

void read(byte_span bytes) {
  static const int file = ::memfd_create("shard", 0);
  require(file >= 0 && ::ftruncate(file, 0) == 0 &&
              ::pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
          "the input can be written to memory");
  try {
    const token_shard shard("/proc/self/fd/" + std::to_string(file));
    require(shard.header().file_size() == bytes.size(), "the sizes are those of the file");
    shard.verify();
    std::uint64_t tokens = 0;
    for (std::uint64_t i = 0; i < shard.documents(); ++i) {
      const auto [first, count] = shard.document(i);
      require(first == tokens, "documents lie one behind the other");
      tokens += count;
    }
    require(tokens == shard.tokens(), "every token is of a document");
  } catch (const usage_error&) {
    // Damage, told as it should be.
  } catch (const run_error&) {
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* start = reinterpret_cast<const std::byte*>(data);
  read({start, size});
  read(mended({start, start + size}));
  return 0;
}
