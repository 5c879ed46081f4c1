// `rubato replay`, `audit` and `checkpoint` as a user runs them, on a run directory of known
// content.
#include <doctest/doctest.h>

#include "tests/process/program_fixture.hpp"
#include "tests/recovery/run_files.hpp"

using namespace rubato;

namespace {

struct fixture : program_fixture {
  run_files files;

  outcome run(std::vector<std::string> arguments) const {
    for (auto& argument : arguments) {
      if (argument == "RUN") argument = files.directory;
    }
    return program_fixture::run(arguments);
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(fixture,
                  "a replay says of each checkpoint that it is the same, and keeps the end") {
  const auto o = run({"replay", "RUN", "--output", "end.safetensors"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  CHECK(o.err == "");
  CHECK(has(o.out, ", checkpoint 1: same\n"));
  CHECK(has(o.out, ", checkpoint 3: same\n"));
  CHECK(has(o.out, ", the end: same\n"));
  const safetensors_file saved((root / "end.safetensors").string());
  const auto* weight = saved.find("weight");
  REQUIRE(weight != nullptr);
  const auto& actual = *files.run.parameters();
  CHECK(std::equal(weight->values.begin(), weight->values.end(), actual.data()));
}

TEST_CASE_FIXTURE(fixture, "a replay that ends elsewhere fails and says where") {
  auto records = files.run.records;
  std::vector<std::byte> zeros(files.run.layout.end(section::averaged) * sizeof(float));
  for (auto& record : records) {
    auto* settled = std::get_if<settle_record>(&record);
    if (settled != nullptr && settled->merge == 1) settled->update = zeros;
  }
  files.write_journal(records, records.size());
  const auto o = run({"replay", "RUN"});
  CHECK(o.code == 1);
  CHECK(has(o.out, "checkpoint 1: DIFFERENT\n"));
  CHECK(has(o.err, "checkpoint 1 is not reached"));
  CHECK(lines_in(o.err) == 1);
}

TEST_CASE_FIXTURE(fixture, "a replay with another optimizer is called what it is") {
  auto o = run({"replay", "RUN", "--outer.optimizer", "sgd", "--outer.lr", "0.1"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  CHECK(o.out.find("WHAT IF") == 0);
  CHECK(has(o.out, "the end: what if: "));
  CHECK(!has(o.out, "same"));

  o = run({"replay", "RUN", "--run.seed", "2"});
  CHECK(o.code == 2);
  CHECK(has(o.err, "run.seed"));
  CHECK(lines_in(o.err) == 1);
}

TEST_CASE_FIXTURE(fixture, "an audit prints the books, and fails if they do not balance") {
  auto o = run({"audit", "RUN"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  CHECK(has(o.out, "assigned"));
  CHECK(has(o.out, "The books balance.\n"));

  auto records = files.run.records;
  std::size_t settlement = 0;
  while (!std::holds_alternative<settle_record>(records[settlement])) ++settlement;
  const auto twice = records[settlement];
  records.insert(records.begin() + static_cast<std::ptrdiff_t>(settlement), twice);
  files.write_journal(records, records.size());
  o = run({"audit", "RUN"});
  CHECK(o.code == 1);
  CHECK(has(o.out, "has its fate already"));
  CHECK(has(o.err, "the books do not balance: -30 tokens are missing"));
  CHECK(lines_in(o.err) == 1);
}

TEST_CASE_FIXTURE(fixture, "checkpoints are shown, verified and exported") {
  auto o = run({"checkpoint", "inspect", "RUN"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  CHECK(has(o.out, files.checkpoint(3)));
  CHECK(has(o.out, to_string(files.identity)));
  CHECK(has(o.out, "run/parameters"));
  CHECK(has(o.out, "\"in_flight\""));

  o = run({"checkpoint", "export", files.checkpoint(0), "--output", "begin.safetensors"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  const safetensors_file saved((root / "begin.safetensors").string());
  const auto& begin = *files.run.moments.front().state.parameters;
  CHECK(std::equal(saved.find("weight")->values.begin(), saved.find("weight")->values.end(),
                   begin.data()));
  o = run({"checkpoint", "export", files.checkpoint(0), "--output", "begin.pt"});
  CHECK(o.code == 2);
  CHECK(has(o.err, "its model is not one of TorchScript"));

  o = run({"checkpoint", "verify", "RUN"});
  CHECK(o.code == 0);
  CHECK(lines_in(o.out) == 4);
  run_files::damage(files.checkpoint(2));
  o = run({"checkpoint", "verify", "RUN"});
  CHECK(o.code == 1);
  CHECK(has(o.out, "DAMAGED"));
  CHECK(has(o.err, "1 of 4 damaged"));
}

TEST_CASE_FIXTURE(fixture, "what cannot be read is refused in one line") {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"replay", "nowhere"},
                                             {"audit", "nowhere"},
                                             {"checkpoint", "verify", "nowhere"},
                                             {"checkpoint", "inspect", (root / "prose").string()},
                                             {"checkpoint"},
                                             {"audit", "RUN", "--run.seed", "2"}}) {
    CAPTURE(arguments.front());
    const auto o = run(arguments);
    CHECK(o.code == 2);
    CHECK(o.out == "");
    CHECK(lines_in(o.err) == 1);
  }
  const run_lock lock(files.directory);
  const auto o = run({"replay", "RUN"});
  CHECK(o.code == 1);
  CHECK(lines_in(o.err) == 1);
}
