// Runs over the network, with all processes in this one: real couriers and real sockets on the
// loopback, fake parts.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "actors/interfaces.hpp"
#include "actors/work.hpp"
#include "config/error.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;
using namespace rubato::fake;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// What a server says, for tests to wait for.
class listener final : public run_observer {
 public:
  void remarked(const std::string& sentence) override {
    const std::lock_guard lock(mutex_);
    remarks_.push_back(sentence);
    changed_.notify_all();
  }
  void progressed(const progress& p) override {
    const std::lock_guard lock(mutex_);
    local_steps_ = p.local_steps;
    changed_.notify_all();
    if (local_steps_ >= die_after) throw std::runtime_error("killed");
  }

  /// The first remark with this in it.
  std::string wait_for(const std::string& part) {
    std::unique_lock lock(mutex_);
    std::string found;
    const bool came = changed_.wait_for(lock, 20s, [&] {
      for (const auto& remark : remarks_) {
        if (remark.find(part) != std::string::npos) found = remark;
      }
      return !found.empty();
    });
    REQUIRE_MESSAGE(came, "nobody said: " << part);
    return found;
  }
  void wait_for_steps(std::int64_t count) {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, 20s, [&] { return local_steps_ >= count; }));
  }
  std::int64_t local_steps() {
    const std::lock_guard lock(mutex_);
    return local_steps_;
  }

  std::int64_t die_after = std::numeric_limits<std::int64_t>::max();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> remarks_;
  std::int64_t local_steps_ = 0;
};

struct network_fixture : run_fixture {
  network_fixture() {
    c.data.paths = {{"texts"}};  // the configuration is written and read again
    c.clock.mode = "wall";
    c.network.heartbeat_seconds = 0.1;
    c.network.silence_seconds = 5.0;
    c.network.retry_seconds = 20.0;  // a node that comes too late does not wait for ever
    observer = ears;
  }

  /// Starts the server; returns where it listens.
  network_address serve() {
    c.run.directory = (root / ("run" + std::to_string(runs++))).string();
    return serve_again();
  }
  network_address serve_again() {
    ears = std::make_shared<listener>();
    observer = ears;
    stop_server = false;
    summary = std::async(std::launch::async, [this] {
      run_parts parts;
      parts.data = data;
      parts.make_learner = [] { return std::make_unique<quadratic>(); };
      parts.initialize = [](learner&) {};
      parts.observer = observer;
      parts.stop = &stop_server;
      parts.serve = serving{{"127.0.0.1", port}, "1.2.3"};
      return run_training(c, parts);
    });
    const auto line = ears->wait_for("nodes join with");
    return parse_address(line.substr(line.rfind(' ') + 1), "test", false);
  }

  /// A node that takes part until the run is over, or `stop`.
  std::future<void> work(const network_address& server, const std::string& name,
                         std::int64_t workers, std::atomic<bool>* stop = nullptr,
                         std::shared_ptr<points> own_data = nullptr) {
    work_setup setup;
    setup.server = server;
    setup.settings.own.network = c.network;
    setup.settings.own.run.threads = 2;
    setup.settings.values = {{"data.paths", "['x']"}};
    setup.name = name;
    setup.workers = workers;
    setup.version = std::string("1.2.3");
    setup.say = [](const std::string&) {};
    run_parts parts;
    parts.data = own_data ? own_data : data;
    parts.make_learner = [pace = pace] {
      return std::make_unique<quadratic>([pace] { std::this_thread::sleep_for(pace); });
    };
    parts.stop = stop;
    return std::async(std::launch::async, [setup, parts] { work_for(setup, parts); });
  }

  /// Every round that was given out has one fate.
  void check_balance() const {
    const auto s = summary_of_run;
    std::set<std::tuple<int, int, int>> rounds;
    std::uint64_t applied = 0;
    for (const auto& line : lines("updates.jsonl")) {
      if (line["fate"] == "duplicate" || line["fate"] == "stale_incarnation") continue;
      CHECK(rounds.emplace(line["worker"], line["incarnation"], line["sequence"]).second);
      applied += line["fate"] == "applied" ? 1 : 0;
    }
    CHECK(applied == s.updates.applied);
    CHECK(s.updates.rejected == 0);
  }

  run_summary end() { return summary_of_run = summary.get(); }

  std::shared_ptr<listener> ears = std::make_shared<listener>();
  std::chrono::microseconds pace{200};
  std::uint16_t port = 0;  // to listen on
  std::atomic<bool> stop_server{false};
  std::future<run_summary> summary;
  run_summary summary_of_run;
};

}  // namespace

TEST_CASE_FIXTURE(network_fixture, "a run whose workers are elsewhere ends like any other") {
  c.outer.optimizer = "sgd";  // momentum makes the loss swing to and fro, however late updates are
  c.outer.lr = 0.3;
  const auto server = serve();
  auto node = work(server, "node-a", 4);
  CHECK(end().outcome == "finished");
  CHECK_NOTHROW(node.get());
  CHECK(summary_of_run.local_steps >= 400);
  CHECK(summary_of_run.updates.applied >= 40);
  CHECK(summary_of_run.updates.abandoned == 0);
  CHECK(summary_of_run.final->loss < 0.9 * 40.0);
  CHECK(ears->wait_for("joins with workers 0, 1, 2, 3").find("node-a (127.0.0.1:") == 0);
  check_balance();
  for (const auto& worker : summary_of_run.per_worker) CHECK(worker.rounds > 0);
}

TEST_CASE_FIXTURE(network_fixture,
                  "in lockstep, the same weights come from elsewhere as from here") {
  c.outer.mode = "sync";
  c.outer.optimizer = "nesterov";
  const auto here = run();
  const auto server = serve();
  auto node = work(server, "node-a", 4);
  CHECK(end().params_sha256 == here.params_sha256);
  node.get();
}

TEST_CASE_FIXTURE(network_fixture,
                  "with codecs, too, the same weights come from elsewhere as from here") {
  c.outer.mode = "sync";
  c.outer.optimizer = "nesterov";
  for (const char* up : {"bf16", "int4"}) {
    for (const char* down : {"f32", "bf16", "int8"}) {
      CAPTURE(std::string(up));
      CAPTURE(std::string(down));
      c.network.codec_up = up;
      c.network.codec_down = down;
      const auto here = run();
      const auto server = serve();
      auto node = work(server, "node-a", 4);
      CHECK(end().params_sha256 == here.params_sha256);
      node.get();
      CHECK(summary_of_run.bytes.up == here.bytes.up);
      CHECK(summary_of_run.bytes.down == here.bytes.down);
    }
  }
}

TEST_CASE_FIXTURE(network_fixture, "with overlap, workers elsewhere have two rounds as well") {
  c.network.overlap = true;
  c.network.codec_up = "int4";
  c.network.codec_down = "int8";
  c.outer.optimizer = "sgd";
  c.outer.lr = 0.3;
  c.run.local_steps = 20'000;
  const auto server = serve();
  std::atomic<bool> leave{false};
  auto first = work(server, "node-a", 2, &leave);
  auto second = work(server, "node-b", 2);
  ears->wait_for_steps(1000);
  leave = true;
  ears->wait_for("has left");
  auto third = work(server, "node-c", 2);  // begins with whole versions again
  CHECK(end().outcome == "finished");
  CHECK_NOTHROW(first.get());
  second.get();
  third.get();
  CHECK(summary_of_run.updates.abandoned == 0);
  CHECK(summary_of_run.updates.run_ended >= 2);
  CHECK(summary_of_run.final->loss < 0.9 * 40.0);
  check_balance();
  std::map<std::pair<int, int>, std::set<int>> sequences;
  for (const auto& u : lines("updates.jsonl")) {
    sequences[{u["worker"].get<int>(), u["incarnation"].get<int>()}].insert(
        u["sequence"].get<int>());
  }
  CHECK(sequences.size() >= 4);
  for (const auto& [life, all] : sequences) {
    CHECK(static_cast<std::size_t>(*all.rbegin()) == all.size() - 1);
  }
}

TEST_CASE_FIXTURE(network_fixture,
                  "nodes share a run, join late, and leave without losing anything") {
  c.run.local_steps = 3000;
  const auto server = serve();
  std::atomic<bool> leave{false};
  auto first = work(server, "node-a", 2, &leave);
  ears->wait_for("node-a (127.0.0.1");
  ears->wait_for_steps(200);
  auto second = work(server, "node-b", 2);
  CHECK(ears->wait_for("node-b").find("joins with workers 2, 3") != std::string::npos);
  ears->wait_for_steps(1000);
  leave = true;
  CHECK_NOTHROW(first.get());
  ears->wait_for("has left");
  CHECK(end().outcome == "finished");
  second.get();
  CHECK(summary_of_run.updates.abandoned == 0);
  check_balance();
}

TEST_CASE_FIXTURE(network_fixture, "a run that everybody has left waits for somebody to come") {
  c.run.local_steps = 2000;
  const auto server = serve();
  std::atomic<bool> leave{false};
  auto first = work(server, "node-a", 4, &leave);
  ears->wait_for_steps(500);
  leave = true;
  first.get();
  ears->wait_for("has left");
  const auto steps = ears->local_steps();
  CHECK(summary.wait_for(200ms) == std::future_status::timeout);
  CHECK(ears->local_steps() == steps);
  auto second = work(server, "node-b", 1);
  CHECK(end().outcome == "finished");
  second.get();
  check_balance();
}

TEST_CASE_FIXTURE(network_fixture,
                  "a node with other data is turned away, and both sides say why") {
  const auto server = serve();
  auto wrong = work(server, "node-x", 4, nullptr, std::make_shared<points>(3));
  const std::string reason = "other data: the run has 4 shards, and here are 3";
  CHECK_THROWS_WITH_AS(wrong.get(),
                       ("this node does not fit the run of the server at 127.0.0.1:" +
                        std::to_string(server.port) + ": " + reason)
                           .c_str(),
                       run_error);
  CHECK(ears->wait_for("does not go on").find(reason) != std::string::npos);
  auto right = work(server, "node-a", 4);
  CHECK(end().outcome == "finished");
  right.get();
}

TEST_CASE_FIXTURE(network_fixture, "a run with no room left tells the next node to come back") {
  c.run.local_steps = 2000;
  c.network.retry_seconds = 0.0;
  const auto server = serve();
  auto first = work(server, "node-a", 4);
  ears->wait_for("node-a");
  auto second = work(server, "node-b", 1);
  CHECK_THROWS_AS(second.get(), run_error);
  CHECK(ears->wait_for("is refused").find("all 4 workers of the run are taken") !=
        std::string::npos);
  CHECK(end().outcome == "finished");
  first.get();
}

namespace {

struct stranger_state {
  stranger_state() = default;
  static inline const char* name = "stranger";
};

using stranger_actor = actor_interface<takes<refused>, takes<hello>>;

/// Says hello, whatever that says, and passes on how it was refused.
stranger_actor::behavior_type stranger(actor_pointer<stranger_actor, stranger_state> self,
                                       gate_actor gate, hello greeting,
                                       std::shared_ptr<std::promise<refused>> answer) {
  send(self, gate, std::move(greeting));
  return {
      [self, answer](const refused& no) {
        answer->set_value(no);
        self->quit();
      },
      [](const hello&) {},
  };
}

}  // namespace

TEST_CASE_FIXTURE(network_fixture, "other versions and nonsense are refused in words") {
  const auto server = serve();
  initialize_messages();
  caf::actor_system_config config;
  configure_network<caf::id_block::rubato_wire>(config, {});
  caf::actor_system system(config);
  const auto ask = [&](const hello& greeting) {
    auto answer = std::make_shared<std::promise<refused>>();
    const auto gate =
        system.middleman().remote_actor<actor_interface<takes<hello>, takes<close_gate>>>(
            server.host, server.port);
    REQUIRE(gate);
    system.spawn(stranger, *gate, greeting, answer);
    auto no = answer->get_future();
    REQUIRE(no.wait_for(10s) == std::future_status::ready);
    return no.get();
  };
  const auto newer = ask({99, "9.9", "whatever"});
  CHECK(newer.for_good == 1);
  CHECK(newer.reason ==
        "it speaks version 99 of the protocol (rubato 9.9), the server version 2 (rubato 1.2.3); "
        "use the same rubato on all machines");
  CHECK(ears->wait_for("a node at 127.0.0.1:").find("is refused: it speaks version 99") !=
        std::string::npos);
  const auto nonsense = ask({wire_version, "1.2.3", "{\"name\": [[["});
  CHECK(nonsense.for_good == 1);
  CHECK(nonsense.reason.find("a hello that cannot be read") == 0);

  auto node = work(server, "node-a", 4);
  CHECK(end().outcome == "finished");
  node.get();
}

TEST_CASE_FIXTURE(network_fixture, "a served run goes on from its checkpoint with whoever comes") {
  c.run.local_steps = 4000;
  c.checkpoint.every_versions = 10;
  c.run.resume = "auto";
  c.network.retry_seconds = 0.0;
  auto server = serve();
  auto first = work(server, "node-a", 4);
  ears->wait_for_steps(1000);
  stop_server = true;
  CHECK(end().outcome == "interrupted");
  CHECK_THROWS_AS(first.get(), run_error);  // it would have waited
  const auto before = summary_of_run.local_steps;

  server = serve_again();
  auto second = work(server, "node-b", 4);
  CHECK(end().outcome == "finished");
  second.get();
  CHECK(summary_of_run.local_steps >= 4000);
  CHECK(before < 4000);
  check_balance();
}

TEST_CASE_FIXTURE(network_fixture,
                  "workers that come back to a server that ended go on with what they were at") {
  c.run.local_steps = 4000;
  c.checkpoint.every_versions = 10;
  c.run.resume = "auto";
  c.network.codec_up = "int4";
  c.network.codec_down = "int8";
  for (const bool overlap : {false, true}) {
    CAPTURE(overlap);
    c.network.overlap = overlap;
    port = 0;
    auto server = serve();
    auto node = work(server, "node-a", 4);
    ears->wait_for_steps(1000);
    stop_server = true;
    CHECK(end().outcome == "interrupted");
    port = static_cast<std::uint16_t>(server.port);
    serve_again();
    CHECK(end().outcome == "finished");
    node.get();
    CHECK(summary_of_run.updates.abandoned == 0);
    CHECK(summary_of_run.final->loss < 0.9 * 40.0);
    check_balance();
    for (const auto& u : lines("updates.jsonl")) CHECK(u["incarnation"] == 1);
  }
}

TEST_CASE_FIXTURE(
    network_fixture,
    "nodes that come while the first checkpoint is written come in the journal's order") {
  fs::remove_all(root);
  root = fs::temp_directory_path() / root.filename();  // a disk that takes its time
  c.workers.count = 6;
  c.run.local_steps = 1000;
  c.checkpoint.every_versions = 1000;
  c.run.resume = "auto";
  c.network.retry_seconds = 0.0;
  auto server = serve();
  ears->die_after = 200;
  std::vector<std::future<void>> nodes;
  for (int i = 0; i < 6; ++i) nodes.push_back(work(server, "early-" + std::to_string(i), 1));
  CHECK_THROWS_WITH_AS(end(), doctest::Contains("killed"), run_error);
  for (auto& node : nodes) CHECK_THROWS_AS(node.get(), run_error);

  server = serve_again();
  auto late = work(server, "late", 6);
  CHECK(end().outcome == "finished");
  late.get();
}

namespace {

/// Runs in which much depends on the order of things.
struct virtual_fixture : network_fixture {
  virtual_fixture() {
    c.clock.mode = "virtual";
    c.outer.optimizer = "delayed-nesterov";
    c.outer.lr = 0.7;
    c.outer.momentum = 0.5;
    c.quota.policy = "dylu";
    c.workers.jitter = 0.3;
    c.network.latency_seconds = {1.0, 4.0, 0.25, 9.0};
    c.network.retry_seconds = 0.0;
  }
};

}  // namespace

TEST_CASE_FIXTURE(virtual_fixture,
                  "on the virtual clock, workers elsewhere give the bits of one process") {
  c.workers.events = {"3 2 leave 4", "2 1 slow-down 3 9", "5 0 pause 2.5", "12 0-1 leave 1"};
  struct setting {
    const char* up;
    const char* down;
    bool overlap;
  };
  for (const auto& s : {setting{"f32", "f32", false},
                        {"int4", "int8", false},
                        {"int8", "int4", true},
                        {"f32", "bf16", true}}) {
    CAPTURE(std::string(s.up));
    CAPTURE(std::string(s.down));
    c.network.codec_up = s.up;
    c.network.codec_down = s.down;
    c.network.overlap = s.overlap;
    const auto here = run();
    CHECK(here.bytes.wire_down == 0);
    const auto server = serve();
    auto first = work(server, "node-a", 1);
    ears->wait_for("waits for before it begins: 3");
    auto second = work(server, "node-b", 3);
    CHECK(end().params_sha256 == here.params_sha256);
    first.get();
    second.get();
    CHECK(summary_of_run.server_version == here.server_version);
    CHECK(summary_of_run.virtual_seconds == here.virtual_seconds);
    CHECK(summary_of_run.updates.abandoned == here.updates.abandoned);
    CHECK(summary_of_run.bytes.up == here.bytes.up);
    CHECK(summary_of_run.bytes.down == here.bytes.down);
    CHECK(summary_of_run.bytes.wire_up >= here.bytes.up);
    CHECK(summary_of_run.bytes.wire_down > 0);
    check_balance();
  }
}

TEST_CASE_FIXTURE(virtual_fixture,
                  "a virtual run that loses a node stops, and goes on to the same bits") {
  c.network.codec_up = c.network.codec_down = "int8";
  c.checkpoint.every_versions = 5;
  c.run.local_steps = 1500;
  const auto here = run();
  c.run.resume = "auto";
  auto server = serve();
  std::atomic<bool> leave{false};
  auto first = work(server, "node-a", 2, &leave);
  auto second = work(server, "node-b", 2);
  ears->wait_for_steps(500);
  leave = true;
  ears->wait_for("cannot go on without these workers");
  CHECK(end().outcome == "interrupted");
  first.get();
  CHECK_THROWS_AS(second.get(), run_error);  // it would have waited
  CHECK(summary_of_run.local_steps < 1500);

  server = serve_again();
  auto all = work(server, "node-c", 4);
  CHECK(end().outcome == "finished");
  all.get();
  CHECK(summary_of_run.params_sha256 == here.params_sha256);
  CHECK(summary_of_run.virtual_seconds == here.virtual_seconds);
  check_balance();
}
