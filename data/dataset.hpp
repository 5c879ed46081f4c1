// What training needs of a data set: shards, their sizes, and any batch by its exact position.
// A data set is immutable after construction and has no cursor, so it is shared by all threads and
// a round can start anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "data/tensors/element_type.hpp"

namespace rubato {

/// Values of any type and shape, row-major.
struct tensor_values {
  element_type type = element_type::f32;
  std::vector<std::int64_t> shape = {};
  std::vector<std::byte> bytes = {};
};

/// A batch, row-major, of token windows, of points or images with labels, or of tensors.
/// Tokens: `examples` rows of `length + 1` tokens each; the model reads the first `length` of a row
/// and predicts the last `length`. Points and images: `examples` rows of `length` features each, an
/// image's as [channels, height, width], and a label for each row. Tensors: what the model is
/// given, in that order; the first dimension of each is `examples`, and `length` is 0.
struct batch {
  std::int64_t examples = 0;
  std::int64_t length = 0;
  std::vector<std::int32_t> tokens = {};
  std::vector<float> features = {};
  std::vector<std::int32_t> labels = {};
  std::vector<tensor_values> tensors = {};
};

/// What a model must know of a data set: what it is given and what it has to predict.
struct data_shape {
  std::int64_t features = 0;  // of a point or an image; 0: the data is token windows or tensors
  std::int64_t classes = 0;   // distinct labels, or distinct tokens (256 for bytes)
  // Of an image, whose features are channels x height x width in this order; 0: no images.
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t tensors = 0;  // of an example, with a meaning that only the model knows; or 0
};

/// What a shard consists of, for people.
struct shard_info {
  std::string name;                 // short, different for each shard
  std::uint64_t files = 0;          // found, duplicates included
  std::uint64_t duplicates = 0;     // of these, left out as copies or near-copies
  std::uint64_t training_size = 0;  // bytes of text, points, images or examples
  std::uint64_t held_out_size = 0;  // never trained on; of the same unit
};

/// A simple model to compare a trained one with, measured on the same held-out batches.
struct baseline {
  std::string name;
  double bits_per_byte = 0;
};

class dataset {
 public:
  virtual ~dataset() = default;

  /// Number of shards, at least 1.
  virtual std::size_t shards() const = 0;

  /// What is in a shard.
  virtual shard_info info(std::size_t shard) const = 0;

  /// |D_i|: the amount of training data in a shard (bytes of text, points, images or examples).
  virtual std::uint64_t shard_size(std::size_t shard) const = 0;

  /// Of every batch, whichever its shard.
  virtual data_shape shape() const = 0;

  /// Bytes of text that a token stands for, on average (1 for bytes): turns the loss of a token
  /// into bits per byte. 0 where there is no text.
  virtual double bytes_per_token() const = 0;

  /// What one batch trains on: tokens (examples * length), points, images or examples.
  virtual std::int64_t tokens_per_batch() const = 0;

  /// The batch at `position` of the shard's endless sample sequence: a pure function of
  /// (seed, shard, position). Thread-safe. Throws run_error if the data cannot be read.
  virtual batch training_batch(std::size_t shard, std::uint64_t position) const = 0;

  /// The fixed batches of a shard to evaluate on, the same for every method and seed of the *run*
  /// that has the same data options; held out from training unless evaluate.on says otherwise.
  /// Thread-safe.
  virtual const std::vector<batch>& held_out(std::size_t shard) const = 0;

  /// Trains the simple models that suit this kind of data on all shards and measures them on the
  /// held-out batches, with shards weighted as data.shard_weights says. Empty where there are
  /// none. May take a second; call it once.
  virtual std::vector<baseline> baselines() const = 0;

  /// What a person should know of the data as it was found, a sentence each: files that were left
  /// out. May grow while training reads more of it. Thread-safe.
  virtual std::vector<std::string> notes() const { return {}; }

  /// What must be the same wherever the data is read, besides its shards, for people: names, types
  /// and shapes of tensors. Empty where the kind of data says it all.
  virtual std::string content() const { return {}; }

  /// A batch takes so long to make, as its images have to be decoded, that several threads pay off.
  virtual bool has_slow_batches() const { return false; }
};

/// What each shard counts in sampling and in held-out means, as data.shard_weights says: its size,
/// or the same for each. Sums to 1.
std::vector<double> shard_weights(const config& c, const dataset& data);

/// Loads the data set that data.kind names, ready to train on.
/// Throws usage_error if the data cannot be used: missing, empty, unreadable or too short.
std::unique_ptr<dataset> make_dataset(const config& c);

}  // namespace rubato
