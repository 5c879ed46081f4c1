// What a device computes, against the CPU. There need not be one: "cpu:0", which the config
// refuses, is a device whose memory happens to be main memory, so that everything but streams and
// pinned memory is the same.
#include <torch/script.h>
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "model/device.hpp"
#include "model/device_optimizer.hpp"
#include "model/learner.hpp"
#include "model/local_round.hpp"
#include "model/numerics.hpp"
#include "model/trainable.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;

namespace {

/// |a - b| over |b|, as vectors.
double distance(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double difference = 0.0, length = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    length += std::pow(static_cast<double>(b[i]), 2);
  }
  return length == 0.0 ? std::sqrt(difference) : std::sqrt(difference / length);
}

config on(const char* device, config c) {
  c.workers.device = {device};
  return c;
}

// -- models and batches ---------------------------------------------------------------------------

batch tokens(std::uint64_t seed) {
  random_generator random(seed, random_stream::test);
  batch b{.examples = 3, .length = 8};
  for (int i = 0; i < 3 * 9; ++i) b.tokens.push_back(static_cast<std::int32_t>(random.below(11)));
  return b;
}

batch points(std::uint64_t seed, std::int64_t features) {
  random_generator random(seed, random_stream::test);
  batch b{.examples = 6, .length = features};
  for (std::int64_t i = 0; i < 6 * features; ++i) {
    b.features.push_back(static_cast<float>(random.normal()));
  }
  for (int i = 0; i < 6; ++i) b.labels.push_back(static_cast<std::int32_t>(random.below(5)));
  return b;
}

template <class Value>
tensor_values values_of(element_type type, std::vector<std::int64_t> shape,
                        const std::vector<Value>& numbers) {
  tensor_values values{type, std::move(shape), {}};
  values.bytes.resize(numbers.size() * sizeof(Value));
  std::memcpy(values.bytes.data(), numbers.data(), values.bytes.size());
  return values;
}

/// Six examples of four numbers and a class.
batch tensors(std::uint64_t seed) {
  const auto b = points(seed, 4);
  return {.examples = 6,
          .tensors = {values_of(element_type::f32, {6, 4}, b.features),
                      values_of(element_type::i64, {6},
                                std::vector<std::int64_t>(b.labels.begin(), b.labels.end()))}};
}

class few_tensors final : public dataset {
 public:
  std::size_t shards() const override { return 1; }
  shard_info info(std::size_t) const override { return {}; }
  std::uint64_t shard_size(std::size_t) const override { return 6; }
  data_shape shape() const override { return {.tensors = 2}; }
  double bytes_per_token() const override { return 0.0; }
  std::int64_t tokens_per_batch() const override { return 6; }
  batch training_batch(std::size_t, std::uint64_t position) const override {
    return tensors(position);
  }
  const std::vector<batch>& held_out(std::size_t) const override { return held_out_; }
  std::vector<baseline> baselines() const override { return {}; }

 private:
  std::vector<batch> held_out_{tensors(100)};
};

/// A module with a buffer that training moves, and one that is put back.
void save_module(const std::string& path) {
  torch::jit::Module module("m");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("weight", torch::linspace(-0.4, 0.5, 20).view({5, 4}), false);
  module.attr("weight").toTensor().set_requires_grad(true);
  module.register_buffer("seen", torch::zeros({4}));
  module.register_buffer("calls", torch::zeros({}, torch::kLong));
  module.define(R"(
def forward(self, x: Tensor, y: Tensor):
    if self.training:
        self.seen.mul_(0.9).add_(x.mean(0))
    self.calls.add_(1)
    return torch.nll_loss(torch.log_softmax(torch.linear(x - self.seen, self.weight, None), 1), y)
)");
  module.save(path);
}

struct own_module : torch::nn::Module {
  own_module()
      : norm(register_module("norm", torch::nn::BatchNorm1d(4))),
        last(register_module("last", torch::nn::Linear(4, 5))) {}
  torch::nn::BatchNorm1d norm;
  torch::nn::Linear last;
};

void register_own_module() {
  static const bool once = [] {
    register_network({.name = "test-own-module"}, [](const config&, const data_shape&) {
      const auto net = std::make_shared<own_module>();
      return trainable{net, [net](const batch_tensors& b) {
                         return torch::nn::functional::cross_entropy(net->last(net->norm(b.inputs)),
                                                                     b.targets);
                       }};
    });
    return true;
  }();
  static_cast<void>(once);
}

/// A kind of model that there is, and batches for it.
struct kind {
  std::string name;
  config settings;
  std::function<learner_factory(const config&)> factory;
  std::function<batch(std::uint64_t)> make_batch;
};

std::vector<kind> every_kind(const std::string& module_file) {
  std::vector<kind> kinds;
  config c;
  c.inner.warmup_steps = 0;
  c.inner.lr = c.inner.final_lr = 0.01;
  c.inner.precision = "f32";
  // What only rounding makes of a gradient, such as that of a key's bias, stays small.
  c.inner.epsilon = 1e-6;
  const auto of_shape = [](data_shape shape) {
    return [shape](const config& c) { return make_learner_factory(c, shape); };
  };

  c.model.layers = 2;
  c.model.width = 16;
  c.model.heads = 2;
  c.model.sequence_length = 8;
  kinds.push_back({"transformer", c, of_shape({0, 11}), tokens});
  c.model.positions = "rotary";
  c.model.recompute = true;
  c.inner.micro_batch = 2;
  kinds.push_back({"rotary transformer, recomputed in parts", c, of_shape({0, 11}), tokens});
  c.inner.micro_batch = 0;
  c.model.kind = "mlp";
  kinds.push_back({"perceptron", c, of_shape({12, 5}), [](auto seed) { return points(seed, 12); }});
  c.model.kind = "resnet";
  c.model.depth = 8;
  c.model.channels = 4;
  const data_shape images{
      .features = 3 * 8 * 8, .classes = 5, .channels = 3, .height = 8, .width = 8};
  for (const char* statistics : {"averaged", "local"}) {
    c.model.norm_statistics = statistics;
    kinds.push_back({std::string("resnet, statistics ") + statistics, c, of_shape(images),
                     [](auto seed) { return points(seed, 3 * 8 * 8); }});
  }
  register_own_module();
  c.model.kind = "test-own-module";
  kinds.push_back(
      {"a program's own", c, of_shape({4, 5}), [](auto seed) { return points(seed, 4); }});
  c.model.kind = "torchscript";
  c.model.path = module_file;
  save_module(c.model.path);
  c.data.kind = "tensors";
  c.data.tensors = {"x", "y"};
  kinds.push_back({"TorchScript", c,
                   [](const config& c) { return make_learner_factory(c, few_tensors()); },
                   tensors});
  return kinds;
}

/// Everything that several rounds of one worker come to.
struct outcome {
  std::vector<double> losses;  // and norms
  std::vector<float> parameters;
  std::vector<std::vector<float>> deltas;
  evaluation_sums evaluated;
  std::shared_ptr<inner_state> inner = std::make_shared<inner_state>();
};

outcome train(const kind& k, const config& c, round_kind work_kind = round_kind::local) {
  const auto factory = k.factory(c);
  outcome result;
  auto model = factory();
  initialize_parameters(c, *model);
  const auto initial = model->parameters();
  result.parameters.assign(initial.begin(), initial.end());
  const auto layout = model->layout();
  local_round round(c, std::move(model), std::make_shared<buffer_pool>(layout.size()));
  for (std::uint32_t r = 0; r < 3; ++r) {
    assignment work;
    work.kind = work_kind;
    work.steps = 4;
    auto base = std::make_shared<parameter_buffer>(layout.size());
    std::copy(result.parameters.begin(), result.parameters.end(), base->data());
    round.begin(work, base, result.inner);
    for (std::uint64_t i = 0; i < work.steps; ++i) round.step(k.make_batch(10 * r + i));
    const auto finished = round.finish();
    CHECK(finished.update.finite);
    result.losses.push_back(finished.update.loss);
    result.losses.push_back(finished.update.norm);
    const auto delta = finished.delta->span();
    result.deltas.emplace_back(delta.begin(), delta.end());
    const auto trainable = layout.end(section::trainable);
    for (std::size_t i = 0; i < layout.end(section::averaged); ++i) {
      result.parameters[i] = i < trainable ? result.parameters[i] - 0.7F * delta[i] : delta[i];
    }
  }
  const auto evaluator = factory();
  std::copy(result.parameters.begin(), result.parameters.end(),
            evaluator->parameters_to_overwrite().begin());
  evaluator->update_statistics(k.make_batch(98), 0.5);
  result.evaluated = evaluator->evaluate(k.make_batch(99));
  return result;
}

void check_same(const outcome& there, const outcome& here) {
  constexpr double tolerance = 1e-5;
  REQUIRE(there.losses.size() == here.losses.size());
  for (std::size_t i = 0; i < here.losses.size(); ++i) {
    CHECK(there.losses[i] == doctest::Approx(here.losses[i]).epsilon(tolerance));
  }
  CHECK(distance(there.parameters, here.parameters) < tolerance);
  for (std::size_t i = 0; i < here.deltas.size(); ++i) {
    // A difference of parameters has lost some of their digits.
    CHECK(distance(there.deltas[i], here.deltas[i]) < 30 * tolerance);
  }
  CHECK(there.evaluated.loss == doctest::Approx(here.evaluated.loss).epsilon(tolerance));
  CHECK(there.evaluated.targets == here.evaluated.targets);
  CHECK(there.inner->steps == here.inner->steps);
}

}  // namespace

TEST_CASE("every kind of model learns on a device what it learns on the CPU") {
  const test::temporary_folder folder;
  for (const auto& k : every_kind(folder / "m.pt")) {
    CAPTURE(k.name);
    check_same(train(k, on("cpu:0", k.settings)), train(k, on("cpu", k.settings)));
  }
}

TEST_CASE("every inner optimizer takes on a device the steps that it takes on the CPU") {
  const test::temporary_folder folder;
  const auto k = every_kind(folder / "m.pt").front();
  for (const char* optimizer : {"sgd", "momentum", "nesterov", "lars", "adamw"}) {
    for (const char* decayed : {"all", "matrices"}) {
      for (const double clip : {0.0, 0.5}) {
        CAPTURE(optimizer);
        CAPTURE(decayed);
        CAPTURE(clip);
        auto c = k.settings;
        c.inner.optimizer = optimizer;
        c.inner.weight_decay_on = decayed;
        c.inner.clip = clip;
        c.inner.lr = c.inner.final_lr = std::string(optimizer) == "lars" ? 1.0 : 0.02;
        const auto there = train(k, on("cpu:0", c));
        const auto here = train(k, on("cpu", c));
        check_same(there, here);
        CHECK(there.inner->buffers.empty());
        const auto fetched = buffers_of(*there.inner);
        REQUIRE(fetched.size() == here.inner->buffers.size());
        for (std::size_t i = 0; i < fetched.size(); ++i) {
          CHECK(distance(fetched[i]->span(), here.inner->buffers[i]->span()) < 1e-4);
        }
      }
    }
  }
}

TEST_CASE("rounds of every sort come to the same on a device") {
  const test::temporary_folder folder;
  const auto kinds = every_kind(folder / "m.pt");
  const auto& k = kinds[3];
  REQUIRE(k.name == "resnet, statistics averaged");
  auto c = k.settings;
  SUBCASE("the mean of gradients") {
    check_same(train(k, on("cpu:0", c), round_kind::gradient),
               train(k, on("cpu", c), round_kind::gradient));
  }
  SUBCASE("with a proximal term") {
    c.inner.proximal = 0.5;
    const auto here = train(k, on("cpu", c));
    check_same(train(k, on("cpu:0", c)), here);
    CHECK(distance(here.parameters, train(k, on("cpu", k.settings)).parameters) > 1e-3);
  }
}

TEST_CASE("a round on a device takes a version over, and goes on ahead of one") {
  const test::temporary_folder folder;
  const auto kinds = every_kind(folder / "m.pt");
  const auto& k = kinds[3];
  auto settings = k.settings;
  settings.network.overlap = true;
  const auto run = [&](const char* device) {
    const auto c = on(device, settings);
    auto model = k.factory(c)();
    initialize_parameters(c, *model);
    const auto size = model->layout().size();
    const auto version = [&](float factor) {
      auto made = std::make_shared<parameter_buffer>(size);
      const auto values = model->parameters();
      std::transform(values.begin(), values.end(), made->data(),
                     [factor](float x) { return factor * x; });
      return made;
    };
    const auto first = version(1.0F), second = version(0.9F);
    local_round round(c, std::move(model), std::make_shared<buffer_pool>(size));
    assignment work;
    work.steps = 2;
    round.begin(work, first, std::make_shared<inner_state>());
    round.step(k.make_batch(1));
    round.take_over(second, 7);
    round.step(k.make_batch(2));
    const auto one = round.finish();
    CHECK(one.replied);
    CHECK(one.update.base_version == 7);
    round.begin(work, first, std::make_shared<inner_state>(), one.went);
    round.step(k.make_batch(3));
    round.step(k.make_batch(4));
    const auto two = round.finish();
    std::vector<float> all;
    for (const auto& values : {one.went.to, two.went.from, two.went.to}) {
      all.insert(all.end(), values->span().begin(), values->span().end());
    }
    return all;
  };
  CHECK(distance(run("cpu:0"), run("cpu")) < 1e-5);
}

TEST_CASE("an inner state goes to a device, comes back, and is copied from there") {
  parameter_layout layout;
  layout.add("weight", {13, 31});
  layout.add("bias", {601});
  config::inner_section inner;
  inner.optimizer = "adamw";
  const auto here = make_inner_optimizer(inner, layout);
  const device_optimizer there(inner, layout);
  random_generator random(5, random_stream::test);
  const auto numbers = [&] {
    auto values = torch::zeros({static_cast<std::int64_t>(layout.size())});
    for (const auto& t : layout.tensors()) {
      for (std::size_t i = 0; i < t.size; ++i) {
        values.data_ptr<float>()[t.offset + i] = static_cast<float>(random.normal());
      }
    }
    return values;
  };
  const auto span = [](const torch::Tensor& t) {
    return std::span<float>(t.data_ptr<float>(), static_cast<std::size_t>(t.numel()));
  };

  const auto theta = numbers();
  const auto hopping = theta.clone();
  inner_state state, other;
  for (int step = 0; step < 6; ++step) {
    const auto g = numbers();
    here->step(span(theta), span(g), state, 0.01);
    if (step % 2 == 0) {
      there.step(hopping, g, other, 0.01);
      CHECK(other.buffers.empty());
      const auto copy = copy_of(other);
      REQUIRE(copy.buffers.size() == 2);
      CHECK(copy.distant == nullptr);
      CHECK(copy.steps == other.steps);
      const std::vector<const inner_state*> both{&other, &copy};
      CHECK(distance(mean_of(both).buffers[1]->span(), copy.buffers[1]->span()) < 1e-6);
    } else {
      here->step(span(hopping), span(g), other, 0.01);
      CHECK(other.distant == nullptr);
    }
  }
  CHECK(distance(span(hopping), span(theta)) < 1e-6);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(distance(buffers_of(other)[i]->span(), state.buffers[i]->span()) < 1e-6);
  }
  inner_state strange;
  strange.buffers = {std::make_shared<parameter_buffer>(3)};
  CHECK_THROWS_AS(there.step(hopping, theta, strange, 0.01), std::invalid_argument);
  CHECK_THROWS_AS(there.step(hopping, theta.narrow(0, 0, 16), other, 0.01), std::invalid_argument);
}

TEST_CASE("what is written to the parameters of a learner on a device changes the model") {
  const test::temporary_folder folder;
  const auto k = every_kind(folder / "m.pt").front();
  const auto here = k.factory(k.settings)();
  const auto there = k.factory(on("cpu:0", k.settings))();
  CHECK(std::all_of(there->parameters().begin(), there->parameters().end(),
                    [](float x) { return x == 0.0F; }));
  const auto b = k.make_batch(1);
  for (const std::int64_t seed : {1, 2}) {
    auto c = k.settings;
    c.run.seed = seed;
    initialize_parameters(c, *here);
    initialize_parameters(c, *there);
    CHECK(there->evaluate(b).loss == doctest::Approx(here->evaluate(b).loss).epsilon(1e-6));
    CHECK(there->compute_gradient(b) == doctest::Approx(here->compute_gradient(b)).epsilon(1e-6));
    CHECK(distance(there->gradient(), here->gradient()) < 1e-5);
    CHECK(distance(there->parameters(), here->parameters()) == 0.0);
  }
  there->parameters()[0] += 1.0F;
  CHECK(there->evaluate(b).loss != doctest::Approx(here->evaluate(b).loss).epsilon(1e-6));
  here->parameters()[0] += 1.0F;
  CHECK(there->evaluate(b).loss == doctest::Approx(here->evaluate(b).loss).epsilon(1e-6));

  const auto text_here = here->begin_text(), text_there = there->begin_text();
  for (const std::vector<std::int32_t>& read : {std::vector{1, 2, 3}, {4}, {5, 6, 7, 8, 9, 10}}) {
    CHECK(distance(text_there->read(read), text_here->read(read)) < 1e-5);
  }
}

TEST_CASE("lanes take the devices of the list in turn, and a device that is not there is refused") {
  config c;
  c.workers.device = {"cpu", "cpu:0"};
  CHECK(device_of(c.workers, 0).is_host);
  CHECK_FALSE(device_of(c.workers, 1).is_host);
  CHECK(device_of(c.workers, 4).is_host);

  c.workers.device = {"cpu", "cuda:99"};
  const auto refusal = [&] {
    try {
      make_learner_factory(c, {0, 11});
    } catch (const usage_error& error) {
      return std::string(error.what());
    }
    return std::string();
  }();
  const bool has_cuda = c10::impl::hasDeviceGuardImpl(torch::kCUDA);
  CHECK(refusal.find(has_cuda ? "workers.device = \"cuda:99\": there is no such GPU here"
                              : "workers.device = \"cuda:99\": this LibTorch (") == 0);
}

TEST_CASE("where a node computes is part of its numerics, and decides on its precision") {
  config c;
  const auto device_in = [](const config& c) {
    for (const auto& [item, value] : numerics_of(c)) {
      if (item == "workers.device") return value;
    }
    return std::string();
  };
  CHECK(device_in(c) == "cpu");
  c.workers.device = {"cuda:1", "cuda", "cpu"};
  CHECK(device_in(c) == "cpu, cuda");
  CHECK(resolve_precision(c) == precision::bf16);  // of a small transformer
  CHECK(resolve_precision(c, processor::cpu) == resolve_precision(on("cpu", c)));
  c.inner.precision = "f32";
  CHECK(resolve_precision(c) == precision::f32);
  c.inner.precision = "auto";
  c.model.kind = "mlp";
  CHECK(resolve_precision(c) == precision::f32);
}
