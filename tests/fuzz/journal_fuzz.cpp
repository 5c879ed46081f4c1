// Gives any bytes to the reader of the journal. An input is a byte that chooses, then a segment:
// with an odd byte the segment's checksums are mended first, so that the fuzzer gets past them.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "bytes/crc32c.hpp"
#include "storage/file_io.hpp"
#include "storage/journal_format.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_writer.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/storage/memory_file_system.hpp"

using namespace rubato;

namespace {

template <class T>
T number_at(const std::string& bytes, std::size_t place) {
  T number;
  std::memcpy(&number, bytes.data() + place, sizeof(number));
  return number;
}

/// Puts the checksum of [begin, end) at `end`.
void mend_checksum(std::string& bytes, std::size_t begin, std::size_t end) {
  const std::uint32_t sum = crc32c(as_bytes(bytes).subspan(begin, end - begin));
  std::memcpy(bytes.data() + end, &sum, sizeof(sum));
}

void mend(std::string& bytes) {
  if (bytes.size() < file_header::size) return;
  mend_checksum(bytes, 0, file_header::size - 4);
  for (std::size_t place = file_header::size; place + record_header::size <= bytes.size();) {
    mend_checksum(bytes, place, place + record_header::size - 4);
    const auto length = number_at<std::uint64_t>(bytes, place);
    if (length > bytes.size() || record_size(length) > bytes.size() - place) return;
    const std::size_t end = place + record_size(length);
    mend_checksum(bytes, place, end - 4);
    place = end;
  }
}

struct result {
  std::vector<std::string> records;
  journal_end end;
};

result read_all(file_system& files) {
  journal_reader reader(files, "journal");
  result all;
  while (const auto entry = reader.next()) {
    std::vector<std::byte> bytes;
    const byte_span update = encode(entry->content, bytes);
    bytes.insert(bytes.end(), update.begin(), update.end());
    all.records.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  all.end = reader.end();
  return all;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string segment(data + 1, data + size);
  if (data[0] % 2 == 1) mend(segment);
  // The number in the header is the one that the file must have.
  const std::uint64_t number = segment.size() >= 48 ? number_at<std::uint64_t>(segment, 40) : 0;
  memory_file_system files;
  files.set_content(numbered_path("journal", number, segment_suffix), segment);
  try {
    const result before = read_all(files);
    require(
        before.end.segment_size + (before.end.torn ? before.end.torn->bytes : 0) == segment.size(),
        "every byte was read or cut off");
    journal_writer writer(files, "journal", before.end);
    writer.append(fence_record{1, 2, {}});
    writer.commit();
    const result after = read_all(files);
    require(!after.end.torn, "a torn tail is cut off when the journal is gone on with");
    require(after.records.size() == before.records.size() + 1 &&
                std::equal(before.records.begin(), before.records.end(), after.records.begin()),
            "what was read stays, and what is written behind it is read");
  } catch (const file_error&) {
    // Damage, told as it should be.
  }
  return 0;
}
