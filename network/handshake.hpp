// What a node and the server tell each other before the node's first round, as text that every
// version can at least refuse in words; and what has to be the same on both sides.
// Not here: the messages around it (messages/wire.hpp), and who says what when (actors/).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/load.hpp"
#include "coordination/types.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// Of everything that follows a hello: messages, their fields and their meaning.
inline constexpr std::uint32_t wire_version = 2;

/// Node to server, in the hello.
struct node_offer {
  std::string name;               // for people
  std::string instance;           // of the process: the same when it comes back
  std::uint32_t workers = 0;      // that it has room for, at least 1
  std::string run;                // that it took part in before, as in run_offer; empty: in none
  std::vector<worker_id> before;  // the workers that it had there

  bool operator==(const node_offer& other) const = default;
};

/// What has to be the same for all nodes of a run: tensors, files, the data of each shard and,
/// where all are to compute the same bits, what these depend on.
struct run_manifest {
  struct shard {
    std::string name;
    std::uint64_t training_size = 0;

    bool operator==(const shard& other) const = default;
  };

  parameter_layout layout;
  std::vector<std::pair<std::string, std::string>> contents;  // of files, and what they are
  std::vector<shard> shards;
  std::vector<std::pair<std::string, std::string>> numerics;  // items and what they are

  bool operator==(const run_manifest& other) const = default;
};

/// The first thing that differs, in words; nothing if all is the same.
std::optional<std::string> difference(const run_manifest& run, const run_manifest& here);

/// Server to node, in the welcome.
struct run_offer {
  std::string run;         // 32 hexadecimal digits, see run_identity
  override_list settings;  // every key of scope run that is in use, with its value as TOML
  run_manifest manifest;
  std::vector<worker_id> workers;  // that the node gets
};

/// Node to courier, when it is ready: what one of its workers has from the time before, if that was
/// the same run.
struct worker_life {
  worker_id worker = 0;
  std::uint32_t incarnation = 0;
  std::vector<std::uint64_t> sequences;  // of its rounds that are not settled, ascending

  bool operator==(const worker_life& other) const = default;
};

/// Text of another machine as it can be shown to a person: on one line, without control characters,
/// and not endless.
std::string printable(std::string text);

std::string to_text(const node_offer& offer);
std::string to_text(const run_offer& offer);
std::string to_text(const std::vector<worker_life>& lives);

/// Throw run_error if the text is not of that kind, whatever it is.
node_offer parse_node_offer(const std::string& text);
run_offer parse_run_offer(const std::string& text);
std::vector<worker_life> parse_lives(const std::string& text);

}  // namespace rubato
