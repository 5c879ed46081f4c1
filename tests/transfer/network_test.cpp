// Whole transfers over a bad link: whatever it does, both ends come to an end and agree.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/transfer/fake_network.hpp"
#include "transfer/version_form.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

using outcome = transfer_finished::outcome;

constexpr std::uint8_t absolute_kind = 1;
constexpr std::uint8_t difference_kind = 2;

/// A server that sends version after version of a model to a worker; a newer version sometimes
/// supersedes one that is being sent.
class stream_of_versions {
 public:
  stream_of_versions(const weather& w, std::uint64_t seed, int versions, double supersede)
      : shape_(seed, random_stream::test, {1}),
        values_(1 + shape_.below(3000)),
        window_(1 + static_cast<std::uint32_t>(shape_.below(9))),
        chunk_bytes_(132 + static_cast<std::uint32_t>(shape_.below(1500))),
        versions_(versions),
        supersede_(supersede),
        model_(values_),
        sender_({.chunk_bytes = chunk_bytes_, .timing = {}}),
        receiver_({.expected = {{absolute_kind, values_, {codec::f32, codec::bf16}},
                                {difference_kind, values_, {codec::int8, codec::int4}}},
                   .window = window_,
                   .max_chunk_bytes = chunk_bytes_,
                   .timing = {}}),
        difference_(shape_.below(2) == 0 ? codec::int8 : codec::int4),
        mirror_(values_),
        replica_(values_),
        network_(sender_, receiver_, w, seed) {
    network_.on_event = [this](const auto& event) {
      if (const auto* arrived = std::get_if<content_arrived>(&event)) take_in(arrived->offer);
      if (const auto* end = std::get_if<transfer_finished>(&event)) finished(*end);
    };
  }

  /// Until all versions were sent and the last one has ended. `most`: of virtual time.
  void run(transfer_time most) {
    start_next();
    while (ended_ < versions_ && network_.step()) {
      REQUIRE(network_.now() < most);
      REQUIRE(network_.chunks() <= chunk_bound());
    }
    REQUIRE(ended_ == versions_);
    // Whatever is left on the link or in the receiver comes to an end too.
    const transfer_time end = network_.now();
    while (receiver_.deadline() || receiver_.complete()) {
      REQUIRE(network_.step());
      REQUIRE(network_.now() < end + 300s);
    }
  }

  const std::map<outcome, std::uint64_t>& ends() const { return ends_; }
  std::uint64_t count(outcome o) const { return ends_.count(o) != 0 ? ends_.at(o) : 0; }
  /// Times that mirror and replica were found to be the same.
  std::uint64_t compared() const { return compared_; }
  transfer_time duration() const { return network_.now(); }
  const transfer_sender& sender() const { return sender_; }
  const transfer_receiver& receiver() const { return receiver_; }
  const fake_network& network() const { return network_; }
  std::uint64_t chunks_needed() const { return chunks_needed_; }
  std::uint32_t window() const { return window_; }

 private:
  struct on_its_way {
    std::vector<std::byte> bytes;
    version_form form;
  };

  /// What was sent on credit, what was asked for again, and the copies that the link makes of both.
  std::uint64_t chunk_bound() const { return 5 * std::uint64_t{window_}; }

  void start_next() {
    for (float& value : model_) value += static_cast<float>(0.01 * shape_.normal());
    ++transfer_;
    on_its_way sent{{},
                    known_ ? version_form{difference_, true} : version_form{codec::bf16, false}};
    sent.bytes.resize(encoded_size(sent.form.how, values_));
    encode_version(sent.form, model_, mirror_, sent.bytes);
    const transfer_label label{
        .transfer = transfer_,
        .version = transfer_ + 100,
        .base = sent.form.difference ? base_ : 0,
        .kind = sent.form.difference ? difference_kind : absolute_kind,
        .how = sent.form.how,
    };
    sent_[transfer_] = sent;
    const std::size_t chunk = chunk_bytes(sent.form.how);
    chunks_needed_ += (sent.bytes.size() + chunk - 1) / chunk;
    network_.take(sender_.start(network_.now(), label, transfer_content(sent.bytes)));
    if (shape_.uniform() < supersede_) {
      network_.after(transfer_time(shape_.below(2'000'000'000)), [this, id = transfer_] {
        if (!sender_.idle() && id == transfer_) network_.take(sender_.cancel(network_.now()));
      });
    }
  }

  std::size_t chunk_bytes(codec c) const {
    return chunk_bytes_ / unit_of(c).bytes * unit_of(c).bytes;
  }

  void take_in(const transfer_offer& offer) {
    const on_its_way& sent = sent_.at(offer.transfer);
    const byte_span content = receiver_.content();
    REQUIRE(content.size() == sent.bytes.size());
    REQUIRE(std::memcmp(content.data(), sent.bytes.data(), content.size()) == 0);
    REQUIRE(arrived_.insert(offer.transfer).second);  // once only
    REQUIRE(offer.version == offer.transfer + 100);
    const bool difference = offer.kind == difference_kind;
    if (difference) REQUIRE(offer.base == held_);
    decode_version({*find_codec(offer.codec), difference}, content, replica_, replica_);
    held_ = offer.version;
    // It is read for a while; meanwhile nothing must change it.
    network_.after(transfer_time(shape_.below(500'000'000)), [this, id = offer.transfer] {
      const auto& bytes = sent_.at(id).bytes;
      const byte_span still = receiver_.content();
      REQUIRE(still.size() == bytes.size());
      REQUIRE(std::memcmp(still.data(), bytes.data(), still.size()) == 0);
      network_.take(receiver_.release(network_.now()));
    });
  }

  void finished(const transfer_finished& end) {
    REQUIRE(end.transfer == transfer_);
    REQUIRE_FALSE(end.reason.empty());
    REQUIRE(end.reason.find('\n') == std::string::npos);
    ++ends_[end.what];
    ++ended_;
    const bool there = arrived_.count(end.transfer) != 0;
    switch (end.what) {
      case outcome::delivered:
        REQUIRE(there);
        decode_version(sent_.at(end.transfer).form, sent_.at(end.transfer).bytes, mirror_, mirror_);
        known_ = true;
        base_ = end.transfer + 100;
        break;
      case outcome::cancelled:
      case outcome::failed:
        REQUIRE_FALSE(there);
        break;
      case outcome::refused:
        FAIL("nothing was wrong with what was offered: " << end.reason);
        break;
      case outcome::unknown:
        known_ = false;
        break;
    }
    if (end.what != outcome::unknown && held_ != 0 && held_ == base_) {
      REQUIRE(std::memcmp(mirror_.data(), replica_.data(), values_ * sizeof(float)) == 0);
      ++compared_;
    }
    if (ended_ < versions_) network_.after(1ms, [this] { start_next(); });
  }

  random_generator shape_;  // of what is sent, not of what happens to it
  std::size_t values_;
  std::uint32_t window_;
  std::uint32_t chunk_bytes_;
  int versions_;
  double supersede_;
  std::vector<float> model_;
  transfer_sender sender_;
  transfer_receiver receiver_;
  codec difference_;
  std::vector<float> mirror_;   // what the sender knows the receiver to have, ...
  std::vector<float> replica_;  // ... and what it has
  bool known_ = false;
  fake_network network_;
  std::map<std::uint64_t, on_its_way> sent_;
  std::set<std::uint64_t> arrived_;
  std::map<outcome, std::uint64_t> ends_;
  std::uint64_t transfer_ = 0;
  std::uint64_t base_ = 0;  // version that the mirror has
  std::uint64_t held_ = 0;  // version that the replica has
  std::uint64_t chunks_needed_ = 0;
  std::uint64_t compared_ = 0;
  int ended_ = 0;
};

struct kind_of_weather {
  const char* name;
  weather what;
  double delivered;  // share of the transfers that must arrive when none is superseded
};

const std::vector<kind_of_weather> kinds{
    {"loss", {.loss = 0.1}, 0.999},
    {"overtaking", {.most_delay = 300ms}, 1.0},
    {"doubling", {.duplicates = 0.5, .most_delay = 50ms}, 1.0},
    {"damage", {.damage = 0.1}, 1.0},
    {"hold-ups", {.hold_ups = 0.05, .hold_up = 20s}, 1.0},
    {"cuts", {.least_delay = 10ms, .most_delay = 20ms, .cuts_per_second = 2, .outage = 2s}, 1.0},
    {"all",
     {.loss = 0.05,
      .duplicates = 0.1,
      .damage = 0.05,
      .hold_ups = 0.02,
      .most_delay = 500ms,
      .hold_up = 20s,
      .cuts_per_second = 0.1,
      .outage = 10s},
     0.9},
    {"storm",
     {.loss = 0.4,
      .duplicates = 0.3,
      .damage = 0.3,
      .hold_ups = 0.2,
      .most_delay = 5s,
      .hold_up = 60s,
      .cuts_per_second = 0.05,
      .outage = 100s},
     0.0},
};

}  // namespace

TEST_CASE("a calm link carries every chunk once, never more than a window at a time") {
  const weather calm{.least_delay = 20ms, .most_delay = 20ms};
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    stream_of_versions run(calm, seed, 3, 0.0);
    // At worst a window of one chunk: there and back for each, three offers, and time to read.
    run.run(60s);
    CHECK(run.count(outcome::delivered) == 3);
    CHECK(run.sender().counted().chunks == run.chunks_needed());
    CHECK(run.receiver().counted().stalls == 0);
    CHECK(run.network().most_chunks() <= run.window());
  }
}

TEST_CASE("on any link every transfer ends in time, and both ends agree about how") {
  for (const auto& kind : kinds) {
    for (const double supersede : {0.0, 0.4}) {
      std::map<outcome, std::uint64_t> ends;
      std::uint64_t transfers = 0;
      std::uint64_t compared = 0;
      for (std::uint64_t seed = 0; seed < 250; ++seed) {
        CAPTURE(kind.name);
        CAPTURE(seed);
        stream_of_versions run(kind.what, seed, 4, supersede);
        run.run(1200s);
        for (const auto& [what, count] : run.ends()) {
          ends[what] += count;
          transfers += count;
        }
        compared += run.compared();
      }
      CAPTURE(kind.name);
      CHECK(transfers == 1000);
      CHECK(compared > 0);
      if (supersede > 0.0) {
        CHECK(ends[outcome::cancelled] > 0);
      } else {
        CHECK(ends[outcome::delivered] >= kind.delivered * 1000);
      }
    }
  }
}

TEST_CASE("a link that carries nothing is given up on") {
  stream_of_versions run({.loss = 1.0}, 1, 2, 0.0);
  run.run(241s);
  CHECK(run.count(outcome::unknown) == 2);
  CHECK(run.duration() >= 240s);
  // An offer at the start and after 5 s, 15 s, 30 s ..., and a word at the end.
  CHECK(run.network().messages() == 2 * (1 + 1 + 8));
}
