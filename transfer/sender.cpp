#include "transfer/sender.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "bytes/crc32c.hpp"

namespace rubato {

namespace {

transfer_finished::outcome outcome_of(std::uint8_t what) {
  using outcome = transfer_finished::outcome;
  switch (static_cast<verdict>(what)) {
    case verdict::delivered:
      return outcome::delivered;
    case verdict::cancelled:
      return outcome::cancelled;
    case verdict::superseded:
    case verdict::stalled:
    case verdict::damaged:
    case verdict::wrong_content:
    case verdict::out_of_order:
      return outcome::failed;
    case verdict::unknown_protocol:
    case verdict::unexpected_kind:
    case verdict::unexpected_codec:
    case verdict::wrong_size:
    case verdict::wrong_chunk_size:
      return outcome::refused;
  }
  return outcome::refused;
}

}  // namespace

transfer_content::transfer_content(std::vector<std::byte> bytes) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  bytes_ = *owner;
  owner_ = std::move(owner);
  checksum_ = crc32c(bytes_);
}

transfer_content::transfer_content(std::shared_ptr<const void> owner, byte_span bytes)
    : owner_(std::move(owner)), bytes_(bytes), checksum_(crc32c(bytes)) {}

transfer_sender::transfer_sender(setting s) : setting_(s), patience_(s.timing) {
  const auto least = std::min(setting_.chunk_bytes, setting_.least_chunk_bytes);
  if (least < unit_of(codec::int8).bytes) {
    throw std::invalid_argument("transfer_sender: a chunk must hold a block of every codec");
  }
}

std::vector<sender_action> transfer_sender::start(transfer_time now, const transfer_label& label,
                                                  transfer_content content) {
  if (!idle()) throw std::logic_error("transfer_sender: the last transfer has not ended");
  const std::size_t size = content.bytes().size();
  if (size == 0) throw std::invalid_argument("transfer_sender: there is nothing to send");
  const std::uint32_t chunk_bytes = chunk_bytes_for(label.how);
  const std::size_t chunks = (size + chunk_bytes - 1) / chunk_bytes;
  if (chunks > UINT32_MAX) {
    throw std::invalid_argument("transfer_sender: larger chunks are needed for so many bytes");
  }
  state_ = state::sending;
  offer_ = {.transfer = label.transfer,
            .version = label.version,
            .base = label.base,
            .total_bytes = size,
            .chunk_bytes = chunk_bytes,
            .content_checksum = content.checksum(),
            .kind = label.kind,
            .codec = static_cast<std::uint8_t>(label.how)};
  content_ = std::move(content);
  chunks_ = static_cast<std::uint32_t>(chunks);
  sent_ = 0;
  next_ = 0;
  flows_since_.reset();
  patience_.progress(now);
  return ask(false);
}

std::vector<sender_action> transfer_sender::cancel(transfer_time now) {
  if (state_ != state::sending) return {};
  state_ = state::cancelling;
  patience_.progress(now);
  return ask(false);
}

std::vector<sender_action> transfer_sender::reconnected(transfer_time now) {
  // A receiver that was started anew counts its credits anew.
  serial_.reset();
  if (idle()) return {};
  patience_.sign_of_life(now);
  return ask(true);
}

std::vector<sender_action> transfer_sender::receive(transfer_time now,
                                                    const transfer_credit& credit) {
  const bool fits = state_ == state::sending && credit.transfer == offer_.transfer &&
                    (!serial_ || credit.serial > *serial_) && credit.next <= credit.limit &&
                    credit.limit <= chunks_ && credit.limit - credit.next <= max_window;
  if (!fits || !intact(credit)) return {};
  serial_ = credit.serial;
  if (!flows_since_) flows_since_ = now;
  if (credit.next > next_) {
    patience_.progress(now);
  } else {
    patience_.sign_of_life(now);
  }
  // One with fewer chunks than before is another receiver, to which nothing was sent.
  if (credit.next < next_) sent_ = credit.next;
  next_ = credit.next;
  std::vector<sender_action> out;
  for (std::uint32_t index = credit.next; index < credit.limit; ++index) {
    const bool again = (credit.again >> (index - credit.next) & 1) != 0;
    if (index < sent_ && !again) continue;
    ++counts_.chunks;
    if (index < sent_) ++counts_.again;
    out.emplace_back(chunk(index));
  }
  sent_ = std::max(sent_, credit.limit);
  return out;
}

std::vector<sender_action> transfer_sender::receive(transfer_time now,
                                                    const transfer_verdict& message) {
  if (idle() || message.transfer != offer_.transfer || !intact(message)) return {};
  const auto end = outcome_of(message.what);
  if (end == transfer_finished::outcome::delivered && flows_since_ && now > *flows_since_) {
    const std::chrono::duration<double> took = now - *flows_since_;
    bytes_per_second_ = static_cast<double>(offer_.total_bytes) / took.count();
  }
  return finish(end, describe(message.what, message.expected));
}

std::vector<sender_action> transfer_sender::tick(transfer_time now) {
  if (idle()) return {};
  if (patience_.exhausted(now)) {
    auto out = std::vector<sender_action>{sealed(transfer_cancel{offer_.transfer, 0})};
    const auto end = finish(transfer_finished::outcome::unknown,
                            "the receiver has not answered, or got nothing, for too long");
    out.insert(out.end(), end.begin(), end.end());
    return out;
  }
  if (!patience_.should_ask(now)) return {};
  patience_.asked(now);
  return ask(false);
}

std::optional<transfer_time> transfer_sender::deadline() const {
  if (idle()) return {};
  return patience_.deadline();
}

std::uint32_t transfer_sender::chunk_bytes_for(codec how) const {
  double wanted = setting_.chunk_bytes;
  if (bytes_per_second_) {
    const std::chrono::duration<double> time = setting_.chunk_time;
    const double least = std::min(setting_.least_chunk_bytes, setting_.chunk_bytes);
    wanted = std::clamp(*bytes_per_second_ * time.count(), least, wanted);
  }
  const auto unit = static_cast<std::uint32_t>(unit_of(how).bytes);
  return static_cast<std::uint32_t>(wanted) / unit * unit;
}

std::vector<sender_action> transfer_sender::finish(transfer_finished::outcome what,
                                                   std::string reason) {
  state_ = state::idle;
  content_.reset();
  return {transfer_finished{offer_.transfer, what, std::move(reason)}};
}

/// Says what is wanted of the receiver, so that it says how things are.
std::vector<sender_action> transfer_sender::ask(bool resume) const {
  if (state_ == state::cancelling) return {sealed(transfer_cancel{offer_.transfer, 0})};
  transfer_offer offer = offer_;
  offer.resume = resume ? 1 : 0;
  return {sealed(offer)};
}

transfer_chunk transfer_sender::chunk(std::uint32_t index) const {
  const std::size_t offset = std::size_t{index} * offer_.chunk_bytes;
  const byte_span bytes = content_->bytes().subspan(
      offset, std::min<std::size_t>(offer_.chunk_bytes, offer_.total_bytes - offset));
  transfer_chunk made;
  made.transfer = offer_.transfer;
  made.offset = offset;
  made.index = index;
  made.length = static_cast<std::uint32_t>(bytes.size());
  made.payload.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  made.checksum = checksum_of(made);
  return made;
}

}  // namespace rubato
