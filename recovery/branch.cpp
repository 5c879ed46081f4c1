#include "recovery/branch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "config/load.hpp"
#include "config/schema.hpp"
#include "config/stages.hpp"
#include "optim/merger.hpp"
#include "recovery/resume.hpp"
#include "recovery/snapshot.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

constexpr auto no_limit = std::numeric_limits<std::int64_t>::max();

bool same(const stage& a, const stage& b) {
  return a.from == b.from && a.local_steps == b.local_steps;
}

/// Where the first stage begins that the other has not.
std::int64_t first_difference(const std::vector<stage>& a, const std::vector<stage>& b) {
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end(), same);
  return std::min(x == a.end() ? no_limit : x->from, y == b.end() ? no_limit : y->from);
}

/// Until when all rounds bring gradients.
std::int64_t end_of_gradients(const std::vector<stage>& stages) {
  const auto end = std::find_if_not(stages.begin(), stages.end(),
                                    [](const stage& s) { return s.data_parallel(); });
  return end == stages.end() ? no_limit : end->from;
}

/// Of settings that data-parallel rounds do not look at.
bool matters_from_the_switch(std::string_view key) {
  if (key == "inner.local_scale") return true;
  return key.rfind("outer.", 0) == 0 && key.rfind("outer.group_", 0) != 0 &&
         key != "outer.norm_guard";
}

std::int64_t local_steps_of(const snapshot& run) {
  return run.values.at("coordinator").at("local_steps").get<std::int64_t>();
}

/// The first lines of a file, by their size.
void copy_lines(const std::string& from, const std::string& to, std::uint64_t size) {
  std::ifstream in(from, std::ios::binary);
  std::string text(size, '\0');
  in.read(text.data(), static_cast<std::streamsize>(size));
  if (!in) throw run_error(fmt::format("{} is shorter than its checkpoint says", from));
  line_file out(to, 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty()) out.append(text);
  out.sync();
}

}  // namespace

std::int64_t common_steps(const config& parent, const config& branch) {
  const auto before = parse_stages(parent), after = parse_stages(branch);
  std::int64_t common = first_difference(before, after);
  const std::int64_t gradients = std::min(end_of_gradients(before), end_of_gradients(after));
  for (const auto& change : changed_settings(parent, branch)) {
    if (change.key == "quota.stages" || change.key == "quota.local_steps") continue;
    if (gradients > 0 && matters_from_the_switch(change.key)) {
      common = std::min(common, gradients);
      continue;
    }
    throw usage_error(fmt::format(
        "{} = {}: the run in {}, which run.branch goes on from, has {}; a branch may differ in "
        "quota.stages, and after data-parallel rounds in [outer]",
        change.key, change.after, branch.run.branch, change.before));
  }
  return common;
}

void begin_branch(file_system& files, const config& c, const run_directory& into,
                  const run_identity& run) {
  const auto parent = run_directory::of_existing_run(c.run.branch);
  const config parent_config = load_config(parent.file("config.toml"));
  const std::int64_t common = common_steps(parent_config, c);
  const auto folder = checkpoint_folder(parent.path());

  std::optional<std::int64_t> oldest;
  for (auto numbers = list_checkpoints(files, folder); !numbers.empty(); numbers.pop_back()) {
    checkpoint_reader file(files, checkpoint_path(folder, numbers.back()));
    snapshot_reader reader(file);
    auto part = reader.read(run_part);
    const auto steps = local_steps_of(part);
    oldest = steps;
    if (steps >= common) continue;

    part.values["config"] = to_toml(c);
    // While there were only gradients, nothing has gone through the outer optimizer, which may be
    // another one now.
    if (steps < end_of_gradients(parse_stages(parent_config))) {
      auto merging = take_merging(part);
      merging.outer = merger(layout_from(part.values.at("layout")), c).state();
      put_merging(part, merging);
    }
    const auto record = reader.read(record_part);
    for (const std::string name : {"updates", "metrics"}) {
      copy_lines(parent.file(name + ".jsonl"), into.file(name + ".jsonl"),
                 record.values.at(name).get<std::uint64_t>());
    }
    auto header = file.header();
    header.run = run;
    snapshot_writer writer(files, checkpoint_folder(into.path()), header);
    const auto add = [&writer](const std::string& name, snapshot content) {
      writer.add(name, std::move(content));
      while (writer.busy()) writer.write_slice();
    };
    add(std::string(run_part), std::move(part));
    for (const auto& name : reader.parts()) {
      if (name != run_part) add(name, reader.read(name));
    }
    writer.commit();
    return;
  }
  throw usage_error(fmt::format(
      "run.branch = \"{}\": {}; let that run keep more of them (checkpoint.every_versions, "
      "checkpoint.keep)",
      c.run.branch,
      oldest ? fmt::format("its oldest checkpoint is at {} local steps, and the two runs have only "
                           "{} in common",
                           *oldest, common)
             : "it has no checkpoints"));
}

}  // namespace rubato
