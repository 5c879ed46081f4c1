#include "bench/merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/peer_process.hpp"
#include "config/error.hpp"
#include "config/instruction_set.hpp"
#include "config/parallel.hpp"
#include "monitoring/human.hpp"
#include "optim/merger.hpp"
#include "optim/streaming.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

constexpr std::int64_t triad_bytes = 12;  // an element: two read, one written

/// Small, different numbers: no pass over them is faster than over those of a model.
buffer_ptr made_up(std::size_t size, std::size_t period) {
  auto buffer = std::make_shared<parameter_buffer>(size);
  for (std::size_t i = 0; i < size; ++i) {
    buffer->data()[i] = 1e-4F * static_cast<float>(i % period);
  }
  return buffer;
}

/// Bytes a parameter that a merge cannot do without: theta, the update and the result, and each
/// buffer of the optimizer read and written. Delayed Nesterov's momentum is touched by every N-th
/// merge only, and not counted.
std::int64_t bytes_of_merge(const config& c) {
  const auto buffers = make_outer_optimizer(c)->buffer_names().size();
  const std::int64_t touched = c.outer.optimizer == "delayed-nesterov" ? 1 : buffers;
  return 12 + 8 * touched;
}

codec known_codec(const std::string& name) {
  if (const auto found = find_codec(name)) return *found;
  throw usage_error(
      fmt::format("bench merge: there is no codec \"{}\"; choose f32, bf16, int8 or int4", name));
}

class contest {
 public:
  contest(const config& c, const merge_bench_options& options)
      : config_(c),
        codec_(known_codec(options.codec)),
        threads_(static_cast<std::size_t>(c.outer.threads)) {
    layout_.add("parameters", {options.parameters});
    merger_.emplace(layout_, config_);
    current_ = made_up(layout_.size(), 1013);
    update_ = made_up(layout_.size(), 997);
    encoded_ = std::make_shared<parameter_buffer>(encoded_floats(codec_, layout_));
    decoded_ = std::make_shared<parameter_buffer>(layout_.size());
    encode_update(codec_, layout_, *update_, nullptr, *decoded_, *encoded_);
    sum_ = std::make_shared<parameter_buffer>(layout_.size());
    for (int i = 0; i < 3; ++i) merge();  // the system hands out memory in the first ones
    triad();
  }

  double merge() {
    const std::array inputs{merge_input{update_, nullptr, 1.0}};
    return seconds_of([&] { current_ = merger_->merge(current_, inputs, 0.0); });
  }

  double merge_encoded() {
    std::array inputs{merge_input{}};
    inputs[0].read = [this](std::size_t first, std::span<float> out) {
      decode_part(codec_, layout_, std::as_bytes(encoded_->span()), first, out);
    };
    return seconds_of([&] { current_ = merger_->merge(current_, inputs, 0.0); });
  }

  double decode_and_merge() {
    return seconds_of([&] {
      decode_update(codec_, layout_, std::as_bytes(encoded_->span()), *decoded_);
      const std::array inputs{merge_input{decoded_, nullptr, 1.0}};
      current_ = merger_->merge(current_, inputs, 0.0);
    });
  }

  /// a = b + s c, block by block as a merge is.
  double triad() {
    constexpr std::size_t piece = std::size_t{1} << 16;
    const auto size = layout_.size();
    const float* b = current_->data();
    const float* c = update_->data();
    float* a = sum_->data();
    return seconds_of([&] {
      in_parallel((size + piece - 1) / piece, threads_, [&](std::size_t p) {
        alignas(register_bytes) std::array<float, merge_block_size> block;
        for (std::size_t i = p * piece; i < std::min(size, (p + 1) * piece); i += block.size()) {
          const std::size_t count = std::min(block.size(), size - i);
          vectorised([=, sum = block.data()] {
            RUBATO_ELEMENTWISE
            for (std::size_t j = 0; j < count; ++j) sum[j] = b[i + j] + 3.0F * c[i + j];
          });
          stream(std::span(block).first(count), a + i);
        }
        streaming_done();
      });
    });
  }

 private:
  config config_;
  codec codec_;
  std::size_t threads_;
  parameter_layout layout_;
  std::optional<merger> merger_;
  version_ptr current_;
  version_ptr update_;
  buffer_ptr encoded_;
  buffer_ptr decoded_;
  buffer_ptr sum_;
};

}  // namespace

merge_bench_report measure_merge(const config& given, const merge_bench_options& options,
                                 const std::function<void(std::string_view)>& told) {
  auto c = given;
  if (c.outer.threads == 0) {
    c.outer.threads = std::clamp<std::int64_t>(std::thread::hardware_concurrency(), 1, 4);
  }
  if (merger(parameter_layout(), c).needs_base()) {
    throw usage_error(
        "bench merge: this outer optimizer needs what each round started from, which made-up "
        "updates do not have; choose another outer.optimizer or staleness.compensation");
  }
  merge_bench_report report;
  report.optimizer = c.outer.optimizer;
  report.parameters = options.parameters;
  report.threads = c.outer.threads;
  report.merge_bytes = bytes_of_merge(c);
  report.codec = options.codec;
  contest sides(c, options);
  const auto in_turn = [&](const auto& own, const auto& reference) {
    return measure_in_turn(options.repeats, own, reference, told);
  };
  const auto merge = [&] { return sides.merge(); };
  report.triad = in_turn(merge, [&] { return sides.triad(); });
  report.decoding =
      in_turn([&] { return sides.merge_encoded(); }, [&] { return sides.decode_and_merge(); });
  if (!options.peer.empty()) {
    peer_process peer(
        fmt::format("exec {} {} {}", options.peer, options.parameters, c.outer.threads));
    peer.measure();  // its warm-up
    report.peer = in_turn(merge, [&] { return peer.measure(); });
  }
  return report;
}

double merge_bench_report::of_triad() const {
  return static_cast<double>(merge_bytes) / static_cast<double>(triad_bytes) /
         triad.median_of_ratios();
}

std::string to_text(const merge_bench_report& report) {
  std::string text = "How fast an outer step is\n\n";
  const auto gigabytes = [&](std::int64_t bytes, const std::vector<double>& seconds) {
    return 1e-9 * static_cast<double>(bytes * report.parameters) / median(seconds);
  };
  const auto row = [&](std::string_view name, const std::vector<double>& seconds) {
    const spread s(seconds);
    text += fmt::format("  {:<28}  median {:.4f} s, MAD {:.4f} s\n", name, s.middle, s.deviation);
  };
  text += fmt::format("  {} with {} parameters on {} threads, {} times each, in turn\n\n",
                      report.optimizer, human_count(static_cast<double>(report.parameters)),
                      report.threads, report.triad.own.size());
  row("merge", report.triad.own);
  row("triad", report.triad.reference);
  text += fmt::format(
      "  merge {:.1f} GB/s, {} bytes a parameter; triad {:.1f} GB/s, {}: ratio {:.3f}\n\n",
      gigabytes(report.merge_bytes, report.triad.own), report.merge_bytes,
      gigabytes(triad_bytes, report.triad.reference), triad_bytes, report.of_triad());
  row(fmt::format("merge of an {} update", report.codec), report.decoding.own);
  row(fmt::format("{} decoded first", report.codec), report.decoding.reference);
  text += fmt::format("  decoding on the way: {:.2f} times as fast\n",
                      1.0 / report.decoding.median_of_ratios());
  if (report.peer) {
    text += "\n";
    row("merge", report.peer->own);
    row("peer", report.peer->reference);
    text += fmt::format("  merge: {:.2f} times as fast as the peer\n",
                        1.0 / report.peer->median_of_ratios());
  }
  text += "  (ratios: medians of the pairs'; MAD: median absolute deviation from the median)\n";
  return text;
}

std::string to_json(const merge_bench_report& report) {
  nlohmann::ordered_json value = {{"optimizer", report.optimizer},
                                  {"parameters", report.parameters},
                                  {"threads", report.threads},
                                  {"merge_bytes_a_parameter", report.merge_bytes},
                                  {"merge_seconds", report.triad.own},
                                  {"triad_seconds", report.triad.reference},
                                  {"of_triad", report.of_triad()},
                                  {"codec", report.codec},
                                  {"merge_encoded_seconds", report.decoding.own},
                                  {"decode_and_merge_seconds", report.decoding.reference}};
  if (report.peer) {
    value["merge_beside_peer_seconds"] = report.peer->own;
    value["peer_seconds"] = report.peer->reference;
  }
  return value.dump(2) + '\n';
}

}  // namespace rubato
