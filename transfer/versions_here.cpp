#include "transfer/versions_here.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

namespace rubato {

versions_here::versions_here(const parameter_layout& layout, codec c)
    : layout_(layout), form_(form_of(c, false)), buffers_(layout_.size()) {}

version_ptr versions_here::whole(byte_span bytes) {
  const auto version = buffers_.take();
  const auto values = version->span();
  decode(codec::f32, bytes, values);
  const auto own = values.subspan(layout_.end(section::averaged));
  local_.assign(own.begin(), own.end());
  return version;
}

version_ptr versions_here::coded(byte_span bytes, std::optional<worker> to) {
  if (form_.difference && !to) return nullptr;
  const auto own = layout_.end(section::averaged);
  const auto known = form_.difference ? known_.find(*to) : known_.end();
  if (local_.size() != layout_.size() - own || (form_.difference && known == known_.end())) {
    throw std::invalid_argument("versions_here: a version for a worker that has none before it");
  }
  const auto version = buffers_.take();
  decode_version(form_, layout_, bytes, form_.difference ? known->second.get() : nullptr, *version);
  std::copy(local_.begin(), local_.end(), version->data() + own);
  if (form_.difference) known->second = version;
  return version;
}

void versions_here::begin(worker who, const version_ptr& version) {
  if (form_.difference) known_[who] = version;
}

}  // namespace rubato
