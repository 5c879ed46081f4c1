// What is in a folder of token shards: its manifest.json. Not here: making one (corpus/prepare).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rubato {

/// A token shard of the corpus: what a shard trains on, or what is held out of it.
struct manifest_part {
  std::string file;  // its name in the folder
  std::uint64_t tokens = 0;
  std::uint64_t documents = 0;
  std::uint64_t text_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::string sha256;

  bool operator==(const manifest_part&) const = default;
};

struct manifest_shard {
  std::string name;
  std::uint64_t files = 0;  // input files that have documents in it
  manifest_part training;
  manifest_part held_out;

  bool operator==(const manifest_shard&) const = default;
};

struct manifest_input {
  std::string path;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  // since 1970

  bool operator==(const manifest_input&) const = default;
};

struct manifest {
  static constexpr std::string_view file_name = "manifest.json";
  static constexpr int version = 1;

  std::uint32_t vocabulary = 0;
  std::string tokenizer;  // "bytes", or the name of the model's file in the folder
  std::string tokenizer_sha256;
  std::string settings;  // that the corpus was prepared with, as one line of text
  std::uint64_t lines = 0;
  std::uint64_t empty_documents = 0;
  std::uint64_t bad_lines = 0;
  std::vector<manifest_input> inputs;
  std::vector<manifest_shard> shards;

  bool operator==(const manifest&) const = default;
};

/// As JSON, the same text for the same content.
std::string to_json(const manifest& m);

/// Reads FOLDER/manifest.json. Throws usage_error naming the file and what is wrong: none there,
/// not JSON, a member missing or of no sense.
manifest read_manifest(const std::string& folder);

}  // namespace rubato
