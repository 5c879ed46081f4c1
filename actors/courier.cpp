#include "actors/courier.hpp"

#include <bit>
#include <cmath>
#include <span>

#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

std::chrono::nanoseconds time_of(double seconds) {
  return std::chrono::nanoseconds(std::llround(seconds * 1e9));
}

static_assert(std::endian::native == std::endian::little, "f32 travels as it lies in memory");

/// Of the sections that travel, as transfer/buffer_coding.hpp says.
expected_content coded_content(content_kind kind, std::vector<codec> codecs,
                               const parameter_layout& layout) {
  const auto coded = layout.end(section::trainable);
  return {static_cast<std::uint8_t>(kind), coded, std::move(codecs),
          layout.end(section::averaged) - coded};
}

}  // namespace

link_end::setting link_setting(const config::network_section& network,
                               std::vector<expected_content> expected) {
  link_end::setting s;
  s.sender.chunk_bytes = static_cast<std::uint32_t>(network.chunk_kib * 1024);
  s.receiver.expected = std::move(expected);
  s.receiver.window = static_cast<std::uint32_t>(network.window);
  s.signs.interval = time_of(network.heartbeat_seconds);
  s.signs.floor = time_of(network.silence_seconds);
  return s;
}

std::vector<expected_content> expected_versions(const parameter_layout& layout) {
  const auto whole = static_cast<std::uint8_t>(content_kind::whole_version);
  return {{whole, layout.size(), {codec::f32}},
          coded_content(content_kind::version, {codec::bf16, codec::int8, codec::int4}, layout)};
}

std::vector<expected_content> expected_updates(codec up, const parameter_layout& layout) {
  return {coded_content(content_kind::update, {up}, layout)};
}

cargo version_cargo(const assign_round& round, codec down) {
  const auto version = round.work.base_version;
  // Nothing is known of what is there, local tensors included.
  if (round.work.id.sequence == 0 || !round.encoded) {
    return {round.base, std::as_bytes(round.base->span()), codec::f32, content_kind::whole_version,
            version};
  }
  return {round.encoded, std::as_bytes(round.encoded->span()), down, content_kind::version,
          version};
}

cargo update_cargo(const submission& content, codec up, const parameter_layout& layout) {
  const auto& values = content.encoded ? content.encoded : content.delta;
  return {values, std::as_bytes(values->span()).first(encoded_size(up, layout)), up,
          content_kind::update, content.update.base_version};
}

}  // namespace rubato
