// Reading, checking and writing configurations; every message word for word. The files lie in a
// folder of their own, and messages are compared with that folder's name left out.
#include "config/load.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "config/rules.hpp"
#include "config/schema.hpp"

using namespace rubato;

namespace {

/// A folder that exists as long as this object.
class temporary_folder {
 public:
  temporary_folder() {
    auto name = (std::filesystem::temp_directory_path() / "rubato-load-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~temporary_folder() { std::filesystem::remove_all(path_); }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  std::string prefix() const { return path_.string() + "/"; }
  std::string write(const std::string& text) const {
    const auto path = prefix() + "x.toml";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::filesystem::path path_;
};

/// load_config() of a file with this text.
config load(const std::string& text, const override_list& overrides = {},
            std::vector<std::string>* notes = nullptr) {
  const temporary_folder folder;
  return load_config(folder.write(text), overrides, notes);
}

std::string without(std::string text, const std::string& part) {
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part)) {
    text.erase(at, part.size());
  }
  return text;
}

/// The message of the usage_error that this input ends with; empty if there is none.
std::string error_of(const std::string& text, const override_list& overrides = {}) {
  const temporary_folder folder;
  try {
    load_config(folder.write(text), overrides);
  } catch (const usage_error& error) {
    return without(error.what(), folder.prefix());
  }
  return "";
}

/// As error_of(), for the command line over a config that is right.
std::string error_of(const override_list& overrides) {
  return error_of("data.paths = ['a']", overrides);
}

/// As error_of(), for the command line over a toy.
std::string toy_error_of(const override_list& overrides) {
  return error_of("data.kind = 'gaussian-mixtures'\nmodel.kind = 'mlp'", overrides);
}

/// The path of a file that comes with Rubato.
std::string shipped(const std::string& name) {
  return RUBATO_SOURCE_DIR "/config/" + name;
}

std::string quickstart_path() {
  return shipped("quickstart.toml");
}

/// Two configs of which at least one has a member off its default.
override_list unusual_settings() {
  return {
      {"run.directory", "out \"of\" \\ here"},
      {"run.name", "fünf\tlines\x7f"},
      {"run.seed", "9223372036854775807"},
      {"run.threads", "3"},
      {"run.instruction_set", "avx2"},
      {"run.local_steps", "12_345"},
      {"run.init", "start.safetensors"},
      {"run.resume", "auto"},
      {"clock.mode", "wall"},
      {"model.layers", "2"},
      {"model.width", "96"},
      {"model.heads", "5"},
      {"model.head_size", "16"},
      {"model.feed_forward", "100"},
      {"model.sequence_length", "32"},
      {"model.embeddings", "untied"},
      {"model.positions", "rotary"},
      {"model.block_norm", "rms"},
      {"model.activation", "swiglu"},
      {"model.recompute", "true"},
      {"data.paths", "['a', ['b', 'c/*.txt'], 'd']"},
      {"data.batch_size", "3"},
      {"data.held_out", "0.1"},
      {"data.deduplicate", "false"},
      {"data.shard_weights", "equal"},
      {"data.shard_sampling", "fixed"},
      {"data.prefetch", "1"},
      {"data.loader_threads", "2"},
      {"workers.count", "3"},
      {"workers.seconds_per_step", "[0.1, 1, 1e-9]"},
      {"workers.jitter", "0.30000000000000004"},
      {"workers.events", "['600 2 pause 60', \"1e3\\tall  slow-down 1.5\"]"},
      {"workers.throttle", "true"},
      {"workers.threads_per_lane", "2"},
      {"workers.device", "['cuda:1', 'cuda', 'cpu']"},
      {"inner.optimizer", "nesterov"},
      {"inner.lr", "1"},
      {"inner.final_lr", "1e-300"},
      {"inner.warmup_steps", "0"},
      {"inner.momentum", "0.95"},
      {"inner.weight_decay", "0"},
      {"inner.weight_decay_on", "matrices"},
      {"inner.clip", "1e5"},
      {"inner.schedule", "notebook"},
      {"inner.state", "zero"},
      {"inner.label_smoothing", "0.1"},
      {"inner.local_scale", "0.25"},
      {"inner.precision", "bf16"},
      {"inner.proximal", "0.01"},
      {"inner.micro_batch", "2"},
      {"outer.optimizer", "delayed-nesterov"},
      {"outer.lr", "0.05"},
      {"outer.momentum", "0.8"},
      {"outer.buffer", "7"},
      {"outer.activation", "0.1"},
      {"outer.weighting", "tokens"},
      {"outer.threads", "3"},
      {"outer.norm_guard", "6"},
      {"staleness.weight", "hinge"},
      {"staleness.scale", "0.5"},
      {"staleness.hinge_slope", "3"},
      {"staleness.hinge_start", "1"},
      {"staleness.limit", "9"},
      {"staleness.unit", "arrivals"},
      {"staleness.compensation", "adaptive"},
      {"staleness.compensation_strength", "2"},
      {"staleness.compensation_decay", "0.9"},
      {"quota.policy", "fixed"},
      {"quota.stages", "['0 3', '100 5']"},
      {"window.grace_seconds", "0.25"},
      {"network.latency_seconds", "[0.1]"},
      {"network.bandwidth_mbit", "[10, 0, 0.5]"},
      {"network.codec_up", "int8"},
      {"network.codec_down", "bf16"},
      {"network.listen", "0.0.0.0:4711"},
      {"network.chunk_kib", "256"},
      {"network.window", "16"},
      {"network.heartbeat_seconds", "0.5"},
      {"network.silence_seconds", "7"},
      {"network.retry_seconds", "30"},
      {"network.cert", "node.pem"},
      {"network.key", "node.key"},
      {"network.ca", "ca.pem"},
      {"evaluate.every_local_steps", "77"},
      {"evaluate.batches", "5"},
      {"evaluate.half", "a"},
      {"evaluate.baselines", "false"},
      {"evaluate.diverged_after", "5"},
      {"record.pairwise_cosines", "true"},
      {"checkpoint.every_versions", "7"},
      {"checkpoint.keep", "3"},
      {"journal.keep", "all"},
      {"monitor.listen", "127.0.0.1:0"},
  };
}

override_list unusual_toy_settings() {
  return {
      {"run.branch", "runs/parent"},
      {"model.kind", "mlp"},
      {"data.kind", "gaussian-mixtures"},
      {"data.dimension", "8"},
      {"data.clusters", "6"},
      {"data.classes", "3"},
      {"data.noise", "0.25"},
      {"data.points", "1000"},
      {"data.shards", "2"},
      {"workers.heterogeneity", "slight"},
      {"inner.beta1", "0.8"},
      {"inner.state_files", "true"},
      {"inner.beta2", "0.9"},
      {"inner.epsilon", "1e-6"},
      {"outer.mode", "sync"},
      {"outer.optimizer", "nesterov"},
      {"outer.handover", "zero"},
      {"staleness.weight", "polynomial"},
      {"staleness.exponent", "0.75"},
      {"quota.local_steps", "9"},
      {"quota.speeds", "measured"},
      {"window.quorum", "2"},
      {"evaluate.on", "training"},
  };
}

override_list unusual_adam_settings() {
  return {
      {"data.paths", "['a']"},
      {"inner.optimizer", "lars"},
      {"inner.trust", "0.02"},
      {"inner.schedule", "step"},
      {"inner.milestones", "[0.25, 0.3333333333333334]"},
      {"inner.decay_factor", "0.5"},
      {"outer.optimizer", "adamw"},
      {"outer.beta1", "0.8"},
      {"outer.beta2", "0.95"},
      {"outer.epsilon", "0.1"},
      {"outer.weight_decay", "0.01"},
      {"outer.accumulate", "3"},
      {"window.policy", "clairvoyant"},
  };
}

override_list unusual_resnet_settings() {
  return {
      {"model.kind", "resnet"},      {"data.kind", "image-folder"}, {"data.paths", "['a']"},
      {"data.image_size", "16"},     {"data.augment", "false"},     {"data.split", "dirichlet"},
      {"data.concentration", "0.1"}, {"data.bad_files", "skip"},    {"data.shards", "2"},
      {"model.depth", "20"},         {"model.channels", "24"},      {"model.stem", "imagenet"},
      {"model.norm", "group"},       {"model.groups", "8"},
  };
}

override_list unusual_norm_settings() {
  return {
      {"model.kind", "resnet"},           {"data.kind", "cifar10"},    {"data.paths", "['a']"},
      {"model.norm_statistics", "local"}, {"network.overlap", "true"}, {"journal.enabled", "false"},
  };
}

override_list unusual_null_settings() {
  return {{"model.kind", "null"},
          {"data.kind", "gaussian-mixtures"},
          {"clock.mode", "wall"},
          {"model.parameters", "1000"},
          {"model.step_seconds", "0.5"}};
}

override_list unusual_tensor_settings() {
  return {{"model.kind", "torchscript"},     {"model.path", "model.pt"},
          {"data.kind", "tensors"},          {"data.paths", "['a', 'b']"},
          {"data.tensors", "['x', 'y \"']"}, {"data.split", "files"},
          {"data.held_out_paths", "['c']"}};
}

override_list unusual_group_settings() {
  return {{"data.paths", "['a']"},
          {"outer.mode", "sync"},
          {"outer.optimizer", "sgd"},
          {"outer.group_size", "2"},
          {"outer.group_rounds", "5"}};
}

bool equal(const config& a, const config& b) {
  for (const auto& spec : keys()) {
    if (spec.member.get(a) != spec.member.get(b)) return false;
  }
  return true;
}

}  // namespace

// -- reading ------------------------------------------------------------------------------------

TEST_CASE("a file's values are read, and what it leaves out has its default") {
  const auto c = load(
      "[run]\nname = 'mine'\nseed = 7\n"
      "[data]\npaths = ['one', ['two', 'three']]\nheld_out = 0.25\ndeduplicate = false\n"
      "[workers]\ncount = 2\nseconds_per_step = [0.5, 1]\n");
  CHECK(c.run.name == "mine");
  CHECK(c.run.seed == 7);
  CHECK(c.data.paths == std::vector<std::vector<std::string>>{{"one"}, {"two", "three"}});
  CHECK(c.data.held_out == 0.25);
  CHECK_FALSE(c.data.deduplicate);
  CHECK(c.workers.seconds_per_step == std::vector<double>{0.5, 1.0});
  CHECK(c.run.local_steps == config{}.run.local_steps);
  CHECK(c.inner.lr == config{}.inner.lr);
}

TEST_CASE("without a file there are the defaults and the command line") {
  const auto c = load_config("", {{"data.paths", "['a']"}, {"inner.lr", "0.5"}});
  auto expected = config{};
  expected.data.paths = {{"a"}};
  expected.inner.lr = 0.5;
  CHECK(equal(c, expected));
}

TEST_CASE("the command line wins over the file, and its last word over its first") {
  const auto c = load("run.seed = 1\nrun.threads = 2\ndata.paths = ['a']",
                      {{"run.seed", "2"}, {"run.seed", "3"}});
  CHECK(c.run.seed == 3);
  CHECK(c.run.threads == 2);
}

TEST_CASE("a number is a float where the key wants one") {
  CHECK(load_config("", {{"data.paths", "['a']"}, {"inner.lr", "1"}}).inner.lr == 1.0);
  CHECK(load("data.paths = ['a']\nouter.lr = 2").outer.lr == 2.0);
}

TEST_CASE("a string on the command line needs no quotes, whatever else it could be") {
  const auto name = [](const std::string& text) {
    return load_config("", {{"data.paths", "['a']"}, {"run.name", text}}).run.name;
  };
  CHECK(name("mine") == "mine");
  CHECK(name("42") == "42");
  CHECK(name("true") == "true");
  CHECK(name("[1]") == "[1]");
  CHECK(name("two words") == "two words");
  CHECK(name("\"quoted\\t\"") == "quoted\t");
  CHECK(name("'quoted'") == "quoted");
  CHECK(name("1\nseed = 2") == "1\nseed = 2");
  const auto c = load_config("", {{"data.paths", "['a']"}, {"run.directory", ""}});
  CHECK(c.run.directory.empty());
}

// -- mistakes -----------------------------------------------------------------------------------

TEST_CASE("a file that cannot be read is an error that says why") {
  const temporary_folder folder;
  const auto message = [&](const std::string& path) -> std::string {
    try {
      load_config(path);
    } catch (const usage_error& error) {
      return without(error.what(), folder.prefix());
    }
    return "";
  };
  CHECK(message(folder.prefix() + "none.toml") ==
        "none.toml: cannot be read: No such file or directory");
  std::filesystem::create_directory(folder.prefix() + "sub");
  CHECK(message(folder.prefix() + "sub") == "sub: cannot be read: Is a directory");
}

TEST_CASE("a file that is not TOML is an error with line and column") {
  // The words after the place are the parser's.
  const auto at = [](const std::string& text) {
    const auto message = error_of(text);
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(0, message.find(' '));
  };
  CHECK(at("[run]\nseed =\n") == "x.toml:2:7:");
  CHECK(at("[run]\nseed = 1\nseed = 2\n") == "x.toml:3:8:");
  CHECK(at("[run]\n\n  name = 'a\nb'\n") == "x.toml:3:12:");
  CHECK(at("[run\n") == "x.toml:1:5:");
  CHECK(at("[run]\nseed = na\n") == "x.toml:2:10:");  // in the parser's words, too
  CHECK(at("[run]\nname = \"\xff\"\n") == "x.toml:2:8:");
  CHECK(at("[run]\nseed = 9223372036854775808\n") == "x.toml:2:27:");
}

TEST_CASE("mistakes in a file are reported with line, key, value and what is allowed") {
  struct bad_file {
    std::string text, message;
  };
  const std::vector<bad_file> table = {
      // Unknown names.
      {"[run]\nsed = 1", "x.toml:2: unknown key run.sed = 1; did you mean run.seed?"},
      {"[run]\nlr = 0.5", "x.toml:2: unknown key run.lr = 0.5; did you mean inner.lr or outer.lr?"},
      {"[inner]\nbeta = 0.5",
       "x.toml:2: unknown key inner.beta = 0.5; did you mean inner.beta1 or inner.beta2?"},
      {"seed = 1", "x.toml:1: unknown key seed = 1; did you mean run.seed?"},
      {"[window]\ngrace = 'long'",
       "x.toml:2: unknown key window.grace = \"long\"; the keys of [window] are policy, "
       "grace_seconds, quorum"},
      {"[modle]\nlayers = 1", "x.toml:1: unknown section [modle]; did you mean [model]?"},
      {"[diary]\nenabled = true",
       "x.toml:1: unknown section [diary]; the sections are run, clock, model, data, workers, "
       "inner, outer, staleness, quota, window, network, evaluate, record, checkpoint, journal, "
       "monitor"},
      {"run = 1", "x.toml:1: run is a section: its keys are run.<key>"},
      {"[[run]]\nseed = 1", "x.toml:1: run is a section: its keys are run.<key>"},
      // The first mistake of the file comes first.
      {"[run]\nthreads = 'x'\nseed = 'x'\n",
       "x.toml:2: run.threads = \"x\" must be a whole number from 0 to 1024"},
      // Wrong types.
      {"[run]\nseed = 1.0",
       "x.toml:2: run.seed = 1.0 must be a whole number from 0 to 9223372036854775807"},
      {"[run.seed]\na = 1",
       "x.toml:1: run.seed = {...} must be a whole number from 0 to 9223372036854775807"},
      {"[run]\nname = 42", "x.toml:2: run.name = 42 must be a string"},
      {"[run]\nname = 1979-05-27", "x.toml:2: run.name = 1979-05-27 must be a string"},
      {"[data]\ndeduplicate = 1", "x.toml:2: data.deduplicate = 1 must be true or false"},
      {"[inner]\nlr = true", "x.toml:2: inner.lr = true must be a number above 0 and at most 100"},
      {"[workers]\nseconds_per_step = 0.5",
       "x.toml:2: workers.seconds_per_step = 0.5 must be a list of numbers, each from 1e-09 to "
       "1000 (seconds)"},
      {"[workers]\nseconds_per_step = [0.5, 'x']",
       "x.toml:2: workers.seconds_per_step = [0.5, \"x\"] must be a list of numbers, each from "
       "1e-09 to 1000 (seconds)"},
      {"[workers]\nevents = 600",
       "x.toml:2: workers.events = 600 must be a string or a list of strings"},
      {"[workers]\nevents = ['600 2 pause 60', 600]",
       "x.toml:2: workers.events = [\"600 2 pause 60\", 600] must be a string or a list of "
       "strings"},
      {"[data]\npaths = 'a'",
       "x.toml:2: data.paths = \"a\" must be a list with a string or a list of strings for each "
       "shard, none of them empty"},
      {"[data]\npaths = [\n  'a',\n  [],\n]",
       "x.toml:2: data.paths = [\"a\", []] must be a list with a string or a list of strings for "
       "each shard, none of them empty"},
      {"[data]\npaths = [['a', '']]",
       "x.toml:2: data.paths = [[\"a\", \"\"]] must be a list with a string or a list of strings "
       "for each shard, none of them empty"},
      {"[data]\npaths = ['a', [1]]",
       "x.toml:2: data.paths = [\"a\", [1]] must be a list with a string or a list of strings for "
       "each shard, none of them empty"},
      // A long value is cut, between characters.
      {"[run]\nseed = '" + std::string(78, 'x') + "ü'",
       "x.toml:2: run.seed = \"" + std::string(78, 'x') +
           "... must be a whole number from 0 to 9223372036854775807"},
      // Out of range.
      {"[run]\nlocal_steps = 0",
       "x.toml:2: run.local_steps = 0 must be a whole number from 1 to 1000000000 (steps)"},
      {"[run]\nseed = -1",
       "x.toml:2: run.seed = -1 must be a whole number from 0 to 9223372036854775807"},
      {"[model]\nheads = 1025",
       "x.toml:2: model.heads = 1025 must be a whole number from 1 to 1024"},
      {"[data]\nheld_out = 1.0",
       "x.toml:2: data.held_out = 1.0 must be a number above 0 and below 1"},
      {"[data]\nheld_out = 0", "x.toml:2: data.held_out = 0 must be a number above 0 and below 1"},
      {"[inner]\nlr = 0.0", "x.toml:2: inner.lr = 0.0 must be a number above 0 and at most 100"},
      {"[inner]\nlr = nan", "x.toml:2: inner.lr = nan must be a number above 0 and at most 100"},
      {"[inner]\nlr = inf", "x.toml:2: inner.lr = inf must be a number above 0 and at most 100"},
      {"[inner]\nclip = -inf", "x.toml:2: inner.clip = -inf must be a number from 0 to 1000000"},
      {"[outer]\nmomentum = 1",
       "x.toml:2: outer.momentum = 1 must be a number of at least 0 and below 1"},
      {"[network]\nlatency_seconds = [0.1, nan]",
       "x.toml:2: network.latency_seconds = [0.1, nan] must be a list of numbers, each from 0 to "
       "1000 (seconds)"},
      // Not one of the choices.
      {"[outer]\noptimizer = 'adamm'",
       "x.toml:2: outer.optimizer = \"adamm\" must be one of \"sgd\", \"momentum\", \"nesterov\", "
       "\"delayed-nesterov\", \"adam\", \"adamw\", \"mixing\", \"slowmo\", \"lookahead-nesterov\""},
      {"[outer]\nmode = 'Sync'",
       "x.toml:2: outer.mode = \"Sync\" must be one of \"sync\", \"async\""},
      {"[clock]\nmode = 'real'",
       "x.toml:2: clock.mode = \"real\" must be one of \"virtual\", \"wall\""},
      {"[data]\ntokenizer = 'words'", "x.toml:2: data.tokenizer = \"words\" must be \"bytes\""},
      // Not used with the chosen method.
      {"[outer]\noptimizer = 'nesterov'\nbuffer = 4",
       "x.toml:3: outer.buffer = 4 is not used with outer.optimizer = \"nesterov\" (x.toml:2); it "
       "needs outer.optimizer = \"delayed-nesterov\""},
      {"[inner]\nmomentum = 0.5",
       "x.toml:2: inner.momentum = 0.5 is not used with inner.optimizer = \"adamw\" (the default); "
       "it needs inner.optimizer = \"momentum\" or \"nesterov\" or \"lars\""},
      {"[workers]\nheterogeneity = 'none'\nseconds_per_step = [1, 1, 1, 1]",
       "x.toml:2: workers.heterogeneity = \"none\" is not used with workers.seconds_per_step = "
       "[1.0, 1.0, 1.0, 1.0] (x.toml:3); it needs workers.seconds_per_step = []"},
      {"[data]\nkind = 'gaussian-mixtures'\npaths = ['a']",
       "x.toml:3: data.paths = [\"a\"] is not used with data.kind = \"gaussian-mixtures\" "
       "(x.toml:2); it needs data.kind = \"text\" or \"tokens\" or \"tensors\" or \"cifar10\" or "
       "\"cifar100\" or \"image-folder\""},
      {"[data]\nnoise = 1.0",
       "x.toml:2: data.noise = 1.0 is not used with data.kind = \"text\" (the default); it needs "
       "data.kind = \"gaussian-mixtures\" or \"synthetic-images\""},
      {"[clock]\nmode = 'wall'\n[workers]\njitter = 0.1",
       "x.toml:4: workers.jitter = 0.1 is not used with clock.mode = \"wall\" (x.toml:2) and "
       "workers.throttle = false (the default); it needs clock.mode = \"virtual\" or "
       "workers.throttle = true"},
      {"[clock]\nmode = 'wall'\n[workers]\nheterogeneity = 'none'",
       "x.toml:4: workers.heterogeneity = \"none\" is not used with clock.mode = \"wall\" "
       "(x.toml:2) and workers.throttle = false (the default); it needs clock.mode = \"virtual\" "
       "or workers.throttle = true"},
      {"[workers]\nthrottle = true",
       "x.toml:2: workers.throttle = true is not used with clock.mode = \"virtual\" (the default); "
       "it needs clock.mode = \"wall\""},
      // Not together.
      {"[run]\nseed = 1",
       "x.toml: data.paths = [] must name at least one shard, as in data.paths = "
       "[\"texts/*.txt\"]"},
  };
  for (const auto& [text, message] : table) CHECK(error_of(text) == message);
}

TEST_CASE("mistakes on the command line are reported as such") {
  struct bad_option {
    std::string key, value, message;
  };
  const std::vector<bad_option> table = {
      {"run.sed", "7", "unknown key run.sed = 7; did you mean run.seed?"},
      {"rnu.seed", "7", "unknown key rnu.seed = 7; did you mean run.seed?"},
      {"quotas.speed", "fast", "unknown key quotas.speed = \"fast\"; did you mean quota.speeds?"},
      {"no.such", "7",
       "unknown key no.such = 7; the sections are run, clock, model, data, workers, inner, outer, "
       "staleness, quota, window, network, evaluate, record, checkpoint, journal, monitor"},
      {"run", "7", "run is a section: its keys are run.<key>"},
      {"run.seed", "seven",
       "run.seed = \"seven\" must be a whole number from 0 to 9223372036854775807"},
      {"run.seed", "", "run.seed = \"\" must be a whole number from 0 to 9223372036854775807"},
      {"run.threads", "1\nlocal_steps = 2",
       "run.threads = \"1\\u000alocal_steps = 2\" must be a whole number from 0 to 1024"},
      {"run.name", "\xff", "run.name must be valid UTF-8"},
      {"run.name", "", "run.name = \"\" must be a name for a folder: not empty and without \"/\""},
      {"run.name", "a/b",
       "run.name = \"a/b\" must be a name for a folder: not empty and without \"/\""},
      {"data.paths", "[]",
       "data.paths = [] must name at least one shard, as in data.paths = [\"texts/*.txt\"]"},
      {"inner.lr", "nan", "inner.lr = nan must be a number above 0 and at most 100"},
      {"workers.seconds_per_step", "[0.5,",
       "workers.seconds_per_step = \"[0.5,\" must be a list of numbers, each from 1e-09 to 1000 "
       "(seconds)"},
      {"window.quorum", "2",
       "window.quorum = 2 is not used with outer.mode = \"async\" (the default); it needs "
       "outer.mode = \"sync\""},
      {"model.heads", "3",
       "model.width = 128 is not a multiple of model.heads = 3; change one of them or set "
       "model.head_size (model.width by default)"},
      {"workers.seconds_per_step", "[0.5, 1]",
       "workers.seconds_per_step has 2 entries but workers.count = 4; it must have none or one a "
       "worker (workers.count by default)"},
      {"network.latency_seconds", "[0.5, 1]",
       "network.latency_seconds has 2 entries but workers.count = 4; it must have none, one for "
       "all or one a worker (workers.count by default)"},
      {"network.bandwidth_mbit", "[1, 2, 3, 4, 5]",
       "network.bandwidth_mbit has 5 entries but workers.count = 4; it must have none, one for all "
       "or one a worker (workers.count by default)"},
      {"network.bandwidth_mbit", "[1e-4]",
       "network.bandwidth_mbit has an entry of 0.0001; each must be 0 (no limit) or at least "
       "0.001"},
      {"inner.final_lr", "0.5",
       "inner.final_lr = 0.5 is above inner.lr = 0.001; the learning rate can only fall (inner.lr "
       "by default)"},
      {"outer.activation", "0.3",
       "outer.activation = 0.3 is above 1/N = 0.25 (N = workers.count = 4) (workers.count by "
       "default)"},
  };
  for (const auto& [key, value, message] : table) {
    CHECK(error_of({{key, value}}) == "command line: " + message);
  }
}

TEST_CASE("contradicting settings are reported with the place of each") {
  CHECK(error_of("data.paths = ['a']\n[model]\nwidth = 100\nheads = 3\n") ==
        "x.toml:3, x.toml:4: model.width = 100 is not a multiple of model.heads = 3; change one of "
        "them or set model.head_size");
  CHECK(error_of("data.paths = ['a']\n[model]\nwidth = 20\nheads = 4\npositions = 'rotary'\n") ==
        "x.toml:5, x.toml:3, x.toml:4: model.positions = \"rotary\" turns pairs of numbers, but a "
        "head has 5; make model.head_size even");
  CHECK(error_of("data.paths = ['a']\nouter.mode = 'sync'\nwindow.quorum = 4",
                 {{"workers.count", "3"}, {"outer.optimizer", "sgd"}}) ==
        "x.toml:3, command line: window.quorum = 4 can never be reached with workers.count = 3; it "
        "must be at most that");
  CHECK(error_of({{"outer.mode", "sync"}}) ==
        "command line: outer.optimizer = \"delayed-nesterov\" takes updates one at a time, which "
        "outer.mode = \"sync\" does not; use \"nesterov\", what it stands for there "
        "(outer.optimizer by default)");
  CHECK(error_of({{"outer.buffer", "5"}, {"outer.activation", "0.25"}}) ==
        "command line: outer.activation = 0.25 is above 1/N = 0.2 (N = outer.buffer = 5)");
  CHECK(
      error_of("data.paths = ['a', 'b', 'c']",
               {{"data.shard_sampling", "fixed"}, {"workers.count", "2"}}) ==
      "command line, x.toml:1: data.shard_sampling = \"fixed\" with workers.count = 2 would never "
      "train on the rest of the 3 shards of data.paths; use \"balanced\" or more workers");
}

TEST_CASE("methods that do not fit together are refused with what to do") {
  const auto says = [](const override_list& overrides, const char* part) {
    const auto message = error_of(overrides);
    CHECK_MESSAGE(message.find(part) != std::string::npos, message);
  };
  says({{"outer.optimizer", "slowmo"}}, "it needs outer.mode = \"sync\"");
  says({{"outer.optimizer", "slowmo"}, {"outer.mode", "sync"}, {"inner.final_lr", "0"}},
       "inner.final_lr must be above 0");
  says({{"outer.optimizer", "mixing"}, {"outer.mode", "sync"}}, "use \"sgd\"");
  says({{"outer.optimizer", "lookahead-nesterov"}, {"outer.mode", "sync"}}, "use \"nesterov\"");
  says({{"quota.stages", "['0 data-parallel']"}}, "needs outer.mode = \"sync\"");
  says({{"quota.stages", "['0 data-parallel']"},
        {"outer.mode", "sync"},
        {"outer.optimizer", "sgd"},
        {"window.quorum", "2"}},
       "window.quorum must be 0");
  const auto says_of_groups = [&](std::string key, std::string value, const char* part) {
    says({{"outer.mode", "sync"},
          {"outer.optimizer", "sgd"},
          {"outer.group_rounds", "2"},
          {std::move(key), std::move(value)}},
         part);
  };
  says_of_groups("outer.group_size", "3", "does not divide workers.count = 4");
  says_of_groups("window.quorum", "3", "window.quorum must be 0");
  says_of_groups("inner.state", "average", "use \"keep\" or \"zero\"");
  says_of_groups("network.codec_down", "int8", "network.codec_down must be \"f32\"");
  says_of_groups("quota.stages", "['0 data-parallel', '100 5']", "has no rounds for");
  says({{"quota.stages", "['5 4']"}}, "must begin at 0");
  says({{"quota.stages", "['0 1000000']"},
        {"workers.seconds_per_step", "[1, 1, 1, 1000]"},
        {"run.local_steps", "1000"},
        {"workers.events", "['9 all slow-down 1000 5']"}},
       "quota.stages = 1000000");
  says({{"inner.state", "average"}}, "needs outer.mode = \"sync\"");
  says({{"window.policy", "clairvoyant"}, {"clock.mode", "wall"}}, "use \"grace\"");
  const auto says_of_overlap = [&](std::string key, std::string value, const char* part) {
    says({{"network.overlap", "true"}, {std::move(key), std::move(value)}}, part);
  };
  says_of_overlap("window.grace_seconds", "0.5", "window.grace_seconds = 0");
  says_of_overlap("window.policy", "clairvoyant", "use window.policy = \"grace\"");
  says_of_overlap("outer.optimizer", "mixing", "where each round started");
  says_of_overlap("staleness.compensation", "constant", "where each round started");
  says_of_overlap("outer.norm_guard", "5", "when its worker has already gone on");
  says({{"evaluate.half", "b"}, {"evaluate.batches", "1"}}, "at least 2");
}

TEST_CASE("a device is the CPU or a GPU, alone or in a list") {
  const std::string text = "[data]\npaths = ['a']\n";
  CHECK(load(text).workers.device == std::vector<std::string>{"cpu"});
  CHECK(load(text + "[workers]\ndevice = 'cuda:7'\n").workers.device ==
        std::vector<std::string>{"cuda:7"});
  CHECK(load(text, {{"workers.device", "cuda"}}).workers.device ==
        std::vector<std::string>{"cuda"});
  CHECK(load(text, {{"workers.device", "['cuda:0', 'cuda:1']"}}).workers.device ==
        std::vector<std::string>{"cuda:0", "cuda:1"});
  for (const std::string wrong :
       {"gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:100", "[]", "['cpu', '']"}) {
    CAPTURE(wrong);
    CHECK(
        error_of(text, {{"workers.device", wrong}}).find("must be \"cpu\", \"cuda\", \"cuda:N\"") !=
        std::string::npos);
  }
  const std::string null = "[model]\nkind = 'null'\n[data]\nkind = 'gaussian-mixtures'\n";
  CHECK(error_of(null, {{"workers.device", "cuda"}})
            .find("is not for model.kind = \"null\", which computes nothing") != std::string::npos);
}

TEST_CASE("milestones rise, and a rate that steps down has no final one to be checked") {
  const auto error_with = [](const char* milestones) {
    return error_of({{"inner.schedule", "step"}, {"inner.milestones", milestones}});
  };
  CHECK(error_with("[0.5, 0.25]") ==
        "command line: inner.milestones = [0.5, 0.25] must be in rising order, each once");
  CHECK(error_with("[0.5, 0.5]") ==
        "command line: inner.milestones = [0.5, 0.5] must be in rising order, each once");
  CHECK(error_with("[0.5, 1]") ==
        "command line: inner.milestones = [0.5, 1] must be a list of numbers, each above 0 and "
        "below 1");
  CHECK(error_with("[]").empty());
  CHECK(error_of("data.paths = ['a']\ninner.final_lr = 0", {{"inner.schedule", "step"},
                                                            {"inner.lr", "1e-5"},
                                                            {"outer.optimizer", "slowmo"},
                                                            {"outer.mode", "sync"}})
            .empty());
}

TEST_CASE("settings at the edge of a rule are allowed") {
  const std::vector<override_list> fine = {
      {{"model.width", "100"}, {"model.heads", "3"}, {"model.head_size", "32"}},
      {{"inner.lr", "0.5"}, {"inner.final_lr", "0.5"}},
      {{"outer.activation", "0.25"}},
      {{"outer.buffer", "3"}, {"outer.activation", "0.3333333333333333"}},
      {{"outer.mode", "sync"}, {"outer.optimizer", "nesterov"}, {"window.quorum", "4"}},
      {{"network.latency_seconds", "[1, 2, 3, 4]"}, {"network.bandwidth_mbit", "[0]"}},
      {{"workers.seconds_per_step", "[]"}, {"workers.heterogeneity", "none"}},
      {{"quota.local_steps", "100"}, {"run.local_steps", "10"}},
      {{"data.shard_sampling", "fixed"}, {"workers.count", "1"}},
      {{"run.local_steps", "1000000"}, {"workers.seconds_per_step", "[1, 2, 3, 1000]"}},
      {{"run.local_steps", "1000000000"}},
      {{"inner.precision", "bf16"}},
  };
  for (const auto& overrides : fine) CHECK(error_of(overrides) == "");

  const std::vector<override_list> fine_toys = {
      {{"data.clusters", "7"}, {"data.classes", "7"}},
      {{"data.points", "32"}, {"data.shards", "1"}},
      {{"data.points", "64"}, {"data.shards", "4"}, {"data.batch_size", "16"}},
      {{"data.shard_sampling", "fixed"}, {"data.shards", "4"}},
  };
  for (const auto& overrides : fine_toys) CHECK(toy_error_of(overrides) == "");
}

TEST_CASE("a toy must have equally many points in each cluster and a batch for each shard") {
  CHECK(toy_error_of({{"data.clusters", "33"}}) ==
        "command line: data.clusters = 33 is not a multiple of data.classes = 4 (data.classes by "
        "default)");
  CHECK(toy_error_of({{"data.points", "31"}, {"data.shards", "1"}, {"data.batch_size", "1"}}) ==
        "command line: data.points = 31 must be enough for equally many in each of the 32 "
        "clusters and a batch of 1 in each of the 1 shards (data.clusters by default)");
  CHECK(toy_error_of({{"data.points", "95"}, {"data.shards", "5"}}) != "");  // 64 are usable
  CHECK(toy_error_of({{"data.points", "96"}, {"data.shards", "5"}}) == "");
  CHECK(toy_error_of({{"data.points", "63"}}).find("a batch of 16 in each of the 4 shards") !=
        std::string::npos);
  CHECK(toy_error_of({{"data.shard_sampling", "fixed"}, {"workers.count", "3"}}) ==
        "command line: data.shard_sampling = \"fixed\" with workers.count = 3 would never train on "
        "the rest of the 4 shards of data.shards; use \"balanced\" or more workers (data.shards by "
        "default)");
}

TEST_CASE("images need a folder, or patterns and batches that their number is enough for") {
  const auto error = [](const override_list& overrides) {
    return error_of("model.kind = 'resnet'", overrides);
  };
  for (const std::string kind : {"cifar10", "cifar100", "image-folder"}) {
    CHECK(error({{"data.kind", kind}}) ==
          "x.toml: data.paths = [] must name the folder of the images, as in data.paths = "
          "[\"pictures\"]");
    CHECK(error({{"data.kind", kind}, {"data.paths", "['a']"}}) == "");
  }
  CHECK(error({{"data.kind", "synthetic-images"}}) == "");
  CHECK(error({{"data.kind", "synthetic-images"}, {"data.classes", "10"}}) ==
        "command line: data.clusters = 32 is not a multiple of data.classes = 10 (data.clusters by "
        "default)");
  CHECK(error({{"data.kind", "synthetic-images"}, {"data.points", "63"}}) != "");
}

TEST_CASE("a model is for one kind of data") {
  CHECK(error_of({{"model.kind", "mlp"}}) ==
        "command line: model.kind = \"mlp\" cannot learn from data.kind = \"text\"; it takes "
        "\"gaussian-mixtures\" (data.kind by default)");
  CHECK(error_of("data.kind = 'gaussian-mixtures'") ==
        "x.toml:1: model.kind = \"transformer\" cannot learn from data.kind = "
        "\"gaussian-mixtures\"; it takes \"text\" or \"tokens\" (model.kind by default)");
  CHECK(error_of("data.kind = 'gaussian-mixtures'\nmodel.kind = 'resnet'") ==
        "x.toml:2, x.toml:1: model.kind = \"resnet\" cannot learn from data.kind = "
        "\"gaussian-mixtures\"; it takes \"synthetic-images\" or \"cifar10\" or \"cifar100\" or "
        "\"image-folder\"");
}

TEST_CASE("a model from Python needs its file, and tensors need files and names") {
  const std::string text =
      "model.kind = 'torchscript'\nmodel.path = 'm.pt'\ndata.kind = 'tensors'\n"
      "data.paths = ['a', 'b']\ndata.tensors = ['x']\n";
  CHECK(error_of(text) == "");
  CHECK(error_of(text, {{"model.path", ""}}) ==
        "command line: model.path = \"\" must be the file of the model, as in model.path = "
        "\"model.pt\"");
  CHECK(error_of(text, {{"data.tensors", "[]"}}) ==
        "command line: data.tensors = [] must name at least one tensor, as in data.tensors = "
        "[\"x\", \"y\"]");
  CHECK(error_of(text, {{"data.paths", "[]"}}) ==
        "command line: data.paths = [] must name at least one file, as in data.paths = "
        "[\"data.safetensors\"]");
  CHECK(error_of(text, {{"data.kind", "gaussian-mixtures"}}).find("it takes \"tensors\"") !=
        std::string::npos);
  CHECK(error_of(text, {{"inner.label_smoothing", "0.1"}}).find("is not used with model.kind") !=
        std::string::npos);
}

TEST_CASE("how data is split goes with what it is") {
  const std::string text =
      "model.kind = 'torchscript'\nmodel.path = 'm.pt'\ndata.kind = 'tensors'\n"
      "data.paths = ['a', 'b']\ndata.tensors = ['x']\n";
  CHECK(error_of(text, {{"data.split", "files"}}) == "");
  CHECK(error_of(text, {{"data.split", "dirichlet"}}) ==
        "command line, x.toml:3: data.split = \"dirichlet\" is not for data.kind = \"tensors\"; "
        "use \"iid\" or \"files\"");
  CHECK(error_of({{"model.kind", "resnet"}, {"data.kind", "cifar10"}, {"data.split", "files"}}) ==
        "command line: data.split = \"files\" is not for data.kind = \"cifar10\"; use \"iid\" or "
        "\"dirichlet\"");
  CHECK(error_of(text, {{"data.split", "files"}, {"data.shards", "2"}})
            .find("data.shards = 2 is not used with data.split = \"files\"") != std::string::npos);
  CHECK(
      error_of(text,
               {{"data.split", "files"}, {"data.shard_sampling", "fixed"}, {"workers.count", "1"}})
          .find("shards of data.paths") != std::string::npos);
}

TEST_CASE("a resnet has one of the depths that there are") {
  const auto error_at = [](const std::string& depth) {
    return error_of({{"model.kind", "resnet"},
                     {"data.kind", "cifar10"},
                     {"data.paths", "['a']"},
                     {"model.depth", depth}});
  };
  CHECK(error_at("16") ==
        "command line: model.depth = 16 is not the depth of a resnet; it must be 18, 34, 50, 101, "
        "152 or another 6n + 2, such as 14 or 20");
  CHECK(error_at("100").find("such as 98 or 104") != std::string::npos);
  for (const char* depth : {"8", "14", "18", "20", "34", "50", "101", "152", "1202"}) {
    CHECK_NOTHROW(load_config("", {{"model.kind", "resnet"},
                                   {"data.kind", "cifar10"},
                                   {"data.paths", "['a']"},
                                   {"model.depth", depth}}));
  }
}

TEST_CASE("a run that takes longer than the clock can count is refused") {
  const std::string end =
      " seconds a step is more than the 1000000000 seconds that a run may take; use fewer or "
      "shorter steps";
  const auto too_long = [](override_list overrides, const std::string& events = "") {
    if (!events.empty()) overrides.emplace_back("workers.events", events);
    return error_of(overrides);
  };
  const override_list slow = {{"run.local_steps", "1000000"},
                              {"workers.seconds_per_step", "[1, 2, 3, 100]"}};
  CHECK(
      too_long({{"run.local_steps", "2000000"}, {"workers.seconds_per_step", "[1, 2, 3, 1e3]"}}) ==
      "command line: run.local_steps = 2000000 at up to 1000" + end);
  CHECK(too_long({{"run.local_steps", "10"},
                  {"quota.local_steps", "1000000"},
                  {"workers.seconds_per_step", "[1, 2, 3, 1e3]"}}) == "");
  // Events that slow workers down for good.
  CHECK(too_long(slow) == "");
  CHECK(too_long(slow, "['5 3 slow-down 9.9']") == "");
  CHECK(too_long(slow, "['5 3 slow-down 11']") ==
        "command line: run.local_steps = 1000000 at up to 1100" + end);
  CHECK(too_long(slow, "['5 all slow-down 5', '9 2-3 slow-down 4']") ==
        "command line: run.local_steps = 1000000 at up to 2000" + end);
  CHECK(too_long(slow, "['5 0-1 slow-down 5', '9 2-3 slow-down 4']") == "");
  CHECK(too_long({{"run.local_steps", "1000001"}}, "['5 0 pace 1000']") ==
        "command line: run.local_steps = 1000001 at up to 1000" + end +
            " (workers.heterogeneity by default)");
  CHECK(too_long({{"run.local_steps", "1000000"}}, "['5 0 pace 1000']") == "");
  // A slow-down that ends can only make a round too long, together with others at the time.
  CHECK(too_long(slow, "['5 all slow-down 1000 5']") == "");
  const override_list rounds = {{"workers.seconds_per_step", "[1, 2, 3, 10]"},
                                {"quota.local_steps", "1000"}};
  CHECK(too_long(rounds, "['5 0-2 slow-down 1000 5', '6 2-3 slow-down 200 5']") ==
        "command line: quota.local_steps = 1000 at up to 2e+06" + end);
  CHECK(too_long(rounds, "['5 0-2 slow-down 1000 5', '10 2-3 slow-down 200 5']") == "");
  CHECK(too_long(rounds, "['5 0-1 slow-down 1000 5', '6 2-3 slow-down 200 5']") == "");
  CHECK(too_long(rounds, "['5 3 slow-down 1000', '6 3 slow-down 200', '6 3 slow-down 0.001']") !=
        "");
  // As fast as it can, a worker has no pace.
  CHECK(too_long({{"run.local_steps", "1000000000"}, {"clock.mode", "wall"}}, "['5 0 leave']") ==
        "");
}

// -- the clock and the workers ------------------------------------------------------------------

TEST_CASE("on the wall clock, simulated paces and links are the throttle's alone") {
  const std::vector<std::pair<std::string, std::string>> paced = {
      {"workers.heterogeneity", "none"},   {"workers.seconds_per_step", "[1, 1, 1, 1]"},
      {"workers.jitter", "0.1"},           {"network.latency_seconds", "[0.1]"},
      {"network.bandwidth_mbit", "[100]"},
  };
  for (const auto& setting : paced) {
    const auto& key = setting.first;
    CAPTURE(key);
    const override_list wall = {{"clock.mode", "wall"}, setting};
    CHECK(error_of(wall).rfind("command line: " + key + " = ", 0) == 0);
    CHECK(error_of(wall).find("is not used with clock.mode = \"wall\" (command line) and "
                              "workers.throttle = false (the default); it needs ") !=
          std::string::npos);
    auto throttled = wall;
    throttled.emplace_back("workers.throttle", "true");
    CHECK(error_of(throttled) == "");
    CHECK(error_of({{"clock.mode", "virtual"}, setting}) == "");
  }
}

TEST_CASE("a file for the virtual clock runs on the wall clock, with a note for each pace it has") {
  const std::string text =
      "data.paths = ['a']\n[workers]\nheterogeneity = 'none'\njitter = 0.5\n[network]\n"
      "latency_seconds = [0.1]\n";
  std::vector<std::string> notes;
  const temporary_folder folder;
  const auto path = folder.write(text);
  const auto c = load_config(path, {{"clock.mode", "wall"}}, &notes);
  CHECK(c.workers.jitter == 0.0);
  CHECK(c.network.latency_seconds.empty());
  REQUIRE(notes.size() == 3);
  CHECK(without(notes[1], folder.prefix()) ==
        "workers.jitter = 0.5 from x.toml:4 is not used with clock.mode = \"wall\" (command line) "
        "and workers.throttle = false (the default)");

  notes.clear();
  const auto throttled =
      load_config(path, {{"clock.mode", "wall"}, {"workers.throttle", "true"}}, &notes);
  CHECK(throttled.workers.jitter == 0.5);
  CHECK(notes.empty());

  const temporary_folder other;
  const auto back =
      load_config(other.write("clock.mode = 'wall'\nworkers.throttle = true\nworkers.jitter = 0.5\n"
                              "data.paths = ['a']"),
                  {{"clock.mode", "virtual"}}, &notes);
  CHECK(back.workers.jitter == 0.5);
  CHECK_FALSE(back.workers.throttle);
  CHECK(notes.size() == 1);
}

TEST_CASE("given speeds need workers that keep to them") {
  CHECK(error_of({{"quota.speeds", "given"}}) == "");
  CHECK(error_of({{"quota.speeds", "given"}, {"clock.mode", "wall"}}) ==
        "command line: quota.speeds = \"given\" is of no use with clock.mode = \"wall\", where "
        "workers are as fast as the machine is; use \"measured\", or workers.throttle = true to "
        "keep to the given paces (workers.throttle by default)");
  const auto loaded = [](const override_list& overrides) {
    return load("data.paths = ['a']", overrides);
  };
  CHECK(loaded({{"quota.speeds", "given"}, {"clock.mode", "wall"}, {"workers.throttle", "true"}})
            .speeds_given());
  CHECK(loaded({}).speeds_given());
  CHECK_FALSE(loaded({{"clock.mode", "wall"}}).speeds_given());
  CHECK_FALSE(loaded({{"clock.mode", "wall"}, {"workers.throttle", "true"}}).speeds_given());
  CHECK_FALSE(loaded({{"quota.speeds", "measured"}}).speeds_given());
}

TEST_CASE("an event of workers.events that cannot be is reported with the entry") {
  CHECK(error_of({{"workers.events", "['600 2 pause 60', '600 4 leave']"}}) ==
        "command line: workers.events has an entry \"600 4 leave\": \"4\" is no worker of this "
        "run: a number from 0 to 3, a range as in 0-3, or all is wanted");
  CHECK(error_of("data.paths = ['a']\nworkers.events = ['600 2 nap']") ==
        "x.toml:2: workers.events has an entry \"600 2 nap\": \"nap\" is not known; it is pace, "
        "slow-down, pause or leave");
  CHECK(error_of({{"workers.events", "['600 4 leave']"}, {"workers.count", "5"}}) == "");
}

TEST_CASE("where workers are as fast as they can, they can only leave") {
  for (const std::string event :
       {"600 2 pace 1.5", "600 2 slow-down 2", "600 2 slow-down 2 60", "600 2 pause 60"}) {
    CAPTURE(event);
    const override_list wall = {{"clock.mode", "wall"}, {"workers.events", "['" + event + "']"}};
    CHECK(error_of(wall) ==
          "command line: workers.events has an entry \"" + event +
              "\", but on the wall clock a worker's pace can only be changed with "
              "workers.throttle = true (workers.throttle by default)");
    auto throttled = wall;
    throttled.emplace_back("workers.throttle", "true");
    CHECK(error_of(throttled) == "");
  }
  CHECK(error_of({{"clock.mode", "wall"},
                  {"workers.events", "['600 2 leave', '60 all leave 10']"}}) == "");
}

TEST_CASE("an explicit key that the method does not use is refused, its default is not") {
  struct unused_key {
    override_list method;
    std::string key, value;
  };
  const std::vector<unused_key> table = {
      {{{"outer.optimizer", "sgd"}}, "outer.momentum", "0.5"},
      {{{"outer.optimizer", "sgd"}}, "outer.activation", "0"},
      {{{"outer.optimizer", "momentum"}}, "outer.buffer", "4"},
      {{{"inner.optimizer", "sgd"}}, "inner.momentum", "0.5"},
      {{{"inner.optimizer", "sgd"}}, "inner.beta1", "0.5"},
      {{{"inner.optimizer", "momentum"}}, "inner.beta2", "0.5"},
      {{{"inner.optimizer", "nesterov"}}, "inner.epsilon", "0.5"},
      {{{"inner.optimizer", "momentum"}}, "inner.trust", "0.5"},
      {{{"inner.optimizer", "sgd"}}, "inner.state_files", "true"},
      {{{"inner.state", "zero"}}, "inner.state_files", "true"},
      {{{"workers.device", "cuda"}}, "inner.state_files", "true"},
      {{{"inner.schedule", "step"}}, "inner.final_lr", "1e-5"},
      {{{"inner.schedule", "notebook"}}, "inner.milestones", "[0.5]"},
      {{{"inner.schedule", "cosine"}}, "inner.decay_factor", "0.5"},
      {{{"outer.mode", "sync"}, {"outer.optimizer", "sgd"}}, "window.grace_seconds", "1"},
      {{{"outer.mode", "async"}}, "window.quorum", "1"},
      {{{"quota.policy", "fixed"}}, "quota.speeds", "given"},
      {{{"clock.mode", "virtual"}}, "workers.throttle", "false"},
      {{{"data.kind", "text"}}, "data.dimension", "512"},
      {{{"data.kind", "text"}}, "data.clusters", "32"},
      {{{"data.kind", "text"}}, "data.classes", "4"},
      {{{"data.kind", "text"}}, "data.noise", "0.5"},
      {{{"data.kind", "text"}}, "data.points", "128000"},
      {{{"data.kind", "text"}}, "data.shards", "4"},
      {{{"data.kind", "text"}}, "evaluate.on", "held-out"},
  };
  const auto check = [](const std::string& file, const override_list& method,
                        const std::string& key, const std::string& value) {
    CAPTURE(key);
    CHECK(error_of(file, method) == "");
    auto with_key = method;
    with_key.emplace_back(key, value);
    const auto error = error_of(file, with_key);
    CHECK(error.rfind("command line: " + key + " = ", 0) == 0);
    CHECK(error.find(" is not used with " + method[0].first) != std::string::npos);
  };
  for (const auto& [method, key, value] : table) check("data.paths = ['a']", method, key, value);

  const override_list toy = {{"data.kind", "gaussian-mixtures"}, {"model.kind", "mlp"}};
  for (const std::pair<std::string, std::string> text_key :
       {std::pair("data.paths", "['a']"), std::pair("data.tokenizer", "bytes"),
        std::pair("data.held_out", "0.05"), std::pair("data.deduplicate", "true"),
        std::pair("evaluate.baselines", "true")}) {
    check("", toy, text_key.first, text_key.second);
  }
  const override_list mlp = {{"model.kind", "mlp"}, {"data.kind", "gaussian-mixtures"}};
  for (const std::string key : {"layers", "heads", "head_size", "feed_forward"}) {
    check("", mlp, "model." + key, "4");
  }
  check("", mlp, "model.sequence_length", "4");
}

TEST_CASE("a key of the file that the command line put out of use is dropped, with a note") {
  const std::string text =
      "data.paths = ['a']\n[outer]\noptimizer = 'delayed-nesterov'\nmomentum = 0.5\n"
      "activation = 0.1\n";
  const temporary_folder folder;
  std::vector<std::string> notes;
  const auto c = load_config(folder.write(text), {{"outer.optimizer", "nesterov"}}, &notes);
  CHECK(c.outer.activation == config{}.outer.activation);
  CHECK(c.outer.momentum == 0.5);
  REQUIRE(notes.size() == 1);
  CHECK(without(notes[0], folder.prefix()) ==
        "outer.activation = 0.1 from x.toml:5 is not used with outer.optimizer = \"nesterov\" "
        "(command line)");
}

TEST_CASE(
    "a key is refused if the file alone does not use it either, or the command line sets it") {
  const std::string nesterov = "data.paths = ['a']\n[outer]\noptimizer = 'nesterov'\nbuffer = 4\n";
  CHECK(error_of(nesterov, {{"outer.optimizer", "sgd"}}) ==
        "x.toml:4: outer.buffer = 4 is not used with outer.optimizer = \"sgd\" (command line); it "
        "needs outer.optimizer = \"delayed-nesterov\"");
  CHECK(error_of(nesterov, {{"outer.optimizer", "delayed-nesterov"}}) == "");
  const std::string delayed = "data.paths = ['a']\nouter.buffer = 4\n";
  CHECK(error_of(delayed, {{"outer.optimizer", "sgd"}, {"outer.buffer", "5"}}) ==
        "command line: outer.buffer = 5 is not used with outer.optimizer = \"sgd\" (command line); "
        "it needs outer.optimizer = \"delayed-nesterov\"");
}

TEST_CASE("a dropped key takes no part in contradictions") {
  const std::string text = "data.paths = ['a']\n[outer]\nbuffer = 2\nactivation = 0.5\n";
  std::vector<std::string> notes;
  load(text, {{"outer.optimizer", "sgd"}, {"workers.count", "3"}}, &notes);
  CHECK(notes.size() == 2);
}

// -- writing ------------------------------------------------------------------------------------

TEST_CASE("a config written as TOML and read again is the same, to the last bit") {
  for (const auto& settings :
       {unusual_settings(), unusual_toy_settings(), unusual_adam_settings(),
        unusual_resnet_settings(), unusual_norm_settings(), unusual_group_settings(),
        unusual_null_settings(), unusual_tensor_settings()}) {
    const auto original = load_config("", settings);
    const auto text = to_toml(original);
    const auto again = load(text);
    CHECK(equal(again, original));
    CHECK(to_toml(again) == text);
  }
  const auto again = load(to_toml(load_config("", unusual_settings())));
  CHECK(again.workers.jitter == 0.30000000000000004);
  CHECK(again.inner.final_lr == 1e-300);
  CHECK(again.run.directory == "out \"of\" \\ here");
  CHECK(again.run.name == "fünf\tlines\x7f");
  CHECK(again.workers.events ==
        std::vector<std::string>{"600 2 pause 60", "1e3\tall  slow-down 1.5"});
}

TEST_CASE("the unusual settings leave no key at its default but those without a choice") {
  const auto text = load_config("", unusual_settings());
  const auto toy = load_config("", unusual_toy_settings());
  const auto adam = load_config("", unusual_adam_settings());
  const auto resnet = load_config("", unusual_resnet_settings());
  const auto norm = load_config("", unusual_norm_settings());
  const auto group = load_config("", unusual_group_settings());
  const auto null = load_config("", unusual_null_settings());
  const auto tensors = load_config("", unusual_tensor_settings());
  for (const auto& spec : keys()) {
    const auto normal = spec.default_value();
    const bool unusual = spec.member.get(text) != normal || spec.member.get(toy) != normal ||
                         spec.member.get(adam) != normal || spec.member.get(resnet) != normal ||
                         spec.member.get(norm) != normal || spec.member.get(group) != normal ||
                         spec.member.get(null) != normal || spec.member.get(tensors) != normal;
    CHECK_MESSAGE(unusual == (spec.choices.size() != 1), spec.name);
  }
}

TEST_CASE("the TOML of a config holds the keys in use, in order, and no others") {
  auto c = config{};
  c.outer.optimizer = "sgd";
  c.quota.policy = "fixed";
  const auto text = to_toml(c);
  CHECK(text.find("[outer]\nmode = \"async\"\noptimizer = \"sgd\"\nlr = 0.7\naccumulate = 1\n"
                  "weighting = \"uniform\"\nthreads = 0\nnorm_guard = 0.0\n\n"
                  "[staleness]\nweight = \"constant\"\nscale = 1.0\nlimit = -1\n"
                  "unit = \"versions\"\ncompensation = \"none\"\n\n"
                  "[quota]\npolicy = \"fixed\"\nlocal_steps = 50\nstages = []\n\n"
                  "[window]\npolicy = \"grace\"\ngrace_seconds = 0.0\n\n") != std::string::npos);
  CHECK(text.rfind("[run]\ndirectory = \"\"\nname = \"run\"\nseed = 1\n", 0) == 0);
}

TEST_CASE("a shard of one path is written as a string, of more as a list") {
  auto c = config{};
  c.data.paths = {{"a"}, {"b", "c"}};
  CHECK(to_toml(c).find("paths = [\"a\", [\"b\", \"c\"]]\n") != std::string::npos);
}

TEST_CASE("the quickstart is a valid config, and its synchronous variant too") {
  std::vector<std::string> notes;
  const auto async = load_config(quickstart_path(), {}, &notes);
  CHECK(notes.empty());
  CHECK(async.run.name == "quickstart");
  CHECK(async.outer.optimizer == "delayed-nesterov");
  CHECK(async.data.paths.size() == 4);

  const auto sync = load_config(quickstart_path(),
                                {{"outer.optimizer", "nesterov"}, {"outer.mode", "sync"}}, &notes);
  CHECK(sync.outer.mode == "sync");
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].rfind("outer.buffer = 4 from ", 0) == 0);
}

TEST_CASE("the quickstart is valid on the wall clock too, with and without its paces") {
  std::vector<std::string> notes;
  const auto fast = load_config(quickstart_path(), {{"clock.mode", "wall"}}, &notes);
  CHECK_FALSE(fast.paced());
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].rfind("workers.heterogeneity = \"very\" from ", 0) == 0);
  CHECK(to_toml(fast).find("heterogeneity") == std::string::npos);

  notes.clear();
  const auto paced = load_config(quickstart_path(),
                                 {{"clock.mode", "wall"}, {"workers.throttle", "true"}}, &notes);
  CHECK(paced.paced());
  CHECK(paced.workers.heterogeneity == "very");
  CHECK(notes.empty());
}

TEST_CASE("the toy is a valid config, on either clock") {
  for (const override_list& overrides : std::vector<override_list>{{}, {{"clock.mode", "wall"}}}) {
    const auto c = load_config(shipped("toy.toml"), overrides);
    CHECK(c.data.kind == "gaussian-mixtures");
    CHECK(c.model.kind == "mlp");
  }
}

// -- the schema ---------------------------------------------------------------------------------

TEST_CASE("every key has its own name and its own member, a help text and a default in range") {
  std::set<std::string_view> names;
  std::set<std::string> sections;
  std::string_view section;
  for (const auto& spec : keys()) {
    CAPTURE(spec.name);
    CHECK(names.insert(spec.name).second);
    if (spec.section() != section) {
      section = spec.section();
      CHECK(sections.emplace(section).second);  // keys of a section are neighbours
    }
    CHECK(find_key(spec.name) == &spec);
    CHECK_FALSE(spec.help.empty());
    CHECK(allows(spec, spec.default_value()));
    CHECK(spec.range.minimum <= spec.range.maximum);
  }
  CHECK(find_key("run.nothing") == nullptr);
  CHECK(key_names().size() == names.size());
  CHECK(key_names().front() == "run.directory");

  // Setting one key changes that one alone.
  for (const auto& settings :
       {unusual_settings(), unusual_toy_settings(), unusual_adam_settings(),
        unusual_resnet_settings(), unusual_norm_settings(), unusual_group_settings(),
        unusual_null_settings(), unusual_tensor_settings()}) {
    const auto c = load_config("", settings);
    for (const auto& spec : keys()) {
      auto changed = config{};
      spec.member.set(changed, spec.member.get(c));
      for (const auto& other : keys()) {
        const auto& expected = other.name == spec.name ? spec.member.get(c) : other.default_value();
        CHECK_MESSAGE(other.member.get(changed) == expected, spec.name);
      }
    }
  }
}

TEST_CASE("a condition names keys that exist and values that they allow") {
  for (const auto& spec : keys()) {
    CAPTURE(spec.name);
    for (const auto& clause : spec.used_when) {
      CHECK_FALSE(clause.empty());
      for (const auto& test : clause) {
        const auto* deciding = find_key(test.key);
        REQUIRE(deciding != nullptr);
        CHECK_FALSE(test.values.empty());
        for (const auto value : test.values) {
          if (std::holds_alternative<bool>(deciding->default_value())) {
            CHECK((value == "true" || value == "false"));
          } else if (deciding->choices.empty()) {
            CHECK(to_text(deciding->default_value()) == value);
          } else {
            CHECK(allows(*deciding, key_value(std::string(value))));
          }
        }
      }
    }
  }
}

TEST_CASE("whether a key is used never depends on the key itself, through however many others") {
  const auto reaches = [](const auto& self, const key_spec& from, std::string_view name,
                          std::size_t steps) -> bool {
    if (steps > keys().size()) return true;
    for (const auto& clause : from.used_when) {
      for (const auto& test : clause) {
        if (test.key == name || self(self, *find_key(test.key), name, steps + 1)) return true;
      }
    }
    return false;
  };
  for (const auto& spec : keys()) {
    CHECK_MESSAGE(!reaches(reaches, spec, spec.name, 0), spec.name);
  }
  // The chain that there is.
  CHECK(reaches(reaches, *find_key("workers.heterogeneity"), "workers.throttle", 0));
  CHECK(reaches(reaches, *find_key("workers.seconds_per_step"), "clock.mode", 0));
}

TEST_CASE("a key with several conditions is used only while all of them hold") {
  const auto& spec = *find_key("workers.heterogeneity");
  auto c = config{};
  CHECK(in_use(spec, c));
  CHECK(failing_clause(spec, c) == nullptr);
  c.workers.seconds_per_step = {1.0};
  CHECK_FALSE(in_use(spec, c));
  CHECK(failing_clause(spec, c) == &spec.used_when[0]);
  c.workers.seconds_per_step.clear();
  c.clock.mode = "wall";
  CHECK(failing_clause(spec, c) == &spec.used_when[1]);
  c.workers.throttle = true;
  CHECK(in_use(spec, c));
  CHECK(to_text(spec.used_when) ==
        "workers.seconds_per_step = [], and clock.mode = \"virtual\" or workers.throttle = true");
}

TEST_CASE("the defaults contradict each other only in lacking data") {
  auto c = config{};
  CHECK(find_contradiction(c)->keys == std::vector<std::string_view>{"data.paths"});
  c.data.paths = {{"a"}};
  CHECK_FALSE(find_contradiction(c).has_value());
}

TEST_CASE("the page of all keys has a row for each key with its default and scope") {
  const auto page = describe_keys_markdown();
  for (const auto& spec : keys()) {
    const auto start = "| `" + std::string(spec.name) + "` | `" + to_text(spec.default_value()) +
                       "` | " + allowed_values(spec) + " | ";
    const auto at = page.find("\n" + start);
    REQUIRE_MESSAGE(at != std::string::npos, spec.name);
    const auto row = page.substr(at + 1, page.find('\n', at + 1) - at - 1);
    CHECK_MESSAGE(std::count(row.begin(), row.end(), '|') == 6, row);
  }
  CHECK(page.find("| `outer.buffer` | `0` | a whole number from 0 to 65536 (updates) | run | N: "
                  "updates from one change of the momentum to the next; 0: the number of workers. "
                  "Used with outer.optimizer = \"delayed-nesterov\". |\n") != std::string::npos);
  CHECK(page.find("runs/&lt;name>") != std::string::npos);
}

TEST_CASE("the help for a terminal has each key as an option, in lines of at most 100 columns") {
  const auto help = describe_keys_text();
  for (const auto& spec : keys()) {
    CHECK(help.find("\n  --" + std::string(spec.name) + " " + to_text(spec.default_value()) +
                    "\n") != std::string::npos);
  }
  CHECK(help.find("\n  --inner.momentum 0.9\n"
                  "      Momentum of the workers' optimizer. Used with inner.optimizer = "
                  "\"momentum\" or \"nesterov\" or\n"
                  "      \"lars\". Takes a number of at least 0 and below 1.\n") !=
        std::string::npos);
  std::size_t longest = 0;
  for (std::size_t at = 0; at < help.size();) {
    const auto end = help.find('\n', at);
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  CHECK(longest <= 100);
  CHECK(longest > 90);
}
