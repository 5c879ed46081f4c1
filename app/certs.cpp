// `rubato certs`: a private certificate authority and a certificate for each machine of a run, by
// the installed openssl. Nothing is overwritten; an authority that is there signs for new machines.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "app/commands.hpp"
#include "config/error.hpp"

extern char** environ;

namespace rubato {
namespace {

namespace fs = std::filesystem;

/// Runs it; throws run_error with the last that it said if it fails.
void run_openssl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "openssl");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  std::array<int, 2> said{};
  if (pipe2(said.data(), O_CLOEXEC) != 0) throw run_error("openssl: no pipe to it");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, said[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, said[1], STDERR_FILENO);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, "openssl", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(said[1]);
  std::string text;
  std::array<char, 4096> block{};
  for (ssize_t got; !failed && (got = read(said[0], block.data(), block.size())) > 0;) {
    text.append(block.data(), static_cast<std::size_t>(got));
  }
  close(said[0]);
  if (failed) {
    throw run_error(fmt::format("openssl cannot be run: {}; on Debian and Ubuntu, install openssl",
                                std::generic_category().message(failed)));
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  throw run_error("openssl failed: " + text.substr(text.rfind('\n') + 1));
}

void check_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  if (!name.empty() && name != "ca" && name.front() != '.' && name.size() <= 60 &&
      std::all_of(name.begin(), name.end(), allowed)) {
    return;
  }
  throw usage_error(fmt::format(
      "command line: \"{}\" must be a name for a machine: 1 to 60 letters, digits, \".\", \"-\" or "
      "\"_\", not \"ca\", and not beginning with \".\"",
      name));
}

/// Arguments for a key of its own and a certificate, to which `more` is added.
std::vector<std::string> request(const fs::path& directory, const std::string& name,
                                 const std::string& subject, std::int64_t days,
                                 const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"req",      "-x509",
                                     "-newkey",  "ec",
                                     "-pkeyopt", "ec_paramgen_curve:P-256",
                                     "-nodes",   "-sha256",
                                     "-days",    std::to_string(days),
                                     "-subj",    "/CN=" + subject,
                                     "-keyout",  (directory / (name + ".key")).string(),
                                     "-out",     (directory / (name + ".pem")).string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

int make_certificates(const certs_options& options) {
  for (const auto& name : options.names) check_name(name);
  const fs::path directory = options.directory;
  const auto file = [&](const std::string& name) { return directory / name; };
  for (const auto& name : options.names) {
    for (const char* ending : {".pem", ".key"}) {
      if (fs::exists(file(name + ending))) {
        throw usage_error(fmt::format("{} is there already; it is not overwritten",
                                      file(name + ending).string()));
      }
    }
  }
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw usage_error(fmt::format("{}: cannot be made: {}", options.directory, error.message()));
  }
  umask(077);  // keys are for nobody else
  if (!fs::exists(file("ca.key"))) {
    run_openssl(request(directory, "ca", "rubato CA", options.days,
                        {"-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                         "keyUsage=critical,keyCertSign,cRLSign"}));
    std::printf("%s: signs for all machines; keep %s to yourself\n", file("ca.pem").c_str(),
                file("ca.key").c_str());
  }
  for (const auto& name : options.names) {
    run_openssl(request(
        directory, name, name, options.days,
        {"-CA", file("ca.pem").string(), "-CAkey", file("ca.key").string(), "-addext",
         "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature",
         "-addext", "extendedKeyUsage=serverAuth,clientAuth"}));
    std::printf("%s: for that machine, with %s and ca.pem\n", file(name + ".pem").c_str(),
                fs::path(name + ".key").c_str());
  }
  return exit_done;
}

}  // namespace rubato
