#include "model/null_learner.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <thread>

#include "config/random.hpp"

namespace rubato {
namespace {

constexpr std::size_t slice = 4096;

double mean_square(std::span<const float> values) {
  double sum = 0.0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum / static_cast<double>(values.size());
}

/// Some number, the same for the same points.
std::uint64_t number_of(const batch& b) {
  std::uint64_t number = 0;
  for (const float x : b.features) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &x, sizeof(bits));
    number = (number ^ bits) * 0x9e3779b97f4a7c15;
  }
  return number >> 16;
}

/// Lets steps take a given time each.
class step_clock {
 public:
  explicit step_clock(std::chrono::nanoseconds step) : step_(step) {}

  void wait() {
    using clock = std::chrono::steady_clock;
    const auto now = clock::now();
    // Who was late for one step begins the next one in time; who was away begins now.
    const bool goes_on = end_ && now < *end_ + step_;
    end_ = (goes_on ? *end_ : now) + step_;
    std::this_thread::sleep_until(*end_);
  }

 private:
  std::chrono::nanoseconds step_;
  std::optional<std::chrono::steady_clock::time_point> end_;  // of the last step
};

class null_learner final : public learner {
 public:
  explicit null_learner(const config& c) {
    layout_.add("values", {c.model.parameters});
    parameters_ = std::make_unique<parameter_buffer>(layout_.size());
    const auto step = std::chrono::nanoseconds(std::llround(c.model.step_seconds * 1e9));
    if (c.clock.mode == "wall" && step.count() > 0) clock_.emplace(step);
  }

  const parameter_layout& layout() const override { return layout_; }
  std::span<float> parameters() override { return parameters_->span(); }

  std::span<float> gradient() override {
    if (!gradient_) gradient_ = std::make_unique<parameter_buffer>(layout_.size());
    return gradient_->span();
  }

  bool moves_itself() const override { return true; }

  double compute_gradient(const batch& b) override {
    const auto all = parameters_->span().first(layout_.count(section::trainable));
    const auto size = std::min(slice, all.size());
    const auto moved = all.subspan(number_of(b) % (all.size() - size + 1), size);
    const double loss = mean_square(moved);
    for (float& x : moved) x *= 0.99F;
    if (clock_) clock_->wait();
    return loss;
  }

  evaluation_sums evaluate(const batch& b) override {
    const auto all = parameters_->span().first(layout_.count(section::trainable));
    evaluation_sums sums;
    sums.targets = b.examples;
    sums.loss =
        mean_square(all.first(std::min(slice, all.size()))) * static_cast<double>(b.examples);
    return sums;
  }

  void update_statistics(const batch&, double) override {}

 private:
  parameter_layout layout_;
  std::unique_ptr<parameter_buffer> parameters_;
  std::unique_ptr<parameter_buffer> gradient_;  // made when somebody asks
  std::optional<step_clock> clock_;
};

}  // namespace

std::unique_ptr<learner> make_null_learner(const config& c) {
  return std::make_unique<null_learner>(c);
}

void initialize_null(std::uint64_t seed, std::span<float> parameters) {
  random_generator random(seed, random_stream::initial_parameters);
  for (float& x : parameters) x = static_cast<float>(2.0 * random.uniform() - 1.0);
}

}  // namespace rubato
