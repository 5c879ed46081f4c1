#include "data/images/label_shards.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "config/random.hpp"
#include "data/permutation.hpp"

namespace rubato {
namespace {

// In place of the run's: runs with different seeds share the shards.
constexpr std::uint64_t data_seed = 0;

/// What is drawn from the stream data_split; the first of its keys.
enum draw : std::uint64_t { even, of_class, proportions, within_shard };

template <class Element>
void shuffle(std::vector<Element>& list, draw which, std::uint64_t key) {
  std::vector<Element> result(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    result[permuted(i, list.size(), data_seed, random_stream::data_split, {which, key})] = list[i];
  }
  list = std::move(result);
}

/// The logarithm of a number from the gamma distribution of this shape and scale 1 (Marsaglia and
/// Tsang 2000). A logarithm, as small shapes give numbers that no double can hold.
double log_gamma_variate(double shape, random_generator& random) {
  // One of shape + 1, brought down: theirs is for shapes of at least 1.
  const double d = shape + 1.0 - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = random.normal();
    const double v = std::pow(1.0 + c * x, 3);
    const double u = 1.0 - random.uniform();
    if (v <= 0.0 || std::log(u) >= 0.5 * x * x + d - d * v + d * std::log(v)) continue;
    return std::log(d * v) + std::log(1.0 - random.uniform()) / shape;
  }
}

std::vector<double> dirichlet(std::size_t size, double concentration, random_generator& random) {
  std::vector<double> shares(size);
  for (auto& share : shares) share = log_gamma_variate(concentration, random);
  const double largest = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (auto& share : shares) sum += share = std::exp(share - largest);
  for (auto& share : shares) share /= sum;
  return shares;
}

}  // namespace

shard_lists split_evenly(std::size_t count, std::size_t shards, std::uint64_t salt) {
  std::vector<std::uint32_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<std::uint32_t>(i);
  shuffle(order, draw::even, salt);
  shard_lists lists(shards);
  for (std::size_t s = 0; s < shards; ++s) {
    lists[s].assign(order.begin() + static_cast<std::ptrdiff_t>(count * s / shards),
                    order.begin() + static_cast<std::ptrdiff_t>(count * (s + 1) / shards));
  }
  return lists;
}

shard_lists split_by_label(const std::vector<std::int32_t>& labels, std::size_t classes,
                           std::size_t shards, double concentration, std::size_t at_least) {
  shard_lists of_class(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    of_class[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::uint32_t>(i));
  }
  shard_lists lists(shards);
  for (std::size_t k = 0; k < classes; ++k) {
    auto& members = of_class[k];
    if (members.empty()) continue;
    shuffle(members, draw::of_class, k);
    random_generator random(data_seed, random_stream::data_split, {draw::proportions, k});
    const auto shares = dirichlet(shards, concentration, random);
    double share = 0;
    std::size_t begin = 0;
    for (std::size_t s = 0; s < shards; ++s) {
      share += shares[s];
      const auto end =
          s + 1 == shards
              ? members.size()
              : std::min(members.size(), static_cast<std::size_t>(std::llround(
                                             share * static_cast<double>(members.size()))));
      lists[s].insert(lists[s].end(), members.begin() + static_cast<std::ptrdiff_t>(begin),
                      members.begin() + static_cast<std::ptrdiff_t>(end));
      begin = end;
    }
  }
  for (std::size_t s = 0; s < shards; ++s) shuffle(lists[s], draw::within_shard, s);

  const auto smaller = [](const auto& a, const auto& b) { return a.size() < b.size(); };
  for (auto& list : lists) {
    while (list.size() < at_least) {
      auto& largest = *std::max_element(lists.begin(), lists.end(), smaller);
      list.push_back(largest.back());
      largest.pop_back();
    }
  }
  return lists;
}

}  // namespace rubato
