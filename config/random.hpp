// Every random number of a run comes from here: a counter-based generator whose streams are named
// by their purpose and keyed by the run's seed. There is no hidden state to save or to race on:
// the n-th number of a stream is a pure function of (seed, stream, keys, n).
#pragma once

#include <cstdint>
#include <initializer_list>

namespace rubato {

/// What a stream of random numbers is for. Append only: the value is part of the results.
enum class random_stream : std::uint64_t {
  initial_parameters = 1,
  held_out_split = 2,
  training_samples = 3,
  held_out_samples = 4,
  shard_choice = 5,
  jitter = 6,
  dropout = 7,
  synthetic_data = 8,
  test = 9,
  image_augmentation = 10,
  data_split = 11,
  reconnect = 12,
  generation = 13,
};

/// A stream of uniformly distributed numbers (SplitMix64 over a keyed counter; same values on
/// every machine). Cheap to make: make one for each (worker, round), (shard, position), ...
/// Not thread-safe; meets std::uniform_random_bit_generator.
class random_generator {
 public:
  using result_type = std::uint64_t;

  random_generator(std::uint64_t seed, random_stream stream,
                   std::initializer_list<std::uint64_t> keys = {});

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~result_type{0}; }

  result_type operator()();

  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform in [0, n) without modulo bias; n > 0.
  std::uint64_t below(std::uint64_t n);
  /// Standard normal (Box-Muller, one value a call).
  double normal();

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

}  // namespace rubato
