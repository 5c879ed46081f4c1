// Modules of TorchScript, made here as Python would save them, through the learner's interface and
// against LibTorch's autograd on the same module.
#include <torch/script.h>
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "model/learner.hpp"
#include "model/scripted_learner.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using test::temporary_folder;

namespace {

template <class T>
tensor_values values_of(element_type type, std::vector<std::int64_t> shape,
                        const std::vector<T>& numbers) {
  tensor_values values{type, std::move(shape), {}};
  values.bytes.resize(numbers.size() * sizeof(T));
  std::memcpy(values.bytes.data(), numbers.data(), values.bytes.size());
  return values;
}

/// Examples of three numbers and a class of two.
batch random_batch(std::uint64_t seed, std::int64_t examples = 6) {
  random_generator random(seed, random_stream::test);
  std::vector<float> x;
  std::vector<std::int64_t> y;
  for (std::int64_t i = 0; i < examples; ++i) {
    for (int k = 0; k < 3; ++k) x.push_back(static_cast<float>(random.normal()));
    y.push_back(static_cast<std::int64_t>(random.below(2)));
  }
  batch b;
  b.examples = examples;
  b.tensors = {values_of(element_type::f32, {examples, 3}, x),
               values_of(element_type::i64, {examples}, y)};
  return b;
}

class few_batches final : public dataset {
 public:
  std::size_t shards() const override { return 1; }
  shard_info info(std::size_t) const override { return {}; }
  std::uint64_t shard_size(std::size_t) const override { return 6; }
  data_shape shape() const override {
    data_shape shape;
    shape.tensors = 2;
    return shape;
  }
  double bytes_per_token() const override { return 0.0; }
  std::int64_t tokens_per_batch() const override { return 6; }
  batch training_batch(std::size_t, std::uint64_t position) const override {
    return random_batch(position);
  }
  const std::vector<batch>& held_out(std::size_t) const override { return held_out_; }
  std::vector<baseline> baselines() const override { return {}; }

 private:
  std::vector<batch> held_out_{random_batch(100)};
};

/// A module with a weight [2, 3], a bias [2] and what `more` adds to it.
torch::jit::Module make_module(const std::string& code,
                               const std::function<void(torch::jit::Module&)>& more = {}) {
  torch::jit::Module module("m");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("weight", torch::arange(6).view({2, 3}).to(torch::kFloat) / 10.0,
                            false);
  module.register_parameter("bias", torch::tensor({0.5F, -0.25F}), false);
  for (const char* name : {"weight", "bias"}) module.attr(name).toTensor().set_requires_grad(true);
  if (more) more(module);
  module.define(code);
  return module;
}

constexpr const char* plain = R"(
def forward(self, x: Tensor, y: Tensor):
    return torch.nll_loss(torch.log_softmax(torch.linear(x, self.weight, self.bias), 1), y)
)";

struct fixture {
  config settings(const torch::jit::Module& module) const {
    const auto path = folder / "m.pt";
    module.save(path);
    config c;
    c.model.kind = "torchscript";
    c.model.path = path;
    c.data.kind = "tensors";
    c.data.tensors = {"x", "y"};
    return c;
  }

  learner_factory factory(const torch::jit::Module& module) const {
    return make_learner_factory(settings(module), data);
  }

  std::string refusal(const config& c) const {
    try {
      make_learner_factory(c, data);
    } catch (const usage_error& error) {
      const std::string text = error.what(), path = "model.path: " + c.model.path + ": ";
      REQUIRE(text.rfind(path, 0) == 0);
      return text.substr(path.size());
    }
    return "";
  }

  std::string refusal(const std::string& code,
                      const std::function<void(torch::jit::Module&)>& more = {}) const {
    return refusal(settings(make_module(code, more)));
  }

  temporary_folder folder;
  few_batches data;
};

torch::Tensor tensor_of(const tensor_values& values) {
  const auto type = values.type == element_type::f32 ? torch::kFloat : torch::kLong;
  return torch::from_blob(const_cast<std::byte*>(values.bytes.data()), values.shape, type).clone();
}

/// What LibTorch makes of the batch by itself.
c10::IValue call(torch::jit::Module module, const batch& b) {
  return module.forward({tensor_of(b.tensors[0]), tensor_of(b.tensors[1])});
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

TEST_CASE_FIXTURE(fixture, "a module's parameters are found by name, with the values of its file") {
  const auto model = factory(make_module(plain))();
  const auto& tensors = model->layout().tensors();
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].name == "weight");
  CHECK(tensors[0].shape == std::vector<std::int64_t>{2, 3});
  CHECK(tensors[0].part == section::trainable);
  CHECK(tensors[1].name == "bias");
  initialize_parameters(settings(make_module(plain)), *model);
  CHECK(model->parameters()[tensors[0].offset + 5] == 0.5F);
  CHECK(model->parameters()[tensors[1].offset + 1] == -0.25F);
  CHECK(model->origin().size() == 64);
}

TEST_CASE_FIXTURE(fixture, "loss and gradient are LibTorch's for the same parameters") {
  auto module = make_module(plain);
  const auto model = factory(module)();
  const auto& layout = model->layout();
  for (float& x : model->parameters()) x *= 1.5F;
  {
    const torch::NoGradGuard no_gradient;
    for (const auto& p : module.parameters()) p.mul_(1.5F);
  }
  const auto b = random_batch(7);
  const auto loss = call(module, b).toTensor();
  loss.backward();
  CHECK(model->compute_gradient(b) == doctest::Approx(loss.item<double>()).epsilon(1e-6));
  for (const auto& t : layout.tensors()) {
    const auto expected = module.attr(t.name).toTensor().grad().contiguous();
    for (std::size_t i = 0; i < t.size; ++i) {
      CHECK(model->gradient()[t.offset + i] ==
            doctest::Approx(expected.data_ptr<float>()[i]).epsilon(1e-5));
    }
  }
  const auto sums = model->evaluate(b);
  CHECK(sums.targets == 6);
  CHECK(sums.loss == doctest::Approx(6.0 * loss.item<double>()).epsilon(1e-6));
}

TEST_CASE_FIXTURE(fixture, "results are the same bits in every learner and on every thread") {
  const auto make = factory(make_module(plain));
  const auto run = [&make] {
    const auto model = make();
    std::vector<float> result;
    for (std::uint64_t step = 0; step < 4; ++step) {
      result.push_back(static_cast<float>(model->compute_gradient(random_batch(step))));
      const auto theta = model->parameters();
      const auto gradient = model->gradient();
      for (std::size_t i = 0; i < theta.size(); ++i) theta[i] -= 0.1F * gradient[i];
    }
    result.insert(result.end(), model->parameters().begin(), model->parameters().end());
    return result;
  };
  const auto expected = run();
  CHECK(expected[3] < expected[0]);
  std::vector<float> others[2];
  {
    std::jthread a([&] { others[0] = run(); });
    std::jthread b([&] { others[1] = run(); });
  }
  CHECK(same_bits(others[0], expected));
  CHECK(same_bits(others[1], expected));
}

TEST_CASE_FIXTURE(fixture, "a tensor under two names is one parameter, and gets both gradients") {
  auto module = make_module(
      "def forward(self, x: Tensor, y: Tensor):\n"
      "    return (torch.linear(x, self.weight) + torch.linear(x, self.same)).mean()\n",
      [](torch::jit::Module& m) {
        m.register_parameter("same", m.attr("weight").toTensor(), false);
      });
  const auto model = factory(module)();
  REQUIRE(model->layout().tensors().size() == 2);
  const auto b = random_batch(1);
  call(module, b).toTensor().backward();
  model->compute_gradient(b);
  const auto expected = module.attr("weight").toTensor().grad();
  CHECK(model->gradient()[0] == doctest::Approx(expected[0][0].item<float>()));
  CHECK(model->gradient()[4] == doctest::Approx(expected[1][1].item<float>()));
}

TEST_CASE_FIXTURE(fixture, "a parameter in a list is the one that is trained") {
  // As the weights of Python's LSTM are.
  auto module = make_module(
      "def forward(self, x: Tensor, y: Tensor):\n"
      "    return torch.linear(x, self.all[0], self.all[1]).mean()\n",
      [](torch::jit::Module& m) {
        c10::List<torch::Tensor> all;
        all.push_back(m.attr("weight").toTensor());
        all.push_back(m.attr("bias").toTensor());
        m.register_attribute("all", c10::ListType::ofTensors(), all);
      });
  const auto model = factory(module)();
  const auto b = random_batch(1);
  const auto before = model->compute_gradient(b);
  CHECK(model->gradient()[model->layout().tensors()[1].offset] == doctest::Approx(0.5));
  for (float& x : model->parameters()) x = 0.0F;
  CHECK(before != 0.0);
  CHECK(model->compute_gradient(b) == 0.0);
}

TEST_CASE_FIXTURE(fixture, "BatchNorm's statistics are averaged, and its counter stays") {
  const auto with_norm = [](torch::jit::Module& m) {
    m.register_buffer("mean", torch::zeros(2));
    m.register_buffer("var", torch::ones(2));
    m.register_buffer("batches", torch::tensor(std::int64_t{3}));
    m.register_buffer("mask", torch::full({2}, -INFINITY));
  };
  const std::string code =
      "def forward(self, x: Tensor, y: Tensor):\n"
      "    z = torch.linear(x, self.weight, self.bias)\n"
      "    if self.training:\n"
      "        self.batches.add_(1)\n"
      "    z = torch.batch_norm(z, None, None, self.mean, self.var, self.training, 0.5, 1e-5, "
      "False)\n"
      "    z = z + torch.exp(self.mask)\n"
      "    return (z * z * z).mean() + z[:, 0].mean()\n";
  auto module = make_module(code, with_norm);
  const auto model = factory(module)();
  const auto& layout = model->layout();
  REQUIRE(layout.tensors().size() == 4);
  CHECK(layout.tensors()[2].name == "mean");
  CHECK(layout.tensors()[2].part == section::averaged);
  CHECK(layout.tensors()[3].name == "var");
  const auto mean = [&] { return model->parameters()[layout.tensors()[2].offset]; };
  CHECK(mean() == 0.0F);  // trying it out has left no trace
  const auto b = random_batch(3);
  call(module, b);
  model->compute_gradient(b);
  CHECK(mean() == doctest::Approx(module.attr("mean").toTensor()[0].item<float>()));
  const auto after = mean();
  model->evaluate(b);
  CHECK(mean() == after);
  std::istringstream exported(model->exported());
  auto loaded = torch::jit::load(exported);
  CHECK(loaded.attr("batches").toTensor().item<std::int64_t>() == 3);
  CHECK(loaded.attr("mean").toTensor()[0].item<float>() == after);
  CHECK_FALSE(loaded.is_training());
}

TEST_CASE_FIXTURE(fixture, "a buffer that is replaced by another tensor is followed") {
  auto module = make_module(
      "def forward(self, x: Tensor, y: Tensor):\n"
      "    z = torch.linear(x, self.weight, self.bias)\n"
      "    if self.training:\n"
      "        self.level = 0.5 * self.level + 0.5 * z.detach().mean()\n"
      "    return (z - self.level).pow(2).mean()\n",
      [](torch::jit::Module& m) { m.register_buffer("level", torch::tensor(1.0F)); });
  const auto model = factory(module)();
  const auto& t = model->layout().tensors()[2];
  CHECK(t.part == section::averaged);
  for (std::uint64_t step = 0; step < 3; ++step) {
    call(module, random_batch(step));
    model->compute_gradient(random_batch(step));
    CHECK(model->parameters()[t.offset] ==
          doctest::Approx(module.attr("level").toTensor().item<float>()));
  }
  model->parameters()[t.offset] = 2.0F;  // as a new version comes in
  module.setattr("level", torch::tensor(2.0F));
  call(module, random_batch(9));
  model->compute_gradient(random_batch(9));
  CHECK(model->parameters()[t.offset] ==
        doctest::Approx(module.attr("level").toTensor().item<float>()));
}

TEST_CASE_FIXTURE(fixture, "an exported module has the parameters, and the same loss") {
  const auto model = factory(make_module(plain))();
  for (float& x : model->parameters()) x += 0.125F;
  const auto b = random_batch(5);
  std::istringstream file(model->exported());
  const auto loaded = torch::jit::load(file);
  CHECK(call(loaded, b).toTensor().item<double>() * 6.0 ==
        doctest::Approx(model->evaluate(b).loss).epsilon(1e-6));
  CHECK(loaded.attr("bias").toTensor()[0].item<float>() == 0.625F);
}

TEST_CASE_FIXTURE(fixture, "a module is exported with parameters from elsewhere, as by a learner") {
  const auto model = factory(make_module(plain))();
  const auto path = folder / "m.pt";
  for (float& x : model->parameters()) x += 0.125F;
  const auto bytes = export_scripted(path, model->origin(), model->layout(), model->parameters());
  std::istringstream file(bytes), of_learner(model->exported());
  const auto loaded = torch::jit::load(file), expected = torch::jit::load(of_learner);
  for (const char* name : {"weight", "bias"}) {
    CHECK(loaded.attr(name).toTensor().equal(expected.attr(name).toTensor()));
  }
  CHECK_FALSE(loaded.is_training());
  CHECK(call(loaded, random_batch(5)).toTensor().item<double>() * 6.0 ==
        doctest::Approx(model->evaluate(random_batch(5)).loss).epsilon(1e-6));

  make_module("def forward(self, x: Tensor, y: Tensor):\n    return self.weight.sum()\n")
      .save(path);
  CHECK_THROWS_WITH_AS(
      export_scripted(path, model->origin(), model->layout(), model->parameters()),
      doctest::Contains("it is another file than the one that the run was begun with"),
      usage_error);
}

TEST_CASE_FIXTURE(fixture, "metrics come with the loss, in a tuple or a dictionary") {
  for (const std::string returned :
       {"return loss, {'accuracy': hits, 'norm': self.bias.norm()}",
        "return {'loss': loss, 'accuracy': hits, 'norm': self.bias.norm()}"}) {
    const auto model =
        factory(make_module("def forward(self, x: Tensor, y: Tensor):\n"
                            "    z = torch.linear(x, self.weight, self.bias)\n"
                            "    loss = torch.nll_loss(torch.log_softmax(z, 1), y)\n"
                            "    hits = (z.argmax(1) == y).float().mean()\n    " +
                            returned + "\n"))();
    const auto sums = model->evaluate(random_batch(2));
    REQUIRE(sums.metrics.size() == 2);
    const auto hits = sums.metrics.at("accuracy");
    CHECK(hits == doctest::Approx(std::round(hits)));
    CHECK(sums.metrics.at("norm") == doctest::Approx(6.0 * std::sqrt(0.3125)));
  }
}

TEST_CASE_FIXTURE(fixture, "a batch is never written to, whatever the module does with it") {
  const auto model =
      factory(make_module("def forward(self, x: Tensor, y: Tensor):\n"
                          "    x.mul_(2.0)\n"
                          "    return torch.linear(x, self.weight).mean()\n"))();
  const auto b = random_batch(1);
  const auto loss = model->compute_gradient(b);
  CHECK((b.tensors[0].bytes == random_batch(1).tensors[0].bytes));
  CHECK(model->compute_gradient(b) == loss);
}

TEST_CASE_FIXTURE(fixture, "a parameter that takes no gradients stays as it is") {
  auto module = make_module(plain);
  module.attr("bias").toTensor().set_requires_grad(false);
  const auto model = factory(module)();
  REQUIRE(model->layout().tensors().size() == 1);
  model->compute_gradient(random_batch(1));
  std::istringstream file(model->exported());
  CHECK(torch::jit::load(file).attr("bias").toTensor()[0].item<float>() == 0.5F);
}

TEST_CASE_FIXTURE(fixture, "what cannot be trained is refused in words, before anything begins") {
  const std::string head = "def forward(self, x: Tensor, y: Tensor):\n    ";
  CHECK(refusal(head + "return torch.linear(x, self.weight)\n") ==
        "forward() must return a scalar loss, such as a mean; it returns Float of shape [6, 2]");
  CHECK(refusal(head + "return y.sum()\n") ==
        "forward() must return a scalar loss, such as a mean; it returns Long of shape []");
  CHECK(refusal(head + "return 'loss'\n").find("it returns str") != std::string::npos);
  CHECK(refusal(head + "return {'a': self.bias.sum()}\n") ==
        "forward() returns a dictionary without \"loss\"");
  CHECK(refusal(head + "return self.bias.sum(), self.bias.sum(), x\n") ==
        "forward() must return (loss, dictionary of metrics), but returns 3 values");
  CHECK(refusal(head + "return self.bias.sum(), {'z': self.weight}\n") ==
        "the metric \"z\" must be one number");
  CHECK(refusal(head + "return x.mean()\n") ==
        "the loss depends on no parameter that takes gradients");
  CHECK(refusal("def forward(self, x: Tensor):\n    return x.mean() * self.bias.sum()\n") ==
        "forward() takes 1 tensor, but data.tensors names 2");
  CHECK(refusal(head + "return torch.linear(y, self.weight).mean()\n") != "");
  CHECK(
      refusal(head + "self.count = self.count + 1\n    return self.bias.sum()\n",
              [](torch::jit::Module& m) { m.register_attribute("count", c10::IntType::get(), 0); })
          .find("forward() sets the attribute count") == 0);
  CHECK(refusal(head + "self.level = torch.cat([self.level, x[0]])\n    return self.bias.sum()\n",
                [](torch::jit::Module& m) { m.register_buffer("level", torch::zeros(3)); }) ==
        "forward() gives level another shape or type");
  CHECK(refusal("def run(self, x: Tensor):\n    return x\n") == "the module has no forward()");
  CHECK(refusal(plain, [](torch::jit::Module& m) {
          m.register_parameter("wide", torch::zeros({2}, torch::kDouble).set_requires_grad(true),
                               false);
        }) == "the parameter wide is of the type Double; those that are trained must be Float");
  CHECK(refusal(plain, [](torch::jit::Module& m) {
          for (const char* name : {"weight", "bias"}) {
            m.attr(name).toTensor().set_requires_grad(false);
          }
        }) == "it has no parameters to train; was it frozen before it was saved?");
}

TEST_CASE_FIXTURE(fixture, "files that are none are refused") {
  auto c = settings(make_module(plain));
  std::ofstream(c.model.path) << "words";
  CHECK(refusal(c).find("it is no file that torch.jit.save() has written: ") == 0);
  c.model.path = folder / "nothing.pt";
  CHECK(refusal(c) == "it is no file that can be read");
  c.model.path = folder.string();
  CHECK(refusal(c) == "it is no file that can be read");
}

TEST_CASE_FIXTURE(fixture, "random operations are refused on the virtual clock, and those alone") {
  const auto with = [this](const std::string& line, const std::string& clock) {
    auto c = settings(make_module("def forward(self, x: Tensor, y: Tensor):\n    z = " + line +
                                  "\n    return torch.linear(z, self.weight).mean()\n"));
    c.clock.mode = clock;
    return refusal(c);
  };
  for (const std::string line :
       {"torch.dropout(x, 0.5, self.training)", "x + torch.randn_like(x)", "x * torch.rand([3])",
        "torch.rrelu(x, 0.1, 0.2, True)", "x.clone().normal_()",
        "torch.dropout(x, 0.5, True) if bool(x[0, 0] > 1e9) else x"}) {
    CAPTURE(line);
    CHECK(with(line, "virtual").find("forward() draws random numbers, with ") == 0);
    CHECK(with(line, "wall") == "");
  }
  for (const std::string line : {"torch.dropout(x, 0.0, True)", "torch.dropout(x, 0.5, False)"}) {
    CHECK(with(line, "virtual") == "");
  }
}

// LibTorch 2 says of lstm that it may draw random numbers, older ones do not.
TEST_CASE_FIXTURE(fixture, "dropout within another operation is found by trying, if not before") {
  const auto with_dropout = [this](const std::string& p) {
    return refusal(fmt::format(
        "def forward(self, x: Tensor, y: Tensor):\n"
        "    b = torch.ones([12, 3])\n"
        "    start = torch.zeros([2, 6, 3])\n"
        "    z = torch.lstm(x.unsqueeze(0), [start, start], [b, b, b, b], False, 2, {},\n"
        "                   self.training, False, False)[0].squeeze(0)\n"
        "    return torch.linear(z, self.weight).mean()\n",
        p));
  };
  CHECK(with_dropout("0.5").starts_with("forward() draws random numbers"));
  CHECK(with_dropout("0.0") == "");
}

TEST_CASE_FIXTURE(fixture, "a module that throws later says so in its own words, in one line") {
  const auto model =
      factory(make_module("def forward(self, x: Tensor, y: Tensor):\n"
                          "    assert bool(x[0, 0] < 100.0), 'too much of it'\n"
                          "    return torch.linear(x, self.weight).mean()\n"))();
  auto b = random_batch(1);
  CHECK_NOTHROW(model->compute_gradient(b));
  b.tensors[0] = values_of(element_type::f32, {6, 3}, std::vector<float>(18, 1000.0F));
  std::string message;
  try {
    model->compute_gradient(b);
  } catch (const run_error& error) {
    message = error.what();
  }
  CHECK_MESSAGE(message.find("too much of it") != std::string::npos, message);
  CHECK(message.find('\n') == std::string::npos);
  b.tensors[0] = values_of(element_type::f32, {6, 2}, std::vector<float>(12, 1.0F));
  CHECK_THROWS_WITH_AS(model->compute_gradient(b), doctest::Contains("shapes cannot be multiplied"),
                       run_error);
}

TEST_CASE_FIXTURE(fixture, "a buffer that begins to change later ends the run") {
  const auto model = factory(
      make_module("def forward(self, x: Tensor, y: Tensor):\n"
                  "    if bool(x[0, 0] > 100.0):\n"
                  "        self.late.add_(1.0)\n"
                  "    return torch.linear(x, self.weight).mean()\n",
                  [](torch::jit::Module& m) { m.register_buffer("late", torch::zeros(2)); }))();
  auto b = random_batch(1);
  b.tensors[0] = values_of(element_type::f32, {6, 3}, std::vector<float>(18, 1000.0F));
  CHECK_THROWS_WITH_AS(model->compute_gradient(b),
                       doctest::Contains("forward() has changed late, which it left alone"),
                       run_error);
}

TEST_CASE_FIXTURE(fixture, "data of another kind is refused") {
  auto c = settings(make_module(plain));
  c.model.kind = "mlp";
  CHECK_THROWS_WITH_AS(make_learner_factory(c, data), doctest::Contains("takes points"),
                       usage_error);
}
