// Models that come from a file: trained, killed, exported, over several nodes; and in Python again,
// where that is there.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <cmath>

#include "tests/data/tensors/tensor_files.hpp"
#include "tests/process/cluster_fixture.hpp"
#include "tests/python.hpp"

using namespace rubato;
namespace fs = std::filesystem;

namespace {

/// Points in the plane, of two classes that a circle tells apart, and models of them.
struct fixture : cluster_fixture {
  fixture() {
    for (const std::string folder : {"train", "test"}) {
      fs::create_directories(root / folder);
      random_generator random(1, random_stream::test, {folder.size()});
      std::vector<float> x;
      std::vector<std::int64_t> y;
      for (int i = 0; i < 600; ++i) {
        const auto a = random.normal(), b = random.normal();
        x.push_back(static_cast<float>(a));
        x.push_back(static_cast<float>(b));
        y.push_back(a * a + b * b < 1.4 ? 0 : 1);
      }
      std::ofstream(root / folder / "x.npy") << test::npy("<f4", "600, 2", test::bytes_of(x));
      std::ofstream(root / folder / "y.npy") << test::npy("<i8", "600,", test::bytes_of(y));
    }
    make_model("model.pt");
    std::ofstream(root / "tiny.toml")
        << "run.name = 'scripted'\nrun.local_steps = 2000\nmonitor.listen = ''\n"
           "[model]\nkind = 'torchscript'\npath = 'model.pt'\n"
           "[data]\nkind = 'tensors'\npaths = ['train']\nheld_out_paths = ['test']\n"
           "tensors = ['x', 'y']\nbatch_size = 25\n"
           "[inner]\nlr = 0.003\nwarmup_steps = 5\n"
           "[quota]\nlocal_steps = 10\n"
           "[evaluate]\nevery_local_steps = 200\n";
  }

  void make_model(const std::string& name, const std::string& how = "") const {
    shell(fmt::format("{} {} {}", RUBATO_SCRIPTED_MODEL, name, how));
  }

  /// Runs a command in the folder; returns what it prints.
  std::string shell(const std::string& command) const {
    const auto whole = fmt::format("cd '{}' && {} >shell-out 2>shell-err", root.string(), command);
    const int code = std::system(whole.c_str());
    REQUIRE_MESSAGE(code == 0, command << ": " << read(root / "shell-err"));
    return read(root / "shell-out");
  }
};

double loss_in(const std::string& text) {
  REQUIRE(text.rfind("loss ", 0) == 0);
  return std::stod(text.substr(5));
}

}  // namespace

TEST_CASE_FIXTURE(fixture, "a model from a file learns, and leaves a file and its metrics") {
  const auto result = run({"train", "tiny.toml", "--run.directory", "done"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const auto s = summary("done");
  CHECK(s["unit"] == "example");
  CHECK(s["parameters"] == 66);
  CHECK(s["final"]["loss"].get<double>() < 0.3);
  CHECK(s["final"]["accuracy"].get<double>() > 0.85);
  CHECK(s["final"]["metrics"]["accuracy"] == s["final"]["accuracy"]);
  CHECK(fs::file_size(root / "done/model.pt") > 1000);
  // What was exported goes on from there: version 0 is the last one before.
  const auto again =
      run({"train", "tiny.toml", "--run.directory", "on", "--model.path", "done/model.pt"});
  REQUIRE_MESSAGE(again.code == 0, again.err);
  CHECK(lines("on", "metrics.jsonl")[0]["loss"].get<double>() ==
        doctest::Approx(s["final"]["loss"].get<double>()).epsilon(1e-6));
}

TEST_CASE_FIXTURE(fixture, "a checkpoint gives the model as well, with its parameters") {
  const auto result =
      run({"train", "tiny.toml", "--run.directory", "done", "--checkpoint.every_versions", "20"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  for (const std::string output : {"of-then.pt", "of-then.safetensors"}) {
    const auto exported = run({"checkpoint", "export", "done", "--output", output});
    REQUIRE_MESSAGE(exported.code == 0, exported.err);
  }
  const auto loss_with = [&](const std::string& key, const std::string& value) {
    const auto begun = run({"train", "tiny.toml", "--run.local_steps", "40", "--run.directory",
                            "with-" + value, key, value});
    REQUIRE_MESSAGE(begun.code == 0, begun.err);
    return lines("with-" + value, "metrics.jsonl")[0]["loss"];
  };
  const auto loss = loss_with("--model.path", "of-then.pt");
  CHECK(loss == loss_with("--run.init", "of-then.safetensors"));
  CHECK(loss < lines("done", "metrics.jsonl")[0]["loss"]);
  // Elsewhere, the model's file is asked for, and must be that one.
  fs::rename(root / "model.pt", root / "moved.pt");
  const auto gone = run({"checkpoint", "export", "done", "--output", "again.pt"});
  CHECK(gone.code == 2);
  CHECK(gone.err.find("the model's file, model.pt, is not here; say where it is with --model") !=
        std::string::npos);
  const auto moved =
      run({"checkpoint", "export", "done", "--output", "again.pt", "--model", "moved.pt"});
  CHECK_MESSAGE(moved.code == 0, moved.err);
  CHECK(read(root / "again.pt") == read(root / "of-then.pt"));
  const auto other =
      run({"checkpoint", "export", "done", "--output", "again.pt", "--model", "of-then.pt"});
  CHECK(other.code == 2);
  CHECK(other.err.find("it is another file than the one that the run was begun with") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(fixture,
                  "a model from a file ends with the same bits, killed or not, on 1 or 4 "
                  "threads") {
  const std::vector<std::string> longer = {
      "train", "tiny.toml", "--run.local_steps", "20000", "--run.threads", "1", "--run.directory"};
  const auto with = [&longer](const std::string& directory) {
    auto arguments = longer;
    arguments.push_back(directory);
    return arguments;
  };
  REQUIRE(run(with("whole")).code == 0);
  auto on_four = with("killed");
  on_four[5] = "4";
  const pid_t child = start(on_four);
  wait_for_evaluations("killed", 4);
  kill(child, SIGKILL);
  finish(child);
  const auto resumed = run({"train", "--resume", "killed"});
  REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
  CHECK(summary("killed")["params_sha256"] == summary("whole")["params_sha256"]);
  CHECK(lines("killed", "updates.jsonl") == lines("whole", "updates.jsonl"));
}

TEST_CASE_FIXTURE(fixture, "a model that throws in the middle ends the run with its words") {
  make_model("throws.pt", "throws");
  const auto result =
      run({"train", "tiny.toml", "--run.directory", "broken", "--model.path", "throws.pt"});
  CHECK(result.code == 1);
  CHECK(result.err.find("model.path: throws.pt: AssertionError: moved too far (") !=
        std::string::npos);
  CHECK_FALSE(fs::exists(root / "broken/summary.json"));
}

TEST_CASE_FIXTURE(fixture, "a run does not go on with another model") {
  const pid_t child =
      start({"train", "tiny.toml", "--run.directory", "other", "--run.local_steps", "1000000"});
  wait_for_evaluations("other", 2);
  kill(child, SIGKILL);
  finish(child);
  make_model("model.pt", "throws");
  const auto result = run({"train", "--resume", "other"});
  CHECK(result.code == 1);
  CHECK(result.err.find("model.path is another file than the one that the run was begun with") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "what is no model is refused before a run begins") {
  const auto result =
      run({"train", "tiny.toml", "--run.directory", "none", "--model.path", "train/x.npy"});
  CHECK(result.code == 2);
  CHECK(result.err.find("model.path: train/x.npy: it is no file that torch.jit.save()") !=
        std::string::npos);
  CHECK(lines_in(result.err) == 1);
}

TEST_CASE_FIXTURE(fixture, "a node must have the same model and tensors as the server") {
  serve();
  make_model("other.pt", "throws");
  work("other-model", 1, {"--model.path", "other.pt"});
  const auto wrong = end_of("other-model");
  CHECK(wrong.code == 1);
  CHECK(wrong.err.find("other files: the SHA-256 of model.path is ") != std::string::npos);
  work("no-model", 1, {"--model.path", "nowhere.pt"});
  const auto none = end_of("no-model");
  CHECK(none.code == 2);
  CHECK(none.err.find("model.path: nowhere.pt: it is no file that can be read") !=
        std::string::npos);
  fs::create_directories(root / "wide");
  const std::vector<double> x(1200);
  std::ofstream(root / "wide/x.npy") << test::npy("<f8", "600, 2", test::bytes_of(x));
  fs::copy(root / "train/y.npy", root / "wide/y.npy");
  work("other-data", 1, {"--data.paths", "['wide']"});
  const auto other = end_of("other-data");
  CHECK(other.code == 2);
  CHECK(other.err.find("model.path: model.pt: ") != std::string::npos);  // it is tried with that
  // The server alone evaluates, with what it has open.
  fs::rename(root / "test", root / "gone");
  work("a", 4);
  const auto ended = end_of("server");
  REQUIRE_MESSAGE(ended.code == 0, ended.err);
  CHECK(end_of("a").code == 0);
  check_balance();
  CHECK(summary("run")["final"]["accuracy"].get<double>() > 0.85);
  CHECK(fs::exists(root / "run/model.pt"));
}

TEST_CASE_FIXTURE(fixture, "the example for PyTorch works as written, with the same loss there") {
  const auto python = python_with_torch();
  if (python.empty()) {
    MESSAGE("no Python with PyTorch and NumPy here: not tested");
    return;
  }
  fs::copy(fs::path(RUBATO_SOURCE_DIR) / "examples/torchscript", root,
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  shell(python + " model.py");
  shell(python + " data.py");
  const auto result = run({"train", "train.toml", "--run.directory", "run"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const auto s = summary("run");
  CHECK(s["final"]["accuracy"].get<double>() > 0.9);
  CHECK(std::abs(loss_in(shell(python + " evaluate.py run/model.pt")) -
                 s["final"]["loss"].get<double>()) < 1e-5);
  // So is a checkpoint's, with the loss that Rubato has with its parameters.
  for (const std::string output : {"then.pt", "then.safetensors"}) {
    const auto exported = run({"checkpoint", "export", "run", "--output", output});
    REQUIRE_MESSAGE(exported.code == 0, exported.err);
  }
  const auto then = run({"train", "train.toml", "--run.directory", "then", "--run.init",
                         "then.safetensors", "--run.local_steps", "40"});
  REQUIRE_MESSAGE(then.code == 0, then.err);
  CHECK(std::abs(loss_in(shell(python + " evaluate.py then.pt")) -
                 lines("then", "metrics.jsonl")[0]["loss"].get<double>()) < 1e-5);
  // Its parameters by name, there and back again.
  fs::copy(fs::path(RUBATO_SOURCE_DIR) / "examples/weights/rubato_weights.py", root);
  shell(python +
        " -c \"from rubato_weights import *; save_safetensors('init.safetensors', "
        "load_safetensors('run/parameters.safetensors'))\"");
  const auto begun = run({"train", "train.toml", "--run.directory", "begun", "--run.init",
                          "init.safetensors", "--run.local_steps", "40"});
  REQUIRE_MESSAGE(begun.code == 0, begun.err);
  CHECK(lines("begun", "metrics.jsonl")[0]["loss"] == s["final"]["loss"]);
  // What has learned with dropout and an LSTM goes the same way, on the wall clock.
  std::ofstream(root / "recurrent.py")
      << "import torch\n"
         "class Recurrent(torch.nn.Module):\n"
         "    def __init__(self):\n"
         "        super().__init__()\n"
         "        self.lstm = torch.nn.LSTM(1, 8, batch_first=True)\n"
         "        self.dropout = torch.nn.Dropout(0.1)\n"
         "        self.last = torch.nn.Linear(8, 3)\n"
         "    def forward(self, x, y):\n"
         "        z = self.last(self.dropout(self.lstm(x.unsqueeze(2))[0][:, -1]))\n"
         "        loss = torch.nn.functional.cross_entropy(z, y)\n"
         "        return loss, {'accuracy': (z.argmax(1) == y).float().mean()}\n"
         "torch.manual_seed(1)\n"
         "torch.jit.script(Recurrent()).save('model.pt')\n";
  shell(python + " recurrent.py");
  const auto refused = run({"train", "train.toml", "--run.directory", "random"});
  CHECK(refused.code == 2);
  CHECK(refused.err.find("forward() draws random numbers, with dropout (") != std::string::npos);
  const auto on_wall =
      run({"train", "train.toml", "--run.directory", "wall", "--clock.mode", "wall"});
  REQUIRE_MESSAGE(on_wall.code == 0, on_wall.err);
  CHECK(std::abs(loss_in(shell(python + " evaluate.py wall/model.pt")) -
                 summary("wall")["final"]["loss"].get<double>()) < 1e-5);
  const auto lines_of_loss = lines("wall", "metrics.jsonl");
  CHECK(lines_of_loss.back()["loss"].get<double>() < lines_of_loss.front()["loss"].get<double>());
}
