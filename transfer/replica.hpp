// Versions on their way down: the receiver's copy, and the sender's picture of it. Parameters go as
// absolute values (f32, bf16) or as the coded difference to what the receiver has; int8 and int4
// are for differences only, for their error is relative to the largest value around.
// Not here: sending (sender.hpp), and updates on their way up (error_feedback.hpp).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "transfer/codec.hpp"

namespace rubato {

/// What a receiver has decoded so far. One thread at a time. Bytes that do not fit the size throw
/// std::invalid_argument and change nothing.
class replica {
 public:
  explicit replica(std::size_t values) : values_(values) {}

  /// Replaces all values.
  void set(codec c, byte_span bytes);
  /// Adds a difference. Throws std::logic_error if there is nothing yet to which it could be one.
  void add(codec c, byte_span bytes);
  /// Forgets all values.
  void clear() { blank_ = true; }

  /// There are no values yet.
  bool blank() const { return blank_; }
  /// Of no meaning while blank().
  std::span<const float> values() const { return values_; }

 private:
  std::vector<float> values_;
  bool blank_ = true;
};

/// The sender's copy of one receiver's replica, changed by the same bytes and the same code and so
/// equal to it bit for bit (unless one of the two threads flushes denormals to zero). What a
/// difference loses is part of the next one: the receiver is off by
/// one coding error at any time, however many versions there were. With steps s (codec.hpp) and
/// versions that change by at most D a time, that is at most D / (2 s - 1), a little more with
/// rounding. One thread at a time.
class mirror {
 public:
  struct form {
    codec how;
    bool difference;  // to values(); otherwise absolute
  };

  /// `absolute` is for the first version and after reset(). Throws std::invalid_argument unless it
  /// is f32 or bf16.
  mirror(std::size_t values, codec absolute, codec difference);

  /// How encode() codes now.
  form next() const;
  /// Codes a version for the receiver, which does not have it yet: the mirror stays. Throws
  /// std::invalid_argument unless `version` has the size of the replica and `out` is
  /// encoded_size(next().how, size).
  void encode(std::span<const float> version, std::span<std::byte> out) const;
  /// The receiver has these bytes, the result of the latest encode(). If a transfer is cancelled
  /// instead, do nothing; if it is not known, reset().
  void delivered(byte_span bytes);
  /// Nothing is known about the receiver: the next version goes absolute. Needed too when versions
  /// have not been finite, for that stays in all differences.
  void reset() { receiver_.clear(); }

  /// What the receiver has, and what a worker's pseudo-gradient starts from. Of no meaning while
  /// next() is absolute.
  std::span<const float> values() const { return receiver_.values(); }

 private:
  replica receiver_;
  codec absolute_;
  codec difference_;
};

}  // namespace rubato
