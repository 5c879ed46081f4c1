#include "bench/peer_process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "config/error.hpp"

extern char** environ;

namespace rubato {

peer_process::peer_process(std::string command) : command_(std::move(command)) {
  if (getenv("RUBATO_REPLACED_CORETYPE") != nullptr) {
    command_ = "unset OPENBLAS_CORETYPE RUBATO_REPLACED_CORETYPE; " + command_;
  }
  std::array<int, 2> questions{};
  std::array<int, 2> answers{};
  if (pipe2(questions.data(), O_CLOEXEC) != 0 || pipe2(answers.data(), O_CLOEXEC) != 0) {
    throw run_error("bench: no pipe to a peer can be made");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, questions[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answers[1], STDOUT_FILENO);
  std::string shell = "/bin/sh";
  std::string flag = "-c";
  std::array<char*, 4> argv{shell.data(), flag.data(), command_.data(), nullptr};
  const int failed = posix_spawn(&child_, shell.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(questions[0]);
  ::close(answers[1]);
  if (failed != 0) {
    ::close(questions[1]);
    ::close(answers[0]);
    throw run_error("bench: " + command_ + " cannot be started");
  }
  to_ = fdopen(questions[1], "w");
  from_ = fdopen(answers[0], "r");
}

peer_process::~peer_process() {
  std::fclose(to_);
  std::fclose(from_);
  int status = 0;
  while (waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
}

double peer_process::measure() {
  std::fputs("go\n", to_);
  std::fflush(to_);
  std::array<char, 64> line{};
  char* end = nullptr;
  const char* got = std::fgets(line.data(), line.size(), from_);
  const double seconds = got != nullptr ? std::strtod(got, &end) : 0.0;
  if (got == nullptr || end == got || *end != '\n' || !(seconds > 0.0)) {
    throw run_error("bench: " + command_ + " did not answer with its seconds");
  }
  return seconds;
}

}  // namespace rubato
