#include "monitoring/monitor.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "monitoring/process_usage.hpp"
#include "tests/monitoring/http_client.hpp"

using namespace rubato;

namespace {

struct listening {
  explicit listening(bool node = false) {
    process_facts facts;
    facts.run = std::string("r");
    facts.node = node;
    shown = std::make_unique<monitor>(facts, "");
    port = shown->listen("127.0.0.1", 0);
  }

  std::unique_ptr<monitor> shown;
  std::uint16_t port = 0;
};

}  // namespace

TEST_CASE("a port that was left open is given one, and each path has its answer") {
  listening there;
  REQUIRE(there.port != 0);
  const auto metrics = get(there.port, "/metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.head.find("text/plain; version=0.0.4") != std::string::npos);
  CHECK(metrics.content.find("rubato_build_info{") != std::string::npos);
  CHECK(get(there.port, "/healthz").content == "ok\n");
  const auto run = get(there.port, "/api/v1/run");
  CHECK(run.head.find("application/json") != std::string::npos);
  CHECK(nlohmann::json::parse(run.content)["live"]["phase"] == "starting");
  const auto page = get(there.port, "/");
  CHECK(page.head.find("text/html") != std::string::npos);
  CHECK(page.content.find("id=\"data\">null</script>") != std::string::npos);
  CHECK(get(there.port, "/nowhere").status == 404);
  CHECK(get(there.port, "/../../etc/passwd").status != 200);
}

TEST_CASE("a run is ready when it has begun") {
  listening there;
  CHECK(get(there.port, "/readyz").status == 503);
  run_plan plan;
  plan.directory = std::string("/nonexistent");
  there.shown->began(plan);
  CHECK(get(there.port, "/readyz").status == 200);
}

TEST_CASE("nothing can be changed by asking") {
  listening there;
  for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    CAPTURE(method);
    const auto reply = ask(there.port, method, "/api/v1/run");
    CHECK(reply.status >= 400);
  }
  const auto head = ask(there.port, "HEAD", "/metrics");
  CHECK(head.status == 200);
  CHECK(head.content.empty());
}

TEST_CASE("a node has metrics and says where the page is") {
  listening there(true);
  CHECK(get(there.port, "/metrics").content.find("rubato_lane_steps_total") != std::string::npos);
  CHECK(get(there.port, "/readyz").status == 200);
  CHECK(get(there.port, "/").content.find("server") != std::string::npos);
  CHECK(get(there.port, "/api/v1/run").status == 404);
}

TEST_CASE("where one cannot listen, it says why") {
  listening first;
  monitor second(process_facts{}, "");
  const auto reason = [&](const std::string& host, std::uint16_t port) {
    try {
      second.listen(host, port);
      return std::string();
    } catch (const run_error& e) {
      return std::string(e.what());
    }
  };
  CHECK(reason("127.0.0.1", first.port).find("Address already in use") != std::string::npos);
  CHECK(reason("machine.invalid", 0).find("IPv4") != std::string::npos);
}

TEST_CASE("malformed and huge requests are turned away, and others are answered as before") {
  listening there;
  get(there.port, "/metrics");
  const double before = read_process_usage().resident_bytes;
  const std::string megabyte(1 << 20, 'a');
  const std::vector<std::string> requests = {
      "\r\n\r\n",
      "GET\r\n\r\n",
      std::string("\0\0\0\0GET / HTTP/1.1\r\n\r\n", 22),
      "GET / HTTP/9.9\r\n\r\n",
      "GET /%00%ff%zz HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /" + megabyte + " HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: " + megabyte + "\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n" + megabyte,
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n" +
          megabyte,
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  };
  for (int i = 0; i < 5; ++i) {
    for (const auto& request : requests) {
      http_connection connection(there.port);
      REQUIRE(connection.connected());
      connection.send(request);
    }
  }
  random_generator random(1, random_stream::test, {});
  for (int i = 0; i < 100; ++i) {
    std::string noise(random.below(400), ' ');
    for (auto& c : noise) c = static_cast<char>(random.below(256));
    http_connection connection(there.port);
    REQUIRE(connection.connected());
    connection.send(noise + "\r\n\r\n");
  }
  CHECK(get(there.port, "/healthz").status == 200);
  // What was sent is a hundred times as much.
  CHECK(read_process_usage().resident_bytes - before < 32.0 * (1 << 20));
}
