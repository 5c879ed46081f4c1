// Records to fill journals with, and everything that a journal holds in a form that can be
// compared.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "storage/journal_reader.hpp"
#include "storage/journal_records.hpp"

namespace rubato {

/// A record whose update, if any, it owns.
struct sample_record {
  journal_record content;
  std::vector<std::byte> update;

  /// The record with its update; valid as long as the sample stays where it is.
  journal_record get() const;
};

/// Of any type, with any numbers in it (NaN among them); an update has fewer than `update_limit`
/// bytes.
sample_record random_record(std::mt19937_64& random, std::size_t update_limit = 200);

/// The record's bytes with its type before them: equal for equal records, bit by bit.
std::string flat(const journal_record& record);

/// A journal as it was read.
struct journal_content {
  std::uint64_t first_record = 0;
  std::vector<std::string> records;  // flat
  journal_end end;
};

/// Throws what the reader throws.
journal_content read_journal(file_system& files, const std::string& folder,
                             std::optional<std::uint64_t> from = std::nullopt);

}  // namespace rubato
