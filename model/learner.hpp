// What a lane needs of a model: parameters in one flat buffer, a gradient in another, and a loss.
// This header includes no LibTorch, so that actors can use it; learner.cpp does.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "config/config.hpp"
#include "data/dataset.hpp"
#include "model/round_vectors.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// Sums over a set of held-out batches; add up sums of several calls, then divide.
struct evaluation_sums {
  double loss = 0.0;         // sum of -ln p over targets, in nats; or of a loss of one's own
  std::int64_t targets = 0;  // predicted tokens, labels, or examples
  std::int64_t correct = 0;  // targets whose most likely prediction was right
  // Targets among the five most likely predictions, if counts_top5().
  std::int64_t correct_top5 = 0;
  // What a model of one's own calls its metrics, summed over examples, in place of correct ones.
  std::map<std::string, double> metrics = {};
};

/// Whether evaluations of such data count correct_top5: images of more than five classes.
inline bool counts_top5(const data_shape& shape) {
  return shape.channels > 0 && shape.classes > 5;
}

/// Reads one text from left to right, and says what may come next. It uses the parameters of the
/// learner that made it, which must outlive it and must not change meanwhile; on its thread.
class text_reader {
 public:
  virtual ~text_reader() = default;

  /// Reads on by these tokens, at least one. Returns the logits of the token after them, one for
  /// each of the vocabulary, until the next call. Each token is computed once, with what attention
  /// remembers of those before; when there are more than the context (model.sequence_length) holds,
  /// the newer half of it is read anew and the rest forgotten. Throws std::invalid_argument for no
  /// token or one outside the vocabulary, run_error as compute_gradient().
  virtual std::span<const float> read(std::span<const std::int32_t> tokens) = 0;
};

/// A network with its own parameter and gradient buffers. Used by the thread that made it alone;
/// each lane and the evaluator own one. On the CPU, results are a function of parameters and batch,
/// bit for bit, whatever the learner or thread (on one machine, with one LibTorch thread).
///
/// A learner on another device (workers.device) has its parameters and gradient there. What is here
/// called parameters() and gradient() are then copies in main memory, made as they are asked for.
class learner {
 public:
  virtual ~learner() = default;

  virtual const parameter_layout& layout() const = 0;

  /// The live parameters (layout().size() floats, 64-byte aligned). Writing here changes the model,
  /// until the next call of another function.
  virtual std::span<float> parameters() = 0;

  /// The same, for who writes all of them: what they were need not be there.
  virtual std::span<float> parameters_to_overwrite() { return parameters(); }

  /// The gradient of the last compute_gradient(); trainable section only, padding zero.
  virtual std::span<float> gradient() = 0;

  /// What a local round computes with besides; the learner must outlive it.
  virtual std::unique_ptr<round_vectors> make_round_vectors(const config::inner_section& inner) {
    return make_host_vectors(*this, inner);
  }

  /// Forward and backward of one batch: overwrites gradient(), returns the mean loss over its
  /// targets (nats, with inner.label_smoothing): the tokens after each, or the labels. BatchNorm
  /// goes by the batch's statistics and moves the running ones, in parameters(), by a tenth towards
  /// them. Throws std::invalid_argument for a batch that the model cannot take (of the other kind,
  /// of another size, with tokens or labels out of range), run_error when LibTorch fails (out of
  /// memory).
  virtual double compute_gradient(const batch& b) = 0;

  /// Forward of one batch, with the running statistics and without label smoothing; gradient() and
  /// parameters() stay. Throws as compute_gradient().
  virtual evaluation_sums evaluate(const batch& b) = 0;

  /// Moves BatchNorm's running statistics by `share`, 0 to 1, towards those of a batch, which a
  /// forward pass finds; does nothing for models without them. Over n batches, with shares of
  /// 1, 1/2, ... 1/n, they become the mean of the batches' statistics, whatever they were.
  /// Throws as compute_gradient().
  virtual void update_statistics(const batch& b, double share) = 0;

  /// Begins a text. Null unless this is a language model.
  virtual std::unique_ptr<text_reader> begin_text() { return nullptr; }

  /// The model with its parameters, as the bytes of a file that PyTorch loads; empty for kinds that
  /// only Rubato has.
  virtual std::string exported() { return {}; }

  /// SHA-256 of the file that the model came from; empty if it came from none.
  virtual std::string origin() const { return {}; }

  /// Whether compute_gradient() moves the parameters as well, so that no inner optimizer is run.
  virtual bool moves_itself() const { return false; }
};

/// Called on the thread that will use the learner: it sets that thread's LibTorch thread count (and
/// OpenBLAS's, which is the process's) to workers.threads_per_lane. May be called by several
/// threads at once.
class learner_factory {
 public:
  learner_factory() = default;
  /// `make` takes the number of a lane, or nothing where all learners are alike.
  template <class Make>
  requires(!std::same_as<Make, learner_factory>) learner_factory(Make make) {
    if constexpr (std::invocable<Make, std::size_t>) {
      make_ = std::move(make);
    } else {
      make_ = [make = std::move(make)](std::size_t) mutable { return make(); };
    }
  }

  /// For that lane; others, such as the evaluator, are where the first one is.
  std::unique_ptr<learner> operator()(std::size_t lane = 0) const { return make_(lane); }
  explicit operator bool() const { return static_cast<bool>(make_); }

 private:
  std::function<std::unique_ptr<learner>(std::size_t)> make_;
};

/// The factory for `model.kind`, for that data, on the devices of workers.device. Throws
/// usage_error if the options do not fit together, or the model not the data, which one that comes
/// from a file is tried on, or if there is no such device here.
learner_factory make_learner_factory(const config& c, const dataset& data);

/// The same for data of that shape; not for model.kind = "torchscript".
learner_factory make_learner_factory(const config& c, const data_shape& shape);

/// Writes the parameters a run starts from, all layout().size() floats: seeded by run.seed (stream
/// initial_parameters), the same bits on every machine. `model` was made with the same config, and
/// is new: where the parameters come with the model, they are there already.
void initialize_parameters(const config& c, learner& model);

}  // namespace rubato
