#include "storage/checkpoint_reader.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "bytes/crc32c.hpp"
#include "storage/file_io.hpp"

namespace rubato {

namespace {

// Small enough for what was read to be in the cache when its checksum is computed.
constexpr std::size_t slice_size = 256 << 10;

}  // namespace

checkpoint_reader::checkpoint_reader(file_system& files, std::string path)
    : path_(std::move(path)),
      file_(files.open_to_read(path_)),
      header_(read_file_header(checkpoint_format, *file_, path_)) {
  read_frame();
}

const checkpoint_section* checkpoint_reader::find(std::string_view name) const {
  const auto found = std::find_if(sections_.begin(), sections_.end(),
                                  [name](const auto& section) { return section.name == name; });
  return found == sections_.end() ? nullptr : &*found;
}

void checkpoint_reader::read(std::string_view name, std::span<std::byte> into) {
  const checkpoint_section& section = get(name);
  if (section.size != into.size()) {
    throw file_error("read", path_,
                     fmt::format("its section \"{}\" has {} bytes instead of {}", name,
                                 section.size, into.size()));
  }
  check(section,
        [into](std::uint64_t place, std::size_t size) { return into.subspan(place, size); });
}

std::vector<std::byte> checkpoint_reader::read(std::string_view name) {
  std::vector<std::byte> bytes(get(name).size);
  read(name, bytes);
  return bytes;
}

void checkpoint_reader::verify() {
  std::vector<std::byte> slice(slice_size);
  for (const checkpoint_section& section : sections_) {
    check(section,
          [&slice](std::uint64_t, std::size_t size) { return std::span(slice).first(size); });
  }
}

const checkpoint_section& checkpoint_reader::get(std::string_view name) const {
  const checkpoint_section* section = find(name);
  if (section == nullptr) {
    throw file_error("read", path_, fmt::format("it has no section \"{}\"", name));
  }
  return *section;
}

/// Manifest and footer, and that header, sections and these leave no byte of the file out.
void checkpoint_reader::read_frame() {
  const std::uint64_t size = file_->size();
  std::array<std::byte, checkpoint_footer::size> footer_bytes{};
  if (size < file_header::size + footer_bytes.size()) fail_at(path_, size, "it is cut short");
  const std::uint64_t footer_place = size - footer_bytes.size();
  file_->read(footer_place, footer_bytes);
  const auto footer = decode_footer(footer_bytes);
  if (!footer) fail_at(path_, footer_place, "it does not end as a checkpoint does");
  const std::uint64_t manifest_place = footer->manifest_offset;
  if (manifest_place < file_header::size || manifest_place > footer_place ||
      footer->manifest_size != footer_place - manifest_place) {
    fail_at(path_, footer_place, "its footer does not fit its size");
  }
  std::vector<std::byte> manifest(footer->manifest_size);
  file_->read(manifest_place, manifest);
  if (crc32c(manifest) != footer->manifest_checksum) {
    fail_at(path_, manifest_place, "the checksum of its manifest is wrong");
  }
  try {
    sections_ = decode_manifest(manifest);
  } catch (const malformed_bytes& error) {
    fail_at(path_, manifest_place, fmt::format("its manifest: {}", error.what()));
  }
  std::set<std::string_view> names;
  std::uint64_t end = file_header::size;
  for (const checkpoint_section& section : sections_) {
    if (section.offset != round_up(end, section_alignment) || section.offset > manifest_place ||
        section.size > manifest_place - section.offset || !names.insert(section.name).second) {
      fail_at(
          path_, manifest_place,
          fmt::format("its manifest places the section \"{}\" where it cannot be", section.name));
    }
    check_zeros(end, section.offset);
    end = section.offset + section.size;
  }
  if (manifest_place != round_up(end, section_alignment)) {
    fail_at(path_, end, "bytes follow that belong to no section");
  }
  check_zeros(end, manifest_place);
}

/// Fewer bytes than section_alignment.
void checkpoint_reader::check_zeros(std::uint64_t begin, std::uint64_t end) {
  std::array<std::byte, section_alignment> bytes{};
  const std::span<std::byte> padding = std::span(bytes).first(end - begin);
  file_->read(begin, padding);
  if (std::any_of(padding.begin(), padding.end(), [](std::byte b) { return b != std::byte{0}; })) {
    fail_at(path_, begin, "bytes between two sections are not zero");
  }
}

/// Reads a section into the memory that `room` gives for each slice: its place and size.
template <class Room>
void checkpoint_reader::check(const checkpoint_section& section, Room&& room) {
  std::uint32_t checksum = 0;
  for (std::uint64_t place = 0; place < section.size;) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(slice_size, section.size - place));
    const std::span<std::byte> slice = room(place, size);
    file_->read(section.offset + place, slice);
    checksum = crc32c(slice, checksum);
    place += size;
  }
  if (checksum != section.checksum) {
    fail_at(path_, section.offset,
            fmt::format("the checksum of its section \"{}\" is wrong", section.name));
  }
}

// -- a folder of them ---------------------------------------------------------------------------

std::vector<std::uint64_t> list_checkpoints(file_system& files, const std::string& folder) {
  return list_numbered(files, folder, checkpoint_suffix);
}

std::string checkpoint_path(const std::string& folder, std::uint64_t number) {
  return numbered_path(folder, number, checkpoint_suffix);
}

restored_checkpoint restore_newest(file_system& files, const std::string& folder,
                                   const std::function<void(checkpoint_reader&)>& load) {
  restored_checkpoint result;
  std::vector<std::uint64_t> numbers = list_checkpoints(files, folder);
  while (!numbers.empty() && !result.header) {
    try {
      checkpoint_reader reader(files, checkpoint_path(folder, numbers.back()));
      if (reader.header().number != numbers.back()) {
        fail_at(reader.path(), 0,
                fmt::format("it is checkpoint {} by its header", reader.header().number));
      }
      load(reader);
      result.header = reader.header();
    } catch (const file_error& error) {
      result.skipped.emplace_back(error.what());
    }
    numbers.pop_back();
  }
  return result;
}

restored_checkpoint newest_valid(file_system& files, const std::string& folder) {
  return restore_newest(files, folder, [](checkpoint_reader& reader) { reader.verify(); });
}

void keep_newest(file_system& files, const std::string& folder, std::size_t keep, bool first_too) {
  std::vector<std::uint64_t> numbers = list_checkpoints(files, folder);
  if (first_too && !numbers.empty()) numbers.erase(numbers.begin());
  const std::size_t excess =
      numbers.size() - std::min(numbers.size(), std::max<std::size_t>(keep, 1));
  for (std::size_t i = 0; i < excess; ++i) files.remove(checkpoint_path(folder, numbers[i]));
  remove_leftovers(files, folder);
  files.sync_folder(folder);
}

}  // namespace rubato
