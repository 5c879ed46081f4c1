// The transformer, through the learner's interface, against a forward pass in plain double loops.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <map>
#include <memory>
#include <numbers>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "config/error.hpp"
#include "config/load.hpp"
#include "config/random.hpp"
#include "model/learner.hpp"
#include "optim/inner_optimizer.hpp"

using namespace rubato;

namespace {

constexpr std::int64_t vocabulary = 11;

/// Of a data set of tokens.
const data_shape text{0, vocabulary};

config tiny() {
  config c;
  c.model.layers = 2;
  c.model.width = 16;
  c.model.heads = 2;
  c.model.sequence_length = 8;
  return c;
}

/// As tiny(), with each size that has a default chosen freely.
config tiny_with_own_sizes() {
  auto c = tiny();
  c.model.head_size = 5;
  c.model.feed_forward = 23;
  return c;
}

/// Both of these, and every combination of the options, with sizes of their own.
std::vector<config> every_kind() {
  std::vector<config> all{tiny(), tiny_with_own_sizes()};
  for (unsigned choice = 0; choice < 16; ++choice) {
    auto& c = all.emplace_back(tiny());
    c.model.head_size = 6;
    if ((choice & 1) != 0) c.model.embeddings = "untied";
    if ((choice & 2) != 0) c.model.positions = "rotary";
    if ((choice & 4) != 0) c.model.block_norm = "rms";
    if ((choice & 8) != 0) c.model.activation = "swiglu";
  }
  return all;
}

std::string describe(const config& c) {
  return c.model.embeddings + ' ' + c.model.positions + ' ' + c.model.block_norm + ' ' +
         c.model.activation;
}

batch random_batch(std::int64_t examples, std::int64_t length) {
  random_generator random(2, random_stream::test);
  batch b;
  b.examples = examples;
  b.length = length;
  for (std::int64_t i = 0; i < examples * (length + 1); ++i) {
    b.tokens.push_back(static_cast<std::int32_t>(random.below(vocabulary)));
  }
  return b;
}

/// Values under which every tensor matters: at the initial ones attention is almost uniform.
void randomize(learner& model) {
  random_generator random(3, random_stream::test);
  for (const tensor_entry& tensor : model.layout().tensors()) {
    for (float& x : model.parameters().subspan(tensor.offset, tensor.size)) {
      x = static_cast<float>(0.4 * random.normal());
    }
  }
}

using row = std::vector<double>;

/// The model in double precision, one token after the other.
class reference {
 public:
  reference(const config& c, learner& model) : options_(c.model) {
    for (const tensor_entry& tensor : model.layout().tensors()) {
      const auto values = model.parameters().subspan(tensor.offset, tensor.size);
      tensors_[tensor.name].assign(values.begin(), values.end());
    }
  }

  /// For finite differences.
  double& parameter(const std::string& name, std::size_t i) { return tensors_.at(name).at(i); }

  evaluation_sums evaluate(const batch& b) const {
    evaluation_sums sums;
    const auto length = static_cast<std::size_t>(b.length);
    for (std::size_t e = 0; e < static_cast<std::size_t>(b.examples); ++e) {
      const std::span tokens(b.tokens.data() + e * (length + 1), length + 1);
      const auto logits = forward(tokens.first(length));
      for (std::size_t t = 0; t < length; ++t) {
        const auto wanted = static_cast<std::size_t>(tokens[t + 1]);
        double total = 0.0;
        for (const double z : logits[t]) total += std::exp(z);
        sums.loss += std::log(total) - logits[t][wanted];
        const auto best = std::max_element(logits[t].begin(), logits[t].end());
        sums.correct += best == logits[t].begin() + static_cast<std::ptrdiff_t>(wanted) ? 1 : 0;
        sums.targets += 1;
      }
    }
    return sums;
  }

  double mean_loss(const batch& b) const {
    const auto sums = evaluate(b);
    return sums.loss / static_cast<double>(sums.targets);
  }

  /// Of the token after each.
  std::vector<row> forward(std::span<const std::int32_t> tokens) const {
    const auto width = static_cast<std::ptrdiff_t>(options_.width);
    const row& embedding = tensors_.at("token_embedding.weight");
    const bool rotary = options_.positions == "rotary";
    std::vector<row> x;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      const auto at = embedding.begin() + tokens[t] * width;
      x.emplace_back(at, at + width);
      if (rotary) continue;
      const auto position =
          tensors_.at("position_embedding.weight").begin() + static_cast<std::ptrdiff_t>(t) * width;
      add(x[t], row(position, position + width));
    }
    for (std::int64_t layer = 0; layer < options_.layers; ++layer) {
      const std::string name = "blocks." + std::to_string(layer) + ".";
      std::vector<row> qkv;
      for (const row& token : x) {
        qkv.push_back(linear(name + "attention.qkv", normalize(name + "attention.norm", token)));
        if (rotary) turn(qkv.back(), qkv.size() - 1);
      }
      for (std::size_t t = 0; t < x.size(); ++t) {
        add(x[t], linear(name + "attention.output", attend(qkv, t)));
        add(x[t], feed_forward(name + "feed_forward", normalize(name + "feed_forward.norm", x[t])));
      }
    }
    const row& output = options_.embeddings == "tied" ? embedding : tensors_.at("output.weight");
    std::vector<row> logits;
    for (const row& token : x) {
      const row last = normalize("norm", token);
      row& z = logits.emplace_back();
      for (auto at = output.begin(); at != output.end(); at += width) {
        z.push_back(std::inner_product(last.begin(), last.end(), at, 0.0));
      }
    }
    return logits;
  }

 private:
  row linear(const std::string& name, const row& x) const {
    row y = tensors_.at(name + ".bias");
    const row& weight = tensors_.at(name + ".weight");
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += weight[o * x.size() + i] * x[i];
    }
    return y;
  }

  row normalize(const std::string& name, row x) const {
    const auto n = static_cast<double>(x.size());
    const bool centred = options_.block_norm == "layer";
    const double mean = centred ? std::accumulate(x.begin(), x.end(), 0.0) / n : 0.0;
    double variance = 0.0;
    for (const double v : x) variance += (v - mean) * (v - mean) / n;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(variance + 1e-5) * tensors_.at(name + ".weight")[i];
      if (centred) x[i] += tensors_.at(name + ".bias")[i];
    }
    return x;
  }

  /// Turns the pairs of each head's query and key, as complex numbers, by the token's position.
  void turn(row& qkv, std::size_t position) const {
    const std::size_t all = qkv.size() / 3;
    const std::size_t head = all / static_cast<std::size_t>(options_.heads);
    for (std::size_t begin = 0; begin < 2 * all; begin += head) {
      for (std::size_t i = 0; i < head / 2; ++i) {
        const double speed =
            std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(head));
        double& real = qkv[begin + i];
        double& imaginary = qkv[begin + i + head / 2];
        const auto turned = std::complex<double>(real, imaginary) *
                            std::polar(1.0, static_cast<double>(position) * speed);
        real = turned.real();
        imaginary = turned.imag();
      }
    }
  }

  row feed_forward(const std::string& name, const row& x) const {
    row hidden = linear(name + ".up", x);
    if (options_.activation == "swiglu") {
      const row gate = linear(name + ".gate", x);
      for (std::size_t i = 0; i < hidden.size(); ++i) {
        hidden[i] *= gate[i] / (1.0 + std::exp(-gate[i]));
      }
    } else {
      for (double& v : hidden) v *= 0.5 * (1.0 + std::erf(v / std::numbers::sqrt2));
    }
    return linear(name + ".down", hidden);
  }

  /// What token t takes from tokens 0..t, all heads side by side.
  row attend(const std::vector<row>& qkv, std::size_t t) const {
    const auto heads = static_cast<std::size_t>(options_.heads);
    const std::size_t all = qkv[t].size() / 3;
    const std::size_t head = all / heads;
    row mixed(all, 0.0);
    for (std::size_t h = 0; h < heads; ++h) {
      row share(t + 1);
      for (std::size_t s = 0; s <= t; ++s) {
        double score = 0.0;
        for (std::size_t i = h * head; i < (h + 1) * head; ++i)
          score += qkv[t][i] * qkv[s][all + i];
        share[s] = std::exp(score / std::sqrt(static_cast<double>(head)));
      }
      const double total = std::accumulate(share.begin(), share.end(), 0.0);
      for (std::size_t s = 0; s <= t; ++s) {
        for (std::size_t i = h * head; i < (h + 1) * head; ++i) {
          mixed[i] += share[s] / total * qkv[s][2 * all + i];
        }
      }
    }
    return mixed;
  }

  static void add(row& x, const row& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  config::model_section options_;
  std::map<std::string, row> tensors_;
};

struct gradient_result {
  double loss = 0.0;
  std::vector<float> gradient;
};

bool same_bits(const gradient_result& a, const gradient_result& b) {
  return a.loss == b.loss && a.gradient.size() == b.gradient.size() &&
         std::memcmp(a.gradient.data(), b.gradient.data(), a.gradient.size() * sizeof(float)) == 0;
}

gradient_result compute(learner& model, const batch& b) {
  gradient_result result;
  result.loss = model.compute_gradient(b);
  result.gradient.assign(model.gradient().begin(), model.gradient().end());
  return result;
}

}  // namespace

TEST_CASE("loss and hits are those of a plain double-precision transformer") {
  for (const config& c : every_kind()) {
    CAPTURE(describe(c));
    const auto model = make_learner_factory(c, text)();
    randomize(*model);
    const reference oracle(c, *model);
    for (const std::int64_t length : {8, 5, 1}) {
      const auto b = random_batch(3, length);
      const auto sums = model->evaluate(b);
      const auto expected = oracle.evaluate(b);
      CHECK(sums.targets == 3 * length);
      CHECK(sums.correct == expected.correct);
      CHECK(sums.loss == doctest::Approx(expected.loss).epsilon(1e-5));
      CHECK(model->compute_gradient(b) == doctest::Approx(oracle.mean_loss(b)).epsilon(1e-5));
    }
  }
}

TEST_CASE("the gradient of every tensor is the slope of the loss, and lies in the flat buffer") {
  for (const config& c : every_kind()) {
    CAPTURE(describe(c));
    const auto model = make_learner_factory(c, text)();
    randomize(*model);
    const auto b = random_batch(3, 8);
    model->compute_gradient(b);
    reference oracle(c, *model);
    random_generator random(4, random_stream::test);
    for (const tensor_entry& tensor : model->layout().tensors()) {
      CAPTURE(tensor.name);
      const auto gradient = model->gradient().subspan(tensor.offset, tensor.size);
      const float largest =
          std::abs(*std::max_element(gradient.begin(), gradient.end(),
                                     [](float x, float y) { return std::abs(x) < std::abs(y); }));
      CHECK(largest > 1e-5F);
      for (int k = 0; k < 5; ++k) {
        const auto i = static_cast<std::size_t>(random.below(tensor.size));
        CAPTURE(i);
        constexpr double step = 1e-4;
        double& parameter = oracle.parameter(tensor.name, i);
        const double value = parameter;
        parameter = value + step;
        const double above = oracle.mean_loss(b);
        parameter = value - step;
        const double below = oracle.mean_loss(b);
        parameter = value;
        const double slope = (above - below) / (2.0 * step);
        CHECK(std::abs(gradient[i] - slope) < 1e-4 * largest + 1e-6);
      }
    }
  }
}

TEST_CASE(
    "the probabilities of all continuations of a text add up to one: no token is seen early") {
  const auto model = make_learner_factory(tiny(), text)();
  randomize(*model);
  auto longer = random_batch(1, 8);
  auto shorter = longer;
  shorter.length = 7;
  shorter.tokens.pop_back();
  // The last input of `longer` is the last target of `shorter`.
  for (std::int32_t last = 0; last < vocabulary; ++last) {
    longer.tokens[7] = shorter.tokens[7] = last;
    const double before = model->evaluate(shorter).loss;
    double total = 0.0;
    for (std::int32_t next = 0; next < vocabulary; ++next) {
      longer.tokens[8] = next;
      total += std::exp(before - model->evaluate(longer).loss);
    }
    CHECK(total == doctest::Approx(1.0).epsilon(1e-4));
  }
}

TEST_CASE("a text that is read bit by bit has the next token that it has as a whole") {
  for (const config& c : every_kind()) {
    CAPTURE(describe(c));
    const auto model = make_learner_factory(c, text)();
    randomize(*model);
    const reference oracle(c, *model);
    const auto tokens = random_batch(1, 20).tokens;
    const auto reader = model->begin_text();
    REQUIRE(reader != nullptr);
    // Twice as the context (8) is full, its newer half stays.
    const std::vector<std::pair<std::size_t, std::size_t>> windows{
        {0, 3}, {0, 4}, {0, 8}, {5, 9}, {5, 10}, {14, 18}, {14, 19}};
    std::size_t read = 0;
    for (const auto& [begin, end] : windows) {
      const std::span all(tokens);
      const auto logits = reader->read(all.subspan(read, end - read));
      read = end;
      const auto expected = oracle.forward(all.subspan(begin, end - begin)).back();
      REQUIRE(logits.size() == expected.size());
      for (std::size_t i = 0; i < logits.size(); ++i) {
        CHECK(logits[i] == doctest::Approx(expected[i]).epsilon(1e-4));
      }
    }
    CHECK_THROWS_AS(reader->read({}), std::invalid_argument);
    CHECK_THROWS_AS(reader->read(std::vector<std::int32_t>{vocabulary}), std::invalid_argument);
  }
}

TEST_CASE("the same parameters and batch give the same bits, in any learner and thread") {
  const auto c = tiny();
  const auto factory = make_learner_factory(c, text);
  const auto b = random_batch(4, 8);
  const auto first = factory();
  randomize(*first);
  const auto expected = compute(*first, b);
  compute(*first, random_batch(2, 5));
  CHECK(same_bits(compute(*first, b), expected));

  std::vector<gradient_result> results(2);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      const auto model = factory();
      randomize(*model);
      for (int i = 0; i < 20; ++i) result = compute(*model, b);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) CHECK(same_bits(result, expected));
}

TEST_CASE("what is computed twice in place of being kept has the same bits") {
  for (const char* products : {"f32", "bf16"}) {
    for (auto c : every_kind()) {
      CAPTURE(describe(c));
      c.inner.precision = products;
      const auto b = random_batch(3, 8);
      const auto plain = make_learner_factory(c, text)();
      randomize(*plain);
      c.model.recompute = true;
      const auto twice = make_learner_factory(c, text)();
      randomize(*twice);
      CHECK(same_bits(compute(*twice, b), compute(*plain, b)));
      CHECK(twice->evaluate(b).loss == plain->evaluate(b).loss);
    }
  }
}

TEST_CASE("micro-batches add up to the batch") {
  auto c = tiny();
  c.inner.label_smoothing = 0.1;
  const auto b = random_batch(5, 8);
  const auto at_once = make_learner_factory(c, text)();
  randomize(*at_once);
  const auto expected = compute(*at_once, b);
  for (const std::int64_t examples : {1, 2, 4, 5, 100}) {
    CAPTURE(examples);
    c.inner.micro_batch = examples;
    const auto model = make_learner_factory(c, text)();
    randomize(*model);
    const auto result = compute(*model, b);
    CHECK(result.loss == doctest::Approx(expected.loss).epsilon(1e-6));
    double difference = 0.0, squares = 0.0;
    for (std::size_t i = 0; i < expected.gradient.size(); ++i) {
      difference += std::pow(static_cast<double>(result.gradient[i]) - expected.gradient[i], 2);
      squares += std::pow(static_cast<double>(expected.gradient[i]), 2);
    }
    CHECK(std::sqrt(difference / squares) < 1e-6);
    CHECK(same_bits(result, expected) == (examples >= 5));
    const auto sums = model->evaluate(b);
    CHECK(sums.loss == doctest::Approx(at_once->evaluate(b).loss).epsilon(1e-6));
    CHECK(sums.correct == at_once->evaluate(b).correct);
    CHECK(sums.targets == 5 * 8);
  }
}

TEST_CASE("padding of the gradient stays zero") {
  const auto model = make_learner_factory(tiny_with_own_sizes(), text)();
  randomize(*model);
  model->compute_gradient(random_batch(3, 8));
  std::vector<float> rest(model->gradient().begin(), model->gradient().end());
  REQUIRE(rest.size() > model->layout().count(section::trainable));
  for (const tensor_entry& tensor : model->layout().tensors()) {
    std::fill_n(rest.begin() + static_cast<std::ptrdiff_t>(tensor.offset), tensor.size, 0.0F);
  }
  CHECK(std::all_of(rest.begin(), rest.end(), [](float x) { return x == 0.0F; }));
}

TEST_CASE("initial parameters follow the seed, are the same everywhere, and predict nothing") {
  auto c = tiny();
  const auto model = make_learner_factory(c, text)();
  const auto hash = [&] { return parameters_sha256(model->layout(), model->parameters()); };
  randomize(*model);
  initialize_parameters(c, *model);
  // A constant: another value means that no earlier result can be repeated.
  CHECK(hash() == "c91c2f77f2a713de5530b3981271b444178a1e5390ade26d523cc3c4d1ed5a2a");
  const double loss = model->compute_gradient(random_batch(16, 8));
  CHECK(loss == doctest::Approx(std::log(vocabulary)).epsilon(0.1));

  c.run.seed = 2;
  const auto before = hash();
  initialize_parameters(c, *model);
  CHECK(hash() != before);
}

TEST_CASE("initial matrices have GPT-2's deviations, scaled to the width") {
  for (auto c : every_kind()) {
    CAPTURE(describe(c));
    c.model.width = 192;
    const double inside = 0.02 * 2.0;  // a quarter of GPT-2's width
    const auto model = make_learner_factory(c, text)();
    initialize_parameters(c, *model);
    for (const tensor_entry& tensor : model->layout().tensors()) {
      CAPTURE(tensor.name);
      const auto values = model->parameters().subspan(tensor.offset, tensor.size);
      const auto ends_with = [&](const char* end) { return tensor.name.ends_with(end); };
      double sum = 0.0;
      double squares = 0.0;
      for (const double x : values) {
        sum += x;
        squares += x * x;
      }
      const auto n = static_cast<double>(tensor.size);
      if (tensor.shape.size() == 1) {
        CHECK(sum == (ends_with("norm.weight") ? n : 0.0));
        CHECK(squares == std::abs(sum));
      } else {
        const bool ends_branch = ends_with("attention.output.weight") || ends_with("down.weight");
        const double deviation = ends_branch ? inside / std::sqrt(2.0 * 2.0) : inside;
        CHECK(std::abs(sum / n) < 4.0 * deviation / std::sqrt(n));
        CHECK(std::abs(std::sqrt(squares / n) / deviation - 1.0) < 4.0 / std::sqrt(2.0 * n));
      }
    }
  }
}

TEST_CASE("the presets of Liu et al. 2024 have the parameters that their names say") {
  // Of the matrices, for the paper counts neither positions nor biases and norms: with a vocabulary
  // of 32,000, "20M" is what it is with an output matrix of its own, the others are without.
  struct preset {
    const char* file;
    std::int64_t tied;
    std::int64_t untied;
    std::int64_t as_it_is;
  };
  for (const auto& of_paper : {preset{"20m", 12'910'592, 21'102'592, 21'102'592},
                               preset{"60m", 58'949'632, 87'621'632, 58'949'632},
                               preset{"150m", 149'782'528, 178'454'528, 149'782'528}}) {
    CAPTURE(of_paper.file);
    const auto folder = std::string(RUBATO_SOURCE_DIR) + "/config/async-local-sgd/";
    auto c = load_config({.paths = {folder + "c4.toml", folder + of_paper.file + ".toml"}});
    const auto matrices = [&] {
      const auto model = make_learner_factory(c, {0, 32000})();
      std::int64_t count = 0;
      for (const auto& tensor : model->layout().tensors()) {
        if (tensor.shape.size() != 2 || tensor.name == "position_embedding.weight") continue;
        count += static_cast<std::int64_t>(tensor.size);
      }
      return count;
    };
    CHECK(matrices() == of_paper.as_it_is);
    c.model.embeddings = "tied";
    CHECK(matrices() == of_paper.tied);
    c.model.embeddings = "untied";
    CHECK(matrices() == of_paper.untied);
  }
}

TEST_CASE("tensors have the names and shapes that docs/formats.md says") {
  using shapes = std::map<std::string, std::vector<std::int64_t>>;
  const auto shapes_of = [](const config& c) {
    shapes result;
    const auto model = make_learner_factory(c, text)();
    for (const auto& tensor : model->layout().tensors()) {
      result[tensor.name] = tensor.shape;
    }
    return result;
  };
  auto c = tiny_with_own_sizes();  // two heads of 5, a width of 16, 23 hidden, 8 positions
  c.model.layers = 1;
  CHECK(shapes_of(c) == shapes{{"token_embedding.weight", {vocabulary, 16}},
                               {"position_embedding.weight", {8, 16}},
                               {"blocks.0.attention.norm.weight", {16}},
                               {"blocks.0.attention.norm.bias", {16}},
                               {"blocks.0.attention.qkv.weight", {30, 16}},
                               {"blocks.0.attention.qkv.bias", {30}},
                               {"blocks.0.attention.output.weight", {16, 10}},
                               {"blocks.0.attention.output.bias", {16}},
                               {"blocks.0.feed_forward.norm.weight", {16}},
                               {"blocks.0.feed_forward.norm.bias", {16}},
                               {"blocks.0.feed_forward.up.weight", {23, 16}},
                               {"blocks.0.feed_forward.up.bias", {23}},
                               {"blocks.0.feed_forward.down.weight", {16, 23}},
                               {"blocks.0.feed_forward.down.bias", {16}},
                               {"norm.weight", {16}},
                               {"norm.bias", {16}}});
  c.model.embeddings = "untied";
  c.model.positions = "rotary";
  c.model.block_norm = "rms";
  c.model.activation = "swiglu";
  c.model.head_size = 6;
  c.model.feed_forward = 0;  // 2/3 of 4 * 16 is 42.7, and 48 the next multiple of 8
  CHECK(shapes_of(c) == shapes{{"token_embedding.weight", {vocabulary, 16}},
                               {"blocks.0.attention.norm.weight", {16}},
                               {"blocks.0.attention.qkv.weight", {36, 16}},
                               {"blocks.0.attention.qkv.bias", {36}},
                               {"blocks.0.attention.output.weight", {16, 12}},
                               {"blocks.0.attention.output.bias", {16}},
                               {"blocks.0.feed_forward.norm.weight", {16}},
                               {"blocks.0.feed_forward.gate.weight", {48, 16}},
                               {"blocks.0.feed_forward.gate.bias", {48}},
                               {"blocks.0.feed_forward.up.weight", {48, 16}},
                               {"blocks.0.feed_forward.up.bias", {48}},
                               {"blocks.0.feed_forward.down.weight", {16, 48}},
                               {"blocks.0.feed_forward.down.bias", {16}},
                               {"norm.weight", {16}},
                               {"output.weight", {vocabulary, 16}}});
}

TEST_CASE("an optimizer on the flat buffers learns a batch by heart") {
  const auto c = tiny();
  const auto model = make_learner_factory(c, text)();
  initialize_parameters(c, *model);
  const auto optimizer = make_inner_optimizer(c.inner, model->layout());
  inner_state state;
  const auto b = random_batch(2, 8);
  for (int i = 0; i < 100; ++i) {
    model->compute_gradient(b);
    optimizer->step(model->parameters(), model->gradient(), state, 0.01);
  }
  const auto sums = model->evaluate(b);
  CHECK(sums.correct == sums.targets);
}

TEST_CASE("a batch that does not fit the model is refused") {
  const auto model = make_learner_factory(tiny(), text)();
  auto b = random_batch(2, 8);
  b.tokens[3] = vocabulary;
  CHECK_THROWS_WITH_AS(model->compute_gradient(b),
                       "learner: token 11 is outside the vocabulary of 11", std::invalid_argument);
  b.tokens[3] = -1;
  CHECK_THROWS_AS(model->evaluate(b), std::invalid_argument);
  b = random_batch(2, 8);
  b.tokens.pop_back();
  CHECK_THROWS_AS(model->evaluate(b), std::invalid_argument);
  CHECK_THROWS_AS(model->evaluate(random_batch(2, 9)), std::invalid_argument);
  CHECK_THROWS_AS(model->evaluate(random_batch(0, 8)), std::invalid_argument);
}

TEST_CASE("model options that do not fit together are refused before anything is built") {
  auto c = tiny();
  c.model.heads = 3;
  CHECK_THROWS_WITH_AS(make_learner_factory(c, text),
                       "model.heads = 3 does not divide model.width = 16; change one of them or "
                       "set model.head_size",
                       usage_error);
  c.model.head_size = 4;
  CHECK_NOTHROW(make_learner_factory(c, text));

  c = tiny();
  c.model.kind = "perceptron";
  CHECK_THROWS_WITH_AS(
      make_learner_factory(c, text),
      "model.kind = \"perceptron\" is not known; it must be transformer, mlp, resnet, torchscript "
      "or null",
      usage_error);
  CHECK_THROWS_AS(make_learner_factory(tiny(), {0, 1}), usage_error);
}
