#include "compare/processes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "config/error.hpp"

namespace rubato {
namespace {

constexpr auto poll_interval = std::chrono::milliseconds(10);
constexpr auto longest_wait = std::chrono::milliseconds(200);

// What a shell reports for a command that cannot be run.
constexpr int cannot_execute = 126;

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace

core_plan share_cores(std::size_t cores, std::size_t runs, std::int64_t parallel,
                      std::int64_t threads, std::int64_t threads_per_lane) {
  cores = std::max<std::size_t>(cores, 1);
  runs = std::max<std::size_t>(runs, 1);
  const auto lane = static_cast<std::size_t>(threads_per_lane);
  core_plan plan;
  if (threads > 0) {
    plan.threads = threads;
  } else {
    const auto at_a_time = parallel > 0 ? static_cast<std::size_t>(parallel) : runs;
    plan.threads = static_cast<std::int64_t>(
        std::max<std::size_t>(1, cores / std::max<std::size_t>(1, at_a_time * lane)));
  }
  plan.runs = parallel > 0 ? static_cast<std::size_t>(parallel)
                           : std::max<std::size_t>(
                                 1, cores / (static_cast<std::size_t>(plan.threads) * lane));
  plan.runs = std::min(plan.runs, runs);
  return plan;
}

child_processes::child_processes(std::string program, const comparison_folder& folder,
                                 core_plan plan)
    : program_(std::move(program)), folder_(folder), plan_(plan) {}

child_processes::~child_processes() {
  for (const auto& [child, name] : running_) ::kill(child, SIGKILL);
  for (const auto& [child, name] : running_) ::waitpid(child, nullptr, 0);
}

void child_processes::start(const cell& c) {
  // Everything is made ready before the fork: between it and exec little is allowed.
  std::vector<std::string> arguments = {"rubato",
                                        "train",
                                        folder_.config_of(c),
                                        "--no-report",
                                        "--run.directory",
                                        folder_.directory_of(c),
                                        "--run.threads",
                                        std::to_string(plan_.threads)};
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string log_path = folder_.log_of(c);
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (log < 0) {
    throw run_error("cannot write " + log_path + ": " + std::generic_category().message(errno));
  }

  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    ::signal(SIGINT, SIG_DFL);  // ignored ones stay so through exec, and interrupt() would be lost
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(cannot_execute);  // it died before it could be noticed
    ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execv(program_.c_str(), argv.data());
    ::_exit(cannot_execute);
  }
  const int error = errno;
  ::close(log);
  if (child < 0) {
    throw run_error("cannot start another process: " + std::generic_category().message(error));
  }
  running_.emplace(child, c.name);
}

std::vector<ended_run> child_processes::wait() {
  std::vector<ended_run> ended;
  const auto until = std::chrono::steady_clock::now() + longest_wait;
  for (;;) {
    for (auto child = running_.begin(); child != running_.end();) {
      int status = 0;
      if (::waitpid(child->first, &status, WNOHANG) == 0) {
        ++child;
        continue;
      }
      ended.push_back({child->second, describe_end(status)});
      child = running_.erase(child);
    }
    if (!ended.empty() || std::chrono::steady_clock::now() >= until) return ended;
    std::this_thread::sleep_for(poll_interval);
  }
}

void child_processes::interrupt() {
  for (const auto& [child, name] : running_) ::kill(child, SIGINT);
}

}  // namespace rubato
