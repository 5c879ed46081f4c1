#include "bench/wire.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "actors/context.hpp"
#include "actors/courier.hpp"
#include "actors/run_setup.hpp"
#include "bench/child_process.hpp"
#include "bytes/crc32c.hpp"
#include "config/error.hpp"
#include "config/random.hpp"
#include "messages/wire.hpp"
#include "monitoring/human.hpp"
#include "network/address.hpp"
#include "network/link_end.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {
namespace {

using namespace std::chrono_literals;

constexpr codec all_codecs[] = {codec::f32, codec::bf16, codec::int8, codec::int4};
constexpr auto kind = content_kind::update;
constexpr auto patience = 60s;  // of whoever waits for the other process

std::size_t values_of(const wire_bench_options& options) {
  return (static_cast<std::size_t>(options.mib) << 20) / sizeof(float);
}

/// Who receives nothing has no buffer for it.
link_end::setting setting_of(const wire_bench_options& options, bool receives) {
  link_end::setting s;
  s.sender.chunk_bytes = static_cast<std::uint32_t>(options.chunk_kib * 1024);
  s.receiver.expected = {{static_cast<std::uint8_t>(kind),
                          receives ? values_of(options) : 1,
                          {std::begin(all_codecs), std::end(all_codecs)}}};
  s.receiver.window = static_cast<std::uint32_t>(options.window);
  return s;
}

/// The same in both processes, which so know what has to arrive.
std::shared_ptr<parameter_buffer> made_up_values(std::size_t count) {
  auto values = std::make_shared<parameter_buffer>(count);
  random_generator random(1, random_stream::test);
  for (float& x : values->span()) x = static_cast<float>(2.0 * random.uniform() - 1.0);
  return values;
}

// -- the two actors -----------------------------------------------------------------------------

// clang-format off

/// One end of the link: both are the same actor, of which one asks and the other sends.
using wire_end_actor = actor_interface<
    takes<hello>,               // over the link: who the other end is
    takes<round_assigned>,      // from outside, and on to the other end: send content in codec `kind`
    takes<courier_tick>,        // from itself
    takes<heartbeat>,           // over the link, as are all below
    takes<transfer_offer>,
    takes<transfer_chunk>,
    takes<transfer_cancel>,
    takes<transfer_credit>,
    takes<transfer_verdict>>;

// clang-format on

struct wire_end_setup {
  wire_bench_options options;
  std::map<codec, std::shared_ptr<const parameter_buffer>> contents = {};  // of a sender
  network_address sender = {};                                             // of a receiver
  // Of a receiver, called by the actor: it is connected; a content is there; something is wrong.
  std::function<void()> connected = {};
  std::function<void(codec, byte_span)> arrived = {};
  std::function<void(const std::string&)> failed = {};
};

struct wire_end_state {
  wire_end_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "wire end";

  wire_end_setup setup;
  wire_end_actor peer;
  courier_link link;
  std::uint64_t sequence = 0;
  update_id current;
  watch_list watched;
};

using pointer = actor_pointer<wire_end_actor, wire_end_state>;

void carry_out(pointer self, const link_actions& actions) {
  auto& state = state_of(self);
  for (const auto& action : actions) {
    if (std::holds_alternative<sign_due>(action)) {
      send(self, state.peer, heartbeat{});
    } else if (const auto* arrived = std::get_if<cargo_arrived>(&action)) {
      state.setup.arrived(arrived->how, state.link.end->content());
      carry_out(self, state.link.end->release(state.link.now()));
    } else if (const auto* broken = std::get_if<link_broken>(&action)) {
      if (state.setup.failed) state.setup.failed(broken->reason);
    } else {
      pass_on(self, state.peer, action);
    }
  }
}

template <class Event>
void drive(pointer self, Event event) {
  auto& state = state_of(self);
  if (!state.link.end) return;
  carry_out(self, event(*state.link.end, state.link.now()));
  wake_at_deadline(self, wire_end_actor(self), state.link);
}

template <transfer_message M>
void receive(pointer self, const M& message) {
  drive(self, [&](link_end& link, link_time now) { return link.receive(now, message); });
}

void meet(pointer self, const wire_end_actor& peer) {
  auto& state = state_of(self);
  state.peer = peer;
  state.watched.watch(self, peer, [self](const caf::error&) {
    if (state_of(self).setup.failed) state_of(self).setup.failed("the other process is gone");
  });
  state.link.end.emplace(setting_of(state.setup.options, state.setup.contents.empty()),
                         state.link.now());
  drive(self, [](link_end& link, link_time now) { return link.tick(now); });
}

void find_sender(pointer self) {
  const auto& setup = state_of(self).setup;
  connect<wire_end_actor>(
      self, setup.sender.host, setup.sender.port, false, patience,
      [self](const wire_end_actor& sender) {
        meet(self, sender);
        send(self, sender, hello{});
        state_of(self).setup.connected();
      },
      [self](const std::string& reason) { state_of(self).setup.failed(reason); });
}

/// Sends the content in this codec, under a name of its own.
void ship(pointer self, codec how) {
  auto& state = state_of(self);
  drive(self, [&](link_end& link, link_time now) {
    auto actions = link.settled(now, state.current);
    state.current.sequence += 1;
    const auto content = state.setup.contents.at(how);
    const auto bytes =
        std::as_bytes(content->span()).first(encoded_size(how, values_of(state.setup.options)));
    const auto owner = std::make_shared<std::shared_ptr<const parameter_buffer>>(content);
    const auto more = link.ship(now, state.current, {owner, bytes, how, kind, 0});
    actions.insert(actions.end(), more.begin(), more.end());
    return actions;
  });
}

wire_end_actor::behavior_type wire_end(pointer self, wire_end_setup setup) {
  state_of(self).setup = std::move(setup);
  if (state_of(self).setup.contents.empty()) find_sender(self);
  return {
      [self](const hello&) { meet(self, caf::actor_cast<wire_end_actor>(sender_of(self))); },
      [self](const round_assigned& order) {
        auto& state = state_of(self);
        if (state.setup.contents.empty()) {
          send(self, state.peer, order);
        } else {
          ship(self, static_cast<codec>(order.kind));
        }
      },
      [self](const courier_tick&) {
        if (!tick_is_due(state_of(self).link)) return;
        drive(self, [](link_end& link, link_time now) { return link.tick(now); });
      },
      [self](const heartbeat&) {
        drive(self, [](link_end& link, link_time now) { return link.receive(now, work_report{}); });
      },
      [self](const transfer_offer& message) { receive(self, message); },
      [self](const transfer_chunk& message) { receive(self, message); },
      [self](const transfer_cancel& message) { receive(self, message); },
      [self](const transfer_credit& message) { receive(self, message); },
      [self](const transfer_verdict& message) { receive(self, message); },
  };
}

/// CAF as a run has it.
struct wire_system_config : caf::actor_system_config {
  wire_system_config() {
    configure(*this, scheduler_threads(true));
    configure_network<caf::id_block::rubato_wire>(*this, {});
  }
};

// -- the receiver -------------------------------------------------------------------------------

/// A condition that the actor sets and another thread waits for; perhaps with what went wrong.
class signal_flag {
 public:
  void set(std::string error = {}) {
    const std::lock_guard lock(mutex_);
    set_ = true;
    error_ = std::move(error);
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return set_; })) error_ = "it takes too long";
    set_ = false;
    if (!error_.empty()) throw run_error("bench wire: " + error_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
  std::string error_;
};

class wire_receiver {
 public:
  wire_receiver(const wire_bench_options& options, std::uint16_t port,
                std::map<codec, std::uint32_t> checksums)
      : checksums_(std::move(checksums)), system_(config_) {
    wire_end_setup setup{options};
    setup.sender = {"127.0.0.1", port};
    setup.connected = [this] { flag_.set(); };
    setup.failed = [this](const std::string& reason) { flag_.set(reason); };
    setup.arrived = [this](codec how, byte_span content) {
      ended_ = std::chrono::steady_clock::now();
      flag_.set(crc32c(content) == checksums_.at(how) ? "" : "what arrived is not what was sent");
    };
    actor_ = system_.spawn<caf::detached>(wire_end, std::move(setup));
    flag_.wait();
  }
  ~wire_receiver() { ask_to_exit(actor_); }

  /// Seconds of a transfer.
  double receive(codec how) {
    const auto begun = std::chrono::steady_clock::now();
    round_assigned order;
    order.kind = static_cast<std::uint8_t>(how);
    send_from_outside(actor_, order);
    flag_.wait();
    return std::chrono::duration<double>(ended_ - begun).count();
  }

 private:
  std::map<codec, std::uint32_t> checksums_;
  signal_flag flag_;
  std::chrono::steady_clock::time_point ended_;
  wire_system_config config_;
  caf::actor_system system_;
  wire_end_actor actor_;
};

// -- what it is compared with -------------------------------------------------------------------

std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(where);
  auto* const address = reinterpret_cast<sockaddr*>(&where);
  const bool found =
      ::bind(descriptor, address, size) == 0 && ::getsockname(descriptor, address, &size) == 0;
  ::close(descriptor);
  if (!found) throw run_error("bench wire: no free port");
  return ntohs(where.sin_port);
}

/// Seconds that iperf3 takes for so many bytes with one stream; measured on four times as many.
double seconds_of_iperf(std::uint64_t bytes) {
  const auto port = std::to_string(free_port());
  child_process server({"iperf3", "-s", "-1", "-p", port, "--forceflush"});
  for (auto line = server.read_line(); line && !line->starts_with("Server listening");) {
    line = server.read_line();
  }
  child_process client(
      {"iperf3", "-c", "127.0.0.1", "-p", port, "-J", "-n", std::to_string(4 * bytes)});
  const auto result = nlohmann::json::parse(client.finish());
  server.finish();
  const double bits_per_second = result.at("end").at("sum_received").at("bits_per_second");
  return 8.0 * static_cast<double>(bytes) / bits_per_second;
}

// -- memory -------------------------------------------------------------------------------------

std::uint64_t memory_of(pid_t process, std::string_view what) {
  std::ifstream in(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(what)) return std::stoull(line.substr(what.size() + 1)) << 10;
  }
  return 0;
}

/// How much more memory a process takes at most than it does now.
class memory_watch {
 public:
  explicit memory_watch(pid_t process) : process_(process) {
    std::ofstream(fmt::format("/proc/{}/clear_refs", process)) << 5;  // forget the peak
    before_ = memory_of(process, "VmRSS");
  }
  std::uint64_t most() const { return memory_of(process_, "VmHWM") - before_; }

 private:
  pid_t process_;
  std::uint64_t before_;
};

/// Median seconds of encoding and decoding, and what the encoded bytes are.
wire_bench_report::line measure_coding(codec how, const parameter_buffer& values,
                                       parameter_buffer& decoded, std::uint32_t& checksum) {
  wire_bench_report::line line{how, encoded_size(how, values.size()), {}};
  parameter_buffer encoded(line.bytes / sizeof(float));
  const auto bytes = std::as_writable_bytes(encoded.span());
  const auto three_times = [](const std::function<void()>& action) {
    std::vector<double> seconds;
    for (int i = 0; i < 3; ++i) seconds.push_back(seconds_of(action));
    return median(seconds);
  };
  line.encode = three_times([&] { encode(how, values.span(), bytes); });
  line.decode = three_times([&] { decode(how, bytes, decoded.span()); });
  checksum = crc32c(bytes);
  return line;
}

}  // namespace

double wire_bench_report::line::ratio_to_fastest() const {
  return *std::min_element(times.reference.begin(), times.reference.end()) / median(times.own);
}

void send_over_wire(const wire_bench_options& options) {
  initialize_messages();
  wire_end_setup setup{options};
  {
    const auto values = made_up_values(values_of(options));
    for (const auto how : all_codecs) {
      auto encoded =
          std::make_shared<parameter_buffer>(encoded_size(how, values->size()) / sizeof(float));
      encode(how, values->span(), std::as_writable_bytes(encoded->span()));
      setup.contents[how] = std::move(encoded);
    }
  }
  wire_system_config config;
  caf::actor_system system(config);
  const auto actor = system.spawn<caf::detached>(wire_end, std::move(setup));
  const auto port = publish(system, actor, "127.0.0.1", 0, false);
  if (!port) throw run_error("bench wire: cannot listen: " + explain(port.error()));
  fmt::print("{}\n", *port);
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  ask_to_exit(actor);
}

wire_bench_report measure_wire(const wire_bench_options& options,
                               const std::function<void(std::string_view)>& told) {
  initialize_messages();
  wire_bench_report report;
  const auto count = values_of(options);
  report.parameter_bytes = count * sizeof(float);
  std::map<codec, std::uint32_t> checksums;
  {
    const auto values = made_up_values(count);
    parameter_buffer decoded(count);
    for (const auto how : all_codecs) {
      report.lines.push_back(measure_coding(how, *values, decoded, checksums[how]));
    }
  }
  child_process sender({this_program(), "bench", "wire", "--send", "--mib",
                        std::to_string(options.mib), "--chunk-kib",
                        std::to_string(options.chunk_kib), "--window",
                        std::to_string(options.window)});
  const auto line = sender.read_line().value_or("");
  std::uint16_t port = 0;
  if (std::from_chars(line.data(), line.data() + line.size(), port).ec != std::errc()) {
    throw run_error("bench wire: the other process did not start");
  }
  wire_receiver receiver(options, port, std::move(checksums));
  const memory_watch here(getpid());
  const memory_watch there(sender.id());
  for (auto& side : report.lines) {
    receiver.receive(side.how);  // warm-up
    side.times = measure_in_turn(
        options.repeats, [&] { return receiver.receive(side.how); },
        [&] { return seconds_of_iperf(report.parameter_bytes); },
        [&](std::string_view text) { told(fmt::format("{}, {}", name(side.how), text)); });
  }
  report.receiver_memory = here.most();
  report.sender_memory = there.most();
  return report;
}

std::string to_text(const wire_bench_report& report) {
  const auto megabytes_per_second = [&](double seconds) {
    return fmt::format("{:.0f} MB/s", 1e-6 * static_cast<double>(report.parameter_bytes) / seconds);
  };
  const auto row = [](const auto&... cells) {
    return fmt::format(
        "  {:<5}  {:>11}  {:>9}  {:>7}  {:>14}  {:>9}  {:>5}  {:>10}  {:>7}  {:>7}\n", cells...);
  };
  const auto seconds = [](double s) { return fmt::format("{:.3f} s", s); };
  std::string text = fmt::format(
      "How fast {} of parameters get to another process, over loopback\n\n"
      "  measured {} times each, in turn with iperf3, one stream; medians\n\n",
      human_bytes(report.parameter_bytes), report.lines.front().times.own.size());
  text += row("codec", "on the wire", "transfer", "MAD", "f32-equivalent", "iperf3", "ratio",
              "to fastest", "encode", "decode");
  for (const auto& line : report.lines) {
    const spread own(line.times.own);
    text +=
        row(name(line.how), human_bytes(line.bytes), seconds(own.middle), seconds(own.deviation),
            megabytes_per_second(own.middle), megabytes_per_second(median(line.times.reference)),
            fmt::format("{:.2f}", line.ratio()), fmt::format("{:.2f}", line.ratio_to_fastest()),
            seconds(line.encode), seconds(line.decode));
  }
  text += fmt::format(
      "\n  ratio: f32-equivalent bytes over iperf3's, the median of the pairs, and over its "
      "fastest "
      "run's;\n  encoding and decoding are not part of it. MAD: median absolute deviation\n"
      "  memory beyond the buffers of parameters: {} at the sender, {} at the receiver\n",
      human_bytes(report.sender_memory), human_bytes(report.receiver_memory));
  return text;
}

std::string to_json(const wire_bench_report& report) {
  auto lines = nlohmann::ordered_json::array();
  for (const auto& line : report.lines) {
    lines.push_back({{"codec", name(line.how)},
                     {"bytes", line.bytes},
                     {"transfer_seconds", line.times.own},
                     {"iperf3_seconds", line.times.reference},
                     {"encode_seconds", line.encode},
                     {"decode_seconds", line.decode},
                     {"ratio", line.ratio()},
                     {"ratio_to_fastest", line.ratio_to_fastest()}});
  }
  const nlohmann::ordered_json value = {{"parameter_bytes", report.parameter_bytes},
                                        {"codecs", std::move(lines)},
                                        {"sender_memory", report.sender_memory},
                                        {"receiver_memory", report.receiver_memory}};
  return value.dump(2) + '\n';
}

}  // namespace rubato
