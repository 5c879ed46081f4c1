// A model's parameters as one flat, aligned f32 buffer, the layout that says which tensor lies
// where, and the pool that recycles buffers. Versions of a model are immutable: once published, a
// buffer is a shared_ptr<const parameter_buffer>, read without lock or copy.
// Not here: arithmetic on buffers (reductions.hpp, outer_optimizer.hpp), and files that stay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace rubato {

/// How a tensor takes part in an outer step.
enum class section : std::uint8_t {
  trainable,  // the outer optimizer moves it
  averaged,   // plainly averaged (BatchNorm statistics)
  local,      // each worker's own, never sent
};

struct tensor_entry {
  std::string name;
  std::vector<std::int64_t> shape;  // empty for a scalar
  section part = section::trainable;
  std::size_t offset = 0;  // in floats from the start of the buffer; a multiple of 16 (64 bytes)
  std::size_t size = 0;    // in floats, without padding

  bool operator==(const tensor_entry& other) const = default;
};

/// The order and place of every tensor: [trainable | averaged | local], each tensor 64-byte
/// aligned. Padding is always zero and counts neither as a parameter nor in a hash.
class parameter_layout {
 public:
  /// Adds a tensor behind those of its section; later sections move up.
  /// Throws std::invalid_argument on a repeated name, a negative extent, or a size that overflows.
  void add(std::string name, std::vector<std::int64_t> shape, section part = section::trainable);

  const std::vector<tensor_entry>& tensors() const { return tensors_; }
  /// Parameters of a section, without padding.
  std::size_t count(section part) const;
  /// Floats of the buffer up to and including a section, with padding: [0, end(trainable)) is what
  /// the outer optimizer works on.
  std::size_t end(section part) const;
  /// Floats of the whole buffer, with padding.
  std::size_t size() const { return end(section::local); }

  bool operator==(const parameter_layout& other) const = default;

 private:
  std::vector<tensor_entry> tensors_;  // by section, in the order they were added
};

/// A flat f32 buffer, 64-byte aligned, zero at creation. A large one takes memory from the system
/// as it is written, so one that is replaced before its first use costs next to nothing.
class parameter_buffer {
 public:
  /// `size` in floats, padding included.
  explicit parameter_buffer(std::size_t size);
  /// In a file of its own in `folder`, mapped into memory, which has no name and goes with the
  /// buffer or the process; where `folder` is empty, in memory only.
  /// Throws run_error if the folder has no room for the file, or takes none.
  parameter_buffer(std::size_t size, const std::string& folder);
  ~parameter_buffer();
  parameter_buffer(const parameter_buffer&) = delete;
  parameter_buffer& operator=(const parameter_buffer&) = delete;

  std::size_t size() const { return size_; }
  float* data() { return data_; }
  const float* data() const { return data_; }
  std::span<float> span() { return {data_, size_}; }
  std::span<const float> span() const { return {data_, size_}; }

  // Hints for a buffer in a file, which change none of its values; one in memory takes no notice.
  // Thread-safe, also while the buffer is in use.

  /// It will be read soon: what is on the disk may be fetched meanwhile.
  void will_need() const;
  /// It will not be used for a while: it leaves this process's memory, and the system's as soon as
  /// that is wanted for something else.
  void let_go() const;

 private:
  std::size_t size_;
  void* memory_;  // null: it lies in a file
  float* data_;   // within memory_ or at the start of the file, aligned
};

using buffer_ptr = std::shared_ptr<parameter_buffer>;
using version_ptr = std::shared_ptr<const parameter_buffer>;

/// The same numbers in another buffer, in memory or where `folder` says, as the constructor does.
buffer_ptr copy_of(const parameter_buffer& buffer);
buffer_ptr copy_of(const parameter_buffer& buffer, const std::string& folder);

/// The same numbers in a buffer that may be written to: itself if nobody else has it, or a copy.
buffer_ptr own(version_ptr buffer);

/// Where parameters came from and where they got to.
struct stretch {
  version_ptr from;
  version_ptr to;

  explicit operator bool() const { return to != nullptr; }
};

/// Hands out buffers of one size and takes them back when the last reference goes, from any thread.
/// Grows on demand, never blocks on a buffer in use; buffers may outlive the pool. Thread-safe.
/// A recycled buffer holds old values: whoever takes one writes all of it.
class buffer_pool {
 public:
  /// `buffer_size` in floats; `folder` as for a buffer.
  explicit buffer_pool(std::size_t buffer_size);
  buffer_pool(std::size_t buffer_size, const std::string& folder);
  buffer_ptr take();
  std::size_t buffer_size() const { return size_; }
  /// Buffers ever allocated (in use or free).
  std::size_t allocated() const;

 private:
  struct shelf;
  std::size_t size_;
  std::shared_ptr<shelf> shelf_;
};

/// SHA-256, in lower-case hex, of the trainable and averaged tensors' bytes (little-endian f32) in
/// layout order, padding left out. `buffer` holds at least these two sections.
/// Throws std::invalid_argument if it is shorter.
std::string parameters_sha256(const parameter_layout& layout, std::span<const float> buffer);

}  // namespace rubato
