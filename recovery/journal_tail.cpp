#include "recovery/journal_tail.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <variant>

#include "config/error.hpp"
#include "recovery/history.hpp"
#include "recovery/records.hpp"
#include "storage/journal_writer.hpp"

namespace rubato {
namespace {

run_time at(const join_record& record) {
  return record.at;
}
run_time at(const fence_record& record) {
  return record.at;
}
run_time at(const assign_record& record) {
  return record.assigned_at;
}
run_time at(const settle_record& record) {
  return record.settled_at;
}
run_time at(const note_record&) {
  return run_time{0};
}
run_time at(const end_record& record) {
  return record.at;
}

void leave_out_others(settle_record& a, settle_record& b) {
  if (!std::isnan(a.cosine_to_others) && !std::isnan(b.cosine_to_others)) return;
  a.cosine_to_others = b.cosine_to_others = std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

run_time time_of(const journal_record& record) {
  return std::visit([](const auto& r) { return at(r); }, record);
}

journal_extent mend_journal(file_system& files, const std::string& directory,
                            const file_header& checkpoint) {
  const auto folder = journal_folder(directory);
  journal_extent extent;
  {
    journal_reader reader(files, folder, checkpoint.record);
    if (reader.run() != checkpoint.run) {
      throw file_error("go on with", folder, "it is of another run than the checkpoint");
    }
    while (const auto entry = reader.next()) {
      extent.last = std::max(extent.last, time_of(entry->content));
    }
    extent.end = reader.end();
  }
  const journal_writer mended(files, folder, extent.end);
  return extent;
}

journal_tail::journal_tail(file_system& files, const std::string& directory,
                           const parameter_layout& layout, std::uint64_t from,
                           const journal_end& end)
    : reader_(files, journal_folder(directory), from),
      layout_(layout),
      pool_(layout.size()),
      end_(end),
      read_before_(from) {}

const journal_tail::entry* journal_tail::next(std::size_t ahead) {
  while (read_.size() <= ahead && read_before_ < end_.next_record) {
    auto from_disk = reader_.next([this](std::size_t bytes) {
      if (!room_) room_ = pool_.take();
      return room_for_update(layout_, *room_, bytes);
    });
    if (!from_disk) break;
    read_before_ = from_disk->number + 1;
    if (std::holds_alternative<note_record>(from_disk->content)) continue;
    entry e{from_disk->number, std::move(from_disk->content), nullptr, reader_.end_before_last()};
    auto* settled = std::get_if<settle_record>(&e.content);
    if (settled != nullptr && !settled->update.empty()) e.update = keep(*settled);
    read_.push_back(std::move(e));
  }
  return ahead < read_.size() ? &read_[ahead] : nullptr;
}

/// The record's update, for as long as it is needed.
version_ptr journal_tail::keep(settle_record& record) {
  if (static_cast<codec>(record.codec) == codec::f32) {
    if (!room_) room_ = pool_.take();
    read_update(record, layout_, *room_);
    record.update = update_bytes(layout_, *room_);
    return std::exchange(room_, nullptr);
  }
  const auto update = std::make_shared<parameter_buffer>(record.update.size() / sizeof(float));
  const auto bytes = std::as_writable_bytes(update->span());
  std::copy(record.update.begin(), record.update.end(), bytes.begin());
  record.update = bytes;
  return update;
}

std::uint64_t journal_tail::check(const journal_record& again) {
  const auto* there = next();
  auto a = there->content;
  auto b = again;
  if (std::holds_alternative<settle_record>(a) && std::holds_alternative<settle_record>(b)) {
    leave_out_others(std::get<settle_record>(a), std::get<settle_record>(b));
  }
  if (const auto differs = difference(a, b)) {
    throw run_error(
        fmt::format("record {} of the journal cannot be reached again, in the journal and now: {}",
                    there->number, *differs));
  }
  const auto number = there->number;
  read_.pop_front();
  return number;
}

}  // namespace rubato
