#include "monitoring/console.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <sstream>
#include <string>

using namespace rubato;

namespace {

run_plan small_plan() {
  run_plan plan;
  plan.name = "quickstart";
  plan.directory = "runs/one";
  plan.method = "async delayed-nesterov, dylu";
  plan.clock = "virtual";
  plan.parameters = 825'344;
  plan.local_steps = 4000;
  plan.threads = 2;
  plan.threads_per_lane = 3;
  plan.other_threads = 6;
  plan.blas = "OpenBLAS with Zen kernels";
  plan.precision = "bf16";
  plan.workers = {{0.25, 50}, {0.5, 25}};
  plan.shards = {{"c++", 22'145'234, 1'144'234, 310, 12}};
  plan.baselines = {{"unigram", 4.92}, {"order-2", 2.871}};
  return plan;
}

/// Points in place of text, on the wall clock.
run_plan toy_plan() {
  run_plan plan = small_plan();
  plan.name = "toy";
  plan.clock = "wall";
  plan.precision = "f32";
  plan.unit = "point";
  plan.shards = {{"mixture 0", 32'000, 4096, 0, 0}, {"mixture 1", 32'000, 512, 0, 0}};
  plan.baselines.clear();
  plan.events = {"600 1 leave", "60 all pause 5"};
  return plan;
}

progress progress_at(double wall_seconds, std::int64_t steps = 1000) {
  progress p;
  p.local_steps = steps;
  p.version = 40;
  p.clock_seconds = 1250.0;
  p.wall_seconds = wall_seconds;
  p.loss = 2.3142;
  p.staleness = 3.2;
  p.tokens = 2'000'000;
  return p;
}

evaluation some_evaluation() {
  evaluation e;
  e.version = 40;
  e.local_steps = 1000;
  e.clock_seconds = 1250.0;
  e.loss = 2.25;
  e.perplexity = 9.4877;
  e.bits_per_byte = 3.2461;
  e.accuracy = 0.384;
  return e;
}

// A console that writes into a file, and what it has written.
class recorded_console {
 public:
  explicit recorded_console(bool live)
      : file_(std::tmpfile()), console_(std::make_unique<console>(file_, live)) {}
  ~recorded_console() {
    console_.reset();  // it may still write
    std::fclose(file_);
  }

  console* operator->() { return console_.get(); }
  void destroy() { console_.reset(); }

  std::string text() const {
    std::string text;
    std::rewind(file_);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) {
      text += static_cast<char>(c);
    }
    return text;
  }

 private:
  std::FILE* file_;
  std::unique_ptr<console> console_;
};

std::ptrdiff_t count(const std::string& text, char c) {
  return std::count(text.begin(), text.end(), c);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the progress line names every number it shows") {
  CHECK(progress_line(small_plan(), progress_at(60.0), 120) ==
        "1000/4000 steps  25%  loss 2.314  staleness 3.2  33.3k tokens/s  virtual 20m 50s  "
        "ETA 3m 00s");
}

TEST_CASE("the progress line of a toy counts points, on the clock it runs by") {
  CHECK(progress_line(toy_plan(), progress_at(60.0), 120) ==
        "1000/4000 steps  25%  loss 2.314  staleness 3.2  33.3k points/s  elapsed 20m 50s  "
        "ETA 3m 00s");
}

TEST_CASE("the progress line never exceeds its columns and keeps the percentage longest") {
  for (int columns = 0; columns <= 130; ++columns) {
    CAPTURE(columns);
    const std::string line = progress_line(small_plan(), progress_at(60.0), columns);
    CHECK(line.size() <= static_cast<std::size_t>(columns));
    if (columns >= 3) CHECK(contains(line, "25%"));
  }
  CHECK(progress_line(small_plan(), progress_at(60.0), 20) == "1000/4000 steps  25%");
  CHECK(progress_line(small_plan(), progress_at(60.0), -1).empty());
}

TEST_CASE("an ETA that cannot be known yet is a question mark") {
  CHECK(contains(progress_line(small_plan(), progress_at(0.0, 0), 120), "ETA ?"));
}

TEST_CASE("a hundred percent means that the budget is used up") {
  CHECK(contains(progress_line(small_plan(), progress_at(60.0, 3999), 120), "  99%"));
  CHECK(contains(progress_line(small_plan(), progress_at(60.0, 4000), 120), "  100%"));
  CHECK(contains(progress_line(small_plan(), progress_at(60.0, 4012), 120), "  100%"));
}

TEST_CASE("a diverged run can still be displayed") {
  progress p = progress_at(60.0);
  p.loss = std::numeric_limits<double>::quiet_NaN();
  CHECK(contains(progress_line(small_plan(), p, 120), "loss nan"));
}

TEST_CASE("the plan says where a model has its parameters, most of them first") {
  auto plan = small_plan();
  plan.parameter_parts = {{"token embedding", 8'192'000}, {"blocks", 12'000'000}, {"norm", 512}};
  CHECK(contains(plan_text(plan),
                 "825k parameters: blocks 12.0M, token embedding 8.19M, norm 512\n"));
  plan.parameter_parts.resize(1);
  CHECK(contains(plan_text(plan), "825k parameters\n"));
}

TEST_CASE("the plan tells what is trained on what") {
  const std::string text = plan_text(small_plan());
  for (const std::string part :
       {"quickstart: async delayed-nesterov, dylu", "825k parameters", "4000 local steps",
        "OpenBLAS with Zen kernels", "6 for steps (2 workers at a time), 6 for everything else",
        "precision  bf16 products, everything else f32",
        "clock      virtual (the paces below are simulated)", "runs/one",
        "0.250 s/step    50 steps in 13s", "0.500 s/step    25 steps", "c++", "22.1 MB", "1.14 MB",
        "310 (12 duplicates left out)", "unigram 4.920, order-2 2.871"}) {
    CAPTURE(part);
    CHECK(contains(text, part));
  }
}

TEST_CASE("the plan of a toy counts points, and files only where there are some") {
  const std::string text = plan_text(toy_plan());
  CHECK(contains(text,
                 "  shard      training points  held-out points\n"
                 "  mixture 0            32.0k             4096\n"
                 "  mixture 1            32.0k              512\n"));
  for (const std::string part : {"files", "to beat", "bits"}) {
    CAPTURE(part);
    CHECK_FALSE(contains(text, part));
  }
  CHECK(contains(text, "  precision  f32\n"));
}

TEST_CASE("the plan does not call points held out that are trained on") {
  run_plan plan = toy_plan();
  CHECK_FALSE(contains(plan_text(plan), "  evaluated  "));
  plan.evaluated_on = "training";
  const std::string text = plan_text(plan);
  CHECK(contains(text, "  evaluated  on points that are trained on, not on held-out ones\n"));
  CHECK(contains(text, "  shard      training points\n  mixture 0            32.0k\n"));
}

TEST_CASE("the plan says what the paces are, where there are any") {
  run_plan plan = toy_plan();
  CHECK(contains(plan_text(plan), "  clock      wall (workers are held to the paces below)\n"));
  CHECK(contains(plan_text(plan), "  0.250 s/step    50 steps in 13s\n"));
  plan.paced = false;
  plan.workers = {{0.0, 5}, {0.0, 1}};
  CHECK(contains(plan_text(plan), "  clock      wall\n"));
  CHECK(contains(plan_text(plan),
                 "  worker               pace    first round\n"
                 "       0  as fast as it can    5 steps\n"
                 "       1  as fast as it can    1 step\n"));
}

TEST_CASE("the plan tells what will happen to workers, in order of time") {
  CHECK(contains(plan_text(toy_plan()),
                 "  events     at 1m 00s all workers pause for 5.0s\n"
                 "             at 10m 00s worker 1 leaves for good\n"
                 "  directory"));
  CHECK_FALSE(contains(plan_text(small_plan()), "events"));
}

TEST_CASE("a thousand events do not fill the screen") {
  run_plan plan = toy_plan();
  plan.events.assign(1000, "60 1 pause 5");
  const std::string text = plan_text(plan);
  CHECK(count(text, '\n') < 40);
  CHECK(contains(text, "\n             ... and 994 more\n"));
  plan.events.resize(6);
  CHECK_FALSE(contains(plan_text(plan), "more"));
}

TEST_CASE("the plan fits into 80 columns") {
  run_plan plan = toy_plan();
  plan.events = {"86400 0-1 slow-down 0.00123 86400", "100000000 0 pace 0.00123"};
  for (const auto& text : {plan_text(small_plan()), plan_text(plan)}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(line.size() <= 80);
    }
  }
}

TEST_CASE("a thousand workers do not fill the screen") {
  run_plan plan = small_plan();
  plan.workers.assign(1000, {0.1, 50});
  const std::string text = plan_text(plan);
  CHECK(count(text, '\n') < 40);
  CHECK(contains(text, "and 988 more workers"));
}

TEST_CASE("on a terminal the progress line is rewritten in place") {
  recorded_console out(true);
  out->progressed(progress_at(1.0));
  out->progressed(progress_at(2.0, 1500));
  const std::string text = out.text();
  CHECK(count(text, '\n') == 0);
  CHECK(count(text, '\r') == 2);
  CHECK(contains(text, "\r\x1b[K1500/4000 steps") == false);  // no plan was announced
  CHECK(contains(text, "\r\x1b[K1500/0 steps"));
}

TEST_CASE("the progress line is redrawn at most five times a second") {
  recorded_console out(true);
  for (int millisecond = 0; millisecond < 1000; ++millisecond) {
    out->progressed(progress_at(1.0 + millisecond / 1000.0));
  }
  CHECK(count(out.text(), '\r') == 5);
}

TEST_CASE("an evaluation replaces the progress line, which comes back at once") {
  recorded_console out(true);
  out->progressed(progress_at(1.0));
  out->evaluated(some_evaluation());
  const std::string before = out.text();
  CHECK(before.back() == '\n');
  CHECK(contains(before, "\r\x1b[K   steps"));
  out->progressed(progress_at(1.01));
  CHECK(out.text().size() > before.size());
}

TEST_CASE("the progress line is gone when the console is") {
  recorded_console out(true);
  out->progressed(progress_at(1.0));
  out.destroy();
  const std::string text = out.text();
  const std::string erased = "\r\x1b[K";
  REQUIRE(text.size() > erased.size());
  CHECK(text.substr(text.size() - erased.size()) == erased);
}

TEST_CASE("without a terminal there are plain lines, one of progress in ten seconds") {
  recorded_console out(false);
  out->started(small_plan());
  const std::ptrdiff_t lines = count(out.text(), '\n');
  for (int second = 0; second <= 35; ++second) out->progressed(progress_at(second));
  out.destroy();
  const std::string text = out.text();
  CHECK(count(text, '\n') == lines + 3);
  CHECK(count(text, '\r') == 0);
  CHECK(count(text, '\x1b') == 0);
}

TEST_CASE("evaluations are rows of one table within 80 columns") {
  recorded_console out(false);
  out->started(small_plan());
  const std::size_t start = out.text().size();
  out->evaluated(some_evaluation());
  out->evaluated(some_evaluation());
  const std::string row =
      "    1000       40       20m 50s         2.2500        9.49     3.2461     38.4%\n";
  CHECK(row.size() <= 81);
  CHECK(out.text().substr(start) ==
        "   steps  version  virtual time  held-out loss  perplexity  bits/byte  accuracy\n" + row +
            row);
}

TEST_CASE("the table of evaluations has no column that only text has, and the clock's time") {
  recorded_console out(false);
  out->started(toy_plan());
  const std::size_t start = out.text().size();
  out->evaluated(some_evaluation());
  CHECK(out.text().substr(start) ==
        "   steps  version          time  held-out loss  accuracy\n"
        "    1000       40       20m 50s         2.2500     38.4%\n");
}

TEST_CASE("the table of evaluations has top-5 accuracy where there is one") {
  recorded_console out(false);
  out->started(toy_plan());
  const std::size_t start = out.text().size();
  evaluation e = some_evaluation();
  e.top5 = 0.75;
  out->evaluated(e);
  CHECK(out.text().substr(start) ==
        "   steps  version          time  held-out loss  accuracy   top-5\n"
        "    1000       40       20m 50s         2.2500     38.4%   75.0%\n");
}

TEST_CASE("the table of evaluations does not call points held out that are trained on") {
  recorded_console out(false);
  run_plan plan = toy_plan();
  plan.evaluated_on = "training";
  out->started(plan);
  out->evaluated(some_evaluation());
  CHECK(contains(out.text(), "  training loss  accuracy\n"));
  CHECK_FALSE(contains(out.text(), "held-out loss"));
}

// -- what happens to workers --------------------------------------------------------------------

TEST_CASE("a change of a worker is told with what it means for the rounds to come") {
  CHECK(change_text({0.0, 2, "leave", 0.5, 0}) == "worker 2 is gone (left)");
  CHECK(change_text({0.0, 2, "join", 0.5, 4}) == "worker 2 is back; next round 4 steps");
  CHECK(change_text({0.0, 2, "pace", 1.5, 1}) ==
        "worker 2 now takes 1.500 s a step; next round 1 step");
  CHECK(change_text({0.0, 2, "pace", 0.0, 4}) == "worker 2 pauses");
}

TEST_CASE("a change of a worker is a line of its own and does not spoil the live one") {
  recorded_console out(true);
  out->progressed(progress_at(1.0));
  const std::size_t start = out.text().size();
  out->worker_changed({720.0, 2, "leave", 0.5, 0});
  CHECK(out.text().substr(start) == "\r\x1b[K  12m 00s  worker 2 is gone (left)\n");
  const std::size_t before = out.text().size();
  out->progressed(progress_at(1.01));
  CHECK(out.text().size() > before);  // the live line is back at once
}

TEST_CASE("without a terminal a change of a worker does not hurry the next line of progress") {
  recorded_console out(false);
  out->worker_changed({720.0, 2, "leave", 0.5, 0});
  out->progressed(progress_at(1.0));
  CHECK(out.text() == "  12m 00s  worker 2 is gone (left)\n");
}

TEST_CASE("when thousands of workers change at a time, twenty are shown and the rest counted") {
  const auto change_all = [](recorded_console& out, double time) {
    for (std::uint32_t i = 0; i < 2000; ++i) {
      out->worker_changed({time, i, "join", 0.5, 4});
    }
  };
  const std::string rest = "           ... and 1980 more workers\n";
  SUBCASE("told before the next progress") {
    recorded_console out(true);
    change_all(out, 60.0);
    CHECK_FALSE(contains(out.text(), "more"));
    out->progressed(progress_at(1.0));
    const std::string text = out.text();
    CHECK(count(text, '\n') == 21);
    CHECK(contains(text, "worker 19 is back; next round 4 steps\n" + rest + "\r"));
    out->progressed(progress_at(2.0));
    CHECK(count(out.text(), '\n') == 21);
  }
  SUBCASE("or the next change at another time") {
    recorded_console out(true);
    change_all(out, 60.0);
    change_all(out, 61.0);
    out.destroy();
    const std::string text = out.text();
    CHECK(count(text, '\n') == 42);
    CHECK(contains(text, rest + "   1m 01s  worker 0 is back"));
    CHECK(text.substr(text.size() - rest.size()) == rest);
  }
  SUBCASE("or the next evaluation") {
    recorded_console out(true);
    change_all(out, 60.0);
    out->evaluated(some_evaluation());
    CHECK(contains(out.text(), rest + "   steps  version"));
  }
}
