#include "model/scripted_learner.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bytes/sha256.hpp"
#include "config/error.hpp"
#include "model/blas.hpp"
#include "model/device.hpp"
#include "model/in_libtorch.hpp"
#include "model/model_memory.hpp"
#include "model/precision.hpp"
#include "model/scripted_module.hpp"
#include "model/tensor_memory.hpp"

namespace rubato {
namespace {

/// What becomes of a tensor of the module.
enum class role : std::uint8_t {
  trainable,
  averaged,  // a buffer of Float that a step changes
  restored,  // another one that a step changes
  constant,
};

/// What all learners of a run begin with.
struct scripted_model {
  std::string path;
  std::string file;         // its content
  std::string sha256;       // of that
  std::vector<role> roles;  // of the module's slots
};

class scripted_learner final : public learner {
 public:
  scripted_learner(std::shared_ptr<const scripted_model> model, precision products,
                   const compute_device& device)
      : model_(std::move(model)),
        precision_(products),
        module_(model_->path, model_->file, device.torch) {
    const auto& slots = module_.slots();
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto role_here = model_->roles[i];
      if (role_here != role::trainable && role_here != role::averaged) continue;
      layout_.add(slots[i].name, slots[i].tensor.sizes().vec(),
                  role_here == role::trainable ? section::trainable : section::averaged);
    }
    memory_ = make_model_memory(layout_, device);
    for (std::size_t i = 0; i < slots.size(); ++i) bind(i);
  }

  const parameter_layout& layout() const override { return layout_; }
  std::span<float> parameters() override { return memory_->parameters(); }
  std::span<float> parameters_to_overwrite() override { return memory_->parameters_to_overwrite(); }
  std::span<float> gradient() override { return memory_->gradient(); }
  std::unique_ptr<round_vectors> make_round_vectors(const config::inner_section& inner) override {
    return memory_->make_round_vectors(*this, inner);
  }

  double compute_gradient(const batch& b) override {
    in_libtorch([&] {
      memory_->begin_pass();
      memory_->clear_gradient();
    });
    module_.set_training(true);
    scripted_result result;
    {
      const product_precision products(precision_, processor_of(memory_->device()));
      result = module_.forward(b);
    }
    if (!result.loss.requires_grad()) {
      throw failure("the loss depends on no parameter that takes gradients");
    }
    try {
      result.loss.backward();
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      throw failure("in the backward pass: " + text.substr(0, text.find('\n')));
    }
    check_gradient_place();
    settle();
    return result.loss.item().toDouble();
  }

  evaluation_sums evaluate(const batch& b) override {
    const torch::NoGradGuard no_gradient;
    in_libtorch([&] { memory_->begin_pass(); });
    module_.set_training(false);
    std::vector<torch::Tensor> before;  // of what is averaged, which an evaluation leaves alone
    for (const auto& place : places_) {
      before.push_back(place.is_averaged ? place.value.clone() : torch::Tensor());
    }
    const auto result = module_.forward(b);
    settle();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (before[i].defined()) places_[i].value.copy_(before[i]);
    }
    evaluation_sums sums;
    sums.targets = b.examples;
    const auto examples = static_cast<double>(b.examples);
    sums.loss = result.loss.item().toDouble() * examples;
    for (const auto& [name, value] : result.metrics) sums.metrics[name] = value * examples;
    return sums;
  }

  /// There are no local statistics.
  void update_statistics(const batch&, double) override {}

  std::string origin() const override { return model_->sha256; }

  std::string exported() override {
    module_.set_training(false);
    return module_.save();
  }

 private:
  /// A tensor that is not in the buffers.
  struct other_tensor {
    std::size_t slot = 0;
    torch::Tensor value;       // that it is put back to; of role::restored
    std::int64_t version = 0;  // which counts writes; of role::constant
  };

  run_error failure(const std::string& reason) const {
    return run_error(fmt::format("model.path: {}: {}", model_->path, reason));
  }

  void bind(std::size_t slot) {
    const auto& s = module_.slots()[slot];
    const auto role_here = model_->roles[slot];
    if (role_here == role::restored || role_here == role::constant) {
      others_.push_back({slot,
                         role_here == role::restored ? s.tensor.detach().clone() : torch::Tensor(),
                         s.tensor._version()});
      return;
    }
    const auto& tensors = layout_.tensors();
    const auto entry = std::find_if(tensors.begin(), tensors.end(),
                                    [&s](const tensor_entry& t) { return t.name == s.name; });
    const bool is_trained = role_here == role::trainable;
    places_.push_back({slot, memory_->parameter(*entry), *entry, !is_trained});
    module_.move(slot, places_.back().value,
                 is_trained ? memory_->gradient(*entry) : torch::Tensor());
  }

  /// After a pass: what the module keeps is in the buffers again, or as it was.
  void settle() {
    const torch::NoGradGuard no_gradient;
    for (const auto& place : places_) {
      auto slot = module_.slots()[place.slot];
      if (slot.is_kept()) continue;
      place.value.copy_(slot.owner.attr(slot.attribute).toTensor());
      slot.keep();
    }
    for (auto& other : others_) {
      auto slot = module_.slots()[other.slot];
      if (other.value.defined()) {
        slot.tensor.copy_(other.value);
        if (!slot.is_kept()) slot.keep();
      } else if (!slot.is_kept() || slot.tensor._version() != other.version) {
        throw failure(fmt::format(
            "forward() has changed {}, which it left alone at first; what is learned must be in "
            "parameters and in buffers that every step changes",
            slot.name));
      }
    }
  }

  /// A gradient elsewhere would leave zeros in the buffer, and training would stand still silently.
  void check_gradient_place() const {
    for (const auto& place : places_) {
      const auto& slot = module_.slots()[place.slot];
      if (!slot.trainable) continue;
      if (!memory_->holds(place.entry, slot.tensor.grad())) {
        throw failure(
            fmt::format("LibTorch has put the gradient of {} outside of the learner's "
                        "buffer",
                        slot.name));
      }
    }
  }

  struct placed_tensor {
    std::size_t slot = 0;
    torch::Tensor value;  // in memory_
    tensor_entry entry;
    bool is_averaged = false;
  };

  std::shared_ptr<const scripted_model> model_;
  precision precision_;
  scripted_module module_;
  parameter_layout layout_;
  std::unique_ptr<model_memory> memory_;
  std::vector<placed_tensor> places_;
  std::vector<other_tensor> others_;
};

std::string read_whole(const std::string& path) {
  std::error_code error;
  std::ifstream stream;
  if (std::filesystem::is_regular_file(path, error)) stream.open(path, std::ios::binary);
  if (!stream.is_open()) {
    throw usage_error(fmt::format("model.path: {}: it is no file that can be read", path));
  }
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// Tries the module on a batch to train on and one to evaluate on, and finds out what becomes of
/// its tensors.
std::vector<role> try_out(const config& c, const std::string& file, const dataset& data) {
  const auto& path = c.model.path;
  const auto refusal = [&path](const std::string& reason) {
    return usage_error(fmt::format("model.path: {}: {}", path, reason));
  };
  scripted_module module(path, file, torch::kCPU);
  if (const auto given = c.data.tensors.size(); given != module.inputs()) {
    throw refusal(fmt::format("forward() takes {} tensor{}, but data.tensors names {}",
                              module.inputs(), module.inputs() == 1 ? "" : "s", given));
  }
  const bool on_virtual_clock = c.clock.mode == "virtual";
  constexpr const char* why_not =
      "; on the virtual clock, where the same config and seed give the same bits, there must be "
      "none: set it to 0 or take it out, or use clock.mode = \"wall\"";
  if (const auto found = module.random_operation(); on_virtual_clock && !found.empty()) {
    throw refusal(fmt::format("forward() draws random numbers, with {}{}", found, why_not));
  }
  if (const auto found = module.changed_attribute(); !found.empty()) {
    throw refusal(fmt::format(
        "forward() sets the attribute {}, which neither travels nor comes back after a kill; make "
        "it a buffer",
        found));
  }

  std::vector<torch::Tensor> before;
  for (const auto& slot : module.slots()) before.push_back(slot.tensor.detach().clone());
  const auto generator = at::detail::getDefaultCPUGenerator();
  const auto drawn_before = generator.get_state();
  try {
    module.set_training(true);
    const auto trained = module.forward(data.training_batch(0, 0));
    if (!trained.loss.requires_grad()) {
      throw refusal("the loss depends on no parameter that takes gradients");
    }
    trained.loss.backward();
    const torch::NoGradGuard no_gradient;
    std::vector<role> roles;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const auto& slot = module.slots()[i];
      const auto now = slot.owner.attr(slot.attribute).toTensor();
      if (now.sizes() != before[i].sizes() || now.scalar_type() != before[i].scalar_type()) {
        throw refusal(fmt::format("forward() gives {} another shape or type", slot.name));
      }
      const bool changed = !now.equal(before[i]);
      roles.push_back(slot.trainable                               ? role::trainable
                      : !changed                                   ? role::constant
                      : slot.tensor.scalar_type() == torch::kFloat ? role::averaged
                                                                   : role::restored);
    }
    module.set_training(false);
    if (const auto& held_out = data.held_out(0); !held_out.empty()) {
      module.forward(held_out.front());
    }
    if (on_virtual_clock && !generator.get_state().equal(drawn_before)) {
      throw refusal(fmt::format("forward() draws random numbers{}", why_not));
    }
    return roles;
  } catch (const run_error& error) {
    throw usage_error(error.what());
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw refusal("in the backward pass: " + text.substr(0, text.find('\n')));
  }
}

}  // namespace

learner_factory make_scripted_factory(const config& c, const dataset& data) {
  check_devices(c.workers);
  keep_tensor_memory();
  auto model = std::make_shared<scripted_model>();
  model->path = c.model.path;
  model->file = read_whole(c.model.path);
  model->sha256 = sha256_hex(model->file);
  model->roles = try_out(c, model->file, data);
  return [model = std::shared_ptr<const scripted_model>(model), c](std::size_t lane) {
    const auto threads = static_cast<int>(c.workers.threads_per_lane);
    at::set_num_threads(threads);  // this thread's count
    set_blas_threads(threads);     // the process's
    const auto device = device_of(c.workers, lane);
    use_own_stream(device.torch);
    return in_libtorch([&] {
      return std::make_unique<scripted_learner>(
          model, resolve_precision(c, processor_of(device.torch)), device);
    });
  };
}

std::string export_scripted(const std::string& path, const std::string& sha256,
                            const parameter_layout& layout, std::span<const float> parameters) {
  const auto file = read_whole(path);
  if (sha256_hex(file) != sha256) {
    throw usage_error(fmt::format(
        "{}: it is another file than the one that the run was begun with, by its SHA-256", path));
  }
  scripted_module module(path, file, torch::kCPU);
  const torch::NoGradGuard no_gradient;
  for (const auto& entry : layout.tensors()) {
    const auto slot = std::find_if(module.slots().begin(), module.slots().end(),
                                   [&entry](const auto& s) { return s.name == entry.name; });
    if (slot == module.slots().end() || slot->tensor.sizes() != c10::IntArrayRef(entry.shape)) {
      throw run_error(
          fmt::format("{}: has no tensor {} of the checkpoint's shape", path, entry.name));
    }
    const auto values = parameters.subspan(entry.offset, entry.size);
    slot->tensor.copy_(torch::from_blob(const_cast<float*>(values.data()), entry.shape));
  }
  module.set_training(false);
  return module.save();
}

}  // namespace rubato
