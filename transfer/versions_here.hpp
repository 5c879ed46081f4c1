// What the workers of a node have of the versions that came down to it: the other end of
// versions_down, which knows the same, bit for bit.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "optim/parameter_buffer.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {

/// One thread at a time. With int8 and int4 it holds one buffer a worker, as versions_down does.
class versions_here {
 public:
  using worker = std::uint32_t;

  /// `layout` is copied. `c`: of versions after the first.
  versions_here(const parameter_layout& layout, codec c);

  /// A whole version, local tensors included, for who begins with it.
  version_ptr whole(byte_span bytes);
  /// A version in the codec; with int8 and int4 the worker's next one after the one that it has,
  /// and null if no worker waits for it any more. Local tensors are those of the last whole one.
  /// Throws std::invalid_argument if there was none, or the bytes are not as many as they should
  /// be.
  version_ptr coded(byte_span bytes, std::optional<worker> to);
  /// The worker begins with this, which whole() has returned.
  void begin(worker who, const version_ptr& version);

 private:
  parameter_layout layout_;
  version_form form_;
  buffer_pool buffers_;
  std::map<worker, version_ptr> known_;
  std::vector<float> local_;
};

}  // namespace rubato
