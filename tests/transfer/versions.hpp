// Versions for tests of what workers have of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "config/random.hpp"
#include "transfer/versions_down.hpp"

namespace rubato {

inline parameter_layout make_layout() {
  parameter_layout layout;
  layout.add("weight", {300});
  layout.add("variance", {4}, section::averaged);
  layout.add("own", {3}, section::local);
  return layout;
}

/// Local tensors are the same in all versions.
inline version_ptr make_version(const parameter_layout& layout, std::uint64_t number) {
  random_generator random(number, random_stream::test);
  auto version = std::make_shared<parameter_buffer>(layout.size());
  for (auto& x : version->span()) x = static_cast<float>(random.normal());
  for (std::size_t i = layout.end(section::averaged); i < layout.size(); ++i) {
    version->data()[i] = static_cast<float>(i);
  }
  return version;
}

inline bool same_bits(const version_ptr& a, const version_ptr& b) {
  return std::memcmp(a->data(), b->data(), a->span().size_bytes()) == 0;
}

}  // namespace rubato
