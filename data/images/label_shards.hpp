// Who gets which image: ways to deal labelled examples to shards. Not here: the images themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rubato {

/// The examples of each shard, by index, shuffled.
using shard_lists = std::vector<std::vector<std::uint32_t>>;

/// Deals `count` shuffled examples to shards whose sizes differ by at most one. Always the same for
/// the same numbers; those of `salt` differ.
shard_lists split_evenly(std::size_t count, std::size_t shards, std::uint64_t salt);

/// Shares out the examples of each class by proportions of its own, drawn from the symmetric
/// Dirichlet distribution over the shards with this concentration (Yurochkin et al. 2019; Li et
/// al. 2022): shards differ in classes and in size.
/// A shard that got fewer than `at_least` examples is then filled up from the shard that is the
/// largest at the time, which gives the last of its list; of equal shards the first gives.
/// `labels` are from 0 to below `classes`; at_least * shards must not be more than there are.
/// Always the same for the same arguments.
shard_lists split_by_label(const std::vector<std::int32_t>& labels, std::size_t classes,
                           std::size_t shards, double concentration, std::size_t at_least);

}  // namespace rubato
