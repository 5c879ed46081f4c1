// A run that is watched: what it serves while it trains, what a real Prometheus makes of it, and
// what a browser draws.
#include <doctest/doctest.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/monitoring/http_client.hpp"
#include "tests/process/browser_fixture.hpp"

using namespace rubato;
namespace fs = std::filesystem;

namespace {

const fs::path monitoring = fs::path(RUBATO_SOURCE_DIR) / "monitoring";

void wait_until(const std::function<bool()>& done, int seconds = 60) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!done() && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

struct watched_fixture : browser_fixture {
  ~watched_fixture() {
    for (const pid_t child : children) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }

  /// The port that the process says it listens on.
  std::uint16_t port_said_in(const std::string& file) const {
    const std::string before = "http://127.0.0.1:";
    std::string text;
    wait_until([&] { return (text = read(root / file)).find(before) != std::string::npos; });
    const auto place = text.find(before);
    REQUIRE_MESSAGE(place != std::string::npos, text);
    return static_cast<std::uint16_t>(std::stoi(text.substr(place + before.size())));
  }

  /// A run that does not end by itself; returns the port where it is watched.
  std::uint16_t train(std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"train", "tiny.toml", "--run.directory", "watched",
                                     "--monitor.listen", "127.0.0.1:0", "--run.local_steps",
                                     "1000000000", "--checkpoint.every_versions", "50"});
    children.push_back(start(
        options, [] { ::signal(SIGINT, SIG_DFL); }, "watched-"));
    const auto port = port_said_in("watched-err");
    wait_until([&] { return get(port, "/readyz").status == 200; });
    return port;
  }

  struct ports {
    std::uint16_t server;
    std::uint16_t node;
  };

  /// A server and a node of it, of a run that does not end by itself.
  ports serve() {
    children.push_back(
        start({"serve", "tiny.toml", "--clock.mode", "wall", "--run.directory", "served",
               "--network.listen", "127.0.0.1:0", "--monitor.listen", "127.0.0.1:0",
               "--run.local_steps", "1000000000", "--checkpoint.every_versions", "50"},
              {}, "served-"));
    const auto server = port_said_in("served-err");
    const std::string join = "rubato work --server ";
    wait_until([&] { return read(root / "served-out").find(join) != std::string::npos; });
    const auto text = read(root / "served-out");
    const auto place = text.find(join);
    REQUIRE_MESSAGE(place != std::string::npos, text);
    const auto begin = place + join.size();
    const auto address = text.substr(begin, text.find_first_of(" \n", begin) - begin);
    children.push_back(
        start({"work", "tiny.toml", "--server", address, "--monitor.listen", "127.0.0.1:0"}, {},
              "node-"));
    return {server, port_said_in("node-out")};
  }

  /// Ends the run as a user does.
  outcome interrupt() {
    const pid_t child = children.back();
    children.pop_back();
    kill(child, SIGINT);
    return finish(child, "watched-");
  }

  int shell(const std::string& command) const {
    const int status = std::system(("cd '" + root.string() + "' && " + command).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::vector<pid_t> children;
};

struct prometheus_fixture : watched_fixture {
  /// Scrapes both five times a second, with the alerts that are shipped; returns its port.
  std::uint16_t start_prometheus(const ports& run) {
    std::ofstream(root / "prometheus.yml")
        << "global:\n  scrape_interval: 200ms\n  evaluation_interval: 1s\nrule_files:\n  - '"
        << (monitoring / "prometheus" / "rules.yml").string()
        << "'\nscrape_configs:\n  - job_name: rubato\n    static_configs:\n"
           "      - targets: ['127.0.0.1:"
        << run.server << "', '127.0.0.1:" << run.node << "']\n";
    // Its log says which port it was given, but not in all versions: so one is chosen.
    const std::uint16_t port = free_port();
    const pid_t child = fork();
    if (child == 0) {
      const auto log = open((root / "prometheus-log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
      if (chdir(root.c_str()) != 0) _exit(99);
      const auto listen = "--web.listen-address=127.0.0.1:" + std::to_string(port);
      execl(prometheus.c_str(), "prometheus", "--config.file=prometheus.yml",
            "--storage.tsdb.path=tsdb", listen.c_str(), nullptr);
      _exit(98);
    }
    children.insert(children.begin(), child);
    wait_until([&] { return get(port, "/-/ready").status == 200; });
    return port;
  }

  static std::uint16_t free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(socket);
    return ntohs(address.sin_port);
  }

  /// What an expression comes to; of chunked answers the JSON lies between two lines.
  nlohmann::json query(std::uint16_t port, const std::string& expression) const {
    std::string escaped;
    for (const unsigned char c : expression) {
      char piece[4];
      std::snprintf(piece, sizeof piece, "%%%02X", c);
      escaped += piece;
    }
    const auto reply = get(port, "/api/v1/query?query=" + escaped);
    const auto begin = reply.content.find('{');
    const auto end = reply.content.rfind('}');
    if (begin == std::string::npos) return nullptr;
    return nlohmann::json::parse(reply.content.substr(begin, end - begin + 1));
  }

  std::string prometheus = find_program({"prometheus"});
};

/// A panel's question, as Grafana would ask it with everything chosen.
std::string filled_in(std::string expression) {
  const std::vector<std::pair<std::string, std::string>> variables = {{"$__rate_interval", "5s"},
                                                                      {"$__interval", "1s"},
                                                                      {"$__range", "1m"},
                                                                      {"$run", ".*"},
                                                                      {"$worker", ".*"}};
  for (const auto& [name, value] : variables) {
    for (auto at = expression.find(name); at != std::string::npos; at = expression.find(name)) {
      expression.replace(at, name.size(), value);
    }
  }
  return expression;
}

struct question {
  std::string from;
  std::string expression;
};

std::vector<question> questions_of_dashboards() {
  std::vector<question> questions;
  for (const auto& file : fs::directory_iterator(monitoring / "grafana" / "dashboards")) {
    if (file.path().extension() != ".json") continue;
    const auto dashboard = nlohmann::json::parse(read(file.path()));
    for (const auto& panel : dashboard.at("panels")) {
      if (!panel.contains("targets")) continue;
      for (const auto& target : panel.at("targets")) {
        questions.push_back(
            {file.path().filename().string() + ": " + panel.at("title").get<std::string>(),
             target.at("expr").get<std::string>()});
      }
    }
  }
  return questions;
}

}  // namespace

TEST_CASE_FIXTURE(watched_fixture, "a run is watched while it trains, and leaves a report") {
  const auto port = train();
  wait_for_evaluations("watched", 2);
  const auto metrics = get(port, "/metrics").content;
  CHECK(metrics.find("rubato_updates_total{run=\"tiny\",fate=\"applied\"}") != std::string::npos);
  CHECK(metrics.find("rubato_update_staleness_versions_bucket") != std::string::npos);
  CHECK(metrics.find("rubato_evaluation_loss_nats") != std::string::npos);
  const auto data = nlohmann::json::parse(get(port, "/api/v1/run").content);
  CHECK(data["live"]["phase"] == "running");
  CHECK(data["runs"][0]["evaluations"]["loss"].size() >= 2);

  if (const auto promtool = find_program({"promtool"}); promtool.empty()) {
    MESSAGE("no promtool here, so the form of the metrics is not checked");
  } else {
    std::ofstream(root / "metrics.txt") << get(port, "/metrics").content;
    CHECK(shell("'" + promtool + "' check metrics < metrics.txt > said 2>&1") == 0);
    CHECK(read(root / "said") == "");
  }

  const auto result = interrupt();
  CHECK(result.code == 130);
  CHECK(read(root / "watched/report.html").find("<title>Rubato report</title>") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(watched_fixture, "a run ends as it would have unwatched") {
  const auto result = run({"train", "tiny.toml", "--run.directory", "seen", "--monitor.listen",
                           "127.0.0.1:0", "--no-report"});
  CHECK(result.code == 0);
  CHECK(!fs::exists(root / "seen/report.html"));
  REQUIRE(run({"train", "tiny.toml", "--run.directory", "unseen"}).code == 0);
  CHECK(fs::exists(root / "unseen/report.html"));
  CHECK(summary("seen")["params_sha256"] == summary("unseen")["params_sha256"]);
}

TEST_CASE_FIXTURE(watched_fixture, "a port that is taken stops a run only if it was asked for") {
  const auto port = train();
  const auto where = "127.0.0.1:" + std::to_string(port);
  const auto refused =
      run({"train", "tiny.toml", "--run.directory", "a", "--monitor.listen", where});
  CHECK(refused.code == 1);
  CHECK(refused.err.find("monitor.listen = \"" + where + "\"") != std::string::npos);
  CHECK(refused.err.find("Address already in use") != std::string::npos);
  CHECK(!fs::exists(root / "a"));

  // Of two that listen by themselves, one at least finds the usual port taken.
  const pid_t first = start({"train", "tiny.toml", "--run.directory", "b", "--monitor.listen",
                             "auto", "--run.local_steps", "1000000000"},
                            {}, "b-");
  children.push_back(first);
  wait_until([&] { return !read(root / "b-err").empty(); });
  const auto second =
      run({"train", "tiny.toml", "--run.directory", "c", "--monitor.listen", "auto"});
  CHECK(second.code == 0);
  CHECK(lines_in(second.err) == 1);
  CHECK(second.err.find("note: not to be watched") != std::string::npos);
}

TEST_CASE_FIXTURE(watched_fixture, "who could be watched by anybody has to say so") {
  const auto result =
      run({"train", "tiny.toml", "--run.directory", "a", "--monitor.listen", "0.0.0.0:0"});
  CHECK(result.code == 2);
  CHECK(result.err.find("--insecure-network") != std::string::npos);
  CHECK(run({"train", "tiny.toml", "--run.directory", "a", "--monitor.listen", "0.0.0.0:0",
             "--insecure-network"})
            .code == 0);
  CHECK(run({"train", "tiny.toml", "--run.directory", "b", "--monitor.listen", "nonsense"}).code ==
        2);
}

TEST_CASE_FIXTURE(watched_fixture, "a browser draws a run that goes on, and draws it again") {
  if (browser.empty()) {
    MESSAGE("no Chromium here, so nothing is drawn");
    return;
  }
  const auto port = train({"--clock.mode", "wall"});
  wait_for_evaluations("watched", 2);
  const auto text =
      drawn("http://127.0.0.1:" + std::to_string(port) + "/", "--virtual-time-budget=9000");
  CHECK(text.find("data-status=\"ready: 6 charts, 0 errors\"") != std::string::npos);
  CHECK(text.find("data-updates=\"") != std::string::npos);
  CHECK(text.find("Running.") != std::string::npos);
  const auto complaint = text.find("CONSOLE");
  CHECK_MESSAGE(complaint == std::string::npos, text.substr(std::min(complaint, text.size())));
}

TEST_CASE_FIXTURE(prometheus_fixture, "every question of a dashboard has an answer in Prometheus") {
  if (prometheus.empty()) {
    MESSAGE("no Prometheus here, so no question is asked");
    return;
  }
  const auto port = start_prometheus(serve());
  // Rates need some time.
  const auto questions = questions_of_dashboards();
  REQUIRE(questions.size() > 20);
  const auto has_answer = [&](const question& q) {
    const auto answer = query(port, filled_in(q.expression));
    return answer.is_object() && answer.value("status", "") == "success" &&
           !answer.at("data").at("result").empty();
  };
  for (const auto& q : questions) {
    wait_until([&] { return has_answer(q); }, 20);
    CHECK_MESSAGE(has_answer(q), q.from << ": " << q.expression << ": "
                                        << query(port, filled_in(q.expression)).dump());
  }
  // The alerts are there, and their expressions can be evaluated.
  const auto rules = get(port, "/api/v1/rules").content;
  CHECK(rules.find("\"alerts\"") != std::string::npos);
  CHECK(rules.find("\"health\":\"err\"") == std::string::npos);
  CHECK(rules.find("\"state\":\"firing\"") == std::string::npos);
}

TEST_CASE_FIXTURE(watched_fixture, "a server and its node are watched each by itself") {
  const auto [served, node] = serve();
  const auto says = [](std::uint16_t port, const std::string& line) {
    return get(port, "/metrics").content.find(line) != std::string::npos;
  };
  wait_until([&] { return says(served, "rubato_peers{run=\"tiny\"} 1\n"); });
  CHECK(says(served, "rubato_peers{run=\"tiny\"} 1\n"));
  CHECK(says(served, "rubato_peer_heartbeat_age_seconds{run=\"tiny\",peer=\""));
  CHECK(says(served, "rubato_transfer_retries_total{run=\"tiny\",direction=\"down\"}"));
  for (const std::string direction : {"down", "up"}) {
    const auto spent = [&] {
      const std::string metric =
          "rubato_transfer_seconds_total{run=\"tiny\",codec=\"f32\",direction=\"" + direction +
          "\"} ";
      const auto page = get(served, "/metrics").content;
      const auto place = page.find(metric);
      return place == std::string::npos ? -1.0 : std::stod(page.substr(place + metric.size()));
    };
    wait_until([&] { return spent() > 0.0; });
    CHECK_MESSAGE(spent() > 0.0, direction);
  }
  wait_until([&] { return says(node, "rubato_peer_heartbeat_age_seconds{"); });
  CHECK(says(node, "rubato_peer_heartbeat_age_seconds{"));
  CHECK(says(node, "rubato_lane_steps_total{"));
  CHECK(!says(node, "rubato_server_version"));
  CHECK(get(node, "/").content.find("A node") == 0);
}

TEST_CASE_FIXTURE(prometheus_fixture, "every alert fires when it should, and only then") {
  const auto promtool = find_program({"promtool"});
  if (promtool.empty()) {
    MESSAGE("no promtool here, so no alert is tried");
    return;
  }
  const auto folder = monitoring / "prometheus";
  const auto check = [&](const std::string& command, const fs::path& file) {
    const int code =
        shell("'" + promtool + "' " + command + " '" + file.string() + "' > said 2>&1");
    CHECK_MESSAGE(code == 0, read(root / "said"));
  };
  check("check config", folder / "prometheus.yml");
  check("check rules", folder / "rules.yml");
  check("test rules", folder / "rules_test.yml");
}
