// The learner of every kind of model: flat buffers, LibTorch's views into them, and the loss.
// Not here: what a model computes (network.hpp).
#include "model/learner.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "model/blas.hpp"
#include "model/network.hpp"

namespace rubato {

namespace {

/// Runs `compute`; an error of LibTorch's leaves as one line, without its stack trace.
template <class Function>
auto in_libtorch(Function compute) {
  try {
    return compute();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw run_error("LibTorch: " + text.substr(0, text.find('\n')));
  }
}

class network_learner final : public learner {
 public:
  network_learner(std::unique_ptr<network> net, std::int64_t vocabulary, std::int64_t longest)
      : network_(std::move(net)),
        vocabulary_(vocabulary),
        longest_(longest),
        parameters_(network_->layout().size()),
        gradient_(network_->layout().end(section::trainable)) {
    std::vector<torch::Tensor> views;
    for (const tensor_entry& tensor : network_->layout().tensors()) {
      auto view = torch::from_blob(parameters_.data() + tensor.offset, tensor.shape);
      if (tensor.part == section::trainable) {
        view.set_requires_grad(true);
        // Autograd adds to a gradient that is there already, and so into our buffer.
        view.mutable_grad() = torch::from_blob(gradient_.data() + tensor.offset, tensor.shape);
      }
      views.push_back(std::move(view));
    }
    network_->attach(views);
    views_ = std::move(views);
  }

  const parameter_layout& layout() const override { return network_->layout(); }
  std::span<float> parameters() override { return parameters_.span(); }
  std::span<float> gradient() override { return gradient_.span(); }

  double compute_gradient(const batch& b) override {
    load(b);
    return in_libtorch([&] {
      std::fill_n(gradient_.data(), gradient_.size(), 0.0F);
      const auto loss = at::cross_entropy_loss(network_->logits(inputs(b)), targets(b));
      loss.backward();
      check_gradient_place();
      return static_cast<double>(loss.item<float>());
    });
  }

  evaluation_sums evaluate(const batch& b) override {
    load(b);
    return in_libtorch([&] {
      const torch::NoGradGuard no_gradient;
      const auto logits = network_->logits(inputs(b));
      const auto wanted = targets(b);
      const auto log_p = logits.log_softmax(1).gather(1, wanted.unsqueeze(1));
      evaluation_sums sums;
      sums.loss = -log_p.sum(torch::kDouble).item<double>();
      sums.targets = wanted.numel();
      sums.correct = logits.argmax(1).eq(wanted).sum().item<std::int64_t>();
      return sums;
    });
  }

 private:
  /// Splits the batch's rows into inputs and targets, as the 64-bit indices that LibTorch takes.
  void load(const batch& b) {
    const auto row = static_cast<std::size_t>(b.length) + 1;
    if (b.examples < 1 || b.length < 1 || b.length > longest_ ||
        b.tokens.size() != static_cast<std::size_t>(b.examples) * row) {
      throw std::invalid_argument(
          "learner: a batch of " + std::to_string(b.examples) + " examples of length " +
          std::to_string(b.length) + " with " + std::to_string(b.tokens.size()) +
          " tokens; examples must have 1 to " + std::to_string(longest_) + " and one more token");
    }
    inputs_.clear();
    targets_.clear();
    for (std::size_t i = 0; i < b.tokens.size(); ++i) {
      const std::int64_t token = b.tokens[i];
      if (token < 0 || token >= vocabulary_) {
        throw std::invalid_argument("learner: token " + std::to_string(token) +
                                    " is outside the vocabulary of " + std::to_string(vocabulary_));
      }
      const std::size_t column = i % row;
      if (column + 1 < row) inputs_.push_back(token);
      if (column > 0) targets_.push_back(token);
    }
  }

  torch::Tensor inputs(const batch& b) {
    return torch::from_blob(inputs_.data(), {b.examples, b.length}, torch::kLong);
  }

  torch::Tensor targets(const batch& b) {
    return torch::from_blob(targets_.data(), {b.examples * b.length}, torch::kLong);
  }

  /// A gradient elsewhere would leave zeros in the buffer, and training would stand still silently.
  void check_gradient_place() const {
    const auto& tensors = network_->layout().tensors();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].part == section::trainable &&
          views_[i].grad().data_ptr<float>() != gradient_.data() + tensors[i].offset) {
        throw run_error("LibTorch has put the gradient of \"" + tensors[i].name +
                        "\" outside of the learner's buffer");
      }
    }
  }

  std::unique_ptr<network> network_;
  std::int64_t vocabulary_;
  std::int64_t longest_;
  parameter_buffer parameters_;
  parameter_buffer gradient_;
  std::vector<torch::Tensor> views_;  // into the buffers, in the order of the layout
  std::vector<std::int64_t> inputs_;
  std::vector<std::int64_t> targets_;
};

}  // namespace

learner_factory make_learner_factory(const config& c, std::int64_t vocabulary) {
  const auto& model = c.model;
  if (model.kind != "transformer") {
    throw usage_error("model.kind = \"" + model.kind + "\" is not known; it must be transformer");
  }
  if (model.head_size == 0 && model.width % model.heads != 0) {
    throw usage_error("model.heads = " + std::to_string(model.heads) +
                      " does not divide model.width = " + std::to_string(model.width) +
                      "; change one of them or set model.head_size");
  }
  if (vocabulary < 2) {
    throw usage_error("the data set has a vocabulary of " + std::to_string(vocabulary) +
                      " tokens; a language model needs at least 2 (data.paths, data.tokenizer)");
  }
  return [model, vocabulary, threads = static_cast<int>(c.workers.threads_per_lane)] {
    at::set_num_threads(threads);  // this thread's count
    set_blas_threads(threads);     // the process's
    return std::make_unique<network_learner>(make_transformer(model, vocabulary), vocabulary,
                                             model.sequence_length);
  };
}

void initialize_parameters(const config& c, learner& model) {
  const auto parameters = model.parameters();
  std::fill(parameters.begin(), parameters.end(), 0.0F);
  initialize_transformer(c.model, static_cast<std::uint64_t>(c.run.seed), model.layout(),
                         parameters);
}

}  // namespace rubato
