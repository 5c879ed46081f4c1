// The program as a user runs it: a child process in a folder of its own, with text to train on.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "config/random.hpp"

namespace rubato {

inline std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

struct outcome {
  int code = -1;
  std::string out;
  std::string err;
};

/// A folder with two shards of made-up text, and the program to train on them.
struct program_fixture {
  program_fixture() {
    root = std::filesystem::temp_directory_path() / ("rubato-process-" + std::to_string(getpid()));
    std::filesystem::remove_all(root);
    for (const std::string shard : {"prose", "sums"}) {
      std::filesystem::create_directories(root / shard);
      for (std::uint64_t file = 0; file < 6; ++file) {
        random_generator random(file, random_stream::test, {shard.size()});
        std::ofstream out(root / shard / (std::to_string(file) + ".txt"));
        for (int line = 0; line < 200; ++line) {
          const auto x = random.below(50), y = random.below(50);
          if (shard == "sums") {
            out << x << '+' << y << '=' << x + y << '\n';
          } else {
            out << "the cat number " << x << " sees dog " << y << ".\n";
          }
        }
      }
    }
    std::ofstream(root / "tiny.toml")
        << "run.name = 'tiny'\nrun.local_steps = 60\nmonitor.listen = ''\n"
           "data.paths = ['"
        << (root / "prose").string() << "', '" << (root / "sums").string()
        << "']\n"
           "data.batch_size = 4\n"
           "[model]\nlayers = 1\nwidth = 16\nheads = 2\n"
           "sequence_length = 24\n"
           "[inner]\nlr = 0.01\n"
           "[quota]\nlocal_steps = 5\n"
           "[evaluate]\nevery_local_steps = 30\nbatches = 2\n";
  }
  ~program_fixture() { std::filesystem::remove_all(root); }

  /// `prepare` runs in the child before the program starts. Of several at a time, each needs a
  /// `name`, for what it prints.
  pid_t start(const std::vector<std::string>& arguments, const std::function<void()>& prepare = {},
              const std::string& name = "") const {
    // What one of this name printed before must not be taken for what this one does.
    for (const char* stream : {"out", "err"}) std::filesystem::remove(root / (name + stream));
    const pid_t child = fork();
    if (child == 0) {
      const auto redirect = [](const std::filesystem::path& path, int to) {
        dup2(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), to);
      };
      redirect(root / (name + "out"), STDOUT_FILENO);
      redirect(root / (name + "err"), STDERR_FILENO);
      if (chdir(root.c_str()) != 0) _exit(99);
      if (prepare) prepare();
      std::vector<char*> argv{const_cast<char*>(RUBATO_BINARY)};
      for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
      argv.push_back(nullptr);
      execv(RUBATO_BINARY, argv.data());
      _exit(98);
    }
    return child;
  }

  outcome finish(pid_t child, const std::string& name = "") const {
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
            read(root / (name + "out")), read(root / (name + "err"))};
  }

  outcome run(const std::vector<std::string>& arguments) const { return finish(start(arguments)); }

  /// Waits, for a minute at most, until the run has made so many evaluations.
  void wait_for_evaluations(const std::string& directory, std::size_t count) const {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (lines_in(read(root / directory / "metrics.jsonl")) < count &&
           std::chrono::steady_clock::now() < patience) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  /// The lines of a .jsonl file of the run.
  std::vector<nlohmann::json> lines(const std::string& directory, const std::string& file) const {
    std::istringstream in(read(root / directory / file));
    std::vector<nlohmann::json> result;
    for (std::string line; std::getline(in, line);) result.push_back(nlohmann::json::parse(line));
    return result;
  }

  nlohmann::json summary(const std::string& directory) const {
    return nlohmann::json::parse(read(root / directory / "summary.json"));
  }

  std::filesystem::path root;
};

}  // namespace rubato
