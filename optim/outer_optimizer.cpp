#include "optim/outer_optimizer.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "config/error.hpp"
#include "optim/merge_block.hpp"
#include "optim/methods.hpp"

namespace rubato {

namespace {

// Four to six arrays of 4 KiB fit in any L1 cache, and the virtual call per block costs nothing.
constexpr std::size_t block_size = 1024;

registry<outer_optimizer_maker>& registered_methods() {
  static registry<outer_optimizer_maker> all("outer.optimizer");
  return all;
}

}  // namespace

outer_state outer_optimizer::initial_state(std::size_t size) const {
  outer_state state;
  for (std::size_t i = 0; i < buffer_names().size(); ++i) {
    state.buffers.push_back(std::make_shared<parameter_buffer>(size));
  }
  return state;
}

const parameter_buffer* outer_optimizer::momentum_of(const outer_state& state) const {
  const auto names = buffer_names();
  const auto found = std::find(names.begin(), names.end(), "momentum");
  if (found == names.end()) return nullptr;
  return state.buffers.at(static_cast<std::size_t>(found - names.begin())).get();
}

void outer_optimizer::merge(std::span<const float> theta, outer_state& state,
                            std::span<const float> g, std::span<float> theta_next,
                            double inner_lr) const {
  const std::size_t size = theta.size();
  if (g.size() != size || theta_next.size() != size) {
    throw std::invalid_argument("merge: theta, g and theta_next differ in size");
  }
  if (state.buffers.size() != buffer_names().size()) {
    throw std::invalid_argument("merge: the state belongs to another method");
  }
  for (const buffer_ptr& buffer : state.buffers) {
    if (buffer == nullptr || buffer->size() != size) {
      throw std::invalid_argument("merge: the state was made for another size");
    }
  }
  merge_piece(0, theta, state, g, theta_next, inner_lr);
  ++state.updates;
}

void outer_optimizer::merge_piece(std::size_t first, std::span<const float> theta,
                                  const outer_state& state, std::span<const float> g,
                                  std::span<float> theta_next, double inner_lr) const {
  for (std::size_t done = 0; done < theta.size(); done += block_size) {
    const auto count = static_cast<Eigen::Index>(std::min(block_size, theta.size() - done));
    merge_block block{state.updates,
                      inner_lr,
                      {theta.data() + done, count},
                      {g.data() + done, count},
                      {theta_next.data() + done, count},
                      state.buffers,
                      first + done};
    update(block);
  }
}

std::unique_ptr<outer_optimizer> make_outer_optimizer(const config::outer_section& outer,
                                                      std::int64_t workers) {
  std::string known;
  for (const outer_method& method : outer_methods) {
    if (method.name == outer.optimizer) return method.make(outer, workers);
    known += known.empty() ? "" : ", ";
    known += method.name;
  }
  throw usage_error("outer.optimizer = \"" + outer.optimizer +
                    "\" is not known; it must be one of " + known);
}

std::unique_ptr<outer_optimizer> make_outer_optimizer(const config& c) {
  if (const auto* make = registered_methods().find(c.outer.optimizer)) return (*make)(c);
  return make_outer_optimizer(c.outer, c.workers.count);
}

void register_outer_optimizer(const own_choice& choice, outer_optimizer_maker make) {
  registered_methods().add(choice, std::move(make));
}

}  // namespace rubato
