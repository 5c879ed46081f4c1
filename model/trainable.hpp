// A network that a program brings along: any torch::nn::Module, and its loss. For such programs,
// and so the one header with LibTorch that is not internal to model/. Not here: what training needs
// of it (learner.hpp), which registered_learner.cpp makes of it.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <vector>

#include "config/config.hpp"
#include "config/registration.hpp"
#include "data/dataset.hpp"

namespace rubato {

/// A batch as LibTorch takes it, where the module is; the loss may write to it.
struct batch_tensors {
  torch::Tensor inputs;   // [examples, length]: features (f32), or tokens (int64)
  torch::Tensor targets;  // [examples]: labels; or [examples, length]: the token after each (int64)
  std::vector<torch::Tensor>
      tensors;  // in place of both, where batches have tensors, in that order
};

/// A module and how it is trained. Each lane has its own, so one thread at a time uses it.
struct trainable {
  /// Its parameters are trained: all f32, in main memory and with gradients. Buffers of floating
  /// point are averaged over workers (BatchNorm's statistics), others are each lane's own. All of
  /// them are then moved to the lane's device (workers.device); other tensors stay where they are.
  std::shared_ptr<torch::nn::Module> module;

  /// The mean loss over the targets, or the examples of tensors, a scalar; in nats, for
  /// perplexities to mean something. The module is in training mode for a step and in evaluation
  /// mode for an evaluation. It depends on parameters, buffers and batch alone: on the virtual
  /// clock, random numbers (dropout) end the run.
  std::function<torch::Tensor(const batch_tensors&)> loss;

  /// How many targets, or examples, were predicted rightly, a scalar; without it accuracies are 0,
  /// or are none where batches have tensors.
  std::function<torch::Tensor(const batch_tensors&)> correct = {};
};

/// Makes one for data of that shape. Whatever it draws from LibTorch's generator, for initial
/// values, is decided on by run.seed. Called for each lane, and the evaluator. Throws usage_error
/// if config or data do not suit it.
using trainable_maker = std::function<trainable(const config&, const data_shape&)>;

/// Makes a network one of `model.kind`; see add_choice() for what is thrown, and when.
void register_network(const own_choice& choice, trainable_maker make);

}  // namespace rubato
