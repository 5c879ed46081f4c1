#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "app/commands.hpp"
#include "app/interrupts.hpp"
#include "compare/execution.hpp"
#include "compare/findings.hpp"
#include "compare/folder.hpp"
#include "compare/grid.hpp"
#include "compare/output.hpp"
#include "compare/processes.hpp"
#include "compare/progress.hpp"
#include "compare/tables.hpp"
#include "config/error.hpp"
#include "monitoring/report.hpp"

namespace rubato {
namespace {

// This very program, also when its file has been replaced meanwhile.
constexpr const char* own_program = "/proc/self/exe";

std::string page_of(const grid& g, const comparison_folder& folder, const grid_outcome& outcome,
                    const nlohmann::json& comparison) {
  std::vector<report_run> runs;
  std::set<std::string> shown;  // a cell may belong to several settings
  for (const auto& group : outcome.groups) {
    for (const auto& c : group.reported) {
      if (!c.result || !shown.insert(c.what.name).second) continue;
      runs.push_back({.directory = folder.directory_of(c.what),
                      .label = method_text(g, c.what),
                      .link = "cells/" + c.what.name});
    }
  }
  auto data = report_data(g.name(), RUBATO_VERSION, runs);
  data["comparison"] = {{"tables", comparison.at("tables")}, {"results", comparison.at("results")}};
  return report_page(data);
}

std::size_t failures(const grid_outcome& outcome) {
  std::size_t count = 0;
  for (const auto& group : outcome.groups) {
    for (const auto* cells : {&group.tuning, &group.reported}) {
      count += static_cast<std::size_t>(
          std::count_if(cells->begin(), cells->end(),
                        [](const settled_cell& c) { return !c.result.has_value(); }));
    }
  }
  return count;
}

}  // namespace

int compare(const compare_options& options) {
  const grid g(read_comparison(options.config_paths), options.overrides, RUBATO_VERSION);
  const comparison_folder folder(g.spec().directory);
  const auto& stop = catch_interrupts();
  std::FILE* const out = options.json ? stderr : stdout;

  const auto plan = share_cores(std::thread::hardware_concurrency(), g.size(), g.spec().parallel,
                                g.threads(), g.settings_of(0, 0, 0, 0).workers.threads_per_lane);
  grid_outcome outcome;
  {
    child_processes children(own_program, folder, plan);
    progress_printer screen(g, out, isatty(fileno(out)) != 0);
    outcome = execute(g, folder, children, screen, stop);
  }
  if (outcome.interrupted) {
    std::fprintf(stderr, "rubato: interrupted; the same command goes on with what is missing\n");
    return exit_interrupted;
  }

  const findings found = find(g, outcome);
  std::vector<table> tables = tables_of(g, found);
  std::string text = '\n' + to_text(tables) + '\n' + to_text(found.notes);
  tables.insert(tables.begin(), runs_of(g));
  if (!found.notes.empty()) tables.push_back(as_table(found.notes));
  const std::string json = to_json(g, outcome, found, tables);
  folder.write("cells.csv", to_csv(g, outcome));
  folder.write("comparison.json", json);
  folder.write("report.html", page_of(g, folder, outcome, nlohmann::json::parse(json)));
  text += fmt::format("\n  everything about this comparison is in {}\n", folder.path());

  std::fputs(text.c_str(), out);
  if (options.json) std::fputs(json.c_str(), stdout);
  const auto failed = failures(outcome);
  if (failed == 0) return exit_done;
  fmt::print(stderr, "rubato: {} of {} cells failed, as told above; the same command tries again\n",
             failed, g.size());
  return exit_run_failed;
}

}  // namespace rubato
