// `rubato data`: makes corpora and tokenizers from files of text, and looks into them.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include "app/commands.hpp"
#include "config/error.hpp"
#include "corpus/inspect.hpp"
#include "monitoring/human.hpp"
#include "storage/file_io.hpp"

namespace rubato {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t bad_lines_shown = 5;
constexpr auto plain_line_every = std::chrono::seconds(10);

/// One line that is written over on a terminal; elsewhere a line now and then.
class progress_line {
 public:
  void show(const prepare_progress& p) {
    const auto now = clock::now();
    if (!is_terminal_ && now - shown_ < plain_line_every) return;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    const double done = static_cast<double>(p.bytes - p.bytes_before);
    const double left = static_cast<double>(p.total_bytes - p.bytes);
    const auto text =
        p.is_joining
            ? std::string("putting the shards together")
            : fmt::format("{:.1f} %  {} documents  {:.0f} MB/s of text  {} bad lines  {} left",
                          100.0 * static_cast<double>(p.bytes) / static_cast<double>(p.total_bytes),
                          human_count(static_cast<double>(p.documents)),
                          static_cast<double>(p.text_bytes) / seconds / 1e6, p.bad_lines,
                          done > 0 ? human_duration(seconds * left / done) : std::string("?"));
    std::fprintf(stderr, is_terminal_ ? "\r\x1b[K%s" : "%s\n", text.c_str());
    std::fflush(stderr);
  }

  void clear() const {
    if (is_terminal_) std::fputs("\r\x1b[K", stderr);
  }

 private:
  bool is_terminal_ = isatty(STDERR_FILENO) != 0;
  clock::time_point begun_ = clock::now();
  clock::time_point shown_ = begun_;
};

double bytes_per_token(const manifest_part& part) {
  return static_cast<double>(part.text_bytes) / static_cast<double>(part.tokens);
}

void print(const manifest& m) {
  std::printf("tokenizer %s, %u tokens; %lu lines, %lu bad, %lu empty documents\n",
              m.tokenizer.c_str(), m.vocabulary, m.lines, m.bad_lines, m.empty_documents);
  std::printf("%-5s  %-20s  %-8s  %10s  %10s  %10s  %11s\n", "shard", "name", "part", "documents",
              "tokens", "text", "bytes/token");
  for (std::size_t i = 0; i < m.shards.size(); ++i) {
    const auto line = [&](const char* part_name, const manifest_part& part) {
      std::printf("%5zu  %-20s  %-8s  %10s  %10s  %10s  %11.3f\n", i, m.shards[i].name.c_str(),
                  part_name, human_count(static_cast<double>(part.documents)).c_str(),
                  human_count(static_cast<double>(part.tokens)).c_str(),
                  human_bytes(part.text_bytes).c_str(), bytes_per_token(part));
    };
    line("training", m.shards[i].training);
    line("held out", m.shards[i].held_out);
  }
}

/// On one line: white space as spaces, what cannot be printed left out, no half characters.
std::string on_one_line(std::string_view text) {
  std::string result;
  for (const unsigned char byte : text) {
    if (byte >= 0x20 && byte != 0x7f) {
      result += static_cast<char>(byte);
    } else if (!result.empty() && result.back() != ' ') {
      result += ' ';
    }
  }
  auto last = result.size();
  while (last > 0 && (static_cast<unsigned char>(result[last - 1]) & 0xc0) == 0x80) --last;
  if (last > 0) {
    const auto lead = static_cast<unsigned char>(result[last - 1]);
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (result.size() - last + 1 < length) result.resize(last - 1);
  }
  return result;
}

}  // namespace

int prepare_data(prepare_options options) {
  progress_line progress;
  options.report = [&](const prepare_progress& p) { progress.show(p); };
  const auto begun = clock::now();
  prepare_result result;
  try {
    result = prepare_corpus(options);
  } catch (...) {
    progress.clear();
    throw;
  }
  progress.clear();
  for (std::size_t i = 0; i < std::min(result.bad_lines.size(), bad_lines_shown); ++i) {
    const auto& bad = result.bad_lines[i];
    std::fprintf(stderr, "%s:%lu: %s\n", bad.path.c_str(), bad.what.line, bad.what.reason.c_str());
  }
  if (result.bad_lines.size() > bad_lines_shown) {
    std::fprintf(stderr, "... and %zu more in %s/bad-lines.txt\n",
                 result.bad_lines.size() - bad_lines_shown, options.output.c_str());
  }
  print(result.corpus);
  std::printf(
      "%s: %s\n", options.output.c_str(),
      result.was_there
          ? "was there already, of the same files with the same options"
          : fmt::format("prepared in {}",
                        human_duration(std::chrono::duration<double>(clock::now() - begun).count()))
                .c_str());
  return exit_done;
}

int make_tokenizer_model(const tokenizer_options& options) {
  if (std::filesystem::exists(options.output)) {
    throw usage_error(fmt::format("{} is there already; it is not overwritten", options.output));
  }
  atomic_file file(options.output);  // before the work, so that a wrong path costs nothing
  const auto model = train_tokenizer(options.training);
  file.write(model);
  file.commit();
  std::printf("%s: %ld pieces\n", options.output.c_str(), options.training.vocabulary);
  return exit_done;
}

int inspect_data(const inspect_data_options& options) {
  const auto seen = inspect_corpus(options.directory, options.samples, options.verify);
  print(seen.corpus);
  for (std::size_t i = 0; i < seen.shards.size(); ++i) {
    const auto& [lengths, samples] = seen.shards[i];
    std::printf(
        "\nshard %zu: documents of %lu to %lu tokens, half of at most %lu, 95 %% of at most %lu\n",
        i, lengths.shortest, lengths.longest, lengths.median, lengths.most);
    for (const auto& sample : samples) std::printf("  %s\n", on_one_line(sample).c_str());
  }
  if (options.verify) std::puts("\nall files are whole");
  return exit_done;
}

}  // namespace rubato
