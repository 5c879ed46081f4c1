// A server and its nodes, to which something happens all the time: nodes come, leave, hang and die,
// links get slow, break and go silent, the server is killed and goes on. And what must be true of
// the run at the end. What is not is a std::runtime_error.
#pragma once

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "config/random.hpp"
#include "tests/process/killing.hpp"
#include "tests/process/link_proxy.hpp"
#include "tests/process/program_fixture.hpp"

namespace rubato {

class cluster_soak {
 public:
  /// What happened, and what came of it.
  struct counts {
    int joined = 0;
    int killed = 0;
    int hung = 0;
    int left = 0;
    int links_changed = 0;
    int server_killed = 0;
    std::size_t applied = 0;
    std::size_t abandoned = 0;
  };

  cluster_soak(const program_fixture& files, std::uint64_t seed)
      : files_(files), random_(seed, random_stream::test) {
    std::filesystem::remove_all(files_.root / "run");
    start_server({"tiny.toml", "--run.directory", "run", "--clock.mode", "wall",
                  "--run.local_steps", "1000000000", "--evaluate.every_local_steps", "20000",
                  "--checkpoint.every_versions", "100", "--network.heartbeat_seconds", "0.2",
                  "--network.silence_seconds", "2", "--network.listen", "127.0.0.1:0"});
  }
  ~cluster_soak() {
    for (const auto& [name, node] : nodes_) end(node.process);
    if (server_ > 0) end(server_);
  }
  cluster_soak(const cluster_soak&) = delete;
  cluster_soak& operator=(const cluster_soak&) = delete;

  /// Lets things happen for so long, then stops the run and checks it.
  counts live(std::chrono::seconds time) {
    const auto over = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < over) {
      happen();
      std::this_thread::sleep_for(std::chrono::milliseconds(100 + random_.below(1000)));
      require_server();
    }
    stop();
    check();
    return counts_;
  }

 private:
  struct node {
    pid_t process;
    std::unique_ptr<link_proxy> link;
  };

  static constexpr std::size_t most_nodes = 5;

  std::string server_errors() const { return read(files_.root / "servererr"); }

  void require_server() const {
    int status = 0;
    require(::waitpid(server_, &status, WNOHANG) == 0,
            fmt::format("the server is gone, with status {:#x}: {}", status, last_words()));
  }

  void start_server(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "serve");
    server_ = files_.start(
        arguments, [] { ::signal(SIGINT, SIG_DFL); }, "server");
    const std::string before = "--server ";
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (std::string printed; std::chrono::steady_clock::now() < patience;) {
      printed = read(files_.root / "serverout");
      const auto at = printed.find(before);
      const auto end = printed.find('\n', at);
      if (at != printed.npos && end != printed.npos) {
        address_ = printed.substr(at + before.size(), end - at - before.size());
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    throw std::runtime_error("the server did not start: " + server_errors());
  }

  /// What everybody has said last.
  std::string last_words() const {
    std::string text;
    const auto add = [&](const std::string& name) {
      const auto said = read(files_.root / (name + "out")) + read(files_.root / (name + "err"));
      constexpr std::size_t enough = 1500;
      text += fmt::format("\n-- {}\n{}", name, said.substr(std::max(said.size(), enough) - enough));
    };
    add("server");
    for (const auto& [name, node] : nodes_) add(name);
    return text;
  }

  static void end(pid_t process) {
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
  }

  void happen() {
    const auto what = random_.below(100);
    if (nodes_.empty() || (what < 25 && nodes_.size() < most_nodes)) return join();
    auto chosen = nodes_.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(random_.below(nodes_.size())));
    if (what < 40) {
      end(chosen->second.process);
      nodes_.erase(chosen);
      counts_.killed += 1;
    } else if (what < 48) {
      // Asked to leave; whether it gets to it is up to its link.
      ::kill(chosen->second.process, SIGINT);
      std::this_thread::sleep_for(std::chrono::milliseconds(random_.below(1000)));
      end(chosen->second.process);
      nodes_.erase(chosen);
      counts_.left += 1;
    } else if (what < 60) {
      ::kill(chosen->second.process, SIGSTOP);
      std::this_thread::sleep_for(std::chrono::milliseconds(random_.below(4000)));
      ::kill(chosen->second.process, SIGCONT);
      counts_.hung += 1;
    } else if (what < 95) {
      chosen->second.link->become(weather());
      counts_.links_changed += 1;
    } else {
      end(std::exchange(server_, -1));
      counts_.server_killed += 1;
      start_server({"--resume", "run", "--network.listen", address_});
    }
  }

  void join() {
    const auto name = fmt::format("node-{}", counts_.joined++);
    auto link = std::make_unique<link_proxy>(port_of(address_), random_(), weather());
    const pid_t process = files_.start(
        {"work", "tiny.toml", "--server", link->address(), "--name", name, "--workers",
         std::to_string(1 + random_.below(2)), "--run.threads", "1", "--network.chunk_kib", "16",
         "--network.heartbeat_seconds", "0.2", "--network.silence_seconds", "2"},
        [] { ::signal(SIGINT, SIG_DFL); }, name);
    nodes_.emplace(name, node{process, std::move(link)});
  }

  /// Good, as a rule.
  link_conditions weather() {
    link_conditions c;
    switch (random_.below(8)) {
      case 0:
        c.delay = std::chrono::milliseconds(random_.below(100));
        break;
      case 1:
        c.bytes_per_second = 2e5 + 1e6 * random_.uniform();
        break;
      case 2:
        c.cut_after = 1 + random_.below(2'000'000);
        break;
      case 3:
        c.swallow_up = true;
        break;
      case 4:
        c.swallow_down = true;
        break;
      default:
        break;
    }
    return c;
  }

  /// The run must get somewhere when all is well again; then it is stopped.
  void stop() {
    if (nodes_.empty()) join();
    for (const auto& [name, node] : nodes_) node.link->become({});
    const auto before = lines_in(read(files_.root / "run" / "updates.jsonl"));
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (lines_in(read(files_.root / "run" / "updates.jsonl")) < before + 20) {
      require_server();
      require(std::chrono::steady_clock::now() < patience, "the run does not go on" + last_words());
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ::kill(server_, SIGINT);
    const auto result = files_.finish(std::exchange(server_, -1), "server");
    require(result.code == 130, "the server has failed: " + result.err);
  }

  /// Every round has one fate, and the books balance.
  void check() {
    const auto audit = files_.run({"audit", "run"});
    require(audit.code == 0, audit.out + audit.err);
    std::set<std::tuple<int, int, int>> rounds;
    for (const auto& line : files_.lines("run", "updates.jsonl")) {
      const std::string fate = line["fate"];
      counts_.applied += fate == "applied" ? 1 : 0;
      counts_.abandoned += fate == "abandoned" ? 1 : 0;
      if (fate == "duplicate" || fate == "stale_incarnation") continue;
      require(rounds.emplace(line["worker"], line["incarnation"], line["sequence"]).second,
              "a round has two fates: " + line.dump());
    }
  }

  const program_fixture& files_;
  random_generator random_;
  counts counts_;
  std::string address_;
  pid_t server_ = -1;
  std::map<std::string, node> nodes_;
};

}  // namespace rubato
