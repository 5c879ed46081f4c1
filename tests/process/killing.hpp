// Runs that are killed at random moments with SIGKILL, and go on each time; and what must be true
// of them then. What is not is a std::runtime_error. For the tests, and for as long as scripts/soak
// is told.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

#include "config/random.hpp"
#include "recovery/audit.hpp"
#include "recovery/history.hpp"
#include "recovery/records.hpp"
#include "storage/journal_reader.hpp"
#include "tests/process/program_fixture.hpp"

namespace rubato {

inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

/// Kills a run of `rubato train` on the virtual clock so often, if it does not end before. Returns
/// how often it was. The run must end with the weights and lines of one that was never killed, its
/// journal must balance, and every checkpoint must be made again by a replay.
inline int kill_on_virtual_clock(const program_fixture& files, std::uint64_t seed, int kills) {
  const std::vector<std::string> settings{
      "--run.local_steps",           "1500", "--workers.jitter", "0.2", "--run.seed", "3",
      "--checkpoint.every_versions", "4"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    return arguments;
  };
  const auto begun = std::chrono::steady_clock::now();
  std::filesystem::remove_all(files.root / "whole");
  std::filesystem::remove_all(files.root / "killed");
  require(files.run(with({"train", "tiny.toml", "--run.directory", "whole"})).code == 0,
          "a run that nobody killed has failed");
  const auto whole = std::chrono::steady_clock::now() - begun;

  random_generator random(seed, random_stream::test);
  int killed = 0;
  for (;;) {
    const pid_t child = files.start(
        with({"train", "tiny.toml", "--run.directory", "killed", "--run.resume", "auto"}));
    if (killed < kills) {
      // Long enough for some to get past a checkpoint, short enough for most not to finish.
      std::this_thread::sleep_for((0.1 + 0.5 * random.uniform()) * whole);
      kill(child, SIGKILL);
    }
    const auto result = files.finish(child);
    if (result.code == 0) break;
    require(result.code == -SIGKILL, "a resumed run has failed: " + result.err);
    killed += 1;
  }
  require(files.summary("killed")["params_sha256"] == files.summary("whole")["params_sha256"],
          "a run that was killed has other weights");
  require(files.lines("killed", "updates.jsonl") == files.lines("whole", "updates.jsonl"),
          "a run that was killed has other updates");
  const auto audit = files.run({"audit", "killed"});
  require(audit.code == 0, audit.out + audit.err);
  const auto replay = files.run({"replay", "killed"});
  require(replay.code == 0, replay.out + replay.err);
  return killed;
}

/// A run on the wall clock and its witness, which reads what the run says and lives on.
class witnessed_run {
 public:
  using round_name = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;

  /// `program`: witnessed_run.
  witnessed_run(std::string program, const std::filesystem::path& folder, std::uint64_t seed)
      : program_(std::move(program)),
        directory_((folder / "run").string()),
        config_((folder / "witnessed.toml").string()),
        random_(seed, random_stream::test) {
    static const std::vector<std::string> methods = {
        "window.grace_seconds = 0.001\n", "outer.mode = 'sync'\nouter.optimizer = 'nesterov'\n",
        "outer.mode = 'sync'\nouter.optimizer = 'nesterov'\nwindow.quorum = 3\n",
        "outer.optimizer = 'adam'\nouter.accumulate = 3\nquota.policy = 'dylu'\n",
        "outer.mode = 'sync'\nouter.optimizer = 'nesterov'\nouter.group_size = 2\n"
        "outer.group_rounds = 3\n"};
    std::filesystem::remove_all(directory_);
    std::ofstream(config_) << "run.local_steps = 3000\nrun.threads = 2\nrun.resume = 'auto'\n"
                           << "run.directory = '" << directory_ << "'\ndata.paths = ['texts']\n"
                           << "clock.mode = 'wall'\nquota.local_steps = 10\n"
                           << "checkpoint.every_versions = 5\n"
                           << methods[seed % methods.size()];
  }

  /// Starts it, or lets it go on, and kills it after some more updates have been said. False if it
  /// had ended by then. Checks what it left.
  bool live_and_be_killed() {
    int ends[2];
    require(::pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    const pid_t child = fork();
    if (child == 0) {
      dup2(ends[1], STDOUT_FILENO);
      execl(program_.c_str(), program_.c_str(), config_.c_str(), nullptr);
      _exit(98);
    }
    ::close(ends[1]);
    const auto patience = 1 + random_.below(40);
    bool alive = true;
    std::string text;
    std::size_t lines = 0;
    char buffer[4096];
    // What was said before the end is in the pipe, however it ends.
    for (ssize_t size = 0; (size = ::read(ends[0], buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<std::size_t>(size));
      lines += static_cast<std::size_t>(std::count(buffer, buffer + size, '\n'));
      if (alive && lines >= patience) {
        std::this_thread::sleep_for(std::chrono::microseconds(random_.below(5000)));
        kill(child, SIGKILL);
        alive = false;
      }
    }
    ::close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    require(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0),
            fmt::format("a run has failed in {}", directory_));
    listen(text);
    check(!killed);
    return killed;
  }

  const std::string& directory() const { return directory_; }
  std::size_t acknowledged() const { return acknowledged_.size(); }

 private:
  void listen(const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      round_name round;
      words >> std::get<0>(round) >> std::get<1>(round) >> std::get<2>(round);
      require(bool(words), "the run says something else: " + line);
      require(acknowledged_.insert(round).second, "an update was acknowledged twice: " + line);
    }
  }

  void check(bool ended) const {
    const auto audit = audit_run(posix_file_system(), directory_);
    const auto& faults = audit.books.faults();
    require(audit.balances(), faults.empty() ? "tokens are missing" : faults.front());
    require(audit.books.ended() || !ended, "the journal lacks its end");
    std::set<round_name> applied;
    journal_reader journal(posix_file_system(), journal_folder(directory_));
    while (const auto entry = journal.next()) {
      const auto* settled = std::get_if<settle_record>(&entry->content);
      if (settled == nullptr || static_cast<fate>(settled->fate) != fate::applied) continue;
      const auto& id = settled->work;
      require(applied.emplace(id.worker, id.incarnation, id.sequence).second,
              fmt::format("record {} applies an update again", entry->number));
    }
    for (const auto& round : acknowledged_) {
      require(applied.contains(round),
              fmt::format("round {} of worker {} was acknowledged, but is missing",
                          std::get<2>(round), std::get<0>(round)));
    }
  }

  std::string program_;
  std::string directory_;
  std::string config_;
  random_generator random_;
  std::set<round_name> acknowledged_;
};

/// Kills runs on the wall clock so often, each until it has ended. Returns how many updates were
/// acknowledged.
inline std::size_t kill_on_wall_clock(const program_fixture& files, const std::string& program,
                                      std::uint64_t seed, int kills) {
  std::size_t acknowledged = 0;
  for (int killed = 0; killed < kills; ++seed) {
    witnessed_run run(program, files.root, seed);
    while (run.live_and_be_killed()) killed += 1;
    acknowledged += run.acknowledged();
    const auto replay = files.run({"replay", run.directory()});
    require(replay.code == 0, replay.out + replay.err);
  }
  return acknowledged;
}

}  // namespace rubato
