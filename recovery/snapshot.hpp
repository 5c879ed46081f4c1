// What a checkpoint holds: parts, each of a few values and big buffers by name. Here is how parts
// become sections of a file and come back, and how the states that several people share are put
// into them. Not here: the file (storage/), and when a checkpoint is taken (actors/).
//
// The parts of a run's checkpoint are run_part, record_part and, for each worker that has ever
// joined, worker_part(). Each is a section of CBOR, each buffer of it one of f32; a buffer that
// several parts or names share is written once.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coordination/types.hpp"
#include "optim/inner_optimizer.hpp"
#include "optim/parameter_buffer.hpp"
#include "recovery/replay.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/checkpoint_writer.hpp"

namespace rubato {

/// What the server knows: "config" (as TOML) and "layout" (layout_json()), what put_merging() adds,
/// and what only the server reads.
inline constexpr std::string_view run_part = "run";
/// What the recorder knows: "sha256" of the parameters, "updates" and "metrics", the sizes of these
/// files in bytes, and what only the recorder reads.
inline constexpr std::string_view record_part = "record";
std::string worker_part(worker_id worker);

/// One part. Whoever fills it keeps the buffers as they are for as long as somebody holds it.
struct snapshot {
  nlohmann::json values = nlohmann::json::object();
  std::map<std::string, version_ptr> buffers;
};

// -- contents -----------------------------------------------------------------------------------

// All that read throw run_error or nlohmann::json::exception if the part is not as it was written.

nlohmann::json layout_json(const parameter_layout& layout);
parameter_layout layout_from(const nlohmann::json& json);

/// An inner state under a name; null is one, too. Its buffers are not copied.
void put_inner(snapshot& part, const std::string& name,
               const std::shared_ptr<const inner_state>& state);
/// Takes it out again: its buffers are nobody else's.
std::shared_ptr<inner_state> take_inner(snapshot& part, const std::string& name);

/// All that merging goes on from.
void put_merging(snapshot& part, const replay_start& start);
replay_start take_merging(snapshot& part);

/// A worker's round that is not settled: one that it has not begun, or one that it has finished.
struct round_snapshot {
  assignment work;
  version_ptr base;                           // of one that is not begun; may be null
  std::optional<std::uint32_t> steps_before;  // of assign_action
  std::optional<arrival> update;              // of one that is finished, ...
  version_ptr delta;                          // ... with what it brought, ...
  version_ptr encoded;                        // ... or that as it travels
  bool submits_inner = false;                 // and `inner`, with inner.state = "average"
};

/// Where a worker is.
struct worker_snapshot {
  worker_id worker = 0;
  std::uint32_t incarnation = 0;       // of its last round
  std::shared_ptr<inner_state> inner;  // null: as at the start
  std::vector<round_snapshot> rounds;  // in order
  stretch went;                        // with network.overlap: the last round's, ...
  bool replied = false;                // ... and whether that took over a version
};

snapshot to_snapshot(const worker_snapshot& worker);
worker_snapshot take_worker(snapshot& part);

// -- files --------------------------------------------------------------------------------------

/// Writes parts into a checkpoint slice by slice. As checkpoint_writer: nothing is to be seen
/// before commit(), and everything throws file_error. One thread at a time.
class snapshot_writer {
 public:
  snapshot_writer(file_system& files, const std::string& folder, const file_header& header)
      : file_(files, folder, header) {}

  /// Queues a part.
  void add(std::string name, snapshot part);

  /// Whether something is queued that is not written yet.
  bool busy() const { return !queue_.empty(); }
  /// Writes a slice of what is queued, at most slice_bytes. Returns the name of the part that is
  /// complete with it, if one is: its buffers are not looked at any more.
  std::optional<std::string> write_slice();

  /// Once nothing is queued.
  void commit() { file_.commit(); }

  static constexpr std::size_t slice_bytes = std::size_t{4} << 20;

 private:
  struct queued_part {
    std::string name;
    snapshot content;
    std::map<std::string, version_ptr>::const_iterator next;  // buffer
    nlohmann::json sections = nlohmann::json::object();       // of its buffers, by name
  };

  checkpoint_writer file_;
  std::deque<std::unique_ptr<queued_part>> queue_;
  byte_span rest_;  // of the buffer that is being written
  std::size_t unsynced_ = 0;
  // By buffer. They are held on to, so that no other one comes to lie where one was.
  std::map<version_ptr, std::string> written_;
};

/// Reads parts of one checkpoint. A buffer that parts share is read once while one of them is
/// there.
class snapshot_reader {
 public:
  explicit snapshot_reader(checkpoint_reader& file) : file_(file) {}

  std::vector<std::string> parts() const;
  bool has(std::string_view part) const { return file_.find(part) != nullptr; }
  /// Throws file_error.
  snapshot read(std::string_view part);

 private:
  checkpoint_reader& file_;
  std::map<std::string, std::weak_ptr<const parameter_buffer>> read_;  // by section
};

}  // namespace rubato
