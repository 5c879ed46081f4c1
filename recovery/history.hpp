// What a run directory keeps of a run's past: where its journal and checkpoints are, and which
// checkpoint the journal follows on.
// Not here: going on with a run, from its newest (resume.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "storage/checkpoint_reader.hpp"
#include "storage/file_system.hpp"
#include "storage/run_lock.hpp"

namespace rubato {

/// The folder in a run directory that the journal is in.
std::string journal_folder(const std::string& directory);

/// Whether the run directory has a journal.
bool keeps_journal(file_system& files, const std::string& directory);
/// Throws usage_error if it has none.
void require_journal(file_system& files, const std::string& directory);

/// Keeps a run from going on while its files are read. Null if the folder cannot be written, where
/// nobody goes on with it anyway. Throws run_error if a process is at it.
std::unique_ptr<run_lock> lock_to_read(const std::string& directory);

/// summary.json of a run directory; nothing if it is not there. Throws run_error if it is no JSON.
std::optional<nlohmann::json> summary_of(const std::string& directory);

/// Gives those checkpoints of a run that a journal with this first record follows on to `load`,
/// oldest first, until it takes one without throwing run_error: see restore_newest, and that the
/// content may also be refused by a nlohmann::json::exception. No header if there is none.
restored_checkpoint restore_oldest(file_system& files, const std::string& directory,
                                   std::uint64_t first_record,
                                   const std::function<void(checkpoint_reader&)>& load);

}  // namespace rubato
