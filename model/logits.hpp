// What follows from a network's logits: the loss with its gradient, and what an evaluation counts.
// Internal to model/; includes LibTorch.
#pragma once

#include <torch/torch.h>

#include "model/learner.hpp"

namespace rubato {

/// The cross-entropy of `logits`, [n, classes] in f32 or bf16, with the classes `targets`, [n]: in
/// nats, the sum over the rows times `weight`. Writes its gradient over the logits, so that they
/// are the only memory of their size. Each target gives `label_smoothing` of its probability to all
/// classes alike (arXiv 1512.00567, section 7). Computes in f32.
double cross_entropy_into_gradient(const torch::Tensor& logits, const torch::Tensor& targets,
                                   double label_smoothing, double weight);

/// Adds to `sums` what these logits and targets, as above, contribute; `top5`: also the targets
/// among the five most likely classes.
void evaluate_logits(const torch::Tensor& logits, const torch::Tensor& targets, bool top5,
                     evaluation_sums& sums);

}  // namespace rubato
