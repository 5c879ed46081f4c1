// A server and its nodes as processes of their own, which are started, stopped and killed.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/process/cluster_fixture.hpp"

using namespace rubato;

TEST_CASE_FIXTURE(cluster_fixture,
                  "nodes join, one leaves politely, one comes late, all end well") {
  serve();
  work("a", 2);
  work("b", 1);
  wait_for_nodes({"a", "b"});
  wait_for_evaluations("run", 4);
  send("a", SIGINT);
  const auto left = end_of("a");
  CHECK(left.code == 130);
  CHECK(left.out.find("everything is handed in; leaving") != std::string::npos);
  work("c", 3);
  wait_for("c", "taking part as workers");
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("b").code == 0);
  CHECK(end_of("c").code == 0);
  CHECK(summary("run")["updates"]["abandoned"] == 0);
  check_balance();
}

TEST_CASE_FIXTURE(cluster_fixture, "a node that is killed does not stop the others") {
  serve();
  work("a", 2);
  work("b", 2);
  wait_for_nodes({"a", "b"});
  wait_for_evaluations("run", 4);
  send("a", SIGKILL);
  wait_for("server", "is lost: the connection is gone");
  CHECK(end_of("a").code == -SIGKILL);
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("b").code == 0);
  check_balance();
}

TEST_CASE_FIXTURE(
    cluster_fixture,
    "a node that is held up briefly stays, one that is for long is let go and comes back") {
  serve({"--run.local_steps", "1000000"});
  work("a", 1);
  work("b", 1);
  wait_for_nodes({"a", "b"});
  wait_for_evaluations("run", 2);
  send("a", SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  send("a", SIGCONT);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  CHECK(read(root / "serverout").find("is lost") == std::string::npos);

  send("a", SIGSTOP);
  const auto printed = wait_for("server", "is lost: nothing was heard of it for");
  CHECK(printed.find("(deadline 2.") != std::string::npos);
  send("a", SIGCONT);
  wait_for("a", "it takes this node for lost: nothing was heard of it");
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  bool second_life = false;
  while (!second_life && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto log = read(root / "serverout");
    second_life = log.find("a (127.0.0.1", log.find("is lost")) != std::string::npos;
  }
  CHECK(second_life);
  send("server", SIGINT);
  CHECK(end_of("server").code == 130);
  check_balance();
}

TEST_CASE_FIXTURE(cluster_fixture, "a server that is killed and started again has its nodes back") {
  serve({"--checkpoint.every_versions", "20", "--network.codec_up", "int4", "--network.codec_down",
         "int8", "--network.overlap", "true"});
  work("a", 2);
  work("b", 2);
  wait_for_nodes({"a", "b"});
  wait_for_evaluations("run", 5);
  send("server", SIGKILL);
  CHECK(end_of("server").code == -SIGKILL);
  wait_for("a", "trying again in");
  wait_for("b", "trying again in");
  const auto returned = serve_again();
  wait_for_nodes({"a", "b"}, "again");
  const std::chrono::duration<double> back = std::chrono::steady_clock::now() - returned;
  MESSAGE("all workers were back " << back.count() << " s after the server");
  const auto ended = end_of("again");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("a").code == 0);
  CHECK(end_of("b").code == 0);
  check_balance();
  // All had rounds in flight, and handed them in when the server was there again.
  CHECK(summary("run")["updates"]["abandoned"] == 0);
  for (const auto& u : lines("run", "updates.jsonl")) CHECK(u["incarnation"] == 1);
}

TEST_CASE_FIXTURE(cluster_fixture, "on the virtual clock the bits are those of one process") {
  const std::vector<std::string> how{
      "--run.local_steps",         "400",   "--network.codec_up", "int4",
      "--network.codec_down",      "int8",  "--network.overlap",  "true",
      "--network.latency_seconds", "[0.3]", "--outer.optimizer",  "delayed-nesterov"};
  auto alone = how;
  alone.insert(alone.begin(), {"train", "tiny.toml", "--run.directory", "alone"});
  const auto local = run(alone);
  REQUIRE_MESSAGE(local.code == 0, local.err);
  auto more = how;
  more.insert(more.end(), {"--clock.mode", "virtual"});
  serve(more);
  work("a", 3);
  wait_for("server", "waits for before it begins: 1");

  running["other"] = start(
      {"work", "tiny.toml", "--server", address, "--name", "other"},
      [] { setenv("ONEDNN_MAX_CPU_ISA", "SSE41", 1); }, "other");
  const auto other = end_of("other");
  CHECK(other.code == 1);
  CHECK(other.err.find("other numerics, so that its steps may have other bits: instructions of "
                       "oneDNN is") != std::string::npos);
  wait_for_nodes({"other"});

  work("b", 1);
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("a").code == 0);
  CHECK(end_of("b").code == 0);
  const auto there = summary("run"), here = summary("alone");
  CHECK(there["params_sha256"] == here["params_sha256"]);
  CHECK(there["virtual_seconds"] == here["virtual_seconds"]);
  CHECK(there["bytes"]["up"] == here["bytes"]["up"]);
  CHECK(there["bytes"]["wire_up"] >= here["bytes"]["up"]);
  check_balance();
}

TEST_CASE_FIXTURE(cluster_fixture, "a virtual run whose node is killed can be resumed") {
  serve({"--clock.mode", "virtual", "--checkpoint.every_versions", "20"});
  work("a", 2);
  work("b", 2);
  wait_for_evaluations("run", 4);
  send("b", SIGKILL);
  CHECK(end_of("b").code == -SIGKILL);
  const auto stopped = end_of("server");
  CHECK(stopped.code == 130);
  CHECK(stopped.out.find("the run cannot go on without these workers, and stops") !=
        std::string::npos);
  CHECK(stopped.err.find("go on with: rubato serve --resume run") != std::string::npos);
  const auto before = summary("run")["local_steps"].get<int>();
  CHECK(before < 4000);

  serve_again();
  work("b", 2);  // a comes back by itself
  const auto ended = end_of("again");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("a").code == 0);
  CHECK(end_of("b").code == 0);
  const auto local = run({"train", "tiny.toml", "--run.directory", "alone", "--run.local_steps",
                          "4000", "--evaluate.every_local_steps", "2000"});
  REQUIRE_MESSAGE(local.code == 0, local.err);
  CHECK(summary("run")["params_sha256"] == summary("alone")["params_sha256"]);
  check_balance();
}

TEST_CASE_FIXTURE(cluster_fixture,
                  "what a node gets wrong it says in one line, and the server goes on") {
  serve();
  work("other-data", 1, {"--data.paths", "['prose']"});
  const auto wrong = end_of("other-data");
  CHECK(wrong.code == 1);
  CHECK(wrong.err.find("other data: the run has 2 shards, and here are 1") != std::string::npos);
  wait_for("server", "does not go on: other data");

  work("no-data", 1, {"--data.paths", "['nowhere']"});
  CHECK(end_of("no-data").code == 2);

  work("run-key", 1, {"--inner.lr", "0.5"});
  const auto refused = end_of("run-key");
  CHECK(refused.code == 2);
  CHECK(refused.err.find("inner.lr is a setting of the whole run") != std::string::npos);

  work("right", 4);
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("right").code == 0);
}

TEST_CASE_FIXTURE(cluster_fixture,
                  "with TLS, who has a certificate of the authority takes part, and nobody else") {
  const auto with = [](const std::string& folder, const std::string& name) {
    return std::vector<std::string>{"--network.cert", folder + "/" + name + ".pem",
                                    "--network.key",  folder + "/" + name + ".key",
                                    "--network.ca",   folder + "/ca.pem"};
  };
  REQUIRE(run({"certs", "ours", "server", "a"}).code == 0);
  REQUIRE(run({"certs", "others", "b"}).code == 0);
  namespace fs = std::filesystem;
  CHECK((fs::status(root / "ours/a.key").permissions() & fs::perms::others_read) ==
        fs::perms::none);
  const auto before = read(root / "ours/a.pem");
  CHECK(run({"certs", "ours", "a"}).code == 2);
  CHECK(read(root / "ours/a.pem") == before);
  CHECK(run({"certs", "ours", "../a"}).code == 2);

  serve(with("ours", "server"));
  auto foreign = with("others", "b");
  foreign.insert(foreign.end(), {"--network.retry_seconds", "1"});
  work("b", 1, foreign);
  work("plain", 1, {"--network.retry_seconds", "1"});
  CHECK(end_of("b").code == 1);
  CHECK(end_of("plain").code == 1);
  work("partly", 1, {"--network.ca", "ours/ca.pem"});
  CHECK(end_of("partly").code == 2);
  work("a", 4, with("ours", "a"));
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("a").code == 0);
  CHECK(ended.out.find("lost") == std::string::npos);
}

TEST_CASE_FIXTURE(cluster_fixture, "an address that others could reach needs TLS, or courage") {
  const auto refused = run({"serve", "tiny.toml", "--clock.mode", "wall", "--network.listen",
                            "0.0.0.0:0", "--run.directory", "never"});
  CHECK(refused.code == 2);
  CHECK(refused.err.find("--insecure-network") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(root / "never"));
  CHECK(run({"work", "--server", "192.0.2.1:4711"}).code == 2);
}
