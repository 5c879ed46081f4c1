// What the cells of a comparison say: per run, per pair of runs, and in sentences what may and may
// not be concluded. Numbers only; how they are shown is tables.hpp's.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "compare/execution.hpp"
#include "compare/grid.hpp"
#include "compare/statistics.hpp"

namespace rubato {

/// A run in a setting, with one of its budgets, over all reported seeds. Means are over the seeds
/// that have a result.
struct run_finding {
  std::size_t setting = 0;
  std::size_t run = 0;
  std::size_t budget = 0;       // index
  std::size_t combination = 0;  // of hyper-parameters
  std::size_t diverged = 0;     // seeds
  std::size_t missing = 0;      // seeds without a result
  std::size_t rank = 0;  // by final loss, from 1, among the runs of the setting with budget 1;
                         // 0: another budget, or no result
  estimate final_loss;
  estimate last_loss;
  estimate accuracy;
  estimate top5;  // NaN where it is not measured
  estimate bits_per_byte;
  estimate seconds;
  estimate local_steps;
  estimate tokens;
  estimate bytes;
  estimate staleness;
  estimate utilisation;
  // What a worker has to communicate, and how fast it goes through the data.
  estimate synchronisations;
  estimate cost;            // 2 * parameters * synchronisations, in parameters
  estimate bytes_a_worker;  // measured, both ways
  estimate epochs;          // NaN if runs do not record them
  estimate seconds_an_epoch;
  estimate epoch_speed_up;  // that of the baseline in the same setting by it, paired; where there
                            // is one run only, of its first setting. Of budget 1 alone.
};

/// What two runs take to get down to the same loss, and how many times more it is for the other:
/// above 1, `run` is better. Over the paired seeds with which both get there.
struct cost_finding {
  estimate run;
  estimate other;
  estimate ratio;
};

/// `run` against `other` in a setting, both with budget 1, over the seeds with which both have a
/// result.
struct pair_finding {
  std::size_t setting = 0;
  std::size_t run = 0;
  std::size_t other = 0;
  estimate difference;           // of the final loss, run - other
  estimate accuracy_difference;  // the same; NaN if one of them diverged
  /// The loss to get down to: compare.target, or the worst final loss of all seeds of both, which
  /// each of their runs reaches. None if one of them diverged.
  std::optional<double> target;
  std::size_t pairs = 0;    // seeds
  std::size_t reached = 0;  // seeds with which both reach the target
  cost_finding seconds;
  cost_finding local_steps;
  cost_finding tokens;
  cost_finding bytes;

  /// `run` gets down to the target sooner, in virtual time: with every seed, by more than a
  /// hundredth, and by more than the spread over seeds explains.
  bool is_faster() const;
  /// `run` ends at a higher loss, by more than the spread over seeds explains.
  bool is_worse() const;
};

/// The smallest budget with which a run, on a schedule of that length, ends at or below the final
/// loss of `other` with budget 1.
struct budget_finding {
  std::size_t setting = 0;
  std::size_t run = 0;
  std::size_t other = 0;
  std::optional<std::size_t> budget;  // index; none of those tried
  estimate speed_up;                  // the other's virtual time by the run's, paired
};

/// How hyper-parameters were chosen.
struct tuning_finding {
  std::size_t setting = 0;
  std::size_t run = 0;
  std::size_t chosen = 0;
  std::vector<estimate> losses;      // of each combination, over the tuning seeds
  std::vector<std::string> at_edge;  // keys whose chosen value is the first or last that was tried
};

/// How the results of a run go with a number that is varied, all else equal.
struct order_finding {
  std::size_t run = 0;
  std::string key;
  override_list rest;        // what else is varied, and has these values here
  double correlation = 0.0;  // Spearman's, with the accuracy or the final loss, over `cells`
  std::size_t cells = 0;     // of all values and seeds
};

struct findings {
  std::vector<run_finding> runs;        // by setting, run and budget
  std::vector<pair_finding> pairs;      // by setting, run and other: all pairs, both ways round
  std::vector<budget_finding> budgets;  // of runs with several, against each baseline
  std::vector<tuning_finding> tuning;
  std::vector<order_finding> orders;  // by key, rest and run
  std::vector<std::string> notes;     // sentences: what to know before believing the tables
  std::string unit = "token";
  std::string evaluated_on = "held-out";

  /// There are classes to be told apart, and the accuracy is what counts: not of text.
  bool classifies() const { return unit != "token"; }
};

/// How many times every worker has exchanged parameters with the others: the versions of a
/// synchronous run; the updates applied by the number of workers of an asynchronous one.
double synchronisations(const config& c, const cell_result& result);

/// In parameters, for each worker: all of them up and down at each synchronisation.
double communication_cost(const config& c, const cell_result& result);

findings find(const grid& g, const grid_outcome& outcome);

/// What a run is, judged by its config, for the rows that a comparison should have.
enum class method_role {
  single_worker,
  data_parallel,     // the gradients of all workers, averaged each step
  sync,              // the same number of steps for all
  sync_dylu,         // DyLU's quotas, uniform mean
  sync_dylu_tokens,  // DyLU's quotas, mean weighted with tokens
  delayed_nesterov,  // the same number of steps for all
  delayed_nesterov_dylu,
  other,
};
method_role role_of(const config& c);

}  // namespace rubato
