#include "bench/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "config/error.hpp"

extern char** environ;

namespace rubato {

child_process::child_process(std::vector<std::string> words) : name_(words.front()) {
  int to_child[2];
  int from_child[2];
  // A socket, for who writes to a pipe that nobody reads is killed.
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to_child) != 0 ||
      ::pipe2(from_child, O_CLOEXEC) != 0) {
    throw run_error("bench: no more pipes");
  }
  errors_ = ::memfd_create("errors", MFD_CLOEXEC);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors_, STDERR_FILENO);
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int error = posix_spawnp(&id_, argv.front(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(to_child[0]);
  ::close(from_child[1]);
  input_ = to_child[1];
  output_ = from_child[0];
  if (error != 0) {
    ::close(input_);
    ::close(output_);
    ::close(errors_);
    throw run_error(fmt::format("bench: {} cannot be started; is it installed?", name_));
  }
}

child_process::~child_process() {
  ::close(input_);
  ::close(output_);
  ::close(errors_);
  if (id_ < 0) return;
  ::kill(id_, SIGKILL);
  while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void child_process::write_line(std::string line) {
  line += '\n';
  [[maybe_unused]] const auto sent = ::send(input_, line.data(), line.size(), MSG_NOSIGNAL);
}

std::optional<std::string> child_process::read_line() {
  std::string line;
  for (char c = 0; ::read(output_, &c, 1) == 1;) {
    if (c == '\n') return line;
    line += c;
  }
  return std::nullopt;
}

std::string child_process::finish() {
  std::string text;
  char buffer[4096];
  for (ssize_t size = 0; (size = ::read(output_, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  int status = 0;
  rusage used{};
  while (::wait4(id_, &status, 0, &used) < 0 && errno == EINTR) {
  }
  id_ = -1;
  peak_memory_ = static_cast<std::uint64_t>(used.ru_maxrss) << 10;
  if (status != 0) {
    throw run_error(fmt::format("bench: {} has failed: {}{}", name_, text, errors()));
  }
  return text;
}

std::string child_process::errors() const {
  std::string text;
  char buffer[4096];
  for (ssize_t size = 0;
       (size = ::pread(errors_, buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(size));
  }
  return text;
}

std::string this_program() {
  return std::filesystem::read_symlink("/proc/self/exe").string();
}

}  // namespace rubato
