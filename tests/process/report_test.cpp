// The report as a user makes it and a browser draws it.
#include <doctest/doctest.h>

#include <string_view>

#include "tests/process/browser_fixture.hpp"

using namespace rubato;
namespace fs = std::filesystem;

namespace {

/// Puts a hand on everything that can be pressed or chosen, once the page is drawn.
constexpr std::string_view press_everything = R"(<script>
for (const input of document.querySelectorAll("input")) input.click();
for (const select of document.querySelectorAll("select")) {
  for (const option of select.options) {
    select.value = option.value;
    select.dispatchEvent(new Event("change"));
  }
}
for (const button of document.querySelectorAll("button")) button.click();
const lines = document.getElementById("timeline");
for (const type of ["pointermove", "dblclick"]) {
  lines.dispatchEvent(new PointerEvent(type, { clientX: 400, clientY: 300 }));
}
</script>)";

struct report_fixture : browser_fixture {
  report_fixture() {
    train("async-1", {});
    train("async-2", {"--run.seed", "2", "--workers.events", "['2 1 leave 4', '9 0 pause 3']"});
    train("sync", {"--outer.mode", "sync", "--outer.optimizer", "nesterov"});
    train("wall", {"--clock.mode", "wall", "--run.name", "<img src=x onerror=fail()><!--"});
  }

  void train(const std::string& directory, const std::vector<std::string>& options) {
    std::vector<std::string> arguments{"train", "tiny.toml", "--run.directory", directory};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const auto result = run(arguments);
    REQUIRE_MESSAGE(result.code == 0, result.err);
  }
};

}  // namespace

TEST_CASE_FIXTURE(report_fixture, "a browser draws every chart of the report without an error") {
  const auto result =
      run({"report", "async-1", "async-2", "sync", "wall", "--output", "report.html"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(result.out.find("report.html: ") == 0);
  REQUIRE(run({"report", "async-2", "--output=one.html"}).code == 0);

  // A run that goes on: no summary, and a line that is only half written.
  fs::remove(root / "async-1/summary.json");
  std::ofstream(root / "async-1/metrics.jsonl", std::ios::app) << "{\"local_st";
  REQUIRE(run({"report", "async-1", "--output", "unfinished.html"}).code == 0);

  if (browser.empty()) {
    MESSAGE("no Chromium here, so nothing is drawn");
    return;
  }
  for (const std::string page : {"report.html", "one.html", "unfinished.html"}) {
    CAPTURE(page);
    check_drawn(page);
    auto text = read(root / page);
    text.insert(text.rfind("</body>"), press_everything);
    std::ofstream(root / "pressed.html") << text;
    check_drawn("pressed.html");
  }
}

TEST_CASE_FIXTURE(browser_fixture, "a browser draws the trade-off of a comparison") {
  // Two keys are varied, so that there is something to choose; one run sets one of them itself.
  std::ofstream(root / "compare.toml") << read(root / "tiny.toml")
                                       << "[compare]\nseeds = [1, 2]\ndirectory = 'grid'\n"
                                          "[compare.vary]\nquota.local_steps = [2, 5]\n"
                                          "workers.heterogeneity = ['none', 'very']\n"
                                          "[[compare.run]]\nname = 'sync <b>'\n"
                                          "set = { outer.mode = 'sync', outer.optimizer = 'sgd', "
                                          "quota.local_steps = 1 }\n"
                                          "[[compare.run]]\nname = 'DN'\n";
  const auto result = run({"compare", "compare.toml", "--run.local_steps", "20"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  if (browser.empty()) {
    MESSAGE("no Chromium here, so nothing is drawn");
    return;
  }
  const auto page = read(root / "grid/report.html");
  std::ofstream(root / "page.html") << page;
  check_drawn("page.html", 8);
  const auto text = drawn("page.html");
  CHECK(text.find("sync &lt;b&gt;</span>") != std::string::npos);  // in the legend
  CHECK(text.find("heterogeneity = very</span>") != std::string::npos);
  auto pressed = page;
  pressed.insert(pressed.rfind("</body>"), press_everything);
  std::ofstream(root / "pressed.html") << pressed;
  check_drawn("pressed.html", 8);
}

TEST_CASE_FIXTURE(program_fixture, "a report of what is no run ends with code 2 and says why") {
  struct wrong {
    std::vector<std::string> arguments;
    std::string says;
  };
  const std::vector<wrong> table = {
      {{"report"}, "RUN is required"},
      {{"report", "nowhere"}, "nowhere: no such folder"},
      {{"report", "prose"}, "prose: not a run directory"},
      {{"report", "prose", "--output", "sums"}, "sums: is a folder"},
      {{"report", "prose", "--run.seed", "3"}, "takes no configuration keys"},
  };
  for (const auto& row : table) {
    const auto result = run(row.arguments);
    CAPTURE(row.says);
    CHECK(result.code == 2);
    CHECK(lines_in(result.err) == 1);
    CHECK_MESSAGE(result.err.find(row.says) != std::string::npos, result.err);
  }
  CHECK(!fs::exists(root / "report.html"));
}
