// Parameters in PyTorch and back, by the scripts of examples/weights; where PyTorch is there.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "config/random.hpp"
#include "model/learner.hpp"
#include "storage/safetensors.hpp"
#include "tests/data/temporary_folder.hpp"
#include "tests/data/tensors/tensor_files.hpp"
#include "tests/python.hpp"

using namespace rubato;

TEST_CASE("a transformer has the same loss in PyTorch, and its parameters come back as they were") {
  const auto python = python_with_torch();
  if (python.empty()) {
    MESSAGE("no Python with PyTorch and NumPy here: not tested");
    return;
  }
  config c;
  c.model.layers = 3;
  c.model.width = 24;
  c.model.heads = 4;
  c.model.sequence_length = 20;
  const auto model = make_learner_factory(c, data_shape{0, 64})();
  initialize_parameters(c, *model);
  random_generator random(1, random_stream::test);
  batch b{5, 17};
  for (int i = 0; i < 5 * 18; ++i) b.tokens.push_back(static_cast<std::int32_t>(random.below(64)));
  std::vector<named_tensor> tensors;
  for (const auto& t : model->layout().tensors()) {
    const auto values = model->parameters().subspan(t.offset, t.size);
    // Away from the ones and zeros that norms and biases begin with.
    for (float& x : values) x += 0.1F * static_cast<float>(random.normal());
    tensors.push_back({t.name, t.shape, values});
  }
  const test::temporary_folder folder;
  write_safetensors(folder / "a.safetensors", tensors);
  folder.write("tokens.npy", test::npy("<i4", "5, 18", test::bytes_of(b.tokens)));
  const auto scripts = std::string(RUBATO_SOURCE_DIR) + "/examples/weights";
  const auto shell = [&](const std::string& command) {
    const auto whole = fmt::format("cd '{}' && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH='{}' {} >out",
                                   folder.string(), scripts, command);
    REQUIRE(std::system(whole.c_str()) == 0);
    std::ifstream file(folder / "out");
    return (std::stringstream() << file.rdbuf()).str();
  };

  const auto printed = shell(fmt::format(
      "{} '{}/transformer_loss.py' a.safetensors tokens.npy --heads 4", python, scripts));
  REQUIRE(printed.rfind("loss ", 0) == 0);
  const auto sums = model->evaluate(b);
  CHECK(std::abs(std::stod(printed.substr(5)) - sums.loss / static_cast<double>(sums.targets)) <
        1e-5);

  shell(python +
        " -c \"from rubato_weights import *; "
        "save_safetensors('b.safetensors', load_safetensors('a.safetensors'))\"");
  const safetensors_file back(folder / "b.safetensors");
  REQUIRE(back.tensors().size() == tensors.size());
  for (const auto& t : tensors) {
    const auto* found = back.find(t.name);
    REQUIRE(found != nullptr);
    CHECK(found->shape == t.shape);
    CHECK(std::equal(t.values.begin(), t.values.end(), found->values.begin(), found->values.end()));
  }
}
