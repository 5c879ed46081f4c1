#include "storage/journal_reader.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "bytes/crc32c.hpp"
#include "storage/file_io.hpp"
#include "storage/journal_format.hpp"

namespace rubato {

namespace {

// Small enough for what was read to be in the cache when its checksum is computed.
constexpr std::size_t slice_size = 256 << 10;
// Small records come from the disk many at a time.
constexpr std::size_t window_size = 64 << 10;

}  // namespace

bool has_journal(file_system& files, const std::string& folder) {
  return !list_numbered(files, folder, segment_suffix).empty();
}

// -- one segment --------------------------------------------------------------------------------

class journal_reader::segment {
 public:
  segment(file_system& files, std::string path)
      : path_(std::move(path)),
        file_(files.open_to_read(path_)),
        header_(read_file_header(segment_format, *file_, path_)) {}

  const std::string& path() const { return path_; }
  const file_header& header() const { return header_; }
  std::uint64_t size() const { return file_->size(); }

  /// Bytes within the file's size.
  void read(std::uint64_t offset, std::span<std::byte> into) {
    if (into.size() > window_size) {
      file_->read(offset, into);
      return;
    }
    if (offset < window_start_ || offset + into.size() > window_start_ + window_.size()) {
      window_.resize(std::min<std::uint64_t>(window_size, size() - offset));
      window_start_ = offset;
      file_->read(offset, window_);
    }
    std::copy_n(window_.begin() + static_cast<std::ptrdiff_t>(offset - window_start_), into.size(),
                into.begin());
  }

  [[noreturn]] void fail(std::uint64_t offset, std::string_view reason) const {
    fail_at(path_, offset, reason);
  }

 private:
  std::string path_;
  std::unique_ptr<readable_file> file_;
  file_header header_;
  std::vector<std::byte> window_;
  std::uint64_t window_start_ = 0;
};

// -- the journal --------------------------------------------------------------------------------

journal_reader::journal_reader(file_system& files, std::string folder,
                               std::optional<std::uint64_t> from)
    : files_(files),
      folder_(std::move(folder)),
      segments_(list_numbered(files, folder_, segment_suffix)) {
  if (segments_.empty()) throw file_error("read", folder_, "there is no journal in it");
  for (std::size_t i = 1; i < segments_.size(); ++i) {
    if (segments_[i] != segments_[i - 1] + 1) {
      throw file_error("read", numbered_path(folder_, segments_[i - 1] + 1, segment_suffix),
                       "it is missing between other segments of the journal");
    }
  }
  current_ = from ? segments_.size() - 1 : 0;
  open(current_);
  while (from && segment_->header().record > *from && current_ > 0) open(--current_);
  end_.run = segment_->header().run;
  end_.next_record = first_record_ = segment_->header().record;
  from_ = from.value_or(first_record_);
  if (from_ < first_record_) {
    throw file_error("read", folder_,
                     fmt::format("the journal begins with record {}, but record {} is needed",
                                 first_record_, from_));
  }
  first_record_ = from_;
}

journal_reader::~journal_reader() = default;

std::optional<journal_entry> journal_reader::next(const update_room& room) {
  while (!ended_) {
    if (offset_ < segment_->size()) {
      if (auto entry = read_record(room)) return entry;
    } else if (current_ + 1 < segments_.size()) {
      open_next();
    } else {
      finish();
    }
  }
  return std::nullopt;
}

const journal_end& journal_reader::end() const {
  if (!ended_) throw std::logic_error("journal_reader: the end has not been reached");
  return end_;
}

journal_end journal_reader::end_before_last() const {
  return {end_.run, segment_->header().number, last_offset_, end_.next_record - 1, std::nullopt};
}

void journal_reader::open(std::size_t index) {
  segment_ =
      std::make_unique<segment>(files_, numbered_path(folder_, segments_[index], segment_suffix));
  offset_ = file_header::size;
  if (segment_->header().number != segments_[index]) {
    segment_->fail(0, fmt::format("it is segment {} by its header", segment_->header().number));
  }
}

void journal_reader::open_next() {
  open(++current_);
  if (segment_->header().run != end_.run) {
    segment_->fail(0, fmt::format("it belongs to the run {}, those before it to {}",
                                  to_string(segment_->header().run), to_string(end_.run)));
  }
  if (segment_->header().record != end_.next_record) {
    segment_->fail(0, fmt::format("it begins with record {}, but the one before it ends at {}",
                                  segment_->header().record, end_.next_record));
  }
}

/// Nothing if the record is before the first that is wanted, or is where the journal ends.
std::optional<journal_entry> journal_reader::read_record(const update_room& room) {
  const std::uint64_t number = end_.next_record;
  const std::uint64_t left = segment_->size() - offset_;
  std::array<std::byte, record_header::size> header_bytes{};
  if (left < header_bytes.size()) {
    stop(segment_->size(), fmt::format("the header of record {} is cut short", number));
    return std::nullopt;
  }
  segment_->read(offset_, header_bytes);
  const std::optional<record_header> header = decode_record_header(header_bytes);
  if (!header) {
    stop(offset_ + record_alignment,
         fmt::format("the checksum of the header of record {} is wrong", number));
    return std::nullopt;
  }
  if (header->number != number || header->durable_before > number ||
      header->length > largest_content) {
    segment_->fail(offset_, fmt::format("record {} has a header that cannot be", number));
  }
  const std::uint64_t size = record_size(header->length);
  if (size > left) {
    stop(segment_->size(), fmt::format("record {} is cut short", number));
    return std::nullopt;
  }
  std::optional<journal_entry> entry;
  if (number >= from_) {
    std::uint64_t length = header->length;
    std::span<std::byte> update;
    if (room && header->type == record_type::settle && length > settle_fields_size()) {
      update = room(length - settle_fields_size());
      length -= update.size();
    }
    const auto rest = content(length);
    if (!read_checked(header_bytes, rest, update)) {
      stop(offset_ + size, fmt::format("the checksum of record {} is wrong", number));
      return std::nullopt;
    }
    try {
      entry = {number, decode(header->type, rest)};
      if (!update.empty()) std::get<settle_record>(entry->content).update = update;
    } catch (const malformed_bytes& error) {
      segment_->fail(offset_, fmt::format("record {}: {}", number, error.what()));
    }
  }
  last_offset_ = std::exchange(offset_, offset_ + size);
  ++end_.next_record;
  return entry;
}

/// Memory of the reader's own, until the next record.
std::span<std::byte> journal_reader::content(std::uint64_t length) {
  if (length > capacity_) {
    content_.reset();  // first, so that the two are never there at once
    capacity_ = 0;
    content_ = std::make_unique_for_overwrite<std::byte[]>(length);
    capacity_ = length;
  }
  return {content_.get(), length};
}

/// A record's content, of which the last part may go elsewhere; false if the checksum or the zeros
/// before it are wrong.
bool journal_reader::read_checked(byte_span header, std::span<std::byte> content,
                                  std::span<std::byte> update) {
  std::uint64_t place = offset_ + header.size();
  std::uint32_t checksum = crc32c(header);
  for (auto rest : {content, update}) {
    while (!rest.empty()) {
      const auto slice = rest.first(std::min(rest.size(), slice_size));
      segment_->read(place, slice);
      checksum = crc32c(slice, checksum);
      place += slice.size();
      rest = rest.subspan(slice.size());
    }
  }
  const std::uint64_t length = content.size() + update.size();
  std::array<std::byte, record_alignment + sizeof(std::uint32_t)> bytes{};
  const std::span<std::byte> tail = std::span(bytes).first(record_tail_size(length));
  segment_->read(place, tail);
  const byte_span zeros = tail.first(tail.size() - sizeof(std::uint32_t));
  byte_reader in(tail);
  in.take_bytes(zeros.size());  // the checksum covers them
  return in.take<std::uint32_t>() == crc32c(zeros, checksum);
}

/// The next record cannot be read: the journal ends before it, unless it was durable.
void journal_reader::stop(std::uint64_t search_from, const std::string& reason) {
  if (current_ + 1 < segments_.size()) {
    segment_->fail(offset_, fmt::format("{}, and another segment follows", reason));
  }
  if (end_.next_record < from_) {
    segment_->fail(offset_, fmt::format("{}, but a checkpoint was taken after it", reason));
  }
  std::array<std::byte, record_header::size> bytes{};
  for (std::uint64_t place = search_from; place + bytes.size() <= segment_->size();
       place += record_alignment) {
    segment_->read(place, bytes);
    const auto later = decode_record_header(bytes);
    // In gigabytes of numbers a checksum fits by chance; it takes more to be a record of this
    // place.
    if (later && later->durable_before > end_.next_record &&
        later->durable_before <= later->number &&
        later->number - end_.next_record < segment_->size()) {
      segment_->fail(offset_, fmt::format("{}, but record {} at byte {} was written after it was "
                                          "durable",
                                          reason, later->number, place));
    }
  }
  end_.torn = torn_tail{segment_->path(), offset_, segment_->size() - offset_, reason};
  finish();
}

void journal_reader::finish() {
  if (end_.next_record < from_) {
    throw file_error("read", folder_,
                     fmt::format("the journal ends before record {}, but a checkpoint was taken "
                                 "after record {}",
                                 end_.next_record, from_ - 1));
  }
  end_.segment = segment_->header().number;
  end_.segment_size = offset_;
  ended_ = true;
}

}  // namespace rubato
