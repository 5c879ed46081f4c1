#include "model/registered_learner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "model/blas.hpp"
#include "model/device.hpp"
#include "model/in_libtorch.hpp"
#include "model/micro_batch.hpp"
#include "model/model_memory.hpp"
#include "model/precision.hpp"
#include "model/tensor_memory.hpp"
#include "model/tensor_of.hpp"
#include "model/trainable.hpp"

namespace rubato {
namespace {

registry<trainable_maker>& registered_networks() {
  static registry<trainable_maker> all("model.kind");
  return all;
}

/// Held by who draws from LibTorch's one generator, or looks whether somebody does.
std::mutex& generator_mutex() {
  static std::mutex mutex;
  return mutex;
}

torch::Tensor generator_state(torch::Device device) {
  auto generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

template <class... Arguments>
[[noreturn]] void refuse(const std::string& kind, fmt::format_string<Arguments...> why,
                         Arguments&&... arguments) {
  throw usage_error(fmt::format("model.kind = \"{}\": {}", kind,
                                fmt::format(why, std::forward<Arguments>(arguments)...)));
}

/// A tensor of the module that takes part in training.
struct member {
  std::string name;
  torch::Tensor tensor;
  section part;
};

/// Parameters first, each tensor once; what cannot be trained is refused.
std::vector<member> members_of(const torch::nn::Module& module, const std::string& kind) {
  std::vector<member> members;
  std::set<const void*> seen;  // a module may be registered in two places
  for (const auto& item : module.named_parameters()) {
    const auto& tensor = item.value();
    if (!seen.insert(tensor.unsafeGetTensorImpl()).second) continue;
    if (tensor.scalar_type() != torch::kFloat || !tensor.device().is_cpu()) {
      refuse(kind, "parameter \"{}\" is {} on {}; parameters must be f32 in main memory",
             item.key(), c10::toString(tensor.scalar_type()), tensor.device().str());
    }
    if (!tensor.requires_grad()) {
      refuse(kind, "parameter \"{}\" has no gradient; what is not trained cannot be a parameter",
             item.key());
    }
    members.push_back({item.key(), tensor, section::trainable});
  }
  if (members.empty()) refuse(kind, "it has no parameters to train");
  for (const auto& item : module.named_buffers()) {
    const auto& tensor = item.value();
    if (!tensor.defined() || tensor.scalar_type() != torch::kFloat) continue;
    if (!seen.insert(tensor.unsafeGetTensorImpl()).second) continue;
    members.push_back({item.key(), tensor, section::averaged});
  }
  return members;
}

class registered_learner final : public learner {
 public:
  registered_learner(trainable model, const config& c, const compute_device& device)
      : kind_(c.model.kind),
        model_(std::move(model)),
        members_(members_of(*model_.module, kind_)),
        layout_(layout_of(members_)),
        at_once_(c.inner.micro_batch),
        precision_(resolve_precision(c, processor_of(device.torch))),
        looks_for_randomness_(c.clock.mode == "virtual"),
        memory_(make_model_memory(layout_, device)) {
    const auto parameters = memory_->parameters_to_overwrite();
    std::fill(parameters.begin(), parameters.end(), 0.0F);
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const auto& entry = layout_.tensors()[i];
      const auto initial = members_[i].tensor.detach().contiguous();
      std::copy_n(initial.data_ptr<float>(), entry.size, parameters.data() + entry.offset);
    }
    if (!device.is_host) model_.module->to(memory_->device());  // what is no member as well
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const auto& entry = layout_.tensors()[i];
      auto& tensor = members_[i].tensor;
      tensor.set_data(memory_->parameter(entry));
      if (entry.part != section::trainable) continue;
      // Autograd adds to a gradient that is there already, and so into our buffer.
      tensor.mutable_grad() = memory_->gradient(entry);
    }
  }

  const parameter_layout& layout() const override { return layout_; }
  std::span<float> parameters() override { return memory_->parameters(); }
  std::span<float> parameters_to_overwrite() override { return memory_->parameters_to_overwrite(); }
  std::span<float> gradient() override { return memory_->gradient(); }
  std::unique_ptr<round_vectors> make_round_vectors(const config::inner_section& inner) override {
    return memory_->make_round_vectors(*this, inner);
  }

  double compute_gradient(const batch& b) override {
    const auto tensors = load(b);
    return in_libtorch([&] {
      memory_->begin_pass();
      memory_->clear_gradient();
      model_.module->train();
      double loss = 0.0;
      for_each_micro_batch(b.examples, at_once_, [&](micro_batch part) {
        loss += add_gradient(part_of(tensors, b.examples, part),
                             static_cast<double>(part.count) / static_cast<double>(b.examples));
      });
      check_gradient_place();
      return loss;
    });
  }

  evaluation_sums evaluate(const batch& b) override {
    const auto tensors = load(b);
    return in_libtorch([&] {
      const torch::NoGradGuard no_gradient;
      memory_->begin_pass();
      model_.module->eval();
      evaluation_sums sums;
      for_each_micro_batch(b.examples, at_once_, [&](micro_batch part) {
        add_evaluation(part_of(tensors, b.examples, part), part, sums);
      });
      return sums;
    });
  }

  /// There are no local ones.
  void update_statistics(const batch& /*b*/, double /*share*/) override {}

 private:
  static parameter_layout layout_of(const std::vector<member>& members) {
    parameter_layout layout;
    for (const auto& m : members) layout.add(m.name, m.tensor.sizes().vec(), m.part);
    return layout;
  }

  /// The batch's content, in tensors of its own, where the model is.
  batch_tensors load(const batch& b) const {
    auto tensors = tensors_of(b);
    return in_libtorch([&] {
      for (auto* tensor : {&tensors.inputs, &tensors.targets}) {
        if (tensor->defined()) *tensor = on_device(*tensor, memory_->device());
      }
      for (auto& tensor : tensors.tensors) tensor = on_device(tensor, memory_->device());
      return tensors;
    });
  }

  batch_tensors tensors_of(const batch& b) const {
    batch_tensors result;
    if (!b.tensors.empty()) {
      for (const auto& values : b.tensors) result.tensors.push_back(tensor_of(values));
      return result;
    }
    const auto examples = static_cast<std::size_t>(std::max<std::int64_t>(b.examples, 0));
    const auto length = static_cast<std::size_t>(std::max<std::int64_t>(b.length, 0));
    if (!b.tokens.empty() && b.tokens.size() == examples * (length + 1)) {
      const auto rows = copy_of(b.tokens, {b.examples, b.length + 1}).to(torch::kLong);
      return {
          rows.narrow(1, 0, b.length).contiguous(), rows.narrow(1, 1, b.length).contiguous(), {}};
    }
    if (examples == 0 || b.features.size() != examples * length || b.labels.size() != examples) {
      throw std::invalid_argument(fmt::format(
          "model.kind = \"{}\": a batch of {} examples of length {} has {} tokens, {} "
          "features and {} labels; it must have one more token than its length or so "
          "many features, and a label, for each example",
          kind_, b.examples, b.length, b.tokens.size(), b.features.size(), b.labels.size()));
    }
    return {copy_of(b.features, {b.examples, b.length}),
            copy_of(b.labels, {b.examples}).to(torch::kLong),
            {}};
  }

  batch_tensors part_of(const batch_tensors& all, std::int64_t examples, micro_batch part) const {
    if (part.count == examples) return all;
    const auto rows = [&](const torch::Tensor& tensor) {
      if (!tensor.defined()) return tensor;
      if (tensor.dim() > 0 && tensor.size(0) == examples) {
        return tensor.narrow(0, part.first, part.count);
      }
      throw run_error(fmt::format(
          "model.kind = \"{}\": a batch of {} examples has a tensor of shape [{}], of which there "
          "are no parts; its first dimension must be the examples, or inner.micro_batch 0",
          kind_, examples, fmt::join(tensor.sizes(), ", ")));
    };
    batch_tensors result{rows(all.inputs), rows(all.targets), {}};
    for (const auto& tensor : all.tensors) result.tensors.push_back(rows(tensor));
    return result;
  }

  /// Adds to gradient() what a part of the batch contributes, and returns what it does to the loss.
  double add_gradient(const batch_tensors& part, double share) {
    auto loss = training_loss(part);
    const double value = value_of(loss);
    if (!loss.requires_grad()) {
      throw run_error(fmt::format(
          "model.kind = \"{}\": its loss has no gradient; it must depend on parameters", kind_));
    }
    if (share < 1.0) loss = loss * share;
    loss.backward();
    return value * share;
  }

  void add_evaluation(const batch_tensors& tensors, micro_batch part, evaluation_sums& sums) const {
    const bool other_content = !tensors.tensors.empty();
    const auto targets = other_content ? part.count : tensors.targets.numel();
    sums.targets += targets;
    sums.loss += value_of(model_.loss(tensors)) * static_cast<double>(targets);
    if (!model_.correct) return;
    const auto correct = model_.correct(tensors).item<std::int64_t>();
    if (other_content) {
      sums.metrics["accuracy"] += static_cast<double>(correct);
    } else {
      sums.correct += correct;
    }
  }

  template <class Value>
  static torch::Tensor copy_of(const std::vector<Value>& values, at::IntArrayRef shape) {
    const auto tensor = torch::empty(shape, torch::CppTypeToScalarType<Value>::value);
    std::copy(values.begin(), values.end(), tensor.template data_ptr<Value>());
    return tensor;
  }

  double value_of(const torch::Tensor& loss) const {
    if (loss.numel() == 1) return loss.item<double>();
    throw run_error(fmt::format("model.kind = \"{}\": its loss has {} values; it must be a scalar",
                                kind_, loss.numel()));
  }

  /// The forward pass. The first one shows whether it is the same every time.
  torch::Tensor training_loss(const batch_tensors& tensors) {
    const product_precision products(precision_, processor_of(memory_->device()));
    if (!looks_for_randomness_) return model_.loss(tensors);
    const std::lock_guard lock(generator_mutex());
    const auto before = generator_state(memory_->device());
    auto loss = model_.loss(tensors);
    if (!generator_state(memory_->device()).equal(before)) {
      throw run_error(
          fmt::format("model.kind = \"{}\": its loss draws random numbers (dropout?), which would "
                      "not be the same again on the virtual clock; leave that out, or use "
                      "clock.mode = \"wall\"",
                      kind_));
    }
    looks_for_randomness_ = false;
    return loss;
  }

  /// A gradient elsewhere would leave zeros in the buffer, and training would stand still silently.
  void check_gradient_place() const {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const auto& entry = layout_.tensors()[i];
      if (entry.part != section::trainable) continue;
      if (memory_->holds(entry, members_[i].tensor.grad())) continue;
      throw run_error(
          fmt::format("model.kind = \"{}\": the gradient of \"{}\" is not where it was; "
                      "its loss must leave gradients alone",
                      kind_, entry.name));
    }
  }

  std::string kind_;
  trainable model_;
  std::vector<member> members_;  // in the order of the layout
  parameter_layout layout_;
  std::int64_t at_once_;  // examples; 0: the whole batch
  precision precision_;
  bool looks_for_randomness_;
  std::unique_ptr<model_memory> memory_;
};

}  // namespace

void register_network(const own_choice& choice, trainable_maker make) {
  registered_networks().add(choice, std::move(make));
}

learner_factory make_registered_learner_factory(const config& c, const data_shape& shape) {
  const auto* make = registered_networks().find(c.model.kind);
  if (make == nullptr) return {};
  check_devices(c.workers);
  keep_tensor_memory();
  return [make, c, shape](std::size_t lane) {
    at::set_num_threads(static_cast<int>(c.workers.threads_per_lane));  // this thread's count
    set_blas_threads(static_cast<int>(c.workers.threads_per_lane));     // the process's
    return in_libtorch([&] {
      const std::lock_guard lock(generator_mutex());
      torch::manual_seed(random_generator(static_cast<std::uint64_t>(c.run.seed),
                                          random_stream::initial_parameters)());
      return std::unique_ptr<learner>(
          std::make_unique<registered_learner>((*make)(c, shape), c, device_of(c.workers, lane)));
    });
  };
}

}  // namespace rubato
