// A server and its nodes as processes of their own; and what must be true of any run of theirs,
// whatever happened to them.
#pragma once

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/process/program_fixture.hpp"

namespace rubato {

struct cluster_fixture : program_fixture {
  ~cluster_fixture() {
    for (const auto& [name, child] : running) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }

  /// Starts a server of a run that takes a few seconds; it prints to `serverout`.
  void serve(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"serve",
                                       "tiny.toml",
                                       "--run.directory",
                                       "run",
                                       "--clock.mode",
                                       "wall",
                                       "--run.local_steps",
                                       "4000",
                                       "--evaluate.every_local_steps",
                                       "200",
                                       "--network.heartbeat_seconds",
                                       "0.1",
                                       "--network.silence_seconds",
                                       "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    running["server"] = start(
        arguments, [] { ::signal(SIGINT, SIG_DFL); }, "server");
    const auto line = wait_for("server", "--server ");
    const auto begin = line.find("--server ") + 9;
    address = line.substr(begin, line.find('\n', begin) - begin);
  }

  /// Starts it again, as `again`, where nodes look for it. When they could find it.
  std::chrono::steady_clock::time_point serve_again() {
    running["again"] = start(
        {"serve", "--resume", "run", "--network.listen", address},
        [] { ::signal(SIGINT, SIG_DFL); }, "again");
    wait_for("again", "nodes join with");
    return std::chrono::steady_clock::now();
  }

  /// Starts a node; it finds the server at `where`, or where that listens if empty.
  void work(const std::string& name, int workers, const std::vector<std::string>& more = {},
            const std::string& where = "") {
    std::vector<std::string> arguments{"work",
                                       "tiny.toml",
                                       "--server",
                                       where.empty() ? address : where,
                                       "--name",
                                       name,
                                       "--workers",
                                       std::to_string(workers),
                                       "--run.threads",
                                       "1",
                                       "--network.heartbeat_seconds",
                                       "0.1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    running[name] = start(
        arguments, [] { ::signal(SIGINT, SIG_DFL); }, name);
  }

  /// What the process has printed, as soon as `part` is in it.
  std::string wait_for(const std::string& name, const std::string& part) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::string printed;
    while (std::chrono::steady_clock::now() < patience) {
      printed = read(root / (name + "out"));
      if (printed.find(part) != std::string::npos) return printed;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    FAIL(name << " did not print \"" << part << "\" but " << printed
              << read(root / (name + "err")));
    return printed;
  }

  /// Who joins first leaves little time to those that are still starting; seconds may lie between.
  void wait_for_nodes(const std::vector<std::string>& names, const std::string& server = "server") {
    for (const auto& name : names) wait_for(server, name + " (127.0.0.1:");
  }

  outcome end_of(const std::string& name) {
    const auto result = finish(running.at(name), name);
    running.erase(name);
    return result;
  }

  void send(const std::string& name, int number) { kill(running.at(name), number); }

  /// Every round has one fate, the summary counts them as the ledger does, and the journal
  /// balances.
  void check_balance() {
    const auto audit = run({"audit", "run"});
    CHECK_MESSAGE(audit.code == 0, audit.out << audit.err);
    std::set<std::tuple<int, int, int>> rounds;
    std::map<std::string, int> fates;
    for (const auto& line : lines("run", "updates.jsonl")) {
      fates[line["fate"]] += 1;
      if (line["fate"] == "duplicate" || line["fate"] == "stale_incarnation") continue;
      CHECK(rounds.emplace(line["worker"], line["incarnation"], line["sequence"]).second);
    }
    const auto updates = summary("run")["updates"];
    for (const char* fate : {"applied", "abandoned", "run_ended"}) {
      CAPTURE(fate);
      CHECK(updates[fate] == fates[fate]);
    }
    CHECK(updates["rejected"] == fates["stale_incarnation"]);
  }

  std::string address;
  std::map<std::string, pid_t> running;
};

}  // namespace rubato
