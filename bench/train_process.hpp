// `rubato train` in a process of its own, where nothing but training is done. Not here: what is
// trained and measured.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rubato {

struct train_outcome {
  nlohmann::json summary;
  std::uint64_t peak_memory = 0;  // in bytes
};

/// With these keys and values, such as {"--workers.count", "20"}: every step is an update; no
/// journal, no checkpoints, nobody to watch, and evaluations of one batch at the beginning and the
/// end. Throws run_error.
train_outcome train_in_process(const std::vector<std::string>& settings);

}  // namespace rubato
