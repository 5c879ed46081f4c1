#include "monitoring/console.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
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
  plan.workers = {{0.25, 50}, {0.5, 25}};
  plan.shards = {{"c++", 22'145'234, 1'144'234, 310, 12}};
  plan.baselines = {{"unigram", 4.92}, {"order-2", 2.871}};
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

TEST_CASE("the plan tells what is trained on what") {
  const std::string text = plan_text(small_plan());
  for (const std::string part :
       {"quickstart: async delayed-nesterov, dylu", "825k parameters", "4000 local steps",
        "OpenBLAS with Zen kernels", "6 for steps (2 workers at a time), 6 for everything else",
        "runs/one", "0.250 s/step    50 steps in 13s", "0.500 s/step    25 steps", "c++", "22.1 MB",
        "1.14 MB", "310 (12 duplicates left out)", "unigram 4.920, order-2 2.871"}) {
    CAPTURE(part);
    CHECK(contains(text, part));
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
