// Links that are slow, break off, damage what they carry or swallow it; and nodes that stop or die
// in the middle of something. Whatever it was, the books balance, and who was not hit goes on.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/process/cluster_fixture.hpp"
#include "tests/process/link_proxy.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

// Of a run that is ended by the test.
const std::vector<std::string> endless{"--run.local_steps", "100000000"};

struct hostile_link_fixture : cluster_fixture {
  std::size_t times_lost() const {
    const auto log = read(root / "serverout");
    std::size_t count = 0;
    for (auto at = log.find(" is lost: "); at != log.npos; at = log.find(" is lost: ", at + 1)) {
      count += 1;
    }
    return count;
  }

  std::size_t settled() const { return lines_in(read(root / "run" / "updates.jsonl")); }

  /// Waits, for a minute at most, until it holds.
  void wait_until(const char* what, const std::function<bool()>& holds) const {
    const auto patience = std::chrono::steady_clock::now() + 60s;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > patience) {
        FAIL(what << " did not come: " << read(root / "serverout") << read(root / "servererr"));
      }
      std::this_thread::sleep_for(10ms);
    }
  }

  void wait_for_updates(std::size_t more) const {
    const auto enough = settled() + more;
    wait_until("updates", [&] { return settled() >= enough; });
  }

  void interrupt_and_check() {
    send("server", SIGINT);
    const auto ended = end_of("server");
    REQUIRE_MESSAGE(ended.code == 130, ended.err);
    check_balance();
  }

  /// The longest time between two updates of the worker, and the median, in seconds.
  std::pair<double, double> pauses_of(int worker) const {
    std::vector<double> gaps;
    double before = -1.0;
    for (const auto& line : lines("run", "updates.jsonl")) {
      if (line["worker"] != worker) continue;
      const double now = line["settled_seconds"];
      if (before >= 0.0) gaps.push_back(now - before);
      before = now;
    }
    REQUIRE(gaps.size() > 20);
    std::sort(gaps.begin(), gaps.end());
    return {gaps.back(), gaps[gaps.size() / 2]};
  }
};

}  // namespace

TEST_CASE_FIXTURE(hostile_link_fixture, "a link that is slow and far away loses nobody") {
  serve({"--run.local_steps", "1500"});
  const link_proxy far(port_of(address), 1, {.delay = 15ms, .bytes_per_second = 1e6});
  work("a", 2, {"--network.chunk_kib", "16"}, far.address());
  wait_for_nodes({"a"});
  work("b", 1);
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("a").code == 0);
  CHECK(times_lost() == 0);
  CHECK(summary("run")["updates"]["abandoned"] == 0);
  check_balance();
}

TEST_CASE_FIXTURE(hostile_link_fixture,
                  "a link that breaks in the middle of chunks costs the rounds that it carried") {
  serve(endless);
  link_proxy breaking(port_of(address), 2, {.bytes_per_second = 4e6, .cut_after = 400'000});
  work("a", 2, {"--network.chunk_kib", "16"}, breaking.address());
  wait_until("cuts", [&] { return breaking.cuts() >= 3; });
  breaking.become({});
  wait_until("the last loss", [&] { return times_lost() >= 3; });
  wait_for_updates(20);
  interrupt_and_check();
  CHECK(summary("run")["updates"]["abandoned"] >= 1);
}

TEST_CASE_FIXTURE(hostile_link_fixture, "damaged chunks are noticed and sent again") {
  serve(endless);
  link_proxy damaging(port_of(address), 3, {.unharmed = 10});
  work("a", 1, {}, damaging.address());
  work("b", 1);
  wait_until("damage", [&] { return damaging.flips() >= 12; });
  damaging.become({});
  wait_for_updates(20);
  CHECK(times_lost() == 0);
  interrupt_and_check();
  for (const auto& line : lines("run", "updates.jsonl")) CHECK(line["fate"] != "not_finite");
}

TEST_CASE_FIXTURE(hostile_link_fixture,
                  "a link that is dead in one direction is noticed at both ends, and made anew") {
  serve(endless);
  link_proxy half(port_of(address), 4);
  work("a", 1, {}, half.address());
  work("b", 1);
  wait_for_nodes({"a", "b"});
  wait_for_updates(30);
  half.become({.swallow_up = true});
  wait_for("server", "is lost: nothing was heard of it for");
  wait_for("a", "it takes this node for lost: nothing was heard of it");
  wait_for_updates(30);
  half.become({.cut_after = 1});  // the machine that was gone is there again, and knows of nothing
  wait_until("a cut", [&] { return half.cuts() >= 1; });
  half.become({});
  wait_until("its second life", [&] {
    const auto log = read(root / "serverout");
    return log.find("a (127.0.0.1", log.find("is lost")) != log.npos;
  });
  interrupt_and_check();
}

TEST_CASE_FIXTURE(hostile_link_fixture,
                  "while a node hangs, and when one is killed, the others do not wait") {
  serve(endless);
  work("a", 1);
  wait_for_nodes({"a"});
  work("b", 1);
  wait_for_nodes({"b"});
  work("c", 1);
  wait_for_nodes({"c"});
  wait_for_updates(200);
  send("b", SIGSTOP);
  const auto printed = wait_for("server", "is lost: nothing was heard of it for");
  const auto deadline = std::stod(printed.substr(printed.find("(deadline ") + 10));
  wait_for_updates(50);
  send("c", SIGKILL);
  wait_for("server", "is lost: the connection is gone");
  CHECK(end_of("c").code == -SIGKILL);
  wait_for_updates(50);
  send("b", SIGKILL);
  interrupt_and_check();
  const auto [longest, usual] = pauses_of(0);
  CAPTURE(usual);
  CHECK(longest < 0.5 * deadline);
}
