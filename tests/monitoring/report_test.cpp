#include "monitoring/report.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;
using nlohmann::json;

namespace {

json round_line(int worker, const std::string& fate, int version, int staleness, double assigned,
                double settled, json cosine = nullptr, json cosine_to_others = nullptr) {
  return {{"worker", worker},
          {"incarnation", 1},
          {"sequence", 0},
          {"fate", fate},
          {"base", version - 1 - staleness},
          {"version", version},
          {"staleness", staleness},
          {"weight", 1.0},
          {"steps", 5},
          {"tokens", 500},
          {"cosine_to_momentum", std::move(cosine)},
          {"cosine_to_others", std::move(cosine_to_others)},
          {"assigned_seconds", assigned},
          {"compute_seconds", settled - assigned},
          {"settled_seconds", settled}};
}

json evaluation_line(int local_steps, double clock_seconds, json loss, json quotas = {5, 5}) {
  return {{"local_steps", local_steps},
          {"version", local_steps / 5},
          {"tokens", 100 * local_steps},
          {"clock_seconds", clock_seconds},
          {"wall_seconds", 0.25},
          {"loss", std::move(loss)},
          {"perplexity", 1.0},
          {"bits_per_byte", nullptr},
          {"accuracy", 0.5},
          {"shard_loss", {1.0}},
          {"quotas", std::move(quotas)},
          {"workers_live", 2}};
}

json some_summary() {
  json evaluation = evaluation_line(20, 4.0, 0.1 + 0.2);
  return {{"outcome", "finished"},
          {"per_worker", {{{"rounds", 2}}, {{"rounds", 2}}}},
          {"bytes", {{"down", 1000}, {"up", 400}}},
          {"final", evaluation},
          {"best", evaluation}};
}

/// A run directory of made-up files.
struct made_up_run {
  void write(const std::string& name, std::string_view text) const {
    write_bytes(folder.file(name), text);
  }
  void write_lines(const std::string& name, const std::vector<json>& lines) const {
    std::string text;
    for (const auto& line : lines) text += line.dump() + '\n';
    write(name, text);
  }
  json read() const {
    return report_data("title", "1.2.3", {{.directory = folder.path().string()}})["runs"][0];
  }

  temporary_folder folder;
};

struct run_with_config : made_up_run {
  run_with_config() {
    write("config.toml", "[run]\nname = \"some = run\"\n\n[data]\nkind = 'x'\n");
  }
};

std::string error_of(const std::string& directory) {
  try {
    report_data("title", "1.2.3", {{.directory = directory}});
  } catch (const usage_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE_FIXTURE(run_with_config, "a run that has only begun is shown with what there is") {
  const json run = read();
  CHECK(run["config"] == json::array({{"run.name", "\"some = run\""}, {"data.kind", "'x'"}}));
  CHECK(run["summary"].is_null());
  CHECK(run["evaluations"]["loss"].empty());
  CHECK(run["staleness_over_time"].empty());
  CHECK(run["timeline"]["rounds"].empty());
}

TEST_CASE_FIXTURE(run_with_config, "every evaluation is there, as a column for each key") {
  write_lines("metrics.jsonl", {evaluation_line(0, 0.0, 2.5), evaluation_line(10, 1.0, nullptr),
                                evaluation_line(20, 2.0, 0.1 + 0.2)});
  const json columns = read()["evaluations"];
  CHECK(columns["local_steps"] == json{0, 10, 20});
  CHECK(columns["loss"] == json{2.5, nullptr, 0.3});  // shortened: 0.30000000000000004
  CHECK(columns["clock_seconds"] == json{0.0, 1.0, 2.0});
  CHECK(columns["bytes"] == json{nullptr, nullptr, nullptr});  // nobody knows before the summary
  CHECK(columns["top5"] == json{nullptr, nullptr, nullptr});   // of images alone
  for (const auto& [key, column] : columns.items()) CHECK_MESSAGE(column.size() == 3, key);
}

TEST_CASE_FIXTURE(run_with_config, "quotas are kept where they change, events apart from them") {
  const json event = {{"event", "leave"},
                      {"clock_seconds", 1.5},
                      {"worker", 1},
                      {"seconds_per_step", nullptr},
                      {"quota", 0}};
  write_lines("metrics.jsonl",
              {evaluation_line(0, 0.0, 1.0, {5, 3}), evaluation_line(10, 1.0, 1.0, {5, 3}), event,
               evaluation_line(20, 2.0, 1.0, {5, 0})});
  const json run = read();
  CHECK(run["quotas"] == json{{0.0, {5, 3}}, {2.0, {5, 0}}});
  CHECK(run["changes"] == json::array({event}));
}

TEST_CASE_FIXTURE(run_with_config, "bytes count the transfers that were over, or had begun") {
  // Four rounds given out and 1000 bytes down: 250 each. Two arrived and 400 bytes up: 200 each.
  write_lines(
      "updates.jsonl",
      {round_line(0, "applied", 1, 0, 0.0, 2.0), round_line(1, "not_finite", 1, 0, 0.0, 3.0),
       round_line(0, "abandoned", 1, 0, 2.0, 4.0), round_line(1, "run_ended", 1, 0, 3.0, 4.0)});
  write_lines("metrics.jsonl", {evaluation_line(0, 0.0, 1.0), evaluation_line(5, 2.0, 1.0),
                                evaluation_line(10, 3.0, 1.0)});
  write("summary.json", some_summary().dump());
  CHECK(read()["evaluations"]["bytes"] == json{0.0, 2 * 250.0 + 200.0, 3 * 250.0 + 2 * 200.0});
}

TEST_CASE_FIXTURE(run_with_config, "staleness over time is exact: it sums up to every update") {
  std::vector<json> lines;
  std::map<int, int> expected;
  double cosines = 0.0;
  for (int i = 0; i < 1000; ++i) {
    const int staleness = i * i % 7;
    lines.push_back(round_line(i % 3, "applied", i + 1, staleness, i, i + 1.0, 0.001 * i));
    ++expected[staleness];
    cosines += 0.001 * i;
  }
  lines.push_back(round_line(0, "run_ended", 1000, 99, 1000.0, 1001.0));
  write_lines("updates.jsonl", lines);

  const json run = read();
  std::map<int, int> counted;
  double latest = 0.0;
  for (const auto& step : run["staleness_over_time"]) {
    CHECK(step[0] > latest);
    latest = step[0];
    for (const auto& pair : step[1]) counted[pair[0]] += pair[1].get<int>();
  }
  CHECK(counted == expected);
  CHECK(run["staleness_over_time"].size() == 100);
  CHECK(run["fates"] == json{{"applied", 1000}, {"run_ended", 1}});

  // Equal steps of ten updates each, so the mean of the means is the mean.
  double sum = 0.0;
  for (const auto& step : run["cosine"]) {
    CHECK(step[2] <= step[1]);
    CHECK(step[1] <= step[3]);
    sum += step[1].get<double>();
  }
  CHECK(sum / 100 == doctest::Approx(cosines / 1000).epsilon(0.01));
}

TEST_CASE_FIXTURE(run_with_config, "cosines between updates are shown if there are any") {
  auto old = round_line(0, "applied", 1, 0, 0.0, 1.0, 0.9);
  old.erase("cosine_to_others");
  write_lines("updates.jsonl", {old, round_line(0, "applied", 2, 0, 1.0, 2.0, 0.9)});
  CHECK(read()["cosine_to_others"].empty());
  write_lines("updates.jsonl", {old, round_line(0, "applied", 2, 0, 1.0, 2.0, 0.9, 0.25)});
  CHECK(read()["cosine_to_others"] == json({{1.9, 0.25, 0.25, 0.25}}));
}

TEST_CASE_FIXTURE(run_with_config,
                  "many different values make the steps of time longer, not the page") {
  std::vector<json> lines;
  for (int i = 0; i < 8000; ++i) {
    lines.push_back(round_line(0, "applied", 5000 + i, i % 2000, i, i + 1.0));
  }
  write_lines("updates.jsonl", lines);
  std::size_t entries = 0;
  int updates = 0;
  const json run = read();
  for (const auto& step : run["staleness_over_time"]) {
    entries += step[1].size();
    for (const auto& pair : step[1]) updates += pair[1].get<int>();
  }
  CHECK(updates == 8000);
  CHECK(entries <= 3000);
}

TEST_CASE_FIXTURE(run_with_config, "the timeline has the rounds given out first, without a gap") {
  std::vector<json> lines;
  // Worker 1's only round begins first and is settled last.
  for (int i = 0; i < 5000; ++i) lines.push_back(round_line(0, "applied", i + 1, 0, i, i + 1.0));
  lines.push_back(round_line(1, "applied", 5001, 5000, 0.0, 6000.0));
  lines.push_back(round_line(77, "applied", 5002, 5000, 0.0, 6000.0));  // too many to show
  write_lines("updates.jsonl", lines);
  const json timeline = read()["timeline"];
  REQUIRE(timeline["rounds"].size() == 2000);
  CHECK(timeline["rounds"][0] == json{0, "applied", 0, 1, 0, 5, 0.0, 1.0, 1.0, 0.0, 0.0});
  CHECK(timeline["rounds"][1] ==
        json{1, "applied", 0, 5001, 5000, 5, 0.0, 6000.0, 6000.0, 0.0, 0.0});
  CHECK(timeline["until"] == 1999.0);  // where the first round that is left out begins
  for (const auto& round : timeline["rounds"]) CHECK(round[6] < timeline["until"]);
}

TEST_CASE_FIXTURE(run_with_config, "what grows with the workers is cut, in the summary too") {
  json summary = some_summary();
  summary["per_worker"] = std::vector<json>(1000, {{"rounds", 1}});
  summary["final"]["quotas"] = std::vector<int>(1000, 5);
  write("summary.json", summary.dump());
  write_lines("metrics.jsonl", {evaluation_line(0, 0.0, 1.0, std::vector<int>(1000, 5))});
  const json run = read();
  CHECK(run["summary"]["per_worker"].size() == 32);
  CHECK(!run["summary"]["final"].contains("quotas"));
  CHECK(run["summary"]["final"]["loss"] == 0.3);
  CHECK(run["quotas"][0][1].size() == 32);
}

TEST_CASE_FIXTURE(run_with_config, "a line that is still being written is left out") {
  const auto whole = evaluation_line(0, 0.0, 1.0).dump() + '\n';
  write("metrics.jsonl", whole + whole.substr(0, 40));
  CHECK(read()["evaluations"]["loss"].size() == 1);
  write("metrics.jsonl", whole.substr(0, 40) + '\n' + whole);
  CHECK(error_of(folder.path().string()).find("metrics.jsonl:1: not a line") != std::string::npos);
}

TEST_CASE_FIXTURE(made_up_run, "what is not a run directory is named") {
  const auto here = folder.path().string();
  CHECK(error_of(here) == here + ": not a run directory, for it has no config.toml");
  const auto nowhere = folder.file("nowhere");
  CHECK(error_of(nowhere) == nowhere + ": no such folder; a run directory is wanted");
  write("config.toml", "");
  write("summary.json", "{}");
  CHECK(error_of(here).find("summary.json: not the summary of a run") != std::string::npos);
}

TEST_CASE("the training loss is that of rounds that arrived, as means of equally many") {
  made_up_run run;
  run.write("config.toml", "");
  std::vector<json> lines;
  for (int i = 0; i < 200; ++i) {  // two make a mean
    auto line = round_line(0, i == 0 ? "abandoned" : "applied", i, 0, i, i + 1.0);
    line["loss"] = i % 2 == 1 ? 3.0 : 1.0;
    lines.push_back(line);
  }
  run.write_lines("updates.jsonl", lines);
  const auto training = run.read()["training"];
  CHECK(training["loss"] == json(std::vector<double>(99, 2.0)));
  CHECK(training["local_steps"][0] == 10);
  CHECK(training["local_steps"][98] == 990);
  CHECK(training["tokens"][98] == 198 * 500);
  CHECK(training["clock_seconds"][0] == 3.0);
}

TEST_CASE("the page is one file, and nothing in its data gets out of its place") {
  const std::string nasty = "</script><script>alert(1)</script><!--\xff\xe2\x80\xa8";
  const auto page = report_page({{"title", nasty}, {"runs", json::array()}});
  CHECK(page.find("alert(1)") != std::string::npos);
  CHECK(page.find("</script><script>alert") == std::string::npos);
  CHECK(page.find("@DATA@") == std::string::npos);

  // The data are read back as they were, but for the byte that was not UTF-8.
  const std::string_view opening = "<script type=\"application/json\" id=\"data\">";
  const auto begin = page.find(opening) + opening.size();
  const auto data = json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  CHECK(data["title"] == "</script><script>alert(1)</script><!--\xef\xbf\xbd\xe2\x80\xa8");

  for (const char* loads : {" src=", "@import", "url("}) {
    CHECK_MESSAGE(page.find(loads) == std::string::npos, loads);
  }
  // But for a run that goes on, whose page has no data.
  CHECK(page.find("fetch(") == page.rfind("fetch(\"api/v1/run\")"));
  CHECK(page.find("fetch(") == page.rfind("fetch("));
  CHECK(page.find("default-src 'none'") != std::string::npos);
}

TEST_CASE("fifty long runs make a page below ten megabytes") {
  made_up_run run;
  run.write("config.toml", "[run]\nname = \"long\"\n");
  std::vector<json> lines;
  for (int i = 0; i < 1500; ++i) {
    lines.push_back(
        round_line(i % 8, "applied", i + 1, i % 40, i / 3.0, i / 3.0 + 1.0, 1.0 / (1 + i)));
  }
  run.write_lines("updates.jsonl", lines);
  lines.clear();
  for (int i = 0; i < 200; ++i) lines.push_back(evaluation_line(5 * i, i / 3.0, 1.0 / (1 + i)));
  run.write_lines("metrics.jsonl", lines);
  const std::vector<report_run> runs(50, {.directory = run.folder.path().string(), .label = "x"});
  const auto size = report_page(report_data("title", "1.2.3", runs)).size();
  CHECK(size < 10'000'000);
}
