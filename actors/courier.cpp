#include "actors/courier.hpp"

#include <bit>
#include <cmath>
#include <span>

namespace rubato {
namespace {

std::chrono::nanoseconds time_of(double seconds) {
  return std::chrono::nanoseconds(std::llround(seconds * 1e9));
}

}  // namespace

link_end::setting link_setting(const config::network_section& network, content_kind kind,
                               std::size_t values) {
  link_end::setting s;
  s.sender.chunk_bytes = static_cast<std::uint32_t>(network.chunk_kib * 1024);
  s.receiver.expected = {{static_cast<std::uint8_t>(kind), values, {codec::f32}}};
  s.receiver.window = static_cast<std::uint32_t>(network.window);
  s.signs.interval = time_of(network.heartbeat_seconds);
  s.signs.floor = time_of(network.silence_seconds);
  return s;
}

cargo as_cargo(const version_ptr& buffer, std::size_t values, content_kind kind,
               std::uint64_t version) {
  static_assert(std::endian::native == std::endian::little, "f32 travels as it lies in memory");
  return {buffer, std::as_bytes(buffer->span().first(values)), codec::f32, kind, version};
}

}  // namespace rubato
