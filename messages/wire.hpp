// Messages that leave the process, in the order in which docs/protocol.md describes them: whole
// numbers and strings only. A version of the program that changes one of them, or what one means,
// has another wire_version (network/handshake.hpp), and is refused by those before it; only hello
// and refused may never change.
#pragma once

#include <bit>
#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>

#include "coordination/types.hpp"
#include "messages/caf.hpp"
#include "messages/local.hpp"
#include "network/handshake.hpp"
#include "network/liveness.hpp"
#include "transfer/wire.hpp"

namespace rubato {

// Each has fields(), a tuple of references to all of its members; those of transfer/wire.hpp too,
// but for their checksum and payload.

// -- handshake ----------------------------------------------------------------------------------

/// Node to gate: may I take part?
struct hello {
  std::uint32_t wire = wire_version;
  std::string version;  // of the program
  std::string offer;    // a node_offer

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.wire, m.version, m.offer);
  }
};

/// Gate to node: no.
struct refused {
  std::uint8_t for_good = 0;  // 1: trying again is of no use
  std::string reason;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.for_good, m.reason);
  }
};

/// Courier to node: yes, and this is the run.
struct welcome {
  std::string offer;  // a run_offer

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.offer);
  }
};

/// Node to courier: data and model are there, and the right ones.
struct node_ready {
  std::string lives;  // worker_lives, of workers that go on from before

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.lives);
  }
};

// -- rounds -------------------------------------------------------------------------------------

/// Courier to node: a round to do, from the version that this transfer brings.
struct round_assigned {
  std::uint64_t transfer = 0;
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t base_version = 0;
  std::uint32_t shard = 0;
  std::uint32_t steps = 0;
  std::uint64_t data_position = 0;
  std::uint8_t kind = 0;      // round_kind
  std::uint8_t handover = 0;  // 1: begin with a fresh optimizer state
  std::uint8_t goes_on = 0;   // 1: from what the worker has, the version counts for nothing
  std::int64_t rates_start = 0;
  std::int64_t rates_total = 1;
  std::int64_t rates_warmup = 0;
  std::int64_t assigned_at = 0;  // on the run's clock; nanoseconds, as those below
  std::int64_t download = 0;     // where simulated
  std::int64_t compute = 0;
  std::int64_t upload = 0;
  std::int64_t steps_before = -1;  // of assign_round; -1: none

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.transfer, m.worker, m.incarnation, m.sequence, m.base_version, m.shard,
                    m.steps, m.data_position, m.kind, m.handover, m.goes_on, m.rates_start,
                    m.rates_total, m.rates_warmup, m.assigned_at, m.download, m.compute, m.upload,
                    m.steps_before);
  }
};

/// Node to courier: an update, of which this transfer brings the values.
struct update_announced {
  std::uint64_t transfer = 0;
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t base_version = 0;
  std::uint64_t elements = 0;
  std::uint8_t finite = 1;
  std::uint64_t norm = 0;  // the bits of a floating-point number
  std::uint64_t loss = 0;  // the same
  std::int64_t compute_time = 0;
  std::int64_t late = 0;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.transfer, m.worker, m.incarnation, m.sequence, m.base_version, m.elements,
                    m.finite, m.norm, m.loss, m.compute_time, m.late);
  }
};

/// Courier to node: what became of a round.
struct round_settled {
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::uint8_t what = 0;  // fate

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.worker, m.incarnation, m.sequence, m.what);
  }
};

// -- signs of life and goodbyes -----------------------------------------------------------------

/// Both ways: I am here. Of the server's end, the numbers are 0.
struct heartbeat {
  std::uint64_t steps = 0;  // work_report
  std::uint64_t running = 0;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.steps, m.running);
  }
};

/// Why somebody goes.
enum class farewell : std::uint8_t {
  leaving = 0,   // node: after the rounds that it is at; no more, please
  no_more = 1,   // courier: there will be none
  done = 2,      // node: and these are handed in; both ways where the run is over
  finished = 3,  // courier: the run is over
  paused = 4,    // courier: the run goes on later
  failed = 5,    // both ways: it is no good, see the reason
};

struct goodbye {
  std::uint8_t what = 0;  // farewell
  std::string reason;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.what, m.reason);
  }
};

// -- how they are written -----------------------------------------------------------------------

template <class M>
concept wire_message = requires(M& message) {
  M::fields(message);
};

/// For CAF. Transfers' messages have a checksum and perhaps a payload besides.
template <class Inspector, wire_message M>
auto inspect(Inspector& f, M& message) {
  if constexpr (requires { message.payload; }) {
    return inspect_members(
        f, message,
        std::tuple_cat(M::fields(message), std::tie(message.checksum, message.payload)));
  } else if constexpr (requires { message.checksum; }) {
    return inspect_members(f, message,
                           std::tuple_cat(M::fields(message), std::tie(message.checksum)));
  } else {
    return inspect_members(f, message, M::fields(message));
  }
}

// -- what they mean -----------------------------------------------------------------------------

inline round_assigned to_wire(const assign_round& round, std::uint64_t transfer) {
  const auto& work = round.work;
  round_assigned m;
  m.transfer = transfer;
  m.worker = work.id.worker;
  m.incarnation = work.id.incarnation;
  m.sequence = work.id.sequence;
  m.base_version = work.base_version;
  m.shard = work.shard;
  m.steps = work.steps;
  m.data_position = work.data_position;
  m.kind = static_cast<std::uint8_t>(work.kind);
  m.handover = work.handover ? 1 : 0;
  m.goes_on = round.base ? 0 : 1;
  m.rates_start = work.rates.start;
  m.rates_total = work.rates.total;
  m.rates_warmup = work.rates.warmup;
  m.assigned_at = work.assigned_at.count();
  m.download = work.timing.download.count();
  m.compute = work.timing.compute.count();
  m.upload = work.timing.upload.count();
  if (round.steps_before) m.steps_before = *round.steps_before;
  return m;
}

/// But for version and inner state.
inline assign_round from_wire(const round_assigned& m) {
  assign_round round;
  auto& work = round.work;
  work.id = {m.worker, m.incarnation, m.sequence};
  work.base_version = m.base_version;
  work.shard = m.shard;
  work.steps = m.steps;
  work.data_position = m.data_position;
  work.kind = static_cast<round_kind>(m.kind);
  work.handover = m.handover != 0;
  work.rates = {m.rates_start, m.rates_total, m.rates_warmup};
  work.assigned_at = run_time(m.assigned_at);
  work.timing = {run_time(m.download), run_time(m.compute), run_time(m.upload)};
  if (m.steps_before >= 0) round.steps_before = static_cast<std::uint32_t>(m.steps_before);
  return round;
}

inline update_announced to_wire(const arrival& update, std::uint64_t transfer) {
  update_announced m;
  m.transfer = transfer;
  m.worker = update.id.worker;
  m.incarnation = update.id.incarnation;
  m.sequence = update.id.sequence;
  m.base_version = update.base_version;
  m.elements = update.elements;
  m.finite = update.finite ? 1 : 0;
  m.norm = std::bit_cast<std::uint64_t>(update.norm);
  m.loss = std::bit_cast<std::uint64_t>(update.loss);
  m.compute_time = update.compute_time.count();
  m.late = update.late.count();
  return m;
}

inline arrival from_wire(const update_announced& m) {
  arrival update;
  update.id = {m.worker, m.incarnation, m.sequence};
  update.base_version = m.base_version;
  update.elements = m.elements;
  update.finite = m.finite != 0;
  update.norm = std::bit_cast<decltype(update.norm)>(m.norm);
  update.loss = std::bit_cast<decltype(update.loss)>(m.loss);
  update.compute_time = run_time(m.compute_time);
  update.late = run_time(m.late);
  return update;
}

}  // namespace rubato

// The numbers have room for more local messages below.
CAF_BEGIN_TYPE_ID_BLOCK(rubato_wire, caf::first_custom_type_id + 200)
CAF_ADD_TYPE_ID(rubato_wire, (rubato::hello))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::refused))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::welcome))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::node_ready))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::round_assigned))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::update_announced))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::round_settled))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::heartbeat))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::goodbye))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::transfer_offer))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::transfer_credit))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::transfer_chunk))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::transfer_cancel))
CAF_ADD_TYPE_ID(rubato_wire, (rubato::transfer_verdict))
CAF_END_TYPE_ID_BLOCK(rubato_wire)

namespace rubato {

/// Makes all messages known to CAF; must run before the first actor system's configuration is made.
inline void initialize_messages() {
  initialize_messages<caf::id_block::rubato_local, caf::id_block::rubato_wire>();
}

}  // namespace rubato
