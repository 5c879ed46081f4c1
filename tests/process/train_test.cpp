// The program as a user runs it: real processes, real text, the model on LibTorch.
#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmath>

#include "tests/process/program_fixture.hpp"

using namespace rubato;
namespace fs = std::filesystem;

using fixture = program_fixture;

TEST_CASE_FIXTURE(fixture, "training ends with a summary and a complete run directory") {
  const auto result = run({"train", "tiny.toml", "--run.directory", "one"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(result.err == "");
  CHECK(result.out.find("Finished after") != std::string::npos);
  CHECK(result.out.find("bits per byte") != std::string::npos);
  CHECK(result.out.find('\x1b') == std::string::npos);  // no terminal, no cursor movements
  CHECK(result.out.find('\r') == std::string::npos);

  const auto s = summary("one");
  for (const char* key :
       {"method", "seed", "clock", "parameters", "workers", "local_steps", "tokens", "epochs",
        "server_version", "wall_seconds", "virtual_seconds", "tokens_per_second", "utilisation",
        "staleness", "updates", "bytes", "final", "best", "params_sha256"}) {
    CHECK_MESSAGE(s.contains(key), key);
  }
  CHECK(s["outcome"] == "finished");
  CHECK(s["tokens"] == s["local_steps"].get<int>() * 4 * 24);
  CHECK(s["final"]["loss"] < 0.9 * std::log(256.0));
  CHECK(lines_in(read(root / "one/updates.jsonl")) ==
        s["updates"]["applied"].get<std::size_t>() + s["updates"]["run_ended"].get<std::size_t>());

  // The effective config gives the same run again.
  CHECK(read(root / "one/config.toml").starts_with("# The settings of this run, of rubato 0."));
  const auto again = run({"train", "one/config.toml", "--run.directory", "again"});
  REQUIRE_MESSAGE(again.code == 0, again.err);
  CHECK(summary("again")["params_sha256"] == s["params_sha256"]);
}

TEST_CASE_FIXTURE(fixture, "the same seed gives the same parameters on 1, 2 and 4 threads") {
  std::vector<std::string> hashes;
  for (const std::string threads : {"1", "2", "4"}) {
    const auto directory = "threads" + threads;
    const auto result = run({"train", "tiny.toml", "--run.directory=" + directory, "--run.threads",
                             threads, "--workers.jitter", "0.3"});
    REQUIRE_MESSAGE(result.code == 0, result.err);
    hashes.push_back(summary(directory)["params_sha256"]);
  }
  CHECK(hashes[0] == hashes[1]);
  CHECK(hashes[0] == hashes[2]);
  run({"train", "tiny.toml", "--run.directory", "other", "--workers.jitter", "0.3", "--run.seed",
       "2"});
  CHECK(summary("other")["params_sha256"] != hashes[0]);
}

TEST_CASE_FIXTURE(fixture, "synchronous training works by overriding the file, and says so") {
  const auto result = run({"train", "tiny.toml", "--json", "--run.directory", "sync",
                           "--outer.mode", "sync", "--outer.optimizer", "nesterov"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const auto s = nlohmann::json::parse(result.out);  // the summary alone
  CHECK(s == summary("sync"));
  CHECK(s["staleness"]["max"] == 0);
  CHECK(result.err.find("held-out loss") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a run starts from the parameters of another") {
  REQUIRE(run({"train", "tiny.toml", "--run.directory", "first"}).code == 0);
  const auto result = run({"train", "tiny.toml", "--run.directory", "second", "--run.init",
                           "first/parameters.safetensors"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const auto begin =
      nlohmann::json::parse(read(root / "second/metrics.jsonl")
                                .substr(0, read(root / "second/metrics.jsonl").find('\n')));
  CHECK(begin["loss"] == summary("first")["final"]["loss"]);
}

TEST_CASE_FIXTURE(fixture, "an interrupt ends a run cleanly, with everything written") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const std::string directory = "signal" + std::to_string(signal);
    const pid_t child = start(
        {"train", "tiny.toml", "--run.directory", directory, "--run.local_steps", "1000000000"},
        // The test itself may have been started with signals ignored.
        [signal] { ::signal(signal, SIG_DFL); });
    wait_for_evaluations(directory, 2);
    kill(child, signal);
    const auto result = finish(child);
    CHECK_MESSAGE(result.code == 130, result.err);
    CHECK(result.out.find("Interrupted after") != std::string::npos);
    const auto s = summary(directory);
    CHECK(s["outcome"] == "interrupted");
    CHECK(s["final"]["version"] == s["server_version"]);
    CHECK(fs::file_size(root / directory / "parameters.safetensors") >
          4 * s["parameters"].get<std::uintmax_t>());
  }
}

TEST_CASE_FIXTURE(fixture,
                  "on a terminal one line shows how far the run is, and goes away in the end") {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(grantpt(terminal) == 0);
  REQUIRE(unlockpt(terminal) == 0);
  const std::string name = ptsname(terminal);
  const pid_t child = start({"train", "tiny.toml", "--run.directory", "terminal"},
                            [&] { dup2(open(name.c_str(), O_RDWR | O_NOCTTY), STDOUT_FILENO); });
  std::string screen;
  char piece[4096];
  // Reading fails once the program has closed its end.
  for (ssize_t n; (n = ::read(terminal, piece, sizeof piece)) > 0;) {
    screen.append(piece, static_cast<std::size_t>(n));
  }
  close(terminal);
  CHECK(finish(child).code == 0);
  const auto line = screen.find("\r\x1b[K");
  REQUIRE(line != std::string::npos);
  const auto shown = screen.substr(line, screen.find('\r', line + 1) - line);
  for (const char* part : {"/60 steps", "%", "loss", "staleness", "tokens/s", "ETA"}) {
    CHECK_MESSAGE(shown.find(part) != std::string::npos, part);
  }
  const auto summary = screen.find("Finished after");
  REQUIRE(summary != std::string::npos);
  CHECK(screen.find("ETA", summary) == std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a disk that takes no more ends the run with code 1 and the reason") {
  const auto result = finish(start({"train", "tiny.toml", "--run.directory", "full"}, [] {
    const rlimit limit{4096, 4096};  // of each file: the parameters do not fit
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
  }));
  CHECK(result.code == 1);
  CHECK(result.err.find("rubato: recorder: ") == 0);
  CHECK(result.err.find("File too large") != std::string::npos);
  CHECK(lines_in(result.err) == 1);
}

TEST_CASE_FIXTURE(fixture,
                  "inner states that find no room on the disk are told before a run begins") {
  const auto start_with = [&](const char* folder, rlim_t bytes) {
    return finish(start(
        {"train", "tiny.toml", "--run.directory", "no-room", "--inner.state_files", "true"}, [=] {
          const rlimit limit{bytes, bytes};
          setrlimit(RLIMIT_FSIZE, &limit);
          signal(SIGXFSZ, SIG_IGN);
          setenv("TMPDIR", folder, 1);
        }));
  };
  const auto full = start_with(".", 4096);
  CHECK(full.code == 1);
  CHECK(full.err.find("bytes in a file in ., as inner.state_files wants: File too large") !=
        std::string::npos);
  CHECK(lines_in(full.err) == 1);
  const auto missing = start_with("missing", RLIM_INFINITY);
  CHECK(missing.code == 1);
  CHECK(missing.err.find("in missing, as inner.state_files wants: No such file or directory") !=
        std::string::npos);
  const auto good = start_with(".", RLIM_INFINITY);
  CHECK_MESSAGE(good.code == 0, good.err);
}

TEST_CASE_FIXTURE(fixture, "a run that diverged says so, ends with code 1 and keeps its files") {
  const auto result = run({"train", "tiny.toml", "--run.directory", "diverged", "--inner.lr", "100",
                           "--inner.optimizer", "sgd", "--inner.clip", "0", "--outer.lr", "1"});
  CHECK(result.code == 1);
  CHECK(result.err.find("rubato: the run diverged") == 0);
  CHECK(result.out.find("Diverged after") != std::string::npos);
  CHECK(summary("diverged")["final"]["loss"].is_null());
  CHECK(result.err.find("the last version with one was 0 (version 0 is in "
                        "diverged/checkpoints/000000000000.checkpoint)") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a run goes on when nobody reads what it prints") {
  const auto result = finish(start({"train", "tiny.toml", "--run.directory", "unread"}, [] {
    int ends[2];
    if (pipe(ends) != 0) _exit(97);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
  }));
  CHECK_MESSAGE(result.code == 0, result.err);
  CHECK(summary("unread")["outcome"] == "finished");
}

TEST_CASE_FIXTURE(fixture, "a hang-up that nohup has switched off does not end a run") {
  const pid_t child =
      start({"train", "tiny.toml", "--run.directory", "nohup", "--run.local_steps", "600"},
            [] { ::signal(SIGHUP, SIG_IGN); });
  wait_for_evaluations("nohup", 2);
  kill(child, SIGHUP);
  const auto result = finish(child);
  CHECK_MESSAGE(result.code == 0, result.err);
  CHECK(summary("nohup")["outcome"] == "finished");
}

TEST_CASE_FIXTURE(fixture, "wrong usage ends with code 2 and says what to do in one line") {
  struct wrong {
    std::vector<std::string> arguments;
    std::string says;
  };
  std::ofstream(root / "broken.toml") << "[run\n";
  fs::create_directories(root / "used");
  std::ofstream(root / "used/summary.json") << "{}";
  std::ofstream(root / "not.safetensors") << "hello";
  const std::vector<wrong> table = {
      {{"train", "nowhere.toml"}, "rubato: nowhere.toml"},
      {{"train", "broken.toml"}, "rubato: broken.toml:"},
      {{"train", "tiny.toml", "--run.sed", "3"}, "did you mean run.seed?"},
      {{"train", "tiny.toml", "--run.seed"}, "--run.seed needs a value"},
      {{"train", "tiny.toml", "--run.seed", "many"}, "run.seed"},
      {{"train", "tiny.toml", "--outer.optimizer", "magic"}, "\"delayed-nesterov\""},
      {{"train", "tiny.toml", "--data.paths", "['nowhere']"}, "nowhere"},
      {{"train", "tiny.toml", "--run.directory", "used"}, "used"},
      {{"train", "tiny.toml", "--run.init", "not.safetensors"}, "not.safetensors"},
      {{"options", "--run.seed", "3"}, "takes no configuration keys"},
      {{"trian"}, "unknown command \"trian\""},
      {{"train"}, "CONFIG is required"},
      {{"train", "tiny.toml", "--nonsense"}, "--nonsense"},
  };
  for (const auto& row : table) {
    const auto result = run(row.arguments);
    CAPTURE(row.arguments.back());
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK(lines_in(result.err) == 1);
    CHECK_MESSAGE(result.err.find(row.says) != std::string::npos, result.err);
  }
  CHECK(run({}).code == 2);
}

TEST_CASE_FIXTURE(fixture, "help, version and the effective config are printed on request") {
  CHECK(run({"--help"}).code == 0);
  CHECK(run({"train", "--help"}).code == 0);
  CHECK(run({"--version"}).code == 0);
  const auto first = run({"train", "tiny.toml", "--print-config", "--inner.lr", "0.25"});
  CHECK(first.code == 0);
  CHECK(first.out.find("lr = 0.25") != std::string::npos);
  std::ofstream(root / "printed.toml") << first.out;
  CHECK(run({"train", "printed.toml", "--print-config"}).out == first.out);
}

TEST_CASE_FIXTURE(fixture, "docs/config.md is what the program says of its keys") {
  const auto result = run({"options", "--markdown"});
  CHECK(result.code == 0);
  // Regenerate with: build/release/rubato options --markdown > docs/config.md
  CHECK(read(fs::path(RUBATO_SOURCE_DIR) / "docs/config.md") == result.out);
}
