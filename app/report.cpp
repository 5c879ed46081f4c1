#include "monitoring/report.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "config/error.hpp"
#include "monitoring/human.hpp"
#include "storage/file_io.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

/// The folder as seen from the page, so that both can move together.
std::string link_from(const fs::path& page, const fs::path& folder) {
  return fs::absolute(folder).lexically_normal().lexically_relative(
      fs::absolute(page).lexically_normal().parent_path());
}

void write_page(const std::string& path, const std::string& page) {
  atomic_file file(path);
  file.write(page);
  file.commit();
}

std::string title_of(const std::vector<std::string>& directories) {
  if (directories.size() > 1) return fmt::format("Rubato: {} runs", directories.size());
  const auto folder = fs::absolute(directories.front() + "/").lexically_normal().parent_path();
  return "Rubato: " + folder.filename().string();
}

}  // namespace

int report(const report_options& options) {
  const fs::path output(options.output);
  if (fs::is_directory(output)) {
    throw usage_error(options.output + ": is a folder; --output wants the name of a file");
  }
  std::vector<report_run> runs;
  for (const auto& directory : options.directories) {
    runs.push_back({.directory = directory, .link = link_from(output, directory)});
  }
  const auto page = report_page(report_data(title_of(options.directories), RUBATO_VERSION, runs));
  write_page(options.output, page);
  fmt::print("{}: {} of {} run{}; open it in a browser\n", options.output, human_bytes(page.size()),
             runs.size(), runs.size() == 1 ? "" : "s");
  return exit_done;
}

void write_report_of(const std::string& directory) {
  try {
    write_page((fs::path(directory) / "report.html").string(),
               report_page(report_data(title_of({directory}), RUBATO_VERSION,
                                       {{.directory = directory, .link = "."}})));
  } catch (const std::exception& e) {
    fmt::print(stderr, "note: there is no report.html of this run: {}\n", e.what());
  }
}

}  // namespace rubato
