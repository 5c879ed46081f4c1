#include "recovery/run_journal.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>
#include <variant>

#include "config/error.hpp"
#include "recovery/history.hpp"
#include "recovery/resume.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/journal_reader.hpp"

namespace rubato {

run_journal::run_journal(file_system& files, std::string directory, parameter_layout layout,
                         journal_options options)
    : files_(files),
      directory_(std::move(directory)),
      layout_(std::move(layout)),
      options_(options) {}

void run_journal::begin(const run_identity& run, std::uint64_t first_record) {
  auto options = options_;
  options.first_record = first_record;
  writer_ = std::make_unique<journal_writer>(files_, journal_folder(directory_), run, options);
}

void run_journal::restore(const nlohmann::json& books) {
  books_ = ledger(books);
}

void run_journal::go_on(const journal_end& end) {
  writer_ = std::make_unique<journal_writer>(files_, journal_folder(directory_), end, options_);
}

void run_journal::add(std::shared_ptr<const std::vector<run_event>> events) {
  for (const auto& event : *events) {
    if (event.number) append(event);
  }
  pending_.push_back(std::move(events));
}

void run_journal::append(const run_event& event) {
  const auto record = to_journal(layout_, event);
  books_.add(*event.number, record);
  if (!writer_ || *event.number < writer_->next_record()) return;
  if (writer_->append(record) != *event.number) {
    throw std::logic_error("run_journal: an event lacks its predecessor");
  }
  pending_bytes_ += bytes_of(layout_, event).size();
}

void run_journal::commit() {
  if (writer_) writer_->commit();
  pending_.clear();
  pending_bytes_ = 0;
}

std::uint64_t run_journal::durable_before() const {
  return writer_ ? writer_->durable_before() : 0;
}

nlohmann::json run_journal::books() const {
  return books_.state();
}

void run_journal::keep_tail() {
  const auto folder = checkpoint_folder(directory_);
  for (const auto number : list_checkpoints(files_, folder)) {
    try {
      const checkpoint_reader oldest(files_, checkpoint_path(folder, number));
      writer_->drop_before(oldest.header().record);
      return;
    } catch (const file_error&) {
      // Nobody can go on from this one; the next one counts.
    }
  }
}

void forget_beginning(file_system& files, const std::string& directory) {
  if (!keeps_journal(files, directory)) return;
  const auto folder = journal_folder(directory);
  journal_reader journal(files, folder);
  while (const auto entry = journal.next()) {
    if (!std::holds_alternative<assign_record>(entry->content)) continue;
    throw run_error(
        fmt::format("{}: its journal has record {}, but there is no checkpoint to go on from",
                    directory, entry->number));
  }
  for (const auto& name : files.list(folder)) files.remove(folder + "/" + name);
  files.sync_folder(folder);
}

}  // namespace rubato
