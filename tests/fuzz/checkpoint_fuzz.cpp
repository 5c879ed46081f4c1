// Gives any bytes to the reader of checkpoints. An input is a byte that chooses, then a checkpoint:
// with an odd byte the checksums of its frame are mended first, so that the fuzzer gets past them.
#include <cstring>
#include <string>
#include <vector>

#include "bytes/crc32c.hpp"
#include "storage/checkpoint_reader.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/storage/memory_file_system.hpp"

using namespace rubato;

namespace {

/// Puts the checksum of [begin, end) at `place`.
void mend_checksum(std::string& bytes, std::size_t begin, std::size_t end, std::size_t place) {
  const std::uint32_t sum = crc32c(as_bytes(bytes).subspan(begin, end - begin));
  std::memcpy(bytes.data() + place, &sum, sizeof(sum));
}

void mend(std::string& bytes) {
  if (bytes.size() < file_header::size + checkpoint_footer::size) return;
  mend_checksum(bytes, 0, file_header::size - 4, file_header::size - 4);
  const std::size_t footer = bytes.size() - checkpoint_footer::size;
  std::uint64_t manifest = 0;
  std::memcpy(&manifest, bytes.data() + footer, sizeof(manifest));
  if (manifest <= footer) mend_checksum(bytes, manifest, footer, footer + 16);
  mend_checksum(bytes, footer, bytes.size() - 4, bytes.size() - 4);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string content(data + 1, data + size);
  if (data[0] % 2 == 1) mend(content);
  memory_file_system files;
  files.set_content("checkpoint", content);
  try {
    checkpoint_reader reader(files, "checkpoint");
    std::uint64_t total = 0;
    for (const checkpoint_section& section : reader.sections()) {
      require(reader.find(section.name) == &section, "names are unique");
      total += section.size;
    }
    require(total <= content.size(), "sections lie within the file and do not overlap");
    reader.verify();
    for (const checkpoint_section& section : reader.sections()) {
      require(crc32c(reader.read(section.name)) == section.checksum, "what is given out is whole");
    }
  } catch (const file_error&) {
    // Damage, told as it should be.
  }
  return 0;
}
