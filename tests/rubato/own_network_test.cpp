// A network of a program's own, trained by Rubato and by a bare loop of LibTorch.
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>
#include <unistd.h>

#include <examples/spirals.hpp>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/random.hpp"
#include "model/learner.hpp"
#include "rubato/run.hpp"
#include "storage/safetensors.hpp"

using namespace rubato;

namespace {

constexpr std::int64_t width = 16;
constexpr std::int64_t local_steps = 10;
constexpr double rate = 0.1;

torch::Tensor mean_loss(spiral_net& net, const batch_tensors& b) {
  return torch::nn::functional::cross_entropy(net.forward(b.inputs), b.targets);
}

/// A spiral_net whose loss is what `loss` makes of it.
template <class Loss>
void register_spiral_net(const std::string& name, Loss loss) {
  register_network({.name = name}, [loss](const config&, const data_shape&) {
    const auto net = std::make_shared<spiral_net>(width);
    return trainable{net, [net, loss](const batch_tensors& b) { return loss(*net, b); }};
  });
}

/// Pairs x and the number 3 x_0 - x_1 + 1, as two tensors.
class plane final : public map_dataset {
 public:
  std::uint64_t size() const override { return 500; }
  data_shape shape() const override { return {.tensors = 2}; }

  batch get(std::span<const std::uint64_t> numbers) const override {
    const auto examples = static_cast<std::int64_t>(numbers.size());
    std::vector<float> x, y;
    for (const auto n : numbers) {
      x.push_back(static_cast<float>(n % 25) / 25.0F);
      x.push_back(static_cast<float>(n / 25) / 20.0F);
      y.push_back(3.0F * x[x.size() - 2] - x.back() + 1.0F);
    }
    return {.examples = examples, .tensors = {values(x, {examples, 2}), values(y, {examples})}};
  }

 private:
  static tensor_values values(const std::vector<float>& from, std::vector<std::int64_t> shape) {
    tensor_values result{.shape = std::move(shape)};
    const auto* bytes = reinterpret_cast<const std::byte*>(from.data());
    result.bytes.assign(bytes, bytes + from.size() * sizeof(float));
    return result;
  }
};

/// BatchNorm, whose statistics are buffers, one of them of integers.
struct with_buffers : torch::nn::Module {
  with_buffers()
      : norm(register_module("norm", torch::nn::BatchNorm1d(2))),
        last(register_module("last", torch::nn::Linear(2, 2))) {}

  torch::nn::BatchNorm1d norm;
  torch::nn::Linear last;
};

void register_all() {
  static const bool done = [] {
    register_dataset({.name = "test-spirals"},
                     [](const config&) { return std::make_unique<spirals>(1.0); });
    register_spiral_net("test-net", mean_loss);
    register_spiral_net("test-dropout", [](spiral_net& net, const batch_tensors& b) {
      return torch::nn::functional::cross_entropy(torch::dropout(net.forward(b.inputs), 0.5, true),
                                                  b.targets);
    });
    register_spiral_net("test-vector", [](spiral_net& net, const batch_tensors& b) {
      return net.forward(b.inputs).sum(0);
    });
    register_spiral_net("test-wrong-shape", [](spiral_net& net, const batch_tensors& b) {
      return net.forward(b.inputs.t()).sum();
    });
    register_spiral_net("test-throws", [](spiral_net&, const batch_tensors&) -> torch::Tensor {
      throw std::runtime_error("the moon is in the wrong phase");
    });
    register_network({.name = "test-buffers"}, [](const config&, const data_shape&) {
      const auto net = std::make_shared<with_buffers>();
      return trainable{net, [net](const batch_tensors& b) {
                         return torch::nn::functional::cross_entropy(net->last(net->norm(b.inputs)),
                                                                     b.targets);
                       }};
    });
    register_dataset({.name = "test-plane"},
                     [](const config&) { return std::make_unique<plane>(); });
    register_network({.name = "test-line", .uses = {"inner.micro_batch"}}, [](const config&,
                                                                              const data_shape&) {
      const auto net = std::make_shared<torch::nn::LinearImpl>(2, 1);
      const auto error = [net](const batch_tensors& b) {
        return net->forward(b.tensors.at(0)).squeeze(1) - b.tensors.at(1);
      };
      return trainable{net, [error](const batch_tensors& b) { return error(b).square().mean(); },
                       [error](const batch_tensors& b) { return error(b).abs().lt(0.05).sum(); }};
    });
    register_network({.name = "test-nothing"}, [](const config&, const data_shape&) {
      return trainable{std::make_shared<torch::nn::Module>(), {}};
    });
    register_network({.name = "test-double"}, [](const config&, const data_shape&) {
      const auto net = std::make_shared<spiral_net>(width);
      net->to(torch::kDouble);
      return trainable{net, {}};
    });
    return true;
  }();
  static_cast<void>(done);
}

/// One worker, plain SGD inside and out: what a loop can be written for in ten lines.
config plain(const std::string& kind) {
  register_all();
  config c;
  c.run.seed = 5;
  c.run.threads = 1;
  c.run.local_steps = 12 * local_steps;
  c.model.kind = kind;
  c.data.kind = "test-spirals";
  c.data.batch_size = 8;
  c.workers.count = 1;
  c.inner.optimizer = "sgd";
  c.inner.lr = rate;
  c.inner.warmup_steps = 0;
  c.inner.weight_decay = 0.0;
  c.inner.clip = 0.0;
  c.inner.schedule = "step";
  c.inner.milestones = {};
  c.outer.optimizer = "sgd";
  c.outer.lr = 1.0;
  c.quota.policy = "fixed";
  c.quota.local_steps = local_steps;
  c.checkpoint.every_versions = 0;
  c.journal.enabled = false;
  return c;
}

struct run_folder {
  explicit run_folder(const std::string& name = "run")
      : path(std::filesystem::temp_directory_path() /
             ("rubato-own-" + std::to_string(getpid()) + "-" + name)) {
    std::filesystem::remove_all(path);
  }
  ~run_folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

/// Knows, in time, where nodes can join.
class address_listener final : public run_observer {
 public:
  void remarked(const std::string& text) override {
    const auto at = text.find("--server ");
    if (at != std::string::npos) address.set_value(text.substr(at + 9));
  }

  std::promise<std::string> address;
};

batch_tensors tensors_of(const batch& b) {
  return {torch::tensor(b.features).view({b.examples, b.length}),
          torch::tensor(b.labels).to(torch::kLong),
          {}};
}

/// theta <- theta - (theta - theta') every H steps, on the batches that a run of `c` sees.
std::shared_ptr<spiral_net> bare_loop(const config& c, const dataset& data) {
  torch::manual_seed(random_generator(static_cast<std::uint64_t>(c.run.seed),
                                      random_stream::initial_parameters)());
  const auto net = std::make_shared<spiral_net>(width);
  std::vector<torch::Tensor> start;
  for (const auto& p : net->parameters()) start.push_back(p.detach().clone());
  for (std::uint64_t step = 0; step < static_cast<std::uint64_t>(c.run.local_steps); ++step) {
    net->zero_grad();
    mean_loss(*net, tensors_of(data.training_batch(0, step))).backward();
    const torch::NoGradGuard no_gradient;
    for (auto& p : net->parameters()) p.sub_(p.grad() * rate);
    if ((step + 1) % local_steps != 0) continue;
    for (std::size_t i = 0; i < start.size(); ++i) {
      auto p = net->parameters()[i];
      start[i] = start[i] - (start[i] - p);
      p.copy_(start[i]);
    }
  }
  return net;
}

}  // namespace

TEST_CASE("one worker and outer SGD with rate 1 are the bare loop, bit for bit") {
  at::set_num_threads(1);
  const run_folder folder;
  auto c = plain("test-net");
  c.run.directory = folder.path.string();
  const auto data = make_dataset(c);
  const auto net = bare_loop(c, *data);
  const auto summary = run(c);

  const safetensors_file saved((folder.path / "parameters.safetensors").string());
  for (const auto& item : net->named_parameters()) {
    CAPTURE(item.key());
    const auto& expected = item.value();
    const auto* found = saved.find(item.key());
    REQUIRE(found != nullptr);
    const std::vector<float> values(found->values.begin(), found->values.end());
    CHECK(torch::equal(torch::tensor(values), expected.detach().flatten()));
  }

  const torch::NoGradGuard no_gradient;
  double sum = 0.0;
  std::int64_t count = 0;
  for (const auto& b : data->held_out(0)) {
    sum += mean_loss(*net, tensors_of(b)).item<double>() * static_cast<double>(b.examples);
    count += b.examples;
  }
  REQUIRE(summary.final.has_value());
  CHECK(summary.final->loss == sum / static_cast<double>(count));
}

TEST_CASE("a network can learn from tensors of any content") {
  const run_folder folder;
  auto c = plain("test-line");
  c.data.kind = "test-plane";
  c.run.local_steps = 1000;
  c.run.directory = folder.path.string();
  const auto summary = run(c);
  CHECK(summary.unit == "example");
  CHECK(summary.tokens == 1000 * c.data.batch_size);
  CHECK(summary.final->loss < 1e-3);
  CHECK(summary.final->accuracy > 0.8);
  const safetensors_file saved((folder.path / "parameters.safetensors").string());
  CHECK(saved.find("weight")->values[0] == doctest::Approx(3.0).epsilon(0.05));
}

TEST_CASE("micro-batches add up to the batch, where a network goes by inner.micro_batch") {
  auto c = plain("test-line");
  c.data.kind = "test-plane";
  const auto data = make_dataset(c);
  const auto b = data->training_batch(0, 0);
  const auto whole = make_learner_factory(c, data->shape())();
  const double loss = whole->compute_gradient(b);
  const auto sums = whole->evaluate(b);
  for (const std::int64_t examples : {1, 3, 8, 9}) {
    CAPTURE(examples);
    c.inner.micro_batch = examples;
    const auto model = make_learner_factory(c, data->shape())();
    CHECK(model->compute_gradient(b) == doctest::Approx(loss).epsilon(1e-6));
    for (std::size_t i = 0; i < whole->gradient().size(); ++i) {
      CHECK(model->gradient()[i] == doctest::Approx(whole->gradient()[i]).epsilon(1e-5));
    }
    CHECK(model->evaluate(b).loss == doctest::Approx(sums.loss).epsilon(1e-6));
    CHECK(model->evaluate(b).targets == sums.targets);
    CHECK(model->evaluate(b).metrics == sums.metrics);
  }

  auto odd = b;
  odd.tensors[1].shape = {};
  odd.tensors[1].bytes.resize(sizeof(float));
  CHECK_NOTHROW(whole->compute_gradient(odd));
  c.inner.micro_batch = 3;
  CHECK_THROWS_WITH_AS(make_learner_factory(c, data->shape())()->compute_gradient(odd),
                       doctest::Contains("must be the examples, or inner.micro_batch 0"),
                       run_error);
}

TEST_CASE("buffers of floats are averaged, others stay where they are") {
  const auto c = plain("test-buffers");
  const auto data = make_dataset(c);
  const auto model = make_learner_factory(c, data->shape())();
  const auto& tensors = model->layout().tensors();
  REQUIRE(tensors.size() == 6);
  CHECK(tensors[4].name == "norm.running_mean");
  CHECK(tensors[4].part == section::averaged);
  CHECK(tensors[5].name == "norm.running_var");
  const auto b = data->training_batch(0, 0);
  const auto mean = tensors_of(b).inputs.mean(0);
  model->compute_gradient(b);
  const float* running = model->parameters().data() + tensors[4].offset;
  CHECK(running[0] == doctest::Approx(0.1 * mean[0].item<double>()));
  const auto before = std::vector<float>(model->parameters().begin(), model->parameters().end());
  model->evaluate(b);
  CHECK(std::equal(before.begin(), before.end(), model->parameters().begin()));
}

TEST_CASE("a network that cannot be trained is refused before anything starts") {
  const auto refusal = [](const char* kind) {
    const auto c = plain(kind);
    try {
      make_learner_factory(c, make_dataset(c)->shape())();
    } catch (const usage_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal("test-nothing") == "model.kind = \"test-nothing\": it has no parameters to train");
  CHECK(refusal("test-double").find("parameter \"first.weight\" is Double on cpu") !=
        std::string::npos);
}

TEST_CASE("a loss that is none ends the run with the reason") {
  const auto reason = [](const char* kind) {
    const run_folder folder;
    auto c = plain(kind);
    c.run.directory = folder.path.string();
    try {
      run(c);
    } catch (const run_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(reason("test-vector").find("its loss has 2 values; it must be a scalar") !=
        std::string::npos);
  CHECK(reason("test-wrong-shape").find("LibTorch: mat1 and mat2 shapes") != std::string::npos);
  CHECK(reason("test-throws").find("the moon is in the wrong phase") != std::string::npos);
  CHECK(reason("test-dropout").find("draws random numbers (dropout?)") != std::string::npos);
}

TEST_CASE("two runs at once give what each gives alone") {
  const auto hash = [](std::int64_t seed, const std::string& folder_name) {
    const run_folder folder(folder_name);
    auto c = plain("test-net");
    c.run.seed = seed;
    c.workers.count = 3;
    c.run.directory = folder.path.string();
    return run(c).params_sha256;
  };
  const auto one = hash(1, "one");
  const auto two = hash(2, "two");
  CHECK(one != two);
  auto other = std::async(std::launch::async, hash, 2, "two");
  CHECK(hash(1, "one") == one);
  CHECK(other.get() == two);
}

TEST_CASE("a program can serve a run, and another can join") {
  const run_folder folder;
  auto c = plain("test-net");
  c.clock.mode = "wall";
  c.workers.count = 2;
  c.run.directory = folder.path.string();
  const auto listener = std::make_shared<address_listener>();
  auto address = listener->address.get_future();
  auto served =
      std::async(std::launch::async, [&] { return run(c, {.observer = listener, .serve = true}); });
  REQUIRE(address.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  std::string said;
  join({.server = address.get(),
        .settings = {{"run.threads", "1"}},
        .name = "joined",
        .workers = 2,
        .say = [&](const std::string& text) { said += text + "\n"; }});
  const auto summary = served.get();
  CHECK(summary.outcome == "finished");
  CHECK(summary.bytes.wire_up > 0);
  CHECK(said.find("taking part as workers") != std::string::npos);
}

TEST_CASE("a run or a node that cannot be is refused before it starts") {
  auto c = plain("test-net");
  c.run.local_steps = 100;
  c.network.listen = "0.0.0.0:0";
  c.clock.mode = "wall";
  CHECK_THROWS_AS(run(c, {.serve = true}), usage_error);
  CHECK_THROWS_AS(join({.server = "nowhere"}), usage_error);
  CHECK_THROWS_WITH_AS(join({.server = "127.0.0.1:1", .settings = {{"run.seed", "2"}}}),
                       doctest::Contains("is a setting of the whole run"), usage_error);
}
