#include "transfer/versions_down.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace rubato {

versions_down::versions_down(const parameter_layout& layout, codec c)
    : layout_(layout), codec_(c), bases_(layout_.size()), encodings_(encoded_floats(c, layout_)) {}

versions_down::delivery versions_down::send(worker to, bool first, const version_ptr& version) {
  const auto form = form_of(codec_, first);
  const auto bytes = encoded_size(form.how, layout_);
  if (form.how == codec::f32) {
    if (form != form_of(codec_, false)) known_[to] = version;
    return {version, nullptr, bytes, form};
  }
  if (!form.difference && newest_ == version) return shared_;

  const parameter_buffer* known = form.difference ? known_.at(to).get() : nullptr;
  const auto encoded = encodings_.take();
  encode_version(form, layout_, *version, known, *encoded);
  const auto base = bases_.take();
  decode_version(form, layout_, std::as_bytes(std::span(std::as_const(*encoded).span())), known,
                 *base);
  const auto shared_end = static_cast<std::ptrdiff_t>(layout_.end(section::averaged));
  std::copy(version->span().begin() + shared_end, version->span().end(),
            base->span().begin() + shared_end);
  const delivery result{base, encoded, bytes, form};
  if (form.difference) {
    known_[to] = base;
  } else {
    newest_ = version;
    shared_ = result;
  }
  return result;
}

}  // namespace rubato
