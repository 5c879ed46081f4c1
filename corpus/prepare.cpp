#include "corpus/prepare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "bytes/crc32c.hpp"
#include "bytes/sha256.hpp"
#include "config/error.hpp"
#include "config/random.hpp"
#include "corpus/block_helpers.hpp"
#include "corpus/input_files.hpp"
#include "corpus/part_file.hpp"
#include "corpus/shard_writer.hpp"
#include "corpus/text_source.hpp"
#include "corpus/tokenizer.hpp"
#include "corpus/word_clusters.hpp"
#include "storage/run_lock.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr auto report_every = milliseconds(500);
constexpr std::size_t most_bad_lines = 1000;    // kept of a file
constexpr std::size_t clustered_sample = 4096;  // documents
constexpr const char* bad_lines_name = "bad-lines.txt";
constexpr const char* model_name = "tokenizer.model";

/// Where a document goes, as a function of its text and its file's source alone. A shard has two
/// targets: 2 i to train on, 2 i + 1 held out.
class assignment {
 public:
  assignment(const prepare_options& options, std::optional<word_clusters> clusters)
      : seed_(static_cast<std::uint64_t>(options.seed)),
        shards_(static_cast<std::uint64_t>(options.shards)),
        held_out_(options.held_out),
        by_source_(options.split == "source"),
        clusters_(std::move(clusters)) {}

  std::uint32_t target(std::string_view document, std::size_t source) const {
    // Copies of a document stay together, so that none is trained on while another is held out.
    const std::uint64_t name = crc32c(as_bytes(document));
    random_generator random(seed_, random_stream::held_out_split, {name, document.size()});
    const bool is_held_out = random.uniform() < held_out_;
    const auto shard = by_source_  ? source
                       : clusters_ ? clusters_->nearest(document)
                                   : random.below(shards_);
    return static_cast<std::uint32_t>(2 * shard + (is_held_out ? 1 : 0));
  }

 private:
  std::uint64_t seed_;
  std::uint64_t shards_;
  double held_out_;
  bool by_source_;
  std::optional<word_clusters> clusters_;
};

/// What a block of an input became.
struct block_result {
  std::vector<part_chunk> chunks;  // of each target
  line_counts counts;
  std::vector<bad_line> bad_lines;
  std::uint64_t all_lines = 0;
};

block_result process(const text_block& block, const input_entry& from, const tokenizer& tokens,
                     const assignment& where, std::size_t targets) {
  block_result result;
  result.chunks.resize(targets);
  result.counts = for_each_document(
      block, format_of(from.path),
      [&](std::string_view document) {
        auto& chunk = result.chunks[where.target(document, from.source)];
        chunk.lengths.push_back(tokens.append(document, chunk.tokens));
        chunk.text_bytes += document.size();
      },
      [&](bad_line bad) {
        if (result.bad_lines.size() < most_bad_lines) result.bad_lines.push_back(std::move(bad));
      },
      result.all_lines);
  return result;
}

/// The first documents of each file, to find clusters in.
word_clusters find_clusters(const std::vector<input_entry>& inputs,
                            const prepare_options& options) {
  const auto share = (clustered_sample + inputs.size() - 1) / inputs.size();
  std::vector<std::string> sample;
  for (const auto& input : inputs) {
    text_source source(input.path);
    std::size_t left = share;
    for (bool more = true; more && left > 0;) {
      const auto block = source.next();
      more = !block.is_last;
      std::uint64_t lines = 0;
      for_each_document(
          block, format_of(input.path),
          [&](std::string_view document) {
            if (left == 0) return;
            sample.emplace_back(document);
            --left;
          },
          [](const bad_line&) {}, lines);
    }
  }
  if (sample.size() < static_cast<std::size_t>(options.shards)) {
    throw usage_error(fmt::format("--shards {}: there are only {} documents to find clusters in",
                                  options.shards, sample.size()));
  }
  return {sample, static_cast<std::size_t>(options.shards),
          static_cast<std::uint64_t>(options.seed)};
}

void check(const prepare_options& options) {
  const auto fail = [](const std::string& message) { throw usage_error(message); };
  if (options.inputs.empty()) fail("name at least one file or folder with text");
  if (options.shards < 1 || options.shards > 4096) {
    fail(fmt::format("--shards {}: it must be from 1 to 4096", options.shards));
  }
  if (!(options.held_out > 0 && options.held_out < 1)) {
    fail(fmt::format("--held-out {}: it must be above 0 and below 1", options.held_out));
  }
  if (!(options.max_bad_lines >= 0 && options.max_bad_lines <= 1)) {
    fail(fmt::format("--max-bad-lines {}: it must be from 0 to 1", options.max_bad_lines));
  }
  if (options.split != "iid" && options.split != "source" && options.split != "cluster") {
    fail(fmt::format("--split {}: it must be iid, source or cluster", options.split));
  }
  if (options.split == "source" &&
      options.shards != static_cast<std::int64_t>(options.inputs.size())) {
    fail(fmt::format("--split source makes a shard of each of the {} inputs, not --shards {}",
                     options.inputs.size(), options.shards));
  }
}

/// All the work of one call.
class preparation {
 public:
  explicit preparation(const prepare_options& options)
      : options_(options),
        inputs_(find_inputs(options.inputs)),
        tokens_(make_tokenizer(options.tokenizer)),
        targets_(2 * static_cast<std::size_t>(options.shards)),
        threads_(options.threads > 0 ? static_cast<std::size_t>(options.threads)
                                     : std::max(1u, std::thread::hardware_concurrency())) {
    for (const auto& input : inputs_) total_bytes_ += input.bytes;
  }

  prepare_result run() {
    create(options_.output);
    const run_lock lock(options_.output);
    remove_leftovers(posix_file_system(), options_.output);
    auto clusters = options_.split == "cluster" ? std::optional(find_clusters(inputs_, options_))
                                                : std::nullopt;
    tokenizer_sha256_ = sha256_hex(tokens_->model());
    settings_ = fmt::format("tokenizer {} split {} shards {} held-out {} seed {}",
                            tokens_->model().empty() ? "bytes" : tokenizer_sha256_, options_.split,
                            options_.shards, options_.held_out, options_.seed);
    if (clusters) settings_ += " clusters " + clusters->digest();

    prepare_result result;
    if (fs::exists(path_of(manifest::file_name))) {
      result.corpus = read_manifest(options_.output);
      if (result.corpus.settings != settings_ || result.corpus.inputs != known_inputs()) {
        throw usage_error(fmt::format(
            "{} holds another corpus; choose another folder, or remove it", options_.output));
      }
      result.was_there = true;
      fs::remove_all(parts_folder());
      return result;
    }

    create(parts_folder());
    const assignment where(options_, std::move(clusters));
    make_parts(where);
    result = judge_lines();
    result.corpus = join();
    if (!tokens_->model().empty()) {
      atomic_file model(path_of(model_name));
      model.write(tokens_->model());
      model.commit();
    }
    atomic_file file(path_of(manifest::file_name));
    file.write(to_json(result.corpus));
    file.commit();
    fs::remove_all(parts_folder());
    return result;
  }

 private:
  std::string path_of(std::string_view name) const {
    return (fs::path(options_.output) / name).string();
  }
  std::string parts_folder() const { return path_of("parts"); }
  std::string part_path(const input_entry& input) const {
    const auto name = fmt::format("{}\n{}\n{}\n{}\n{}", settings_, input.path, input.source,
                                  input.bytes, input.modified_ns);
    return (fs::path(parts_folder()) / (sha256_hex(name).substr(0, 32) + ".part")).string();
  }

  static void create(const std::string& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error || !fs::is_directory(folder)) {
      throw usage_error(fmt::format("{} cannot be made: {}", folder,
                                    error ? error.message() : std::string("it is a file")));
    }
  }

  std::vector<manifest_input> known_inputs() const {
    std::vector<manifest_input> result;
    for (const auto& input : inputs_) {
      result.push_back({input.path, input.bytes, input.modified_ns});
    }
    return result;
  }

  prepare_progress progress() const {
    return {bytes_, bytes_before_, total_bytes_, text_bytes_, documents_, bad_lines_, is_joining_};
  }

  /// Calls work() on each thread, and reports meanwhile.
  template <class Work>
  void on_threads(const Work& work) {
    std::atomic<std::size_t> running = threads_;
    std::mutex mutex;
    std::condition_variable ended;
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < threads_; ++i) {
      threads.emplace_back([&] {
        work();
        const std::lock_guard lock(mutex);
        --running;
        ended.notify_all();
      });
    }
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, report_every, [&] { return running == 0; })) {
      lock.unlock();
      options_.report(progress());
      lock.lock();
    }
  }

  /// Does work(i) for all i < count, begun in this order, and then after() on each thread. After a
  /// failure no more are begun; throws that of the smallest i, the same on any number of threads.
  template <class Work, class After>
  void for_all(std::size_t count, const Work& work, const After& after) {
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> has_failed = false;
    std::vector<std::exception_ptr> thrown(count);
    on_threads([&] {
      for (std::size_t i; !has_failed && (i = next++) < count;) {
        try {
          work(i);
        } catch (...) {
          thrown[i] = std::current_exception();
          has_failed = true;
        }
      }
      after(has_failed.load());
    });
    for (const auto& exception : thrown) {
      if (exception) std::rethrow_exception(exception);
    }
  }

  void make_parts(const assignment& where) {
    std::vector<const input_entry*> left;
    for (const auto& input : inputs_) {
      if (is_whole_part(part_path(input))) {
        bytes_before_ += input.bytes;
      } else {
        left.push_back(&input);
      }
    }
    bytes_ = bytes_before_;
    block_helpers helpers(left.size());
    for_all(
        left.size(),
        [&](std::size_t i) {
          make_part(*left[i], where, helpers);
          helpers.end_owning();
        },
        [&](bool has_failed) {
          if (has_failed) helpers.stop();
          helpers.help();
        });
  }

  void make_part(const input_entry& input, const assignment& where, block_helpers& helpers) {
    struct piece {
      text_block block;
      block_result result;
    };
    struct pending {
      std::shared_ptr<piece> content;
      block_helpers::job_ptr job;
    };
    text_source source(input.path);
    part_writer part(part_path(input));
    part_summary summary;
    std::uint64_t lines_before = 0;
    std::deque<pending> waiting;
    const auto take_first = [&] {
      const auto first = std::move(waiting.front());
      waiting.pop_front();
      helpers.finish(first.job);
      auto& result = first.content->result;
      for (std::size_t target = 0; target < result.chunks.size(); ++target) {
        const auto& chunk = result.chunks[target];
        if (!chunk.lengths.empty()) part.put(static_cast<std::uint32_t>(target), chunk);
      }
      for (auto& bad : result.bad_lines) {
        if (summary.bad_lines.size() == most_bad_lines) break;
        summary.bad_lines.push_back({bad.line + lines_before, std::move(bad.reason)});
      }
      lines_before += result.all_lines;
      summary.counts.add(result.counts);
      text_bytes_ += result.counts.text_bytes;
      documents_ += result.counts.documents;
      bad_lines_ += result.counts.bad;
    };
    std::uint64_t position = 0;
    for (bool more = true; more;) {
      auto next = std::make_shared<piece>();
      next->block = source.next();
      more = !next->block.is_last;
      bytes_ += source.position() - std::exchange(position, source.position());
      auto job = helpers.submit([&input, &where, this, next] {
        next->result = process(next->block, input, *tokens_, where, targets_);
      });
      waiting.push_back({std::move(next), std::move(job)});
      while (waiting.size() > helpers.window()) take_first();
    }
    while (!waiting.empty()) take_first();
    part.finish(summary);
  }

  /// Adds up what the parts say of their lines; too many bad ones are an error.
  prepare_result judge_lines() {
    prepare_result result;
    std::string listed;
    for (const auto& input : inputs_) {
      const part_reader part(part_path(input));
      counts_.add(part.summary().counts);
      for (const auto& bad : part.summary().bad_lines) {
        listed += fmt::format("{}:{}: {}\n", input.path, bad.line, bad.reason);
        result.bad_lines.push_back({input.path, bad});
      }
    }
    if (counts_.bad > 0) {
      atomic_file file(path_of(bad_lines_name));
      file.write(listed);
      file.commit();
    }
    if (static_cast<double>(counts_.bad) >
        options_.max_bad_lines * static_cast<double>(counts_.lines)) {
      const auto& first = result.bad_lines.front();
      throw usage_error(fmt::format(
          "{} of {} lines are bad, more than --max-bad-lines {} allows: {}:{}: {}; {} lists them. "
          "Mend them, or allow more and go on from here",
          counts_.bad, counts_.lines, options_.max_bad_lines, first.path, first.what.line,
          first.what.reason, path_of(bad_lines_name)));
    }
    return result;
  }

  /// Puts the parts together, in the order of the inputs, into a token shard for each target.
  manifest join() {
    is_joining_ = true;
    std::vector<part_reader> parts;
    for (const auto& input : inputs_) parts.emplace_back(part_path(input));

    std::vector<shard_header> headers(targets_);
    std::vector<std::set<std::size_t>> files(targets_ / 2);
    for (auto& header : headers) {
      header.vocabulary = tokens_->vocabulary();
      header.token_width = token_width_for(header.vocabulary);
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      for (const auto& chunk : parts[i].chunks()) {
        auto& header = headers.at(chunk.target);
        header.tokens += chunk.tokens.size() / header.token_width;
        header.documents += chunk.lengths.size();
        header.text_bytes += chunk.text_bytes;
        files[chunk.target / 2].insert(i);
      }
    }
    for (std::size_t target = 0; target < targets_; ++target) {
      if (headers[target].documents > 0) continue;
      throw usage_error(fmt::format(
          "shard {} would have no document {}, of {} in all; give more text, {}", target / 2,
          target % 2 == 0 ? "to train on" : "held out", counts_.documents,
          target % 2 == 0 ? "or fewer --shards" : "a higher --held-out, or fewer --shards"));
    }

    manifest m;
    m.vocabulary = tokens_->vocabulary();
    m.tokenizer = tokens_->model().empty() ? "bytes" : model_name;
    m.tokenizer_sha256 = tokenizer_sha256_;
    m.settings = settings_;
    m.lines = counts_.lines;
    m.empty_documents = counts_.empty;
    m.bad_lines = counts_.bad;
    m.inputs = known_inputs();
    for (std::size_t i = 0; i < targets_ / 2; ++i) {
      m.shards.push_back({shard_name(i), files[i].size(), {}, {}});
    }
    for_all(
        targets_,
        [&](std::size_t target) {
          const auto& header = headers[target];
          auto& shard = m.shards[target / 2];
          auto& part = target % 2 == 0 ? shard.training : shard.held_out;
          part = {
              fmt::format("{:05}-{}.tokens", target / 2, target % 2 == 0 ? "train" : "held-out"),
              header.tokens,
              header.documents,
              header.text_bytes,
              header.file_size(),
              {}};
          shard_writer writer(path_of(part.file), header);
          const auto each = [&](const auto& use) {
            for (const auto& from : parts) {
              for (const auto& chunk : from.chunks()) {
                if (chunk.target == target) use(chunk);
              }
            }
          };
          each([&](const part_reader::chunk& chunk) { writer.put_tokens(chunk.tokens); });
          each([&](const part_reader::chunk& chunk) { writer.put_lengths(chunk.lengths); });
          part.sha256 = writer.finish();
        },
        [](bool) {});
    return m;
  }

  std::string shard_name(std::size_t shard) const {
    if (options_.split != "source") return fmt::format("{} {}", options_.split, shard);
    const auto name = fs::path(options_.inputs[shard]).lexically_normal();
    return (name.has_filename() ? name : name.parent_path()).filename().string();
  }

  const prepare_options& options_;
  const std::vector<input_entry> inputs_;
  const std::unique_ptr<tokenizer> tokens_;
  const std::size_t targets_;
  const std::size_t threads_;
  std::string tokenizer_sha256_;
  std::string settings_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t bytes_before_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::uint64_t> text_bytes_ = 0;
  std::atomic<std::uint64_t> documents_ = 0;
  std::atomic<std::uint64_t> bad_lines_ = 0;
  bool is_joining_ = false;
  line_counts counts_;  // of all inputs
};

}  // namespace

prepare_result prepare_corpus(const prepare_options& options) {
  check(options);
  return preparation(options).run();
}

}  // namespace rubato
