#include "bench/step_rate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cmath>
#include <exception>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/bare_loop.hpp"
#include "bench/peer_process.hpp"
#include "bench/random_tokens.hpp"
#include "model/learner.hpp"
#include "model/precision.hpp"
#include "monitoring/human.hpp"

namespace rubato {
namespace {

// How long a measurement takes if nobody says how many steps it has.
constexpr double wanted_seconds = 3.0;

/// Seconds from when the last of them is warm until the last of them is done.
double seconds_at_once(const bare_loop& loop, std::int64_t steps, std::int64_t lanes) {
  std::chrono::steady_clock::time_point begin;
  std::barrier warm(lanes, [&begin]() noexcept { begin = std::chrono::steady_clock::now(); });
  std::mutex mutex;
  std::exception_ptr failure;
  {
    std::vector<std::jthread> threads;
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      threads.emplace_back([&, lane] {
        bool waited = false;
        try {
          loop.run(steps, static_cast<std::size_t>(lane), [&] {
            waited = true;
            warm.arrive_and_wait();
          });
        } catch (...) {
          if (!waited) warm.arrive_and_drop();
          const std::lock_guard lock(mutex);
          failure = std::current_exception();
        }
      });
    }
  }
  if (failure) std::rethrow_exception(failure);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

double training_flops(const config& c, const data_shape& shape, std::int64_t parameters) {
  const auto& m = c.model;
  if (m.kind != "transformer") return 0.0;
  auto multiplied = parameters;
  if (m.positions == "learned") multiplied -= m.sequence_length * m.width;
  if (m.embeddings == "untied") multiplied -= shape.classes * m.width;
  const auto attention =
      m.layers * (m.head_size > 0 ? m.heads * m.head_size : m.width) * m.sequence_length;
  return 6.0 * static_cast<double>(multiplied) + 12.0 * static_cast<double>(attention);
}

double rate_report::tokens_per_second() const {
  return static_cast<double>(steps * tokens_per_step) / median(seconds);
}

double rate_report::tokens_per_second_together() const {
  return static_cast<double>(lanes * steps * tokens_per_step) / median(crowd->own);
}

rate_report measure_rate(const config& c, const step_options& options,
                         const std::function<void(std::string_view)>& told) {
  const auto one = one_worker(c);
  std::shared_ptr<const dataset> data;
  if (options.vocabulary > 0) {
    data = std::make_shared<random_tokens>(one, options.vocabulary);
  } else {
    data = make_dataset(one);
  }
  const bare_loop loop(one, data, make_learner_factory(one, *data),
                       [one](learner& model) { initialize_parameters(one, model); });
  rate_report report;
  report.device = fmt::format("{}", fmt::join(c.workers.device, ", "));
  report.precision = to_string(resolve_precision(one));
  report.unit = data->shape().features == 0 && data->shape().tensors == 0 ? "token" : "example";
  report.parameters = static_cast<std::int64_t>(loop.layout().count(section::trainable));
  report.tokens_per_step = loop.tokens_per_step();
  report.steps = options.steps > 0 ? loop.whole_rounds(static_cast<double>(options.steps))
                                   : loop.steps_that_take(wanted_seconds);
  report.lanes = options.lanes;
  report.flops_per_token = training_flops(one, data->shape(), report.parameters);
  report.peak_tflops = options.peak_tflops;

  const auto alone = [&] {
    report.seconds.push_back(loop.run(report.steps).cost.wall_seconds);
    return report.seconds.back();
  };
  loop.run(report.steps);  // a warm-up
  if (options.lanes > 1) {
    report.crowd = measure_in_turn(
        options.repeats, [&] { return seconds_at_once(loop, report.steps, options.lanes); }, alone,
        told);
  }
  if (!options.peer.empty()) {
    peer_process peer(fmt::format("exec {} {} {}", options.peer,
                                  transformer_arguments(one, data->shape()), report.steps));
    peer.measure();  // its warm-up
    report.peer = measure_in_turn(
        options.repeats, alone, [&] { return peer.measure(); }, told);
  }
  while (static_cast<std::int64_t>(report.seconds.size()) < options.repeats) alone();
  return report;
}

// -- output ---------------------------------------------------------------------------------------

std::string to_text(const rate_report& report) {
  std::string text = "How fast local steps are, without actors\n\n";
  const auto line = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<14}  {}\n", name, value);
  };
  const auto work = [&report](double tokens_per_second) {
    if (report.flops_per_token == 0.0) return std::string();
    const double tflops = 1e-12 * tokens_per_second * report.flops_per_token;
    const auto rate = fmt::format(", {} TFLOP/s", human_number(tflops, 3));
    if (report.peak_tflops == 0.0) return rate;
    return fmt::format("{}: {:.1f} % of {} TFLOP/s", rate, 100.0 * tflops / report.peak_tflops,
                       human_number(report.peak_tflops, 1));
  };
  line("device", report.device);
  line("precision", report.precision);
  line("model", fmt::format("{} parameters, {} {}s a step",
                            human_count(static_cast<double>(report.parameters)),
                            report.tokens_per_step, report.unit));
  if (report.flops_per_token > 0.0) {
    line("work", fmt::format("{} MFLOP a token: 6 N and attention, forwards and backwards",
                             human_number(1e-6 * report.flops_per_token, 1)));
  }
  line("measured", fmt::format("{} local steps, {} times", report.steps, report.seconds.size()));
  line("one worker", fmt::format("{} {}s/s{}", human_count(report.tokens_per_second()), report.unit,
                                 work(report.tokens_per_second())));
  if (report.crowd) {
    const double together = report.tokens_per_second_together();
    line(fmt::format("{} at once", report.lanes),
         fmt::format("{} {}s/s{}; {:.3f} times as many as one (median of the pairs' ratios)",
                     human_count(together), report.unit, work(together),
                     static_cast<double>(report.lanes) / report.crowd->median_of_ratios()));
  }
  if (report.peer) {
    const double peers =
        static_cast<double>(report.steps * report.tokens_per_step) / median(report.peer->reference);
    line("a peer",
         fmt::format("{} {}s/s{}; one worker is {:.3f} times as fast (median of the pairs' ratios)",
                     human_count(peers), report.unit, work(peers),
                     1.0 / report.peer->median_of_ratios()));
  }
  return text;
}

std::string to_json(const rate_report& report) {
  nlohmann::ordered_json value = {{"device", report.device},
                                  {"precision", report.precision},
                                  {"unit", report.unit},
                                  {"parameters", report.parameters},
                                  {"tokens_per_step", report.tokens_per_step},
                                  {"steps", report.steps},
                                  {"tokens_per_second", report.tokens_per_second()},
                                  {"seconds", report.seconds}};
  if (report.flops_per_token > 0.0) {
    const double flops = report.flops_per_token * report.tokens_per_second();
    value["flops_per_token"] = report.flops_per_token;
    value["flops_per_second"] = flops;
    if (report.peak_tflops > 0.0) value["utilisation"] = flops / (1e12 * report.peak_tflops);
  }
  if (report.crowd) {
    value["lanes"] = report.lanes;
    value["tokens_per_second_together"] = report.tokens_per_second_together();
    value["together_seconds"] = report.crowd->own;
    value["beside_together_seconds"] = report.crowd->reference;
  }
  if (report.peer) {
    value["beside_peer_seconds"] = report.peer->own;
    value["peer_seconds"] = report.peer->reference;
  }
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace rubato
