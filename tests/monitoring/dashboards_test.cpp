// The dashboards and alerts as files: what they ask for exists, and they are made as they should
// be. What comes back when they ask is process/monitor_test's.
#include <doctest/doctest.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "monitoring/metrics.hpp"

using namespace rubato;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

const fs::path monitoring = fs::path(RUBATO_SOURCE_DIR) / "monitoring";

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<fs::path> dashboards() {
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(monitoring / "grafana" / "dashboards")) {
    files.push_back(file.path());
  }
  return files;
}

/// The metrics that a text names, by their names in the catalogue.
std::set<std::string> metrics_in(const std::string& text) {
  static const std::regex name("\\b(rubato|process)_[a-z0-9_]+");
  static const std::regex series("_(bucket|sum|count)$");
  std::set<std::string> names;
  for (std::sregex_iterator found(text.begin(), text.end(), name), end; found != end; ++found) {
    names.insert(std::regex_replace(found->str(), series, ""));
  }
  return names;
}

std::set<std::string> metrics_in_catalogue() {
  std::set<std::string> names;
  for (const auto& about : metric_catalogue()) names.insert(std::string(about.name));
  return names;
}

}  // namespace

TEST_CASE("every metric that a dashboard or an alert asks for exists") {
  auto files = dashboards();
  REQUIRE(files.size() == 3);
  files.push_back(monitoring / "prometheus" / "rules.yml");
  files.push_back(monitoring / "prometheus" / "rules_test.yml");
  const auto known = metrics_in_catalogue();
  for (const auto& file : files) {
    for (const auto& name : metrics_in(text_of(file))) {
      CAPTURE(file.string());
      CAPTURE(name);
      CHECK(known.count(name) == 1);
    }
  }
}

TEST_CASE("nearly every metric is shown on some dashboard") {
  std::set<std::string> shown;
  for (const auto& file : dashboards()) shown.merge(metrics_in(text_of(file)));
  // What stands behind a template variable, or is for those who compare numbers by hand.
  const std::set<std::string> elsewhere = {
      "rubato_build_info",         "rubato_parameters",         "rubato_run_ended",
      "rubato_evaluations_total",  "rubato_window_open",        "rubato_staleness_limit_versions",
      "rubato_checkpoint_version", "process_start_time_seconds"};
  for (const auto& name : metrics_in_catalogue()) {
    CAPTURE(name);
    CHECK(shown.count(name) + elsewhere.count(name) == 1);
  }
}

TEST_CASE(
    "each panel has a title, a description and a place of its own, and names no data source") {
  for (const auto& file : dashboards()) {
    CAPTURE(file.string());
    const auto dashboard = json::parse(text_of(file));
    CHECK(dashboard.at("schemaVersion").get<int>() >= 39);
    CHECK(dashboard.at("uid") == file.stem().string());
    std::set<int> ids;
    std::vector<json> places;
    for (const auto& panel : dashboard.at("panels")) {
      CAPTURE(panel.at("title").get<std::string>());
      CHECK(ids.insert(panel.at("id").get<int>()).second);
      const auto& place = panel.at("gridPos");
      CHECK(place.at("x").get<int>() + place.at("w").get<int>() <= 24);
      for (const auto& other : places) {
        const auto apart = [&](const char* from, const char* length) {
          return place.at(from) >= other.at(from).get<int>() + other.at(length).get<int>() ||
                 other.at(from) >= place.at(from).get<int>() + place.at(length).get<int>();
        };
        CHECK((apart("x", "w") || apart("y", "h")));
      }
      places.push_back(place);
      if (panel.at("type") == "row") continue;
      CHECK(!panel.at("description").get<std::string>().empty());
      CHECK(panel.at("datasource").at("uid") == "${datasource}");
      CHECK(!panel.at("targets").empty());
      for (const auto& target : panel.at("targets")) {
        CHECK(target.at("datasource").at("uid") == "${datasource}");
        CHECK(target.at("expr").get<std::string>().find("run=~\"$run\"") != std::string::npos);
      }
    }
    std::set<std::string> variables;
    for (const auto& variable : dashboard.at("templating").at("list")) {
      variables.insert(variable.at("name").get<std::string>());
    }
    CHECK(variables.count("datasource") == 1);
    CHECK(variables.count("run") == 1);
    CHECK(variables.count("worker") == (file.stem() == "rubato-workers" ? 1 : 0));
  }
}

TEST_CASE("each alert has a section in docs/operations.md, a severity and a test") {
  const auto rules = text_of(monitoring / "prometheus" / "rules.yml");
  const auto tests = text_of(monitoring / "prometheus" / "rules_test.yml");
  const auto page = text_of(fs::path(RUBATO_SOURCE_DIR) / "docs" / "operations.md");
  const std::regex alert("- alert: (\\w+)");
  int alerts = 0;
  for (std::sregex_iterator found(rules.begin(), rules.end(), alert), end; found != end; ++found) {
    const auto name = (*found)[1].str();
    CAPTURE(name);
    ++alerts;
    std::string anchor = name;
    for (auto& c : anchor) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    CHECK(rules.find("docs/operations.md#" + anchor) != std::string::npos);
    CHECK(page.find("\n### " + name + "\n") != std::string::npos);
    CHECK(tests.find("alertname: " + name + "\n") != std::string::npos);                // fires
    CHECK(tests.find("alertname: " + name + ", exp_alerts: []") != std::string::npos);  // does not
  }
  CHECK(alerts == 10);
}
