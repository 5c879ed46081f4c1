// The decoder-only transformer of arXiv 2401.09135 (Chinchilla-style, pre-norm): norm, causal
// multi-head attention, norm, feed-forward, each pair around a residual connection. What GPT-2 has
// is the default (learned positions, LayerNorm, GELU, the output matrix is the token embedding),
// and so are its initial values, for any width; model.positions, block_norm, activation and
// embeddings choose otherwise.
#include <cmath>
#include <limits>
#include <string>

#include "config/random.hpp"
#include "model/network.hpp"
#include "model/recompute.hpp"

namespace rubato {

namespace {

constexpr double norm_epsilon = 1e-5;
constexpr double rotary_base = 10000.0;  // of arXiv 2104.09864

/// A matrix with its bias, or a norm's scale and shift.
struct affine {
  torch::Tensor weight;
  torch::Tensor bias;  // not of an RMSNorm
};

struct block {
  affine attention_norm;
  affine query_key_value;
  affine attention_output;
  affine feed_forward_norm;
  affine feed_forward_gate;  // of SwiGLU
  affine feed_forward_up;
  affine feed_forward_down;
};

std::int64_t hidden_size(const config::model_section& options) {
  if (options.feed_forward > 0) return options.feed_forward;
  if (options.activation != "swiglu") return 4 * options.width;
  // Three matrices in place of two: as many parameters, but for rounding.
  constexpr std::int64_t multiple = 8;
  return (8 * options.width + 3 * multiple - 1) / (3 * multiple) * multiple;
}

class transformer final : public language_network {
 public:
  transformer(const config::model_section& options, std::int64_t vocabulary)
      : width_(options.width),
        heads_(options.heads),
        head_size_(options.head_size > 0 ? options.head_size : options.width / options.heads),
        is_tied_(options.embeddings == "tied"),
        is_rotary_(options.positions == "rotary"),
        has_layer_norm_(options.block_norm == "layer"),
        has_gate_(options.activation == "swiglu"),
        recompute_(options.recompute),
        blocks_(static_cast<std::size_t>(options.layers)) {
    const std::int64_t attention = heads_ * head_size_;
    const std::int64_t hidden = hidden_size(options);
    const auto length = options.sequence_length;
    layout_.add("token_embedding.weight", {vocabulary, width_});
    if (!is_rotary_) layout_.add("position_embedding.weight", {length, width_});
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const std::string prefix = "blocks." + std::to_string(i) + ".";
      add_norm(prefix + "attention.norm");
      add_linear(prefix + "attention.qkv", 3 * attention, width_);
      add_linear(prefix + "attention.output", width_, attention);
      add_norm(prefix + "feed_forward.norm");
      if (has_gate_) add_linear(prefix + "feed_forward.gate", hidden, width_);
      add_linear(prefix + "feed_forward.up", hidden, width_);
      add_linear(prefix + "feed_forward.down", width_, hidden);
    }
    add_norm("norm");
    if (!is_tied_) layout_.add("output.weight", {vocabulary, width_});

    // Added to the attention scores: a token sees itself and what came before.
    causal_mask_ = torch::full({length, length}, -std::numeric_limits<float>::infinity()).triu(1);
    if (is_rotary_) make_angles(length);
  }

  const parameter_layout& layout() const override { return layout_; }

  // In the order of the constructor's add() calls.
  void attach(const std::vector<torch::Tensor>& tensors) override {
    auto next = tensors.begin();
    const auto take = [&next] {
      affine both;
      both.weight = *next++;
      both.bias = *next++;
      return both;
    };
    const auto take_norm = [&] { return has_layer_norm_ ? take() : affine{*next++, {}}; };
    token_embedding_ = *next++;
    if (!is_rotary_) position_embedding_ = *next++;
    for (block& b : blocks_) {
      b.attention_norm = take_norm();
      b.query_key_value = take();
      b.attention_output = take();
      b.feed_forward_norm = take_norm();
      if (has_gate_) b.feed_forward_gate = take();
      b.feed_forward_up = take();
      b.feed_forward_down = take();
    }
    norm_ = take_norm();
    output_ = is_tied_ ? token_embedding_ : *next++;
    const auto device = token_embedding_.device();
    causal_mask_ = causal_mask_.to(device);
    if (is_rotary_) {
      cosines_ = cosines_.to(device);
      sines_ = sines_.to(device);
    }
  }

  torch::Tensor logits(const torch::Tensor& tokens, batch_statistics) const override {
    return at::linear(normalize(norm_, hidden_state(tokens, nullptr)), output_);
  }

  torch::Tensor read_on(const torch::Tensor& tokens, attention_memory& memory) const override {
    memory.blocks.resize(blocks_.size());
    const auto x = hidden_state(tokens.unsqueeze(0), &memory);
    memory.tokens += tokens.size(0);
    return at::linear(normalize(norm_, x[-1]), output_);
  }

 private:
  void add_norm(const std::string& name) {
    layout_.add(name + ".weight", {width_});
    if (has_layer_norm_) layout_.add(name + ".bias", {width_});
  }

  void add_linear(const std::string& name, std::int64_t outputs, std::int64_t inputs) {
    layout_.add(name + ".weight", {outputs, inputs});
    layout_.add(name + ".bias", {outputs});
  }

  /// Of each position, and each pair of numbers in a head.
  void make_angles(std::int64_t length) {
    const auto pairs = torch::arange(head_size_ / 2, torch::kDouble);
    const auto speeds = at::pow(rotary_base, pairs * (-2.0 / static_cast<double>(head_size_)));
    const auto angles = at::outer(torch::arange(length, torch::kDouble), speeds);
    cosines_ = angles.cos().to(torch::kFloat);
    sines_ = angles.sin().to(torch::kFloat);
  }

  /// What the last block makes of tokens [examples, length]. With a memory there is one example,
  /// which goes on from it.
  /// The hidden state is kept as a matrix [examples * length, width]: a product with a matrix is
  /// then one call of the BLAS.
  torch::Tensor hidden_state(const torch::Tensor& tokens, attention_memory* memory) const {
    const std::int64_t length = tokens.size(1);
    auto x = at::embedding(token_embedding_, tokens);
    if (!is_rotary_) {
      const std::int64_t before = memory == nullptr ? 0 : memory->tokens;
      x = x + position_embedding_.narrow(0, before, length);
    }
    x = x.view({-1, width_});
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const block& b = blocks_[i];
      if (recompute_ && torch::GradMode::is_enabled()) {
        x = recomputed(x, [this, &b, length](const torch::Tensor& in) {
          return pass(b, in, length, nullptr);
        });
      } else {
        x = pass(b, x, length, memory == nullptr ? nullptr : &memory->blocks[i]);
      }
    }
    return x;
  }

  /// Through one block.
  torch::Tensor pass(const block& b, const torch::Tensor& x, std::int64_t length,
                     attention_memory::block* past) const {
    // New tensors, not add_(): a branch may be bf16, the hidden state never.
    const auto middle = x + attend(b, normalize(b.attention_norm, x), length, past);
    return middle + feed_forward(b, normalize(b.feed_forward_norm, middle));
  }

  torch::Tensor normalize(const affine& norm, const torch::Tensor& x) const {
    if (has_layer_norm_) return at::layer_norm(x, {width_}, norm.weight, norm.bias, norm_epsilon);
    return x * (x.square().mean(-1, true) + norm_epsilon).rsqrt() * norm.weight;
  }

  torch::Tensor attend(const block& b, const torch::Tensor& x, std::int64_t length,
                       attention_memory::block* past) const {
    // One copy brings queries, keys and values into [examples * heads, length, head_size] each.
    const auto qkv = at::linear(x, b.query_key_value.weight, b.query_key_value.bias)
                         .view({-1, length, 3, heads_, head_size_})
                         .permute({2, 0, 3, 1, 4})
                         .reshape({3, -1, length, head_size_})
                         .unbind(0);
    auto queries = qkv[0];
    auto keys = qkv[1];
    auto values = qkv[2];
    const bool goes_on = past != nullptr && past->keys.defined();
    const std::int64_t before = goes_on ? past->keys.size(1) : 0;
    if (is_rotary_) {
      queries = turn(queries, before);
      keys = turn(keys, before);
    }
    if (goes_on) {
      keys = at::cat({past->keys, keys}, 1);
      values = at::cat({past->values, values}, 1);
    }
    if (past != nullptr) *past = {keys, values};
    const auto mask = causal_mask_.narrow(0, before, length).narrow(1, 0, before + length);
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_size_));
    const auto shares =
        at::baddbmm(mask, queries, keys.transpose(1, 2), /*beta=*/1, /*alpha=*/scale).softmax(-1);
    const auto mixed = at::bmm(shares, values)
                           .view({-1, heads_, length, head_size_})
                           .transpose(1, 2)
                           .reshape({-1, heads_ * head_size_});
    return at::linear(mixed, b.attention_output.weight, b.attention_output.bias);
  }

  /// Turns number i and number i + head_size / 2 of each head, [..., length, head_size], by their
  /// angle at the position, the first of which is `first`.
  torch::Tensor turn(const torch::Tensor& x, std::int64_t first) const {
    const auto cosines = cosines_.narrow(0, first, x.size(1));
    const auto sines = sines_.narrow(0, first, x.size(1));
    const auto halves = x.chunk(2, -1);
    return at::cat(
        {halves[0] * cosines - halves[1] * sines, halves[0] * sines + halves[1] * cosines}, -1);
  }

  // The exact GELU: oneDNN makes it several times as fast as LibTorch its tanh approximation.
  torch::Tensor feed_forward(const block& b, const torch::Tensor& x) const {
    auto hidden = at::linear(x, b.feed_forward_up.weight, b.feed_forward_up.bias);
    if (has_gate_) {
      const auto gate = at::linear(x, b.feed_forward_gate.weight, b.feed_forward_gate.bias);
      hidden = at::silu(gate) * hidden;
    } else {
      hidden = at::gelu(hidden);
    }
    return at::linear(hidden, b.feed_forward_down.weight, b.feed_forward_down.bias);
  }

  std::int64_t width_;
  std::int64_t heads_;
  std::int64_t head_size_;
  bool is_tied_;
  bool is_rotary_;
  bool has_layer_norm_;
  bool has_gate_;
  bool recompute_;
  parameter_layout layout_;
  torch::Tensor causal_mask_;
  torch::Tensor cosines_;  // [length, head_size / 2]
  torch::Tensor sines_;
  torch::Tensor token_embedding_;
  torch::Tensor position_embedding_;  // learned
  std::vector<block> blocks_;
  affine norm_;
  torch::Tensor output_;
};

/// A bell of variance 1: the sum of the four 16-bit numbers in a random word. Integers and one
/// rounding, so the same on every machine; a normal's log and cos are not.
float bell(random_generator& random) {
  constexpr double numbers = 4.0;
  constexpr double levels = 65536.0;
  const double deviation = std::sqrt(numbers * (levels * levels - 1.0) / 12.0);
  const std::uint64_t word = random();
  const std::uint64_t sum =
      (word & 0xffff) + ((word >> 16) & 0xffff) + ((word >> 32) & 0xffff) + (word >> 48);
  return static_cast<float>((static_cast<double>(sum) - numbers * (levels - 1.0) / 2.0) /
                            deviation);
}

}  // namespace

std::unique_ptr<network> make_transformer(const config::model_section& options,
                                          std::int64_t vocabulary) {
  return std::make_unique<transformer>(options, vocabulary);
}

void initialize_transformer(const config::model_section& options, std::uint64_t seed,
                            const parameter_layout& layout, std::span<float> parameters) {
  // 0.02 is right for GPT-2's width of 768; with it, narrower models learn far more slowly.
  const float deviation = 0.02F * std::sqrt(768.0F / static_cast<float>(options.width));
  // What the 2 * layers residual branches add up to then does not grow with depth.
  const float branch = deviation / std::sqrt(2.0F * static_cast<float>(options.layers));
  const auto& tensors = layout.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const tensor_entry& tensor = tensors[i];
    const auto values = parameters.subspan(tensor.offset, tensor.size);
    if (tensor.shape.size() == 1) {
      const float value = tensor.name.ends_with("norm.weight") ? 1.0F : 0.0F;
      for (float& x : values) x = value;
      continue;
    }
    const bool ends_branch = tensor.name.ends_with("attention.output.weight") ||
                             tensor.name.ends_with("feed_forward.down.weight");
    random_generator random(seed, random_stream::initial_parameters, {i});
    for (float& x : values) x = bell(random) * (ends_branch ? branch : deviation);
  }
}

}  // namespace rubato
