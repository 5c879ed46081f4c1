#include "data/tensors/tensor_dataset.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "config/error.hpp"
#include "config/random.hpp"
#include "data/permutation.hpp"
#include "data/text_files.hpp"

namespace rubato {
namespace {

// In place of the run's: runs with different seeds share the shards.
constexpr std::uint64_t data_seed = 0;

/// The paths of each part, by what they have in common: a file by itself, or its folder.
std::map<std::string, std::vector<std::string>> group(
    const std::vector<std::filesystem::path>& files) {
  std::map<std::string, std::vector<std::string>> parts;
  for (const auto& path : files) {
    if (!is_tensor_file(path.string())) continue;
    const auto common = path.extension() == ".npy" ? path.parent_path() : path;
    parts[common.string()].push_back(path.string());
  }
  return parts;
}

std::string describe(element_type type, const std::vector<std::int64_t>& extents) {
  return fmt::format("{} [{}]", to_string(type), fmt::join(extents, ", "));
}

}  // namespace

tensor_dataset::tensor_dataset(const config& c, data_use use)
    : seed_(static_cast<std::uint64_t>(c.run.seed)),
      batch_size_(c.data.batch_size),
      names_(c.data.tensors),
      rows_(names_.size()) {
  if (names_.empty()) throw usage_error("data.tensors must name at least one tensor");
  const bool by_file = c.data.split == "files";
  if (!by_file) pools_.emplace_back();
  for (std::size_t i = 0; i < c.data.paths.size(); ++i) {
    if (by_file) pools_.emplace_back();
    add_files(c.data.paths[i], paths_of_shard(i), pools_.back());
  }
  const bool own_held_out = !c.data.held_out_paths.empty();
  const auto shards = by_file ? 1 : static_cast<std::size_t>(c.data.shards);
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    deal(i, shards, own_held_out ? 0.0 : c.data.held_out);
    if (by_file) name_last_shard(c.data.paths[i]);
  }
  if (use == data_use::training) return;
  if (own_held_out) {
    pools_.emplace_back();
    for (const auto& entries : c.data.held_out_paths) {
      add_files(entries, "data.held_out_paths", pools_.back());
    }
    deal_held_out(pools_.size() - 1);
  }
  for (auto& shard : shards_) make_held_out(shard, c.evaluate.batches);
}

void tensor_dataset::add_files(const std::vector<std::string>& entries, const std::string& where,
                               pool& to) {
  const auto parts = group(find_files(entries, where));
  if (parts.empty()) {
    throw paths_error(where, "there is no .safetensors or .npy file; correct the path");
  }
  for (const auto& [common, paths] : parts) {
    auto opened = open_part(paths);
    opened.end += to.size();
    to.files += paths.size();
    to.parts.push_back(std::move(opened));
  }
}

/// Its `end` is the number of its examples.
tensor_dataset::part tensor_dataset::open_part(const std::vector<std::string>& paths) {
  const auto first_file = files_.size();
  for (const auto& path : paths) files_.emplace_back(path);
  part result;
  std::string counted;  // the tensor that says how many examples there are
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const mapped_tensor* tensor = nullptr;
    std::string where;
    for (auto file = first_file; file < files_.size() && tensor == nullptr; ++file) {
      tensor = files_[file].find(names_[i]);
      where = fmt::format("tensor \"{}\" of {}", names_[i], files_[file].path());
    }
    if (tensor == nullptr) {
      throw usage_error(fmt::format(
          "data.tensors: there is no tensor \"{}\" in {}", names_[i],
          paths.size() > 1 ? fmt::format("the .npy files beside {}", paths[0]) : paths[0]));
    }
    if (tensor->shape.empty() || tensor->shape[0] == 0) {
      throw usage_error(fmt::format(
          "{} has the shape [{}]; its first dimension must be the number of examples, at least 1",
          where, fmt::join(tensor->shape, ", ")));
    }
    const auto examples = static_cast<std::uint64_t>(tensor->shape[0]);
    if (i == 0) {
      result.end = examples;
      counted = where;
    } else if (examples != result.end) {
      throw usage_error(
          fmt::format("{} has {} examples, but {} has {}", where, examples, counted, result.end));
    }
    row_shape row{tensor->type,
                  {tensor->shape.begin() + 1, tensor->shape.end()},
                  static_cast<std::size_t>(tensor->bytes.size() / examples),
                  where};
    if (rows_[i].first.empty()) {
      rows_[i] = std::move(row);
    } else if (!(row == rows_[i])) {
      throw usage_error(fmt::format("{} has {} for an example, but {} has {}", where,
                                    describe(row.type, row.extents), rows_[i].first,
                                    describe(rows_[i].type, rows_[i].extents)));
    }
    result.values.push_back(tensor->bytes.data());
  }
  return result;
}

/// By its files, and by its number if another one is called so.
void tensor_dataset::name_last_shard(const std::vector<std::string>& entries) {
  const auto number = shards_.size() - 1;
  auto name = shard_name(entries, number);
  if (std::any_of(shards_.begin(), shards_.end() - 1,
                  [&name](const shard_data& other) { return other.name == name; })) {
    name += fmt::format(" ({})", number);
  }
  shards_.back().name = std::move(name);
}

/// Deals the examples of a pool to shards: of its order, first what is trained on, then this share
/// to be held out.
void tensor_dataset::deal(std::size_t pool, std::size_t shards, double held_out) {
  const auto size = pools_[pool].size();
  const auto batch_size = static_cast<std::uint64_t>(batch_size_);
  const std::uint64_t at_least_one = held_out > 0.0 ? 1 : 0;
  if (size < shards * (batch_size + at_least_one)) {
    throw usage_error(fmt::format(
        "data.paths: {} examples{} are too few: a batch to train on (data.batch_size = {}){} for "
        "each of {} shards take at least {}",
        size, shards == 1 ? " in a shard" : "", batch_size,
        at_least_one ? " and one example to evaluate on" : "", shards,
        shards * (batch_size + at_least_one)));
  }
  const auto wanted =
      static_cast<std::uint64_t>(std::llround(held_out * static_cast<double>(size)));
  const auto evaluated = std::clamp(wanted, shards * at_least_one, size - shards * batch_size);
  for (std::size_t i = 0; i < shards; ++i) {
    shard_data shard;
    shard.name = fmt::format("examples {}", i);
    shard.training = share_of(pool, 0, size - evaluated, i, shards);
    shard.evaluated = share_of(pool, size - evaluated, evaluated, i, shards);
    shards_.push_back(std::move(shard));
  }
}

/// Deals all of a pool to the shards, to evaluate on.
void tensor_dataset::deal_held_out(std::size_t pool) {
  const auto size = pools_[pool].size();
  if (size < shards_.size()) {
    throw usage_error(fmt::format("data.held_out_paths: {} examples are too few for {} shards",
                                  size, shards_.size()));
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].evaluated = share_of(pool, 0, size, i, shards_.size());
  }
}

/// The i-th of so many parts of what begins there, which differ in size by one at most.
tensor_dataset::stretch tensor_dataset::share_of(std::size_t pool, std::uint64_t begin,
                                                 std::uint64_t size, std::size_t i,
                                                 std::size_t parts) {
  const auto before = [&](std::size_t k) { return size / parts * k + size % parts * k / parts; };
  return {pool, begin + before(i), before(i + 1) - before(i)};
}

void tensor_dataset::make_held_out(shard_data& shard, std::int64_t most_batches) const {
  const auto& [pool, begin, size] = shard.evaluated;
  auto place = begin;
  const auto end = begin + size;
  while (place < end && static_cast<std::int64_t>(shard.held_out.size()) < most_batches) {
    const auto examples = std::min(batch_size_, static_cast<std::int64_t>(end - place));
    if (examples < batch_size_ && !shard.held_out.empty()) break;
    auto& b = shard.held_out.emplace_back(empty_batch(examples));
    for (std::int64_t row = 0; row < examples; ++row) write_example(pool, place++, row, b);
  }
}

shard_info tensor_dataset::info(std::size_t shard) const {
  const auto& s = shards_.at(shard);
  return {s.name, pools_[s.training.pool].files, 0, s.training.size, s.evaluated.size};
}

data_shape tensor_dataset::shape() const {
  data_shape shape;
  shape.tensors = static_cast<std::int64_t>(names_.size());
  return shape;
}

std::string tensor_dataset::content() const {
  std::string text;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    text += fmt::format("{}{} {}", i > 0 ? ", " : "", names_[i],
                        describe(rows_[i].type, rows_[i].extents));
  }
  return text;
}

batch tensor_dataset::training_batch(std::size_t shard, std::uint64_t position) const {
  const auto& from = shards_.at(shard).training;
  auto result = empty_batch(batch_size_);
  for (std::int64_t row = 0; row < batch_size_; ++row) {
    const auto sample =
        position * static_cast<std::uint64_t>(batch_size_) + static_cast<std::uint64_t>(row);
    const auto place = permuted(sample % from.size, from.size, seed_,
                                random_stream::training_samples, {shard, sample / from.size});
    write_example(from.pool, from.begin + place, row, result);
  }
  return result;
}

/// With room for so many examples of each tensor.
batch tensor_dataset::empty_batch(std::int64_t examples) const {
  batch result;
  result.examples = examples;
  for (const auto& row : rows_) {
    auto& tensor = result.tensors.emplace_back();
    tensor.type = row.type;
    tensor.shape = {examples};
    tensor.shape.insert(tensor.shape.end(), row.extents.begin(), row.extents.end());
    tensor.bytes.resize(static_cast<std::size_t>(examples) * row.size);
  }
  return result;
}

/// Copies the example at a place of the pool's order into a row of the batch.
void tensor_dataset::write_example(std::size_t pool, std::uint64_t place, std::int64_t row,
                                   batch& b) const {
  const auto& parts = pools_[pool].parts;
  const auto example =
      permuted(place, pools_[pool].size(), data_seed, random_stream::data_split, {pool, 0});
  const auto found = std::upper_bound(
      parts.begin(), parts.end(), example,
      [](std::uint64_t number, const part& candidate) { return number < candidate.end; });
  const auto begin = found == parts.begin() ? 0 : std::prev(found)->end;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const auto size = rows_[i].size;
    auto* const into = b.tensors[i].bytes.data() + static_cast<std::size_t>(row) * size;
    if (size > 0) std::memcpy(into, found->values[i] + (example - begin) * size, size);
    if (rows_[i].type != element_type::boolean) continue;
    // A byte of any other value is no boolean to those who compute with it.
    std::transform(into, into + size, into,
                   [](std::byte value) { return std::byte{value != std::byte{0}}; });
  }
}

}  // namespace rubato
