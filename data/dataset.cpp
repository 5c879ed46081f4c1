#include "data/dataset.hpp"

#include <fmt/format.h>

#include <thread>

#include "config/error.hpp"
#include "data/data_use.hpp"
#include "data/gaussian_mixtures.hpp"
#include "data/images/image_dataset.hpp"
#include "data/map_dataset.hpp"
#include "data/tensors/tensor_dataset.hpp"
#include "data/text_dataset.hpp"
#include "data/tokens/token_dataset.hpp"

namespace rubato {

std::vector<double> shard_weights(const config& c, const dataset& data) {
  std::vector<double> weights;
  double sum = 0.0;
  for (std::size_t i = 0; i < data.shards(); ++i) {
    weights.push_back(c.data.shard_weights == "equal" ? 1.0
                                                      : static_cast<double>(data.shard_size(i)));
    sum += weights.back();
  }
  for (auto& weight : weights) weight /= sum;
  return weights;
}

std::unique_ptr<dataset> make_dataset(const config& c) {
  return make_dataset(c, data_use::all);
}

std::unique_ptr<dataset> make_dataset(const config& c, data_use use) {
  if (auto registered = make_registered_dataset(c, use)) return registered;
  if (c.data.kind == "text") return std::make_unique<text_dataset>(c);
  if (c.data.kind == "tokens") return std::make_unique<token_dataset>(c, use);
  if (c.data.kind == "tensors") return std::make_unique<tensor_dataset>(c, use);
  if (c.data.kind == "gaussian-mixtures") return std::make_unique<gaussian_mixtures>(c);
  return make_image_dataset(c, std::thread::hardware_concurrency(), use);
}

}  // namespace rubato
