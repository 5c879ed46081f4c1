#include "bench/peer_process.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "config/error.hpp"
#include "config/schema.hpp"

namespace rubato {
namespace {

std::string in_own_environment(const std::string& command) {
  if (getenv("RUBATO_REPLACED_CORETYPE") == nullptr) return command;
  return "unset OPENBLAS_CORETYPE RUBATO_REPLACED_CORETYPE; " + command;
}

}  // namespace

peer_process::peer_process(const std::string& command)
    : command_(command), child_({"/bin/sh", "-c", in_own_environment(command)}) {}

double peer_process::measure() {
  child_.write_line("go");
  const auto line = child_.read_line().value_or("");
  char* end = nullptr;
  const double seconds = std::strtod(line.c_str(), &end);
  if (end == line.c_str() || *end != '\0' || !(seconds > 0.0)) {
    throw run_error("bench: " + command_ + " did not answer with its seconds: " + line +
                    child_.errors());
  }
  return seconds;
}

std::string transformer_arguments(const config& c, const data_shape& shape) {
  const auto& m = c.model;
  if (m.kind != "transformer") {
    throw usage_error(
        fmt::format("bench: a peer trains a transformer, but model.kind = \"{}\"", m.kind));
  }
  for (const char* key : {"model.embeddings", "model.positions", "model.block_norm",
                          "model.activation", "model.recompute", "inner.micro_batch"}) {
    const auto& spec = *find_key(key);
    if (spec.member.get(c) == spec.default_value()) continue;
    throw usage_error(
        fmt::format("bench: a peer knows no other {} than {}", key, to_text(spec.default_value())));
  }
  const auto head_size = m.head_size > 0 ? m.head_size : m.width / m.heads;
  const auto hidden = m.feed_forward > 0 ? m.feed_forward : 4 * m.width;
  return fmt::format("{} {} {} {} {} {} {} {} {}", m.layers, m.width, m.heads, head_size, hidden,
                     shape.classes, m.sequence_length, c.data.batch_size,
                     c.workers.threads_per_lane);
}

}  // namespace rubato
