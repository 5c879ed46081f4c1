// What a lossy codec takes from a worker's updates, kept and added to the next ones, so that it
// arrives late instead of never (Seide et al. 2014; Karimireddy et al. 2019, EF-SGD with an
// arbitrary compressor).
// Not for versions on their way down: replica.hpp.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "transfer/codec.hpp"

namespace rubato {

/// Part of the worker's state: saved, restored and dropped with it. With f32, which loses nothing,
/// it is empty and costs nothing. One thread at a time.
///
/// After each encode(), the residual of a value is that of a single one: at most what the codec's
/// error bound says about values + residual. So the sum of all that was decoded never differs from
/// the sum of all values by more than one such error, however many there were.
class error_feedback {
 public:
  error_feedback(codec c, std::size_t values);

  /// Encodes values + residual, and keeps what is lost. Where that is not finite (the value was
  /// not, or too large for bf16), nothing is kept: the receiver sees it and refuses the update.
  /// Throws std::invalid_argument unless `values` are as many as the constructor was told and `out`
  /// has encoded_size() bytes.
  void encode(std::span<const float> values, std::span<std::byte> out);

  /// One a value, or none with f32.
  std::span<const float> residual() const { return residual_; }
  /// Goes on from what residual() was. Throws std::invalid_argument on another size.
  void restore(std::span<const float> residual);
  /// As new: of an update that was refused nothing shall come along later.
  void reset();

 private:
  codec codec_;
  std::size_t values_;
  std::vector<float> residual_;
};

}  // namespace rubato
