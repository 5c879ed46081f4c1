#include "transfer/wire.hpp"

#include <fmt/format.h>

namespace rubato {

std::string describe(std::uint8_t what, std::uint64_t expected) {
  switch (static_cast<verdict>(what)) {
    case verdict::delivered:
      return "delivered";
    case verdict::cancelled:
      return "cancelled, as asked for";
    case verdict::superseded:
      return "superseded: a newer transfer has begun";
    case verdict::stalled:
      return "stalled: nothing arrived at the receiver for too long";
    case verdict::damaged:
      return "too many damaged chunks in a row; check the link";
    case verdict::wrong_content:
      return "the chunks arrived whole, but together are not what was offered";
    case verdict::out_of_order:
      return "a chunk arrived that was not asked for or does not fit";
    case verdict::unknown_protocol:
      return fmt::format("the receiver speaks transfer protocol {}; both ends need one version",
                         expected);
    case verdict::unexpected_kind:
      return "the receiver does not take content of this kind";
    case verdict::unexpected_codec:
      return "the receiver does not take this codec for content of this kind";
    case verdict::wrong_size:
      return fmt::format("the receiver's model needs {} bytes in this codec", expected);
    case verdict::wrong_chunk_size:
      return fmt::format(
          "the receiver takes chunks of at most {} bytes, of whole blocks of the "
          "codec",
          expected);
  }
  return fmt::format("the receiver ended it for a reason that is unknown here ({})", what);
}

}  // namespace rubato
