// How alike the workers' pseudo-gradients are: the cosines between the latest one of each worker.
// Near 0 the workers pull in unrelated directions, near 1 they would do with fewer.
// Not here: the cosine to the outer optimizer's momentum (merger.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "optim/parameter_buffer.hpp"

namespace rubato {

/// One thread at a time.
class update_cosines {
 public:
  /// Looks at the first `size` floats of each buffer: the trainable section.
  explicit update_cosines(std::size_t size) : size_(size) {}

  /// From now on this is the worker's latest; compares it to those of all others, in one pass over
  /// each. Keeps it until the next one or clear(). The buffer has at least `size` floats.
  void set(std::uint32_t worker, version_ptr delta);

  /// Forgets all workers.
  void clear() { latest_.clear(); }

  /// Mean cosine between the worker's latest and those of all others, -1 to 1; NaN without any, or
  /// where one of them is zero. Over all workers, the mean of it is that of the off-diagonal
  /// elements of the matrix of cosines.
  double mean_to_others(std::uint32_t worker) const;

  /// The latest of each worker. Set again in any other object, they give the same cosines.
  std::map<std::uint32_t, version_ptr> latest() const;

 private:
  struct entry {
    version_ptr delta;
    double norm = 0.0;
    std::map<std::uint32_t, double> cosines;  // to each other worker
  };

  std::size_t size_;
  std::map<std::uint32_t, entry> latest_;  // of each worker
};

}  // namespace rubato
