#include "transfer/receiver.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "bytes/crc32c.hpp"

namespace rubato {

namespace {

std::uint64_t lowest_bits(std::uint32_t count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

transfer_verdict verdict_on(std::uint64_t transfer, verdict what, std::uint64_t expected = 0) {
  return sealed(transfer_verdict{transfer, expected, static_cast<std::uint8_t>(what), 0});
}

std::size_t size_of(const expected_content& content, codec c) {
  return encoded_size(c, content.values) + content.exact * sizeof(float);
}

std::size_t largest_encoding(const std::vector<expected_content>& contents) {
  std::size_t largest = 0;
  for (const auto& content : contents) {
    for (const codec c : content.codecs) {
      largest = std::max(largest, size_of(content, c));
    }
  }
  return largest;
}

}  // namespace

transfer_receiver::transfer_receiver(setting s)
    : setting_(std::move(s)),
      buffer_(largest_encoding(setting_.expected)),
      patience_(setting_.timing) {
  for (const auto& content : setting_.expected) {
    if (content.values == 0 || content.codecs.empty()) {
      throw std::invalid_argument("transfer_receiver: expected content without values or codecs");
    }
  }
  if (setting_.window < 1 || setting_.window > max_window) {
    throw std::invalid_argument("transfer_receiver: a window is 1 to 64 chunks");
  }
  if (setting_.damaged_limit < 1) {
    throw std::invalid_argument("transfer_receiver: damaged_limit must be at least 1");
  }
}

std::vector<receiver_action> transfer_receiver::receive(transfer_time now,
                                                        const transfer_offer& offer) {
  if (!intact(offer)) {
    ++counts_.damaged;
    return {};
  }
  if (settled_ && offer.transfer == settled_->transfer) return {*settled_};
  if (const auto refused = refuse(offer)) {
    return {verdict_on(offer.transfer, refused->reason, refused->expected)};
  }
  const bool too_old = (settled_ && offer.transfer < settled_->transfer) ||
                       (state_ == state::receiving && offer.transfer < offer_.transfer) ||
                       (waiting_ && offer.transfer < waiting_->transfer);
  if (too_old) return {verdict_on(offer.transfer, verdict::superseded)};

  if (state_ == state::complete) {
    waiting_ = offer;
    return {};
  }
  if (state_ == state::receiving && offer.transfer == offer_.transfer) {
    transfer_offer same = offer;
    same.resume = offer_.resume;
    same.checksum = offer_.checksum;
    if (same != offer_) return fail(verdict::wrong_content);
    if (offer.resume == 0) return {credit(0)};  // what is lost will be asked for when it is time
    patience_.sign_of_life(now);
    return {credit(missing())};
  }
  return begin(now, offer);
}

std::vector<receiver_action> transfer_receiver::receive(transfer_time now,
                                                        const transfer_chunk& chunk) {
  if (state_ != state::receiving || chunk.transfer != offer_.transfer) return {};
  if (chunk.index < chunks_ && has(chunk.index)) {
    ++counts_.duplicates;
    return {};
  }
  if (!intact(chunk)) {
    ++counts_.damaged;
    if (++damaged_in_a_row_ >= setting_.damaged_limit) return fail(verdict::damaged);
    // If it is the index that was damaged, the right one will be asked for after a while.
    if (chunk.index >= limit_) return {};
    return {credit(std::uint64_t{1} << (chunk.index - next_))};
  }
  const bool fits = chunk.index < limit_ && chunk.offset == chunk_offset(chunk.index) &&
                    chunk.length == chunk_offset(chunk.index + 1) - chunk.offset &&
                    chunk.length == chunk.payload.size();
  if (!fits) return fail(verdict::out_of_order);

  store(now, chunk);
  if (next_ == chunks_) return complete_content(now);
  const std::uint32_t possible = std::min(chunks_, next_ + setting_.window);
  if (possible - limit_ >= credit_step() || (possible == chunks_ && limit_ < chunks_)) {
    return {credit(0)};
  }
  return {};
}

std::vector<receiver_action> transfer_receiver::receive(transfer_time,
                                                        const transfer_cancel& cancel) {
  if (!intact(cancel)) {
    ++counts_.damaged;
    return {};
  }
  if (settled_ && cancel.transfer == settled_->transfer) return {*settled_};
  if (settled_ && cancel.transfer < settled_->transfer) {
    return {verdict_on(cancel.transfer, verdict::superseded)};
  }
  if (state_ == state::receiving) {
    if (cancel.transfer < offer_.transfer) {
      return {verdict_on(cancel.transfer, verdict::superseded)};
    }
    if (cancel.transfer == offer_.transfer) return fail(verdict::cancelled);
  }
  // It was never begun; an offer that is still on its way must not begin it.
  std::vector<receiver_action> out;
  if (state_ == state::receiving) out = fail(verdict::superseded);
  if (waiting_ && waiting_->transfer <= cancel.transfer) waiting_.reset();
  settled_ = verdict_on(cancel.transfer, verdict::cancelled);
  out.push_back(*settled_);
  return out;
}

std::vector<receiver_action> transfer_receiver::tick(transfer_time now) {
  if (state_ != state::receiving) return {};
  if (patience_.exhausted(now)) return fail(verdict::stalled);
  if (!patience_.should_ask(now)) return {};
  ++counts_.stalls;
  patience_.asked(now);
  // The first one that is missing finds out whether the link carries anything; those that others
  // have overtaken are lost for certain.
  return {credit(gaps() | 1)};
}

std::vector<receiver_action> transfer_receiver::release(transfer_time now) {
  if (state_ != state::complete) {
    throw std::logic_error("transfer_receiver: there is no content to release");
  }
  state_ = state::idle;
  if (!waiting_) return {};
  const transfer_offer next = *std::exchange(waiting_, std::nullopt);
  return begin(now, next);
}

std::optional<transfer_time> transfer_receiver::deadline() const {
  if (state_ != state::receiving) return {};
  return patience_.deadline();
}

byte_span transfer_receiver::content() const {
  if (state_ != state::complete) return {};
  return byte_span(buffer_).first(offer_.total_bytes);
}

std::optional<transfer_receiver::refusal> transfer_receiver::refuse(
    const transfer_offer& offer) const {
  if (offer.protocol != transfer_protocol) {
    return refusal{verdict::unknown_protocol, transfer_protocol};
  }
  const auto content = std::find_if(setting_.expected.begin(), setting_.expected.end(),
                                    [&](const auto& e) { return e.kind == offer.kind; });
  if (content == setting_.expected.end()) return refusal{verdict::unexpected_kind};
  const auto c = find_codec(offer.codec);
  if (!c ||
      std::find(content->codecs.begin(), content->codecs.end(), *c) == content->codecs.end()) {
    return refusal{verdict::unexpected_codec};
  }
  const std::size_t size = size_of(*content, *c);
  if (offer.total_bytes != size) return refusal{verdict::wrong_size, size};
  // More chunks than their numbers can count would be too small ones.
  if (offer.chunk_bytes == 0 || offer.chunk_bytes > setting_.max_chunk_bytes ||
      offer.chunk_bytes % unit_of(*c).bytes != 0 || size / offer.chunk_bytes >= UINT32_MAX) {
    return refusal{verdict::wrong_chunk_size, setting_.max_chunk_bytes};
  }
  return {};
}

std::vector<receiver_action> transfer_receiver::begin(transfer_time now,
                                                      const transfer_offer& offer) {
  std::vector<receiver_action> out;
  if (state_ == state::receiving) {
    out.push_back(transfer_lost{offer_.transfer, verdict::superseded});
  }
  state_ = state::receiving;
  offer_ = offer;
  begun_ = now;
  chunks_ =
      static_cast<std::uint32_t>((offer.total_bytes + offer.chunk_bytes - 1) / offer.chunk_bytes);
  next_ = 0;
  beyond_ = 0;
  limit_ = 0;
  checked_ = 0;
  damaged_in_a_row_ = 0;
  last_arrival_ = now;
  patience_.progress(now);
  limit_ = std::min(chunks_, setting_.window);
  // The sender may have sent some of it to a receiver that is no more.
  out.push_back(credit(missing()));
  return out;
}

std::vector<receiver_action> transfer_receiver::fail(verdict reason) {
  state_ = state::idle;
  settled_ = verdict_on(offer_.transfer, reason);
  return {*settled_, transfer_lost{offer_.transfer, reason}};
}

std::vector<receiver_action> transfer_receiver::complete_content(transfer_time now) {
  if (checked_ != offer_.content_checksum) return fail(verdict::wrong_content);
  state_ = state::complete;
  settled_ = verdict_on(offer_.transfer, verdict::delivered);
  return {*settled_, content_arrived{offer_, now - begun_}};
}

void transfer_receiver::store(transfer_time now, const transfer_chunk& chunk) {
  std::memcpy(buffer_.data() + chunk.offset, chunk.payload.data(), chunk.payload.size());
  beyond_ |= std::uint64_t{1} << (chunk.index - next_);
  const auto arrived = static_cast<std::uint32_t>(std::countr_one(beyond_));
  const std::uint64_t begin = chunk_offset(next_);
  next_ += arrived;
  beyond_ = arrived >= 64 ? 0 : beyond_ >> arrived;
  checked_ = crc32c(byte_span(buffer_).subspan(begin, chunk_offset(next_) - begin), checked_);

  damaged_in_a_row_ = 0;
  recent_gap_ = std::max(now - last_arrival_, recent_gap_ - recent_gap_ / 8);
  last_arrival_ = now;
  patience_.expect_gaps(recent_gap_);
  patience_.progress(now);
}

transfer_credit transfer_receiver::credit(std::uint64_t again) {
  limit_ = std::min(chunks_, next_ + setting_.window);
  return sealed(transfer_credit{offer_.transfer, again, ++serial_, next_, limit_, 0});
}

/// The chunk is there.
bool transfer_receiver::has(std::uint32_t index) const {
  if (index < next_) return true;
  return index - next_ < 64 && (beyond_ >> (index - next_) & 1) != 0;
}

/// Chunks that are missing although later ones are there, from next_ on.
std::uint64_t transfer_receiver::gaps() const {
  return ~beyond_ & lowest_bits(static_cast<std::uint32_t>(std::bit_width(beyond_)));
}

/// Chunks that are missing although the sender may send them, from next_ on.
std::uint64_t transfer_receiver::missing() const {
  return ~beyond_ & lowest_bits(limit_ - next_);
}

std::uint64_t transfer_receiver::chunk_offset(std::uint32_t index) const {
  return std::min<std::uint64_t>(std::uint64_t{index} * offer_.chunk_bytes, offer_.total_bytes);
}

}  // namespace rubato
