#include "storage/checkpoint_writer.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <fmt/format.h>

#include "bytes/crc32c.hpp"

namespace rubato {

namespace {

// What goes to the system in one call; still in the cache after its checksum was computed.
constexpr std::size_t slice_size = 256 << 10;

/// The path, in a folder that is there.
std::string prepared_path(file_system& files, const std::string& folder, std::uint64_t number) {
  files.create_folder(folder);
  return numbered_path(folder, number, checkpoint_suffix);
}

}  // namespace

checkpoint_writer::checkpoint_writer(file_system& files, const std::string& folder,
                                     const file_header& header)
    : file_(prepared_path(files, folder, header.number), files) {
  put(encode(checkpoint_format, header));
}

void checkpoint_writer::begin_section(std::string_view name) {
  if (!names_.emplace(name).second) {
    throw std::invalid_argument(fmt::format("checkpoint_writer: a second section \"{}\"", name));
  }
  pad();
  sections_.push_back({std::string(name), position_, 0, 0});
}

void checkpoint_writer::write(byte_span slice) {
  if (sections_.empty()) throw std::logic_error("checkpoint_writer: no section was begun");
  checkpoint_section& section = sections_.back();
  while (!slice.empty()) {
    const byte_span part = slice.first(std::min(slice.size(), slice_size));
    section.checksum = crc32c(part, section.checksum);
    put(part);
    section.size += part.size();
    slice = slice.subspan(part.size());
  }
}

void checkpoint_writer::sync() {
  file_.sync();
}

void checkpoint_writer::commit() {
  pad();
  const std::vector<std::byte> manifest = encode_manifest(sections_);
  const checkpoint_footer footer{position_, manifest.size(), crc32c(manifest)};
  put(manifest);
  put(encode(footer));
  file_.commit();
}

void checkpoint_writer::put(byte_span bytes) {
  file_.write(bytes);
  position_ += bytes.size();
}

void checkpoint_writer::pad() {
  const std::array<std::byte, section_alignment> zeros{};
  put(byte_span(zeros).first(round_up(position_, section_alignment) - position_));
}

}  // namespace rubato
