// A TorchScript module as it comes from its file: what it consists of, what it computes, and what
// it would do that cannot be trained here. Internal to model/; includes LibTorch. Not here:
// buffers, gradients and steps (scripted_learner).
#pragma once

#include <torch/script.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace rubato {

/// A tensor of the module that is a parameter or a buffer, and where it is kept.
struct scripted_slot {
  std::string name;  // as in Python's state_dict
  torch::Tensor tensor;
  bool trainable = false;  // a parameter that takes gradients
  torch::jit::Module owner;
  std::string attribute;

  /// Whether the module still has this very tensor there.
  bool is_kept() const { return owner.attr(attribute).toTensor().is_same(tensor); }
  /// Puts it there again.
  void keep() { owner.setattr(attribute, tensor); }
};

/// What forward() has returned.
struct scripted_result {
  torch::Tensor loss;  // of no dimension
  std::map<std::string, double> metrics;
};

class scripted_module {
 public:
  /// `path` is for messages; `file` what it holds. On that device, whatever it was saved from.
  /// Throws usage_error if that is no module with a forward(), or has no parameters to train, or
  /// ones that cannot be: of another type than Float, or sharing memory in part.
  scripted_module(const std::string& path, const std::string& file, torch::Device device);

  /// Parameters and buffers, those that are one and the same tensor once.
  const std::vector<scripted_slot>& slots() const { return slots_; }

  /// Puts `place`, of the slot's shape, where the module has the slot's tensor, everywhere, with
  /// the values that it has. Gradients of what takes them are added to `gradient`, if given.
  void move(std::size_t slot, const torch::Tensor& place, const torch::Tensor& gradient);

  /// How many tensors forward() takes; arguments with a default are left out.
  std::size_t inputs() const;

  /// In training mode or not, with all submodules, as Python's train() and eval().
  void set_training(bool on);

  /// A forward pass, without the executor's optimisations, which depend on how often it has run.
  /// Throws run_error with the module's own words if it throws, or returns no scalar loss.
  scripted_result forward(const batch& b);

  /// An operation that draws random numbers, with its place in the source, or nothing. One that is
  /// switched off by a constant, as dropout of 0, counts for nothing; one within another operation,
  /// as dropout within an LSTM, is not seen.
  std::string random_operation() const;

  /// An attribute that forward() sets and that is neither parameter nor buffer, or nothing.
  std::string changed_attribute() const;

  /// With all tensors as they are, but on the CPU, as the bytes of a file.
  std::string save() const;

 private:
  std::string path_;
  torch::Device device_;
  torch::jit::Module module_;
  std::optional<bool> training_;  // nothing: as it was saved
  std::vector<scripted_slot> slots_;
  std::vector<torch::Tensor> tensors_;  // all that the module has, in whatever attribute
};

}  // namespace rubato
