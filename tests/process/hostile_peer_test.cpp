// Peers that are no nodes: they send rubbish, stop in the middle, claim to send more than they do,
// or say again what a node has said. The server must not fall, nor grow, and its nodes not notice.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "config/random.hpp"
#include "tests/process/cluster_fixture.hpp"
#include "tests/process/link_proxy.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mib = 1 << 20;

/// The most memory that the process has had, in bytes.
std::uint64_t peak_memory(pid_t process) {
  std::ifstream in(fmt::format("/proc/{}/status", process));
  for (std::string word; in >> word;) {
    std::uint64_t kib = 0;
    if (word == "VmHWM:" && in >> kib) return kib << 10;
  }
  FAIL("no memory to be read of process " << process);
  return 0;
}

std::string rubbish(random_generator& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random.below(256));
  return bytes;
}

/// The head of a frame of CAF, of a kind of which so many bytes are to follow.
std::string frame_head(std::uint8_t kind, std::uint32_t size) {
  std::string bytes(32, '\0');
  bytes[0] = static_cast<char>(kind);
  for (int i = 0; i < 4; ++i) bytes[4 + i] = static_cast<char>(size >> (24 - 8 * i));
  return bytes;
}

/// Says all that, as far as the server takes it, and is gone.
void say(std::uint16_t port, const std::string& bytes) {
  const auto connection = connect_to(port);
  const timeval patience{1, 0};
  ::setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  for (std::size_t at = 0; at < bytes.size();) {
    const auto sent = ::send(connection.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) return;
    at += static_cast<std::size_t>(sent);
  }
}

struct hostile_peer_fixture : cluster_fixture {
  /// What the node that is listened to has said, once that is something.
  std::string wait_for_words(const link_proxy& overheard) const {
    const auto patience = std::chrono::steady_clock::now() + 60s;
    while (overheard.heard().size() < 50'000 && std::chrono::steady_clock::now() < patience) {
      std::this_thread::sleep_for(20ms);
    }
    REQUIRE(overheard.heard().size() >= 50'000);
    return overheard.heard();
  }

  /// A run of two nodes, among all kinds of peers that are none. With `replay` they also say what a
  /// node has said.
  void live_among_strangers(const std::vector<std::string>& server,
                            const std::vector<std::string>& node, bool replay) {
    std::vector<std::string> settings{"--run.local_steps", "2500"};
    settings.insert(settings.end(), server.begin(), server.end());
    serve(settings);
    const auto port = port_of(address);
    const link_proxy overheard(port, 1);
    work("a", 1, node, overheard.address());
    work("b", 1, node);
    wait_for_nodes({"a", "b"});
    const auto said = wait_for_words(overheard);
    const auto before = peak_memory(running.at("server"));

    random_generator random(7, random_stream::test);
    for (int i = 0; i < 60; ++i) say(port, rubbish(random, 1 + random.below(100'000)));
    for (int i = 0; replay && i < 20; ++i) {
      say(port, said.substr(0, random.below(said.size())));
      auto bent = said;
      for (int j = 0; j < 20; ++j) bent[random.below(bent.size())] ^= 0x55;
      say(port, bent);
    }
    for (std::uint8_t kind = 0; kind < 16; ++kind) {
      say(port, frame_head(kind, 16 * mib) + rubbish(random, 1000));
      say(port, frame_head(kind, 1000) + rubbish(random, 5000));
    }
    // Some stay, and say nothing.
    std::vector<socket_handle> silent;
    for (int i = 0; i < 20; ++i) silent.push_back(connect_to(port));

    CHECK(peak_memory(running.at("server")) < before + 64 * mib);
    const auto ended = end_of("server");
    REQUIRE_MESSAGE(ended.code == 0, ended.err);
    CHECK(end_of("a").code == 0);
    CHECK(end_of("b").code == 0);
    CHECK(ended.out.find("is lost") == std::string::npos);
    CHECK(summary("run")["updates"]["abandoned"] == 0);
    check_balance();
  }
};

}  // namespace

TEST_CASE_FIXTURE(hostile_peer_fixture, "what strangers say does not reach a run without TLS") {
  live_among_strangers({}, {}, false);
}

TEST_CASE_FIXTURE(hostile_peer_fixture, "what strangers say does not reach a run with TLS") {
  REQUIRE(run({"certs", "ours", "server", "node"}).code == 0);
  const auto with = [](const std::string& name) {
    return std::vector<std::string>{"--network.cert", fmt::format("ours/{}.pem", name),
                                    "--network.key",  fmt::format("ours/{}.key", name),
                                    "--network.ca",   "ours/ca.pem"};
  };
  live_among_strangers(with("server"), with("node"), true);
}

// Without TLS, who has listened can speak in a node's name, and so can make the server forget it.
TEST_CASE_FIXTURE(hostile_peer_fixture,
                  "who says again what a node has said cannot have it counted twice") {
  serve({"--run.local_steps", "100000000"});
  const auto port = port_of(address);
  const link_proxy overheard(port, 1);
  work("a", 1, {}, overheard.address());
  wait_for_nodes({"a"});
  work("b", 1);
  wait_for_nodes({"b"});
  const auto said = wait_for_words(overheard);
  for (int i = 0; i < 5; ++i) say(port, said);
  send("a", SIGKILL);
  for (int i = 0; i < 5; ++i) say(port, said);
  work("c", 1);
  wait_for_nodes({"c"});
  send("server", SIGINT);
  const auto ended = end_of("server");
  CHECK(ended.code == 130);
  CHECK(ended.out.find("b (127.0.0.1", ended.out.find("joins with worker 1")) == std::string::npos);
  check_balance();
}
