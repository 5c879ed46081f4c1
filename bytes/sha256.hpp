// SHA-256 of what is added piece by piece: what a corpus, its parts and a model are known by.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "bytes/bytes.hpp"

namespace rubato {

/// One thread at a time.
class sha256 {
 public:
  sha256();
  ~sha256();
  sha256(const sha256&) = delete;
  sha256& operator=(const sha256&) = delete;

  void add(byte_span bytes);
  /// Of all that was added, in hexadecimal. Nothing may be added after it.
  std::string hex();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

std::string sha256_hex(std::string_view text);

}  // namespace rubato
