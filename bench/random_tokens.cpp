#include "bench/random_tokens.hpp"

#include <limits>

#include "config/random.hpp"

namespace rubato {

random_tokens::random_tokens(const config& c, std::int64_t vocabulary)
    : seed_(static_cast<std::uint64_t>(c.run.seed)),
      vocabulary_(vocabulary),
      batch_size_(c.data.batch_size),
      length_(c.model.sequence_length),
      held_out_{training_batch(0, std::numeric_limits<std::uint64_t>::max())} {}

shard_info random_tokens::info(std::size_t) const {
  shard_info info;
  info.name = "random";
  info.training_size = size;
  return info;
}

batch random_tokens::training_batch(std::size_t, std::uint64_t position) const {
  random_generator random(seed_, random_stream::test, {position});
  batch made;
  made.examples = batch_size_;
  made.length = length_;
  for (std::int64_t i = 0; i < batch_size_ * (length_ + 1); ++i) {
    made.tokens.push_back(
        static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(vocabulary_)));
  }
  return made;
}

}  // namespace rubato
