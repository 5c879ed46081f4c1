// What workers have of the versions that they were given, where network.codec_down loses something:
// each worker's base is what came out at its end, and the sender knows it bit for bit. The same
// code serves training and replay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "optim/parameter_buffer.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {

/// One thread at a time. With int8 and int4 it holds one buffer a worker, the base that the worker
/// itself starts from; with f32 and bf16 none.
class versions_down {
 public:
  using worker = std::uint32_t;

  /// A version on its way.
  struct delivery {
    version_ptr base;       // what the worker has then; the version itself with f32
    version_ptr encoded;    // the bytes; null: those of `base` as they are
    std::size_t bytes = 0;  // that travel
    version_form form;      // what the bytes are
  };

  /// `layout` is copied.
  versions_down(const parameter_layout& layout, codec c);

  /// Codes a version for a worker, which will have it. `first`: nothing is known of what the worker
  /// has. Local tensors of the base are those of the version.
  delivery send(worker to, bool first, const version_ptr& version);

  /// What each worker has, if differences need it.
  const std::map<worker, version_ptr>& known() const { return known_; }
  /// Goes on from there.
  void restore(std::map<worker, version_ptr> known) { known_ = std::move(known); }

 private:
  parameter_layout layout_;
  codec codec_;
  buffer_pool bases_;
  buffer_pool encodings_;
  std::map<worker, version_ptr> known_;
  version_ptr newest_;  // absolute forms: the last version, which all workers get alike, ...
  delivery shared_;     // ... and what came of it
};

}  // namespace rubato
