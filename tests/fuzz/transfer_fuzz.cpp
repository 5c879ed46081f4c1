// Gives any messages to the receiver of transfers. An input is a list of events of 11 bytes each:
// what happens, which field of the message is spoilt (or none), and with which number. Messages are
// sealed unless their event says otherwise, so that the fuzzer gets past the checksums.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "bytes/crc32c.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "transfer/receiver.hpp"

using namespace rubato;

namespace {

constexpr std::size_t values = 100;
constexpr std::uint32_t window = 3;
constexpr std::uint32_t chunk_bytes = 40;

struct event {
  std::uint8_t what;
  std::uint8_t spoilt;
  std::uint64_t number;
  std::uint8_t unsealed;
};

std::string content_of(std::uint64_t transfer) {
  return std::string(values * sizeof(float), static_cast<char>(transfer));
}

transfer_offer offer_of(std::uint64_t transfer) {
  const std::string content = content_of(transfer);
  return {.transfer = transfer,
          .total_bytes = content.size(),
          .chunk_bytes = chunk_bytes,
          .content_checksum = crc32c(std::as_bytes(std::span(content))),
          .kind = 1,
          .codec = static_cast<std::uint8_t>(codec::f32)};
}

transfer_chunk chunk_of(std::uint64_t transfer, std::uint32_t index) {
  transfer_chunk chunk;
  chunk.transfer = transfer;
  chunk.index = index;
  chunk.offset = index * chunk_bytes;
  chunk.length = chunk_bytes;
  chunk.payload = std::string(chunk_bytes, static_cast<char>(transfer));
  return chunk;
}

/// Puts the number into the field of that place, if there is one.
template <class M>
void spoil(M& message, const event& e) {
  std::uint8_t place = 1;
  std::apply(
      [&](auto&... field) {
        const auto put = [&](auto& f) {
          if (place++ == e.spoilt) f = static_cast<std::remove_reference_t<decltype(f)>>(e.number);
        };
        (put(field), ...);
      },
      M::fields(message));
  if constexpr (requires { message.payload; }) {
    if (place == e.spoilt) message.payload.resize(e.number % 200);
  }
  if (e.unsealed == 0) message = sealed(std::move(message));
}

class harness {
 public:
  void take(const event& e) {
    const std::uint64_t transfer = 1 + e.what / 128;
    now_ += std::chrono::milliseconds(e.number % 16);
    if (e.what % 8 == 0) return receive(offer_of(transfer), e);
    if (e.what % 8 == 1) return receive(transfer_cancel{transfer, 0}, e);
    if (e.what % 8 == 2) now_ = std::max(now_, receiver_.deadline().value_or(now_));
    if (e.what % 8 == 2) return check(receiver_.tick(now_));
    if (e.what % 8 == 3 && receiver_.complete()) return check(receiver_.release(now_));
    receive(chunk_of(transfer, e.what / 8 % 16), e);
  }

 private:
  template <class M>
  void receive(M message, const event& e) {
    spoil(message, e);
    check(receiver_.receive(now_, message));
  }

  void check(const std::vector<receiver_action>& actions) {
    require(actions.size() <= 3, "an event has few consequences");
    for (const auto& action : actions) {
      if (const auto* credit = std::get_if<transfer_credit>(&action)) {
        require(credit->next < credit->limit && credit->limit - credit->next <= window,
                "credit is for something, and for a window at most");
        require(credit->again >> (credit->limit - credit->next) == 0,
                "only chunks that may be sent are asked for again");
      }
      if (const auto* arrived = std::get_if<content_arrived>(&action)) {
        require(
            receiver_.complete() && receiver_.content().size() == encoded_size(codec::f32, values),
            "content is as large as was expected");
        require(crc32c(receiver_.content()) == arrived->offer.content_checksum,
                "content is what was offered");
      }
    }
    const auto deadline = receiver_.deadline();
    require(!deadline || *deadline <= now_ + std::chrono::seconds(120), "nothing waits for ever");
  }

  transfer_receiver receiver_{
      {.expected = {{1, values, {codec::f32}}}, .window = window, .timing = {}}};
  transfer_time now_{0};
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t event_bytes = 11;
  harness h;
  for (; size >= event_bytes; data += event_bytes, size -= event_bytes) {
    event e{data[0], data[1], 0, data[10]};
    std::memcpy(&e.number, data + 2, sizeof(e.number));
    h.take(e);
  }
  return 0;
}
