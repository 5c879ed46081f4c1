// The learner of every kind of model: flat buffers, LibTorch's views into them, and the loss.
// Not here: what a model computes (network.hpp).
#include "model/learner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "config/registration.hpp"
#include "model/blas.hpp"
#include "model/device.hpp"
#include "model/in_libtorch.hpp"
#include "model/logits.hpp"
#include "model/micro_batch.hpp"
#include "model/model_memory.hpp"
#include "model/network.hpp"
#include "model/null_learner.hpp"
#include "model/precision.hpp"
#include "model/registered_learner.hpp"
#include "model/scripted_learner.hpp"
#include "model/tensor_memory.hpp"

namespace rubato {

namespace {

/// What a batch holds, for people.
std::string_view content_of(const data_shape& shape) {
  if (shape.tensors > 0) return "tensors";
  if (shape.features == 0) return "tokens";
  return shape.channels > 0 ? "images" : "points";
}

void check_token(std::int64_t token, std::int64_t vocabulary) {
  if (token >= 0 && token < vocabulary) return;
  throw std::invalid_argument("learner: token " + std::to_string(token) +
                              " is outside the vocabulary of " + std::to_string(vocabulary));
}

class network_reader final : public text_reader {
 public:
  network_reader(const language_network& net, model_memory& memory, std::int64_t context,
                 std::int64_t vocabulary)
      : network_(net), parameters_(memory), context_(context), vocabulary_(vocabulary) {}

  std::span<const float> read(std::span<const std::int32_t> tokens) override {
    if (tokens.empty()) throw std::invalid_argument("text_reader: there is no token to read");
    for (const std::int64_t token : tokens) check_token(token, vocabulary_);
    window_.insert(window_.end(), tokens.begin(), tokens.end());
    auto unread = tokens.size();
    if (window_.size() > static_cast<std::size_t>(context_)) {
      unread = static_cast<std::size_t>(std::max<std::int64_t>(1, context_ / 2));
      window_.erase(window_.begin(), window_.end() - static_cast<std::ptrdiff_t>(unread));
      memory_ = {};
    }
    return in_libtorch([&]() -> std::span<const float> {
      const torch::NoGradGuard no_gradient;
      const auto count = static_cast<std::int64_t>(unread);
      const auto news =
          torch::from_blob(window_.data() + window_.size() - unread, {count}, torch::kLong);
      parameters_.begin_pass();
      logits_ = network_.read_on(on_device(news, parameters_.device()), memory_)
                    .to(torch::kCPU)
                    .contiguous();
      return {logits_.data_ptr<float>(), static_cast<std::size_t>(vocabulary_)};
    });
  }

 private:
  const language_network& network_;
  model_memory& parameters_;
  std::int64_t context_;
  std::int64_t vocabulary_;
  std::vector<std::int64_t> window_;  // the tokens in memory_
  attention_memory memory_;
  torch::Tensor logits_;
};

class network_learner final : public learner {
 public:
  /// `longest`: of an example, in tokens; of no meaning for points and images.
  network_learner(std::unique_ptr<network> net, const data_shape& shape, std::int64_t longest,
                  const config::inner_section& inner, precision products,
                  const compute_device& device)
      : network_(std::move(net)),
        shape_(shape),
        longest_(longest),
        label_smoothing_(inner.label_smoothing),
        at_once_(inner.micro_batch),
        precision_(products),
        memory_(make_model_memory(network_->layout(), device)) {
    std::vector<torch::Tensor> views;
    for (const tensor_entry& tensor : network_->layout().tensors()) {
      auto view = memory_->parameter(tensor);
      if (tensor.part == section::trainable) {
        view.set_requires_grad(true);
        // Autograd adds to a gradient that is there already, and so into our buffer.
        view.mutable_grad() = memory_->gradient(tensor);
      }
      views.push_back(std::move(view));
    }
    network_->attach(views);
    views_ = std::move(views);
  }

  const parameter_layout& layout() const override { return network_->layout(); }
  std::span<float> parameters() override { return memory_->parameters(); }
  std::span<float> parameters_to_overwrite() override { return memory_->parameters_to_overwrite(); }
  std::span<float> gradient() override { return memory_->gradient(); }
  std::unique_ptr<round_vectors> make_round_vectors(const config::inner_section& inner) override {
    return memory_->make_round_vectors(*this, inner);
  }

  double compute_gradient(const batch& b) override {
    load(b);
    return in_libtorch([&] {
      memory_->begin_pass();
      memory_->clear_gradient();
      double loss = 0.0;
      for_each_micro_batch(b.examples, at_once_,
                           [&](micro_batch p) { loss += add_gradient(b, p); });
      check_gradient_place();
      return loss;
    });
  }

  evaluation_sums evaluate(const batch& b) override {
    load(b);
    return in_libtorch([&] {
      const torch::NoGradGuard no_gradient;
      memory_->begin_pass();
      evaluation_sums sums;
      for_each_micro_batch(b.examples, at_once_, [&](micro_batch p) {
        evaluate_logits(network_->logits(inputs(b, p), for_evaluation), targets(b, p),
                        counts_top5(shape_), sums);
      });
      return sums;
    });
  }

  std::unique_ptr<text_reader> begin_text() override {
    const auto* net = dynamic_cast<const language_network*>(network_.get());
    if (net == nullptr) return nullptr;
    return std::make_unique<network_reader>(*net, *memory_, longest_, shape_.classes);
  }

  void update_statistics(const batch& b, double share) override {
    load(b);
    in_libtorch([&] {
      const torch::NoGradGuard no_gradient;
      memory_->begin_pass();
      network_->logits(inputs(b, {0, b.examples}), {.used = true, .share = share});
    });
  }

 private:
  /// Adds to gradient() what a part of the batch contributes, and returns what it does to the loss.
  double add_gradient(const batch& b, micro_batch p) {
    torch::Tensor logits;
    {
      const product_precision products(precision_, processor_of(memory_->device()));
      logits = network_->logits(inputs(b, p), for_training);
    }
    const auto gradient = logits.detach();
    const double loss = cross_entropy_into_gradient(gradient, targets(b, p), label_smoothing_,
                                                    1.0 / static_cast<double>(targets_.size()));
    logits.backward(gradient);
    return loss;
  }

  /// Checks the batch and takes from it what LibTorch wants otherwise: 64-bit indices.
  void load(const batch& b) {
    inputs_.clear();
    targets_.clear();
    if (shape_.features > 0) {
      load_points(b);
    } else {
      load_tokens(b);
    }
  }

  /// Splits the rows into inputs and targets.
  void load_tokens(const batch& b) {
    const auto row = static_cast<std::size_t>(b.length) + 1;
    if (b.examples < 1 || b.length < 1 || b.length > longest_ ||
        b.tokens.size() != static_cast<std::size_t>(b.examples) * row) {
      throw std::invalid_argument(
          "learner: a batch of " + std::to_string(b.examples) + " examples of length " +
          std::to_string(b.length) + " with " + std::to_string(b.tokens.size()) +
          " tokens; examples must have 1 to " + std::to_string(longest_) + " and one more token");
    }
    for (std::size_t i = 0; i < b.tokens.size(); ++i) {
      const std::int64_t token = b.tokens[i];
      check_token(token, shape_.classes);
      const std::size_t column = i % row;
      if (column + 1 < row) inputs_.push_back(token);
      if (column > 0) targets_.push_back(token);
    }
  }

  /// The features stay where they are.
  void load_points(const batch& b) {
    const auto examples = static_cast<std::size_t>(b.examples);
    if (b.examples < 1 || b.length != shape_.features || b.labels.size() != examples ||
        b.features.size() != examples * static_cast<std::size_t>(b.length)) {
      throw std::invalid_argument(
          fmt::format("learner: a batch of {} {} of length {} with {} features and {} labels; {} "
                      "must have {} features and one label each",
                      b.examples, content_of(shape_), b.length, b.features.size(), b.labels.size(),
                      content_of(shape_), shape_.features));
    }
    for (const std::int64_t label : b.labels) {
      if (label < 0 || label >= shape_.classes) {
        throw std::invalid_argument("learner: label " + std::to_string(label) +
                                    " is not one of the " + std::to_string(shape_.classes) +
                                    " classes");
      }
      targets_.push_back(label);
    }
  }

  torch::Tensor inputs(const batch& b, micro_batch p) {
    if (shape_.features == 0) {
      return on_device(
          torch::from_blob(inputs_.data() + p.first * b.length, {p.count, b.length}, torch::kLong),
          memory_->device());
    }
    // A tensor cannot be of constants, but nobody writes to this one.
    return on_device(torch::from_blob(const_cast<float*>(b.features.data()) + p.first * b.length,
                                      {p.count, b.length}),
                     memory_->device());
  }

  torch::Tensor targets(const batch& b, micro_batch p) {
    const auto each = static_cast<std::int64_t>(targets_.size()) / b.examples;
    return on_device(
        torch::from_blob(targets_.data() + p.first * each, {p.count * each}, torch::kLong),
        memory_->device());
  }

  /// A gradient elsewhere would leave zeros in the buffer, and training would stand still silently.
  void check_gradient_place() const {
    const auto& tensors = network_->layout().tensors();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].part == section::trainable && !memory_->holds(tensors[i], views_[i].grad())) {
        throw run_error("LibTorch has put the gradient of \"" + tensors[i].name +
                        "\" outside of the learner's buffer");
      }
    }
  }

  std::unique_ptr<network> network_;
  data_shape shape_;
  std::int64_t longest_;
  double label_smoothing_;
  std::int64_t at_once_;  // examples; 0: the whole batch
  precision precision_;
  std::unique_ptr<model_memory> memory_;
  std::vector<torch::Tensor> views_;  // into it, in the order of the layout
  std::vector<std::int64_t> inputs_;  // tokens
  std::vector<std::int64_t> targets_;
};

/// What a kind of model takes, as content_of() calls it.
std::string_view content_for(const std::string& kind) {
  if (kind == "transformer") return "tokens";
  if (kind == "mlp" || kind == "null") return "points";
  if (kind == "resnet") return "images";
  if (kind == "torchscript") return "tensors";
  throw usage_error("model.kind = \"" + kind +
                    "\" is not known; it must be transformer, mlp, resnet, torchscript or null");
}

void check_content(const config& c, const data_shape& shape) {
  const auto wanted = content_for(c.model.kind);
  const auto given = content_of(shape);
  if (wanted == given) return;
  throw usage_error(fmt::format("model.kind = \"{}\" takes {}, but data.kind = \"{}\" gives {}",
                                c.model.kind, wanted, c.data.kind, given));
}

std::unique_ptr<network> make_network(const config::model_section& model, const data_shape& shape) {
  if (model.kind == "transformer") return make_transformer(model, shape.classes);
  if (model.kind == "mlp") return make_mlp(model, shape);
  return make_resnet(model, shape);
}

}  // namespace

learner_factory make_learner_factory(const config& c, const dataset& data) {
  if (c.model.kind != "torchscript") return make_learner_factory(c, data.shape());
  check_content(c, data.shape());
  return make_scripted_factory(c, data);
}

learner_factory make_learner_factory(const config& c, const data_shape& shape) {
  if (auto registered = make_registered_learner_factory(c, shape)) return registered;
  const auto& model = c.model;
  check_content(c, shape);
  if (model.kind == "transformer" && model.head_size == 0 && model.width % model.heads != 0) {
    throw usage_error("model.heads = " + std::to_string(model.heads) +
                      " does not divide model.width = " + std::to_string(model.width) +
                      "; change one of them or set model.head_size");
  }
  if (shape.classes < 2) {
    throw usage_error("data.kind = \"" + c.data.kind + "\" gives " + std::to_string(shape.classes) +
                      " tokens or classes to tell apart; a model needs at least 2");
  }
  if (model.kind == "null") return [c] { return make_null_learner(c); };
  if (model.kind == "resnet") make_resnet(model, shape);  // for its complaints
  keep_tensor_memory();
  check_devices(c.workers);
  return [c, shape](std::size_t lane) {
    const auto threads = static_cast<int>(c.workers.threads_per_lane);
    at::set_num_threads(threads);  // this thread's count
    set_blas_threads(threads);     // the process's
    const auto device = device_of(c.workers, lane);
    return in_libtorch([&] {
      return std::make_unique<network_learner>(
          make_network(c.model, shape), shape, c.model.sequence_length, c.inner,
          resolve_precision(c, processor_of(device.torch)), device);
    });
  };
}

void initialize_parameters(const config& c, learner& model) {
  if (is_registered("model.kind", c.model.kind)) return;  // made with its initial values
  if (c.model.kind == "torchscript") return;              // they come with it
  const auto parameters = model.parameters();
  const auto seed = static_cast<std::uint64_t>(c.run.seed);
  std::fill(parameters.begin(), parameters.end(), 0.0F);
  if (c.model.kind == "mlp") {
    initialize_mlp(seed, model.layout(), parameters);
  } else if (c.model.kind == "null") {
    initialize_null(seed, parameters.first(model.layout().count(section::trainable)));
  } else if (c.model.kind == "resnet") {
    initialize_resnet(c.model, seed, model.layout(), parameters);
  } else {
    initialize_transformer(c.model, seed, model.layout(), parameters);
  }
}

}  // namespace rubato
