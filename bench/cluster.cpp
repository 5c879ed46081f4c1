#include "bench/cluster.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "bench/child_process.hpp"
#include "bench/measurement.hpp"
#include "config/error.hpp"

namespace rubato {
namespace {

using words = std::vector<std::string>;

words operator+(words left, const words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

void do_it(const words& command) {
  child_process(command).finish();
}

/// A server and nodes, each in a network namespace of its own, and a bridge at the server's.
class shaped_network {
 public:
  explicit shaped_network(std::int64_t nodes) {
    try {
      const auto server = add("server");
      do_it({"ip", "-n", server, "link", "add", "lan", "type", "bridge"});
      do_it(
          {"ip", "-n", server, "addr", "add", fmt::format("{}/24", server_address), "dev", "lan"});
      do_it({"ip", "-n", server, "link", "set", "lan", "up"});
      for (std::int64_t i = 0; i < nodes; ++i) connect(i);
    } catch (...) {
      remove();
      throw;
    }
  }
  ~shaped_network() { remove(); }
  shaped_network(const shaped_network&) = delete;
  shaped_network& operator=(const shaped_network&) = delete;

  /// All links carry so much from now on, each way.
  void shape(double mbit) const {
    // What the link may send at once: 5 ms, and never less than a few large packets.
    const auto burst = std::max(131072.0, mbit * 1e6 / 8 * 0.005);
    for (std::size_t i = 1; i < names_.size(); ++i) {
      for (const auto& [name, device] :
           {std::pair(names_[i], std::string("eth0")), std::pair(names_[0], port(i - 1))}) {
        do_it({"tc", "-n", name, "qdisc", "replace", "dev", device, "root", "tbf", "rate",
               fmt::format("{:.0f}bit", mbit * 1e6), "burst", fmt::format("{:.0f}b", burst),
               "latency", "50ms"});
      }
    }
  }

  words at_server(const words& command) const { return at(0) + command; }
  words at_node(std::size_t node, const words& command) const { return at(node + 1) + command; }

  static constexpr const char* server_address = "10.78.0.1";

 private:
  std::string add(const std::string& what) {
    const auto name = fmt::format("rubato-bench-{}-{}", getpid(), what);
    do_it({"ip", "netns", "add", name});
    names_.push_back(name);
    return name;
  }

  void connect(std::int64_t node) {
    const auto name = add(std::to_string(node));
    const auto device = port(static_cast<std::size_t>(node));
    do_it({"ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", device,
           "netns", names_[0]});
    do_it({"ip", "-n", name, "addr", "add", fmt::format("10.78.0.{}/24", node + 2), "dev", "eth0"});
    do_it({"ip", "-n", name, "link", "set", "eth0", "up"});
    do_it({"ip", "-n", names_[0], "link", "set", device, "master", "lan", "up"});
  }

  static std::string port(std::size_t node) { return fmt::format("port{}", node); }
  words at(std::size_t index) const { return {"ip", "netns", "exec", names_[index]}; }

  void remove() {
    for (const auto& name : names_) {
      try {
        do_it({"ip", "netns", "del", name});
      } catch (const run_error&) {
        // The next ones may go.
      }
    }
  }

  std::vector<std::string> names_;  // of the namespaces, the server's first
};

double bytes_of(codec how, std::int64_t parameters) {
  // The buffer ends at a whole cache line.
  const auto values = static_cast<std::size_t>((parameters + 15) / 16 * 16);
  return static_cast<double>(encoded_size(how, values));
}

double seconds_on_link(double bytes, double mbit) {
  return bytes * 8 / (mbit * 1e6);
}

/// A config file and keys; the run's directory is in the folder.
words settings_of(const cluster_bench_options& o, const std::string& folder) {
  const auto text = [](auto value) { return fmt::format("{}", value); };
  const auto file = folder + "/bench.toml";
  std::ofstream(file) << "# All is said on the command line.\n";
  return {file,
          "--run.directory",
          folder + "/run",
          "--run.local_steps",
          text(o.workers * o.local_steps * o.rounds),
          "--model.kind",
          "null",
          "--model.parameters",
          text(o.parameters),
          "--data.kind",
          "gaussian-mixtures",
          "--data.dimension",
          "1",
          "--data.batch_size",
          "1",
          "--data.points",
          "4096",
          "--data.shards",
          "1",
          "--workers.count",
          text(o.workers),
          "--quota.policy",
          "fixed",
          "--quota.local_steps",
          text(o.local_steps),
          "--network.codec_up",
          std::string(name(o.up)),
          "--network.codec_down",
          std::string(name(o.down)),
          "--network.overlap",
          text(o.overlap),
          "--evaluate.every_local_steps",
          "1000000000",
          "--evaluate.batches",
          "1",
          "--checkpoint.every_versions",
          "0",
          "--journal.enabled",
          "false"};
}

/// Seconds a round takes each worker, from its first update on. With overlap long and short ones
/// take turns, as a round waits for the reply to the one before the last: two are looked at
/// together.
std::vector<double> periods_of(const std::string& directory, bool overlap) {
  const std::size_t together = overlap ? 2 : 1;
  std::map<int, std::vector<double>> settled;
  std::vector<double> periods;
  std::ifstream in(directory + "/updates.jsonl");
  for (std::string text; std::getline(in, text);) {
    const auto line = nlohmann::json::parse(text);
    if (line.at("fate") != "applied") continue;
    auto& times = settled[line.at("worker").get<int>()];
    times.push_back(line.at("settled_seconds"));
    if (times.size() <= together) continue;
    const double before = times[times.size() - 1 - together];
    periods.push_back((times.back() - before) / static_cast<double>(together));
  }
  if (periods.empty()) throw run_error("bench cluster: no worker has sent enough updates");
  return periods;
}

/// The run on the real clock, over the links as they are.
std::vector<double> periods_on_links(const cluster_bench_options& o,
                                     const shaped_network& network) {
  const scratch_folder scratch;
  child_process server(network.at_server(
      words{this_program(), "serve", "--clock.mode", "wall", "--model.step_seconds",
            fmt::format("{}", o.step_seconds), "--network.listen",
            fmt::format("{}:0", shaped_network::server_address), "--insecure-network"} +
      settings_of(o, scratch.path())));
  const std::string before_address = "--server ";
  auto line = server.read_line();
  while (line && line->find(before_address) == std::string::npos) line = server.read_line();
  if (!line) server.finish();  // and say why
  const auto address = line->substr(line->find(before_address) + before_address.size());
  std::vector<std::unique_ptr<child_process>> nodes;
  for (std::int64_t i = 0; i < o.workers; ++i) {
    nodes.push_back(std::make_unique<child_process>(network.at_node(
        static_cast<std::size_t>(i), {this_program(), "work", "--server", address,
                                      "--insecure-network", "--run.threads", "1"})));
  }
  server.finish();
  return periods_of(scratch.path() + "/run", o.overlap);
}

/// The same on the virtual clock, in one process.
std::vector<double> periods_on_virtual_clock(const cluster_bench_options& o, double mbit) {
  const scratch_folder scratch;
  const std::vector<double> paces(static_cast<std::size_t>(o.workers), o.step_seconds);
  child_process(words{this_program(), "train", "--clock.mode", "virtual",
                      "--workers.seconds_per_step", fmt::format("[{}]", fmt::join(paces, ", ")),
                      "--network.bandwidth_mbit", fmt::format("[{}]", mbit)} +
                settings_of(o, scratch.path()))
      .finish();
  return periods_of(scratch.path() + "/run", o.overlap);
}

}  // namespace

double expected_utilisation(double compute, double up, double down, bool overlap) {
  const double one_by_one = compute / (compute + up + down);
  return overlap ? std::min(1.0, 2 * one_by_one) : one_by_one;
}

cluster_bench_report measure_cluster(const cluster_bench_options& options,
                                     const std::function<void(std::string_view)>& told) {
  cluster_bench_report report;
  report.options = options;
  report.compute = static_cast<double>(options.local_steps) * options.step_seconds;
  const shaped_network network(options.workers);
  for (const double mbit : options.mbit) {
    network.shape(mbit);
    cluster_bench_report::line line{mbit, periods_on_links(options, network), 0.0, 0.0, 0.0};
    line.virtual_period = median(periods_on_virtual_clock(options, mbit));
    line.up = seconds_on_link(bytes_of(options.up, options.parameters), mbit);
    line.down = seconds_on_link(bytes_of(options.down, options.parameters), mbit);
    told(fmt::format("{} Mbit/s: {:.2f} s a round", mbit, median(line.periods)));
    report.lines.push_back(std::move(line));
  }
  return report;
}

std::string to_text(const cluster_bench_report& report) {
  const auto& o = report.options;
  const auto row = [](const auto&... cells) {
    return fmt::format("  {:>6}  {:>7}  {:>7}  {:>7}  {:>6}  {:>11}  {:>8}  {:>5}  {:>17}\n",
                       cells...);
  };
  const auto seconds = [](double s) { return fmt::format("{:.2f} s", s); };
  const auto percent = [](double share) { return fmt::format("{:.1f}%", 100 * share); };
  std::string text = fmt::format(
      "What share of the time workers compute\n\n"
      "  {} workers, {} parameters, up as {}, down as {}{}\n"
      "  rounds of {} steps of {} s: C = {:.2f} s\n"
      "  each worker's link shaped by tbf in both directions, the server's not; no journal\n"
      "  expected: {}\n\n",
      o.workers, o.parameters, name(o.up), name(o.down), o.overlap ? ", overlap" : "",
      o.local_steps, o.step_seconds, report.compute,
      o.overlap ? "2 C / (C + up + down), at most 1" : "C / (C + up + down)");
  text += row("Mbit/s", "up", "down", "round", "MAD", "utilisation", "expected", "ratio",
              "virtual clock");
  for (const auto& line : report.lines) {
    const spread round(line.periods);
    const double expected = expected_utilisation(report.compute, line.up, line.down, o.overlap);
    const double measured = report.compute / round.middle;
    text += row(fmt::format("{:g}", line.mbit), seconds(line.up), seconds(line.down),
                seconds(round.middle), fmt::format("{:.2f}", round.deviation), percent(measured),
                percent(expected), fmt::format("{:.3f}", measured / expected),
                fmt::format("{:.2f} s ({:+.1f}%)", line.virtual_period,
                            100 * (line.virtual_period / round.middle - 1)));
  }
  return text;
}

std::string to_json(const cluster_bench_report& report) {
  const auto& o = report.options;
  auto lines = nlohmann::ordered_json::array();
  for (const auto& line : report.lines) {
    lines.push_back(
        {{"mbit", line.mbit},
         {"round_seconds", line.periods},
         {"virtual_round_seconds", line.virtual_period},
         {"up_seconds", line.up},
         {"down_seconds", line.down},
         {"utilisation", report.compute / median(line.periods)},
         {"expected", expected_utilisation(report.compute, line.up, line.down, o.overlap)}});
  }
  const nlohmann::ordered_json value = {
      {"workers", o.workers},         {"parameters", o.parameters},
      {"local_steps", o.local_steps}, {"compute_seconds", report.compute},
      {"codec_up", name(o.up)},       {"codec_down", name(o.down)},
      {"overlap", o.overlap},         {"links", std::move(lines)}};
  return value.dump(2) + '\n';
}

}  // namespace rubato
