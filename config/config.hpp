// The configuration of a run, as plain data: one struct a section, one member a key, with its
// default. What each key means, its range and who uses it is declared once in schema.cpp.
// Not here: parsing (load.hpp) and help texts (schema.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace rubato {

/// The value of any key; which alternative it is, is the key's type.
using key_value = std::variant<bool, std::int64_t, double, std::string, std::vector<double>,
                               std::vector<std::string>, std::vector<std::vector<std::string>>>;

struct config {
  struct run_section {
    std::string directory;  // empty: runs/<name>-<date>-<time>
    std::string name = "run";
    std::int64_t seed = 1;
    std::int64_t threads = 0;         // lanes; 0: one for each core
    std::int64_t local_steps = 4000;  // the budget, summed over workers
    std::string init;                 // a file or run with parameters to start from
    std::string branch;               // a run directory to go on from, as another run
    std::string resume = "no";        // no | auto: go on with an unfinished run in the directory
    std::string instruction_set = "auto";  // auto | baseline | avx2 | avx512: of our own loops
  } run;

  struct clock_section {
    std::string mode = "virtual";  // virtual | wall
  } clock;

  struct model_section {
    std::string kind = "transformer";  // transformer | mlp | resnet | torchscript | null
    std::string path;                  // of a torchscript, the file
    std::int64_t layers = 4;
    std::int64_t width = 128;  // of the hidden state or layer
    std::int64_t heads = 4;
    std::int64_t head_size = 0;     // 0: width / heads
    std::int64_t feed_forward = 0;  // 0: 4 * width
    std::int64_t sequence_length = 128;
    std::string embeddings = "tied";           // tied | untied: with the output's matrix
    std::string positions = "learned";         // learned | rotary
    std::string block_norm = "layer";          // layer | rms: of a transformer
    std::string activation = "gelu";           // gelu | swiglu: between feed-forward layers
    bool recompute = false;                    // blocks once more in the backward pass
    std::int64_t depth = 18;                   // layers of a resnet
    std::int64_t channels = 0;                 // of its first stage; 0: 16 or 64, by depth
    std::string stem = "cifar";                // cifar | imagenet
    std::string norm = "batch";                // batch | group
    std::int64_t groups = 32;                  // at most; of channels
    std::string norm_statistics = "averaged";  // averaged | local: BatchNorm's running ones
    std::int64_t parameters = 30'846'720;      // of null
    double step_seconds = 0.0261;              // that a step of null takes
  } model;

  struct data_section {
    // text | tokens | tensors | gaussian-mixtures | synthetic-images | cifar10 | cifar100 |
    // image-folder
    std::string kind = "text";
    // Of text one entry a shard; each a list of files, folders or globs.
    std::vector<std::vector<std::string>> paths;
    std::vector<std::vector<std::string>> held_out_paths;  // as paths; empty: held_out of these
    std::vector<std::string> tensors;  // what a model is given of each example, in this order
    std::string tokenizer = "bytes";
    std::int64_t batch_size = 16;
    double held_out = 0.05;  // share of the text, in whole files, or of a folder of images
    bool deduplicate = true;
    std::int64_t dimension = 512;  // of a point of the mixture, ...
    std::int64_t clusters = 32;    // ... which has so many Gaussians, or patterns of images ...
    std::int64_t classes = 4;      // ... in equal blocks of a class each
    double noise = 0.5;            // standard deviation around a cluster's centre
    std::int64_t points = 128000;  // or images to train on, in all shards together
    std::int64_t image_size = 32;  // pixels in height and width
    bool augment = true;           // random crops and flips of training images
    std::int64_t shards = 4;
    std::string split = "iid";           // iid | dirichlet | files: of examples over the shards
    double concentration = 0.5;          // of that distribution
    std::string bad_files = "refuse";    // refuse | skip
    std::int64_t loader_threads = 0;     // that make batches; 0: as many as are worth while
    std::string shard_weights = "size";  // size | equal
    std::string shard_sampling = "balanced";  // balanced (Eq 2) | least-visited | fixed
    std::int64_t prefetch = 8;                // batches ready for each running round
  } data;

  struct workers_section {
    std::int64_t count = 4;
    std::string heterogeneity = "very";    // none | slight | moderate | very
    std::vector<double> seconds_per_step;  // paces in place of a preset
    double jitter = 0.0;                   // sigma of a lognormal factor on each round
    std::vector<std::string> events;       // what happens to them, see worker_events.hpp
    bool throttle = false;                 // wall clock: keep to the paces
    std::int64_t threads_per_lane = 1;
    // Where lanes compute, in turn: cpu | cuda | cuda:N.
    std::vector<std::string> device = {"cpu"};
  } workers;

  struct inner_section {
    std::string optimizer = "adamw";  // sgd | momentum | nesterov | lars | adamw
    double lr = 1e-3;
    double final_lr = 1e-4;
    std::int64_t warmup_steps = 100;
    double momentum = 0.9;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double trust = 1e-3;  // of LARS
    double weight_decay = 0.1;
    std::string weight_decay_on = "all";  // all | matrices
    double clip = 1.0;                    // 0: off
    std::string schedule = "cosine";      // cosine | step | notebook
    // Shares of a schedule after which the rate falls by decay_factor; epochs 30, 60 and 80 of 90.
    std::vector<double> milestones = {30.0 / 90.0, 60.0 / 90.0, 80.0 / 90.0};
    double decay_factor = 0.1;
    std::string state = "keep";  // keep | zero | average: from round to round
    bool state_files = false;    // of workers that wait, in files that are mapped into memory
    double label_smoothing = 0.0;
    double local_scale = 1.0;        // on the rate of rounds after a data-parallel stage
    std::string precision = "auto";  // auto | f32 | bf16
    std::int64_t micro_batch = 0;    // examples computed at once; 0: the whole batch
    double proximal = 0.0;           // rho of FedAsync's proximal term; 0: off
  } inner;

  struct outer_section {
    std::string mode = "async";  // sync | async
    // sgd | momentum | nesterov | delayed-nesterov | adam | adamw | mixing | slowmo |
    // lookahead-nesterov
    std::string optimizer = "delayed-nesterov";
    double lr = 0.7;
    double momentum = 0.9;
    std::int64_t buffer = 0;      // N of delayed Nesterov; 0: the number of workers
    double activation = 0.0;      // c of delayed Nesterov
    std::int64_t accumulate = 1;  // updates averaged into one step
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.0;
    std::string weighting = "uniform";  // uniform | tokens
    std::string handover = "maintain";  // maintain | zero: after a data-parallel stage
    std::int64_t group_size = 1;        // workers that average among themselves ...
    std::int64_t group_rounds = 1;      // ... between global steps, which end so many rounds
    std::int64_t threads = 0;           // of a merge; 0: as many as cores, at most 4
    double norm_guard = 0.0;            // refuse updates so many spreads longer than usual; 0: off
  } outer;

  struct staleness_section {
    std::string weight = "constant";  // constant | polynomial | hinge
    double scale = 1.0;               // the weight of an update that is not stale
    double exponent = 0.5;
    double hinge_slope = 10.0;
    double hinge_start = 4.0;
    std::int64_t limit = -1;              // drop what is staler; -1: nothing
    std::string unit = "versions";        // versions | arrivals
    std::string compensation = "none";    // none | constant | adaptive
    double compensation_strength = 0.04;  // lambda
    double compensation_decay = 0.95;     // rho
  } staleness;

  struct quota_section {
    std::string policy = "dylu";      // fixed | dylu
    std::int64_t local_steps = 50;    // H
    std::vector<std::string> stages;  // in place of one H, see stages.hpp
    std::string speeds = "auto";      // auto | given | measured
  } quota;

  struct window_section {
    std::string policy = "grace";  // grace | clairvoyant
    double grace_seconds = 0.0;
    std::int64_t quorum = 0;  // sync: arrivals that close a round; 0: all
  } window;

  struct network_section {
    std::vector<double> latency_seconds;  // empty: 0; one for all, or one a worker
    std::vector<double> bandwidth_mbit;   // empty or 0: unlimited
    std::string codec_up = "f32";         // f32 | bf16 | int8 | int4
    std::string codec_down = "f32";       // f32 | bf16 | int8 | int4
    bool overlap = false;
    std::string listen = "127.0.0.1:0";  // of a server; port 0: any free one
    std::int64_t chunk_kib = 1024;       // of what is sent
    std::int64_t window = 8;             // chunks on their way to this process at most
    double heartbeat_seconds = 1.0;
    double silence_seconds = 5.0;  // the least after which the other end counts as gone
    double retry_seconds = 600.0;  // that a node looks for its server
    std::string cert;              // PEM files for TLS: all three or none
    std::string key;
    std::string ca;
  } network;

  struct evaluate_section {
    std::int64_t every_local_steps = 400;
    std::int64_t batches = 16;        // of each shard
    std::string half = "all";         // all | a | b
    std::string on = "held-out";      // held-out | training: points of the mixture
    bool baselines = true;            // print the n-gram models beside the loss
    std::int64_t diverged_after = 3;  // evaluations in a row without a number; 0: never
  } evaluate;

  struct record_section {
    bool pairwise_cosines = false;  // between each update and the latest of all other workers
  } record;

  struct checkpoint_section {
    std::int64_t every_versions = 100;  // 0: none
    std::int64_t keep = 2;
  } checkpoint;

  struct journal_section {
    bool enabled = true;
    std::string keep = "tail";  // tail | all
  } journal;

  struct monitor_section {
    std::string listen = "auto";  // auto | HOST:PORT | empty: nothing
  } monitor;

  /// Keys that a program has declared (registration.hpp), where they differ from their defaults.
  std::map<std::string, key_value, std::less<>> own;

  // -- what several keys together mean ------------------------------------------------------------

  /// The workers' paces and links are simulated: on the virtual clock, or by holding rounds up.
  bool paced() const { return clock.mode == "virtual" || workers.throttle; }
  /// DyLU goes by the given paces, not by measured ones.
  bool speeds_given() const {
    return quota.speeds == "given" || (quota.speeds == "auto" && clock.mode == "virtual");
  }
};

}  // namespace rubato
