// Notices that a run has diverged: its held-out loss is no number any more, evaluation after
// evaluation. Not here: when to evaluate, and ending the run.
#pragma once

#include <cstdint>
#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace rubato {

/// One thread at a time. When it says so depends only on what is evaluated in which order, and not
/// on how long that takes, if nothing else is while it is undecided().
class divergence_watch {
 public:
  /// `after`: so many evaluations in a row without a number; 0: never.
  explicit divergence_watch(std::int64_t after) : after_(after) {}

  /// A version begins to be evaluated.
  void evaluating(std::uint64_t version);
  /// The newest of these would be evaluated again: no other has come of it since. Its result counts
  /// once more; it may be there already.
  void again();
  /// The result for the first one that had none.
  void evaluated(double loss);

  /// There were enough evaluations in a row without a number. Stays so.
  bool diverged() const { return diverged_; }
  /// Whether the run has diverged depends on results that are not there yet.
  bool undecided() const;
  /// The newest result is no number.
  bool doubtful() const { return failed_ > 0; }
  /// The newest version whose loss was a number.
  std::optional<std::uint64_t> last_finite() const { return last_finite_; }

  // What it remembers, to go on from elsewhere. Throws nlohmann::json::exception.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  void fail(std::int64_t evaluations);

  struct pending_evaluation {
    std::uint64_t version = 0;
    std::int64_t counts = 1;  // as so many evaluations
  };

  std::int64_t after_;
  std::deque<pending_evaluation> pending_;
  std::int64_t failed_ = 0;  // evaluations in a row
  bool diverged_ = false;
  std::optional<std::uint64_t> last_finite_;
};

}  // namespace rubato
