// A data set that a program brings along: so many examples, and any of them by its number. Rubato
// holds some of them out, shuffles the others anew in each epoch and makes batches.
// Not here: the interface that training uses (dataset.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/registration.hpp"
#include "data/data_use.hpp"
#include "data/dataset.hpp"

namespace rubato {

/// Immutable after construction: what is asked for again is the same, bit for bit.
class map_dataset {
 public:
  virtual ~map_dataset() = default;

  /// How many examples there are; they are numbered from 0.
  virtual std::uint64_t size() const = 0;

  /// What a batch holds, whichever its examples; Rubato's own kinds of model go by it.
  virtual data_shape shape() const = 0;

  /// The examples of these numbers, in this order, as one batch. Called by several threads at once.
  /// Throws run_error, or any std::exception, if they cannot be read; that ends the run.
  virtual batch get(std::span<const std::uint64_t> numbers) const = 0;

  /// Consecutive examples that make a shard.
  struct part {
    std::string name;  // short, different for each
    std::uint64_t size = 0;
  };

  /// The shards: parts of all examples, from the first on. By default one of all of them.
  virtual std::vector<part> parts() const { return {{"all", size()}}; }
};

/// `count` parts of `size` examples, as equal as can be. With "data.shards" among what a data set
/// uses: equal_parts(size(), c.data.shards).
std::vector<map_dataset::part> equal_parts(std::uint64_t size, std::int64_t count);

/// Throws usage_error if the data cannot be used.
using map_dataset_maker = std::function<std::unique_ptr<map_dataset>(const config&)>;

/// Makes a data set one of `data.kind`, which uses data.held_out besides what `choice` says: that
/// share of each part is kept from training and evaluated on, the same whatever run.seed is. See
/// add_choice() for what is thrown, and when.
void register_dataset(own_choice choice, map_dataset_maker make);

/// The registered data set that data.kind names, ready for that use; null if that is Rubato's own.
/// Throws usage_error if a part has fewer than two examples or there is none.
std::unique_ptr<dataset> make_registered_dataset(const config& c, data_use use);

}  // namespace rubato
