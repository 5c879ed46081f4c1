#include "storage/journal_writer.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "bytes/crc32c.hpp"
#include "storage/file_io.hpp"
#include "storage/journal_format.hpp"

namespace rubato {

namespace {

// What goes to the system in one call; still in the cache after its checksum was computed.
constexpr std::size_t slice_size = 256 << 10;

/// Gathers pieces of memory and writes many with one call. They must stay until flush().
class gathering {
 public:
  explicit gathering(writable_file& file) : file_(file) {}

  /// Returns the checksum of what `before` stands for and `bytes`.
  std::uint32_t add(byte_span bytes, std::uint32_t before) {
    while (!bytes.empty()) {
      const byte_span slice = bytes.first(std::min(bytes.size(), slice_size - gathered_));
      before = crc32c(slice, before);
      pieces_.push_back(slice);
      gathered_ += slice.size();
      if (gathered_ == slice_size) flush();
      bytes = bytes.subspan(slice.size());
    }
    return before;
  }

  void flush() {
    file_.append(pieces_);
    pieces_.clear();
    gathered_ = 0;
  }

 private:
  writable_file& file_;
  std::vector<byte_span> pieces_;
  std::size_t gathered_ = 0;
};

}  // namespace

journal_writer::journal_writer(file_system& files, std::string folder, const run_identity& run,
                               journal_options options)
    : files_(files),
      folder_(std::move(folder)),
      run_(run),
      options_(options),
      next_record_(options.first_record),
      durable_before_(options.first_record) {
  files_.create_folder(folder_);
  if (has_journal(files_, folder_)) {
    throw file_error("begin a journal in", folder_, "there is one already");
  }
  remove_leftovers(files_, folder_);
  begin_segment();
}

journal_writer::journal_writer(file_system& files, std::string folder, const journal_end& end,
                               journal_options options)
    : files_(files),
      folder_(std::move(folder)),
      run_(end.run),
      options_(options),
      segment_(end.segment),
      file_(files_.open_to_append(numbered_path(folder_, segment_, segment_suffix))),
      next_record_(end.next_record),
      durable_before_(end.next_record) {
  remove_leftovers(files_, folder_);
  if (file_->size() > end.segment_size) file_->truncate(end.segment_size);
  file_->sync();
  files_.sync_folder(folder_);
}

std::uint64_t journal_writer::append(const journal_record& record) {
  require_usable();
  const std::size_t start = framing_.size();
  framing_.resize(start + record_header::size);
  const byte_span update = encode(record, framing_);
  const std::size_t head_size = framing_.size() - start;
  const std::uint64_t length = head_size - record_header::size + update.size();
  if (length > largest_content) {
    framing_.resize(start);
    throw std::length_error("journal_writer: a record of more than 1 TiB");
  }
  const auto header = encode(record_header{length, next_record_, durable_before_, type_of(record)});
  std::copy(header.begin(), header.end(), framing_.begin() + static_cast<std::ptrdiff_t>(start));
  const std::size_t tail_size = record_tail_size(length);
  framing_.resize(framing_.size() + tail_size);  // its checksum is known when it is written
  group_.push_back({start, head_size, tail_size, update});
  return next_record_++;
}

void journal_writer::commit() {
  require_usable();
  if (group_.empty()) return;
  usable_ = false;  // until all of it went well
  if (file_->size() >= options_.segment_bytes) begin_segment();
  write_group();
  file_->sync();
  usable_ = true;
  durable_before_ = next_record_;
  group_.clear();
  framing_.clear();
}

void journal_writer::write_group() {
  gathering out(*file_);
  for (const pending_record& record : group_) {
    const std::span<std::byte> head = std::span(framing_).subspan(record.start, record.head_size);
    const std::span<std::byte> tail =
        std::span(framing_).subspan(record.start + record.head_size, record.tail_size);
    std::uint32_t checksum = out.add(head, 0);
    checksum = out.add(record.update, checksum);
    const std::span<std::byte> zeros = tail.first(tail.size() - sizeof(checksum));
    checksum = crc32c(zeros, checksum);
    std::memcpy(tail.data() + zeros.size(), &checksum, sizeof(checksum));
    out.add(tail, 0);
  }
  out.flush();
}

/// As a whole, so that a segment always has its header; before anything is written to it, so that
/// what it holds can be relied on to be found.
void journal_writer::begin_segment() {
  const std::uint64_t number = file_ ? segment_ + 1 : 0;
  const std::string path = numbered_path(folder_, number, segment_suffix);
  atomic_file file(path, files_);
  file.write(encode(segment_format, file_header{run_, number, durable_before_}));
  file.commit();
  file_ = files_.open_to_append(path);
  segment_ = number;
}

void journal_writer::drop_before(std::uint64_t record) {
  const std::vector<std::uint64_t> segments = list_numbered(files_, folder_, segment_suffix);
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    const std::string next = numbered_path(folder_, segments[i + 1], segment_suffix);
    const auto file = files_.open_to_read(next);
    if (read_file_header(segment_format, *file, next).record > record) return;
    files_.remove(numbered_path(folder_, segments[i], segment_suffix));
    // One after the other, so that a power cut leaves no gap.
    files_.sync_folder(folder_);
  }
}

void journal_writer::require_usable() const {
  if (!usable_) throw std::logic_error("journal_writer: used after commit() has failed");
}

}  // namespace rubato
