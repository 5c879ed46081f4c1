#include "config/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace rubato {
namespace {

/// The member that `reference` returns a reference to, given a config, const or not.
template <class Reference>
key_member at(Reference reference) {
  return {.get = [reference](const config& c) { return key_value(reference(c)); },
          .set =
              [reference](config& c, const key_value& value) {
                auto& member = reference(c);
                member = std::get<std::remove_cvref_t<decltype(member)>>(value);
              }};
}

constexpr auto no_limit = std::numeric_limits<double>::infinity();

interval from_to(double minimum, double maximum) {
  return {.minimum = minimum, .maximum = maximum};
}
interval above_to(double minimum, double maximum) {
  return {.minimum = minimum, .maximum = maximum, .without_minimum = true};
}
interval from_below(double minimum, double maximum) {
  return {.minimum = minimum, .maximum = maximum, .without_maximum = true};
}
interval between(double minimum, double maximum) {
  return {.minimum = minimum, .maximum = maximum, .without_minimum = true, .without_maximum = true};
}

/// The key is used while `key` has one of `values`.
key_condition when(std::string_view key, std::vector<std::string_view> values) {
  return {{{key, std::move(values)}}};
}

key_condition both(key_condition a, const key_condition& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<key_spec> declare_keys() {
  // config::paced() as a condition.
  const key_condition paced = {{{"clock.mode", {"virtual"}}, {"workers.throttle", {"true"}}}};
  const key_condition of_text = when("data.kind", {"text"});
  const key_condition of_mixtures = when("data.kind", {"gaussian-mixtures"});
  const key_condition of_clusters = when("data.kind", {"gaussian-mixtures", "synthetic-images"});
  const key_condition of_images =
      when("data.kind", {"synthetic-images", "cifar10", "cifar100", "image-folder"});
  const key_condition of_transformer = when("model.kind", {"transformer"});
  const key_condition of_resnet = when("model.kind", {"resnet"});
  const key_condition of_tensors = when("data.kind", {"tensors"});
  const key_condition of_null = when("model.kind", {"null"});
  return {
      // -- run ----------------------------------------------------------------------------------
      {.name = "run.directory",
       .member = at([](auto& c) -> auto& { return c.run.directory; }),
       .scope = key_scope::node,
       .help = "Folder that receives the run's files; empty: runs/<name>-<date>-<time>."},
      {.name = "run.name",
       .member = at([](auto& c) -> auto& { return c.run.name; }),
       .help = "What the run is called."},
      {.name = "run.seed",
       .member = at([](auto& c) -> auto& { return c.run.seed; }),
       .range = from_to(0, no_limit),
       .help = "All random numbers come from it: on the virtual clock, same config and seed, same "
               "result."},
      {.name = "run.threads",
       .member = at([](auto& c) -> auto& { return c.run.threads; }),
       .scope = key_scope::node,
       .range = from_to(0, 1024),
       .help = "How many workers compute at once; 0: one for each core. On the virtual clock "
               "without effect on results."},
      {.name = "run.local_steps",
       .member = at([](auto& c) -> auto& { return c.run.local_steps; }),
       .unit = "steps",
       .range = from_to(1, 1e9),
       .help = "Length of the run: the local steps of all workers together."},
      {.name = "run.init",
       .member = at([](auto& c) -> auto& { return c.run.init; }),
       .scope = key_scope::node,
       .help =
           "The parameters to start from: a .safetensors file, a checkpoint or the directory of "
           "a run; empty: random ones."},
      {.name = "run.branch",
       .member = at([](auto& c) -> auto& { return c.run.branch; }),
       .scope = key_scope::node,
       .help = "A run directory: begin as a branch of that run, from its newest checkpoint that "
               "both have in common. A branch may differ in quota.stages, and after data-parallel "
               "rounds in [outer] but for groups. Empty: begin at the beginning."},
      {.name = "run.resume",
       .member = at([](auto& c) -> auto& { return c.run.resume; }),
       .scope = key_scope::node,
       .choices = {"no", "auto"},
       .help =
           "auto: where run.directory holds a run that has not finished, go on with it, from its "
           "newest checkpoint and its journal. On the virtual clock it ends as if it had never "
           "been "
           "away; on the wall clock rounds that were not done are done again."},
      {.name = "run.instruction_set",
       .member = at([](auto& c) -> auto& { return c.run.instruction_set; }),
       .scope = key_scope::node,
       .choices = {"auto", "baseline", "avx2", "avx512"},
       .help =
           "The vector instructions that Rubato's own loops use: merges, optimizer steps, codecs. "
           "auto: the widest that the CPU has. Without effect on results; LibTorch and its BLAS "
           "choose theirs by themselves."},

      // -- clock --------------------------------------------------------------------------------
      {.name = "clock.mode",
       .member = at([](auto& c) -> auto& { return c.clock.mode; }),
       .choices = {"virtual", "wall"},
       .help = "virtual: the workers train for real, at simulated paces over simulated links, so "
               "that the result depends on config and seed alone. wall: real time; each worker is "
               "as fast as the machine lets it be, or as workers.throttle says."},

      // -- model --------------------------------------------------------------------------------
      {.name = "model.kind",
       .member = at([](auto& c) -> auto& { return c.model.kind; }),
       .choices = {"transformer", "mlp", "resnet", "torchscript", "null"},
       .help = "transformer: a decoder-only language model. mlp: one hidden layer of ReLUs, which "
               "tells the classes of points apart. resnet: a residual network, which tells the "
               "classes of images apart. torchscript: one that was exported from Python, whose "
               "forward returns its loss (bring-your-own-model.md). null: learns next to nothing "
               "in a given time, to measure what travels; without the inner optimizer."},
      {.name = "model.path",
       .member = at([](auto& c) -> auto& { return c.model.path; }),
       .scope = key_scope::node,
       .used_when = when("model.kind", {"torchscript"}),
       .help = "The file that torch.jit.save has written, with the parameters to start from."},
      {.name = "model.layers",
       .member = at([](auto& c) -> auto& { return c.model.layers; }),
       .range = from_to(1, 1024),
       .used_when = of_transformer,
       .help = "Transformer blocks."},
      {.name = "model.width",
       .member = at([](auto& c) -> auto& { return c.model.width; }),
       .range = from_to(1, 65536),
       .used_when = when("model.kind", {"transformer", "mlp"}),
       .help = "Size of a transformer's hidden state, or of the hidden layer."},
      {.name = "model.heads",
       .member = at([](auto& c) -> auto& { return c.model.heads; }),
       .range = from_to(1, 1024),
       .used_when = of_transformer,
       .help = "Attention heads in a block."},
      {.name = "model.head_size",
       .member = at([](auto& c) -> auto& { return c.model.head_size; }),
       .range = from_to(0, 4096),
       .used_when = of_transformer,
       .help = "Size of a head's keys and values; 0: width / heads."},
      {.name = "model.feed_forward",
       .member = at([](auto& c) -> auto& { return c.model.feed_forward; }),
       .range = from_to(0, 1048576),
       .used_when = of_transformer,
       .help = "Hidden size of a block's feed-forward layers; 0: 4 * width, or with swiglu two "
               "thirds of that, rounded up to a multiple of 8."},
      {.name = "model.sequence_length",
       .member = at([](auto& c) -> auto& { return c.model.sequence_length; }),
       .unit = "tokens",
       .range = from_to(1, 65536),
       .used_when = of_transformer,
       .help = "Context: the tokens of one example."},
      {.name = "model.embeddings",
       .member = at([](auto& c) -> auto& { return c.model.embeddings; }),
       .choices = {"tied", "untied"},
       .used_when = of_transformer,
       .help = "tied: the matrix that makes logits is the token embedding. untied: it has "
               "parameters of its own."},
      {.name = "model.positions",
       .member = at([](auto& c) -> auto& { return c.model.positions; }),
       .choices = {"learned", "rotary"},
       .used_when = of_transformer,
       .help = "learned: a vector for each position is added to the token's. rotary: queries and "
               "keys are turned by angles that grow with the position, so that attention goes by "
               "distance; without parameters."},
      {.name = "model.block_norm",
       .member = at([](auto& c) -> auto& { return c.model.block_norm; }),
       .choices = {"layer", "rms"},
       .used_when = of_transformer,
       .help = "What goes before each branch of a block, and before the output: LayerNorm, or "
               "RMSNorm, which neither centres nor shifts."},
      {.name = "model.activation",
       .member = at([](auto& c) -> auto& { return c.model.activation; }),
       .choices = {"gelu", "swiglu"},
       .used_when = of_transformer,
       .help = "Between a block's feed-forward layers: GELU, or SwiGLU, whose third matrix gates "
               "what the first one gives."},
      {.name = "model.recompute",
       .member = at([](auto& c) -> auto& { return c.model.recompute; }),
       .used_when = of_transformer,
       .help = "Keep only what goes into each block, and compute the rest once more in the "
               "backward pass: a third more time for far less memory, the same bits."},
      {.name = "model.depth",
       .member = at([](auto& c) -> auto& { return c.model.depth; }),
       .range = from_to(8, 1202),
       .used_when = of_resnet,
       .help = "Layers: 18, 34, 50, 101 or 152, in four stages as for ImageNet (bottleneck blocks "
               "from 50 on), or any other 6n + 2 (8, 14, 20, 26, 32, 44, 56, 110), in three stages "
               "as for CIFAR."},
      {.name = "model.channels",
       .member = at([](auto& c) -> auto& { return c.model.channels; }),
       .range = from_to(0, 4096),
       .used_when = of_resnet,
       .help = "Channels of the first stage, doubled in each of the next; 0: 16 with three stages, "
               "64 with four."},
      {.name = "model.stem",
       .member = at([](auto& c) -> auto& { return c.model.stem; }),
       .choices = {"cifar", "imagenet"},
       .used_when = of_resnet,
       .help = "What images go through first. cifar: a 3 x 3 convolution. imagenet: a 7 x 7 "
               "convolution and a pooling, each of which halves height and width."},
      {.name = "model.norm",
       .member = at([](auto& c) -> auto& { return c.model.norm; }),
       .choices = {"batch", "group"},
       .used_when = of_resnet,
       .help = "What follows each convolution: BatchNorm, or GroupNorm, which looks at one example "
               "at a time and needs no running statistics."},
      {.name = "model.groups",
       .member = at([](auto& c) -> auto& { return c.model.groups; }),
       .range = from_to(1, 65536),
       .used_when = both(of_resnet, when("model.norm", {"group"})),
       .help = "Groups of GroupNorm; one for each channel where there are fewer channels. Must "
               "divide the channels."},
      {.name = "model.norm_statistics",
       .member = at([](auto& c) -> auto& { return c.model.norm_statistics; }),
       .choices = {"averaged", "local"},
       .used_when = both(of_resnet, when("model.norm", {"batch"})),
       .help =
           "The running mean and variance of BatchNorm, which evaluations use. averaged: sent "
           "and averaged with the parameters. local: never sent; before a version is evaluated, "
           "they are measured with it on the first training batches of each shard, as many as "
           "it is evaluated on."},
      {.name = "model.parameters",
       .member = at([](auto& c) -> auto& { return c.model.parameters; }),
       .range = from_to(1, 1e10),
       .used_when = of_null,
       .help = "How many there are."},
      {.name = "model.step_seconds",
       .member = at([](auto& c) -> auto& { return c.model.step_seconds; }),
       .unit = "seconds",
       .range = from_to(0, 3600),
       .used_when = both(of_null, when("clock.mode", {"wall"})),
       .help = "What a step takes."},

      // -- data ---------------------------------------------------------------------------------
      {.name = "data.kind",
       .member = at([](auto& c) -> auto& { return c.data.kind; }),
       .choices = {"text", "tokens", "tensors", "gaussian-mixtures", "synthetic-images", "cifar10",
                   "cifar100", "image-folder"},
       .help =
           "text: language modelling on plain files. tokens: on a corpus that `rubato data "
           "prepare` has made. tensors: .safetensors or .npy files, whose rows are the examples, "
           "for a model that was exported from Python. gaussian-mixtures: made-up points in "
           "classes, the toy of Liu et al. 2024. Images in classes are made up "
           "(synthetic-images), CIFAR's binary files (cifar10, cifar100), or JPEG and PNG "
           "files in a folder for each class (image-folder)."},
      {.name = "data.paths",
       .member = at([](auto& c) -> auto& { return c.data.paths; }),
       .scope = key_scope::node,
       .used_when =
           when("data.kind", {"text", "tokens", "tensors", "cifar10", "cifar100", "image-folder"}),
       .help = "Of text the shards: an entry is a file, folder or glob, or a list of these. Of "
               "tokens the folder of the corpus, which has shards of its own. Of tensors files or "
               "folders: a .safetensors file, or the .npy files of a folder, each called as its "
               "tensor, hold some examples. Of CIFAR the folder "
               "that holds its files, or the files; of image-folder the folder that holds train/ "
               "and val/, or the classes."},
      {.name = "data.tensors",
       .member = at([](auto& c) -> auto& { return c.data.tensors; }),
       .used_when = of_tensors,
       .help = "The names of the tensors that the model is given of each batch, in this order; the "
               "first dimension of each is the examples."},
      {.name = "data.held_out_paths",
       .member = at([](auto& c) -> auto& { return c.data.held_out_paths; }),
       .used_when = of_tensors,
       .help =
           "Files or folders, as in data.paths, with examples to evaluate on; dealt evenly to "
           "the shards. Empty: a share of those in data.paths, see data.held_out. Nodes that train "
           "for a server do not read them."},
      {.name = "data.tokenizer",
       .member = at([](auto& c) -> auto& { return c.data.tokenizer; }),
       .choices = {"bytes"},
       .used_when = of_text,
       .help = "bytes: every byte is a token, 256 in all."},
      {.name = "data.batch_size",
       .member = at([](auto& c) -> auto& { return c.data.batch_size; }),
       .unit = "examples",
       .range = from_to(1, 65536),
       .help = "Examples in the batch of one local step."},
      {.name = "data.held_out",
       .member = at([](auto& c) -> auto& { return c.data.held_out; }),
       .range = between(0, 1),
       .used_when = both(when("data.kind", {"text", "tensors", "image-folder"}),
                         when("data.held_out_paths", {"[]"})),
       .help = "Share that is kept from training, for evaluation: of the text, as whole files; of "
               "examples of tensors, picked at random; of each class of images where there are no "
               "train/ and val/."},
      {.name = "data.deduplicate",
       .member = at([](auto& c) -> auto& { return c.data.deduplicate; }),
       .used_when = of_text,
       .help = "Leave out files that repeat others, wholly or for the most part, before files are "
               "held out: no near-copy of a held-out file is trained on."},
      {.name = "data.dimension",
       .member = at([](auto& c) -> auto& { return c.data.dimension; }),
       .range = from_to(1, 65536),
       .used_when = of_mixtures,
       .help = "Coordinates of a point."},
      {.name = "data.clusters",
       .member = at([](auto& c) -> auto& { return c.data.clusters; }),
       .range = from_to(1, 65536),
       .used_when = of_clusters,
       .help = "Gaussians in the mixture, around random centres of length 1, or patterns that "
               "images show; a multiple of data.classes."},
      {.name = "data.classes",
       .member = at([](auto& c) -> auto& { return c.data.classes; }),
       .range = from_to(2, 65536),
       .used_when = of_clusters,
       .help = "Classes, each of an equal block of clusters."},
      {.name = "data.noise",
       .member = at([](auto& c) -> auto& { return c.data.noise; }),
       .range = from_to(0, 1000),
       .used_when = of_clusters,
       .help = "Standard deviation of a point around its cluster's centre, in each coordinate; in "
               "an image, over that of its pattern."},
      {.name = "data.points",
       .member = at([](auto& c) -> auto& { return c.data.points; }),
       .range = from_to(1, 1e9),
       .used_when = of_clusters,
       .help = "Points or images to train on, of all clusters and shards together."},
      {.name = "data.image_size",
       .member = at([](auto& c) -> auto& { return c.data.image_size; }),
       .unit = "pixels",
       .range = from_to(8, 1024),
       .used_when = when("data.kind", {"synthetic-images", "image-folder"}),
       .help = "Height and width of the images that the model is given."},
      {.name = "data.augment",
       .member = at([](auto& c) -> auto& { return c.data.augment; }),
       .used_when = of_images,
       .help = "Train on random crops and mirror images, others in each epoch; of made-up images "
               "on random shifts and mirror images."},
      {.name = "data.shards",
       .member = at([](auto& c) -> auto& { return c.data.shards; }),
       .range = from_to(1, 65536),
       .used_when = both(when("data.kind", {"tensors", "gaussian-mixtures", "synthetic-images",
                                            "cifar10", "cifar100", "image-folder"}),
                         when("data.split", {"iid", "dirichlet"})),
       .help = "Parts that the shuffled points, images or examples are dealt to; equal, unless "
               "data.split says otherwise."},
      {.name = "data.split",
       .member = at([](auto& c) -> auto& { return c.data.split; }),
       .choices = {"iid", "dirichlet", "files"},
       .used_when = when("data.kind",
                         {"synthetic-images", "cifar10", "cifar100", "image-folder", "tensors"}),
       .help =
           "iid: everything is mixed alike in all shards. dirichlet, of images: each class is "
           "shared out over the shards by its own draw from a Dirichlet distribution, so that "
           "shards differ in classes and size. files, of tensors: each entry of data.paths is a "
           "shard."},
      {.name = "data.concentration",
       .member = at([](auto& c) -> auto& { return c.data.concentration; }),
       .range = above_to(0, 1e6),
       .used_when = both(of_images, when("data.split", {"dirichlet"})),
       .help =
           "Of the Dirichlet distribution: towards 0 each class is in one shard alone, at 1 all "
           "ways to share it out are as likely, high values are as good as iid."},
      {.name = "data.bad_files",
       .member = at([](auto& c) -> auto& { return c.data.bad_files; }),
       .choices = {"refuse", "skip"},
       .used_when = when("data.kind", {"cifar10", "cifar100", "image-folder"}),
       .help = "What to do about files that are empty, cut short, damaged or no images: refuse to "
               "run, or skip: count them and go on without."},
      {.name = "data.shard_weights",
       .member = at([](auto& c) -> auto& { return c.data.shard_weights; }),
       .choices = {"size", "equal"},
       .help = "What a shard counts in sampling and in the held-out mean: its size, or all the "
               "same."},
      {.name = "data.shard_sampling",
       .member = at([](auto& c) -> auto& { return c.data.shard_sampling; }),
       .choices = {"balanced", "least-visited", "fixed"},
       .help = "The shard of a worker's next round. balanced: drawn in favour of those behind "
               "their weight; least-visited: one of those given out least often; fixed: always the "
               "worker's own, in turn over the shards."},
      {.name = "data.prefetch",
       .member = at([](auto& c) -> auto& { return c.data.prefetch; }),
       .scope = key_scope::node,
       .unit = "batches",
       .range = from_to(1, 1024),
       .help = "Batches kept ready for each running round."},
      {.name = "data.loader_threads",
       .member = at([](auto& c) -> auto& { return c.data.loader_threads; }),
       .scope = key_scope::node,
       .range = from_to(0, 1024),
       .help = "Threads that make batches ahead of the steps; 0: one for each core where images "
               "have to be decoded, otherwise none: they are made when they are needed. Without "
               "effect on results."},

      // -- workers ------------------------------------------------------------------------------
      {.name = "workers.count",
       .member = at([](auto& c) -> auto& { return c.workers.count; }),
       .range = from_to(1, 65536),
       .help = "Number of workers."},
      {.name = "workers.heterogeneity",
       .member = at([](auto& c) -> auto& { return c.workers.heterogeneity; }),
       .choices = {"none", "slight", "moderate", "very"},
       .used_when = both(when("workers.seconds_per_step", {"[]"}), paced),
       .help = "Preset of paces in seconds a step, repeated for more than four workers. none: 0.75 "
               "each; slight: 0.64, 0.72, 0.78, 0.86; moderate: 0.58, 0.75, 1.05, 1.51; very: "
               "0.58, 0.75, 1.51, 3.33. \"very\" is from the public notebook of Liu et al. 2024; "
               "the others are Rubato's own."},
      {.name = "workers.seconds_per_step",
       .member = at([](auto& c) -> auto& { return c.workers.seconds_per_step; }),
       .unit = "seconds",
       .range = from_to(1e-9, 1000),
       .used_when = paced,
       .help = "The pace of each worker, in place of a preset; empty: the preset."},
      {.name = "workers.jitter",
       .member = at([](auto& c) -> auto& { return c.workers.jitter; }),
       .range = from_to(0, 2),
       .used_when = paced,
       .help = "Sigma of a lognormal factor, of mean 1, on the time of each round."},
      {.name = "workers.events",
       .member = at([](auto& c) -> auto& { return c.workers.events; }),
       .help =
           "What happens to workers during the run, as in [\"600 2 pause 60\"]. An entry is \"TIME "
           "WORKER pace SECONDS\" (a step, from then on), \"TIME WORKER slow-down FACTOR "
           "[DURATION]\", \"TIME WORKER pause DURATION\" or \"TIME WORKER leave [DURATION]\". "
           "WORKER is a number, a range as in 0-3, or all; TIME and DURATION are seconds on the "
           "run's clock; without DURATION it is for good. A worker that leaves loses its round and "
           "its optimizer's state. On the wall clock without workers.throttle, workers can only "
           "leave."},
      {.name = "workers.throttle",
       .member = at([](auto& c) -> auto& { return c.workers.throttle; }),
       .used_when = when("clock.mode", {"wall"}),
       .help = "Keep to the workers' paces and links on the wall clock: a round that was computed "
               "faster is handed in when it is due."},
      {.name = "workers.threads_per_lane",
       .member = at([](auto& c) -> auto& { return c.workers.threads_per_lane; }),
       .scope = key_scope::node,
       .range = from_to(1, 256),
       .help = "LibTorch threads for each worker that computes. Can change the last bits of a "
               "result."},
      {.name = "workers.device",
       .member = at([](auto& c) -> auto& { return c.workers.device; }),
       .scope = key_scope::node,
       .help = "Where workers compute: cpu, cuda (the first GPU) or cuda:N. Of a list, the workers "
               "that compute at once (run.threads) take the entries in turn, so that several share "
               "a GPU; evaluations take the first. Changes the last bits of a result; see "
               "docs/gpu.md."},

      // -- inner --------------------------------------------------------------------------------
      {.name = "inner.optimizer",
       .member = at([](auto& c) -> auto& { return c.inner.optimizer; }),
       .choices = {"sgd", "momentum", "nesterov", "lars", "adamw"},
       .help = "The workers' optimizer. lars: momentum, with a rate of each tensor's own that "
               "multiplies its gradient: inner.trust times the norm of the tensor, over that of "
               "its gradient with weight decay (You et al. 2017)."},
      {.name = "inner.lr",
       .member = at([](auto& c) -> auto& { return c.inner.lr; }),
       .range = above_to(0, 100),
       .help = "Learning rate after warm-up."},
      {.name = "inner.final_lr",
       .member = at([](auto& c) -> auto& { return c.inner.final_lr; }),
       .range = from_to(0, 100),
       .used_when = when("inner.schedule", {"cosine", "notebook"}),
       .help = "Learning rate at the end of the cosine schedule; at most inner.lr."},
      {.name = "inner.warmup_steps",
       .member = at([](auto& c) -> auto& { return c.inner.warmup_steps; }),
       .unit = "steps",
       .range = from_to(0, 1e9),
       .help = "Linear warm-up; never more than a tenth of a schedule."},
      {.name = "inner.momentum",
       .member = at([](auto& c) -> auto& { return c.inner.momentum; }),
       .range = from_below(0, 1),
       .used_when = when("inner.optimizer", {"momentum", "nesterov", "lars"}),
       .help = "Momentum of the workers' optimizer."},
      {.name = "inner.beta1",
       .member = at([](auto& c) -> auto& { return c.inner.beta1; }),
       .range = from_below(0, 1),
       .used_when = when("inner.optimizer", {"adamw"}),
       .help = "Decay of AdamW's mean of gradients."},
      {.name = "inner.beta2",
       .member = at([](auto& c) -> auto& { return c.inner.beta2; }),
       .range = from_below(0, 1),
       .used_when = when("inner.optimizer", {"adamw"}),
       .help = "Decay of AdamW's mean of squared gradients."},
      {.name = "inner.epsilon",
       .member = at([](auto& c) -> auto& { return c.inner.epsilon; }),
       .range = above_to(0, 1),
       .used_when = when("inner.optimizer", {"lars", "adamw"}),
       .help = "Added to AdamW's denominator, and to that of a tensor's rate with lars."},
      {.name = "inner.trust",
       .member = at([](auto& c) -> auto& { return c.inner.trust; }),
       .range = above_to(0, 1),
       .used_when = when("inner.optimizer", {"lars"}),
       .help = "LARS's trust coefficient: the share of its norm by which a tensor moves at most in "
               "a step, at learning rate 1 and without momentum."},
      {.name = "inner.weight_decay",
       .member = at([](auto& c) -> auto& { return c.inner.weight_decay; }),
       .range = from_to(0, 10),
       .help = "Weight decay: decoupled with adamw, otherwise added to the gradient."},
      {.name = "inner.weight_decay_on",
       .member = at([](auto& c) -> auto& { return c.inner.weight_decay_on; }),
       .choices = {"all", "matrices"},
       .help = "matrices: biases and the scales of norms, which are all tensors with fewer than "
               "two dimensions, are left out of weight decay and keep rate 1 with lars."},
      {.name = "inner.clip",
       .member = at([](auto& c) -> auto& { return c.inner.clip; }),
       .range = from_to(0, 1e6),
       .help = "Largest norm of a gradient; longer ones are scaled down to it. 0: off."},
      {.name = "inner.schedule",
       .member = at([](auto& c) -> auto& { return c.inner.schedule; }),
       .choices = {"cosine", "step", "notebook"},
       .help =
           "cosine: warm-up, then a cosine from inner.lr to inner.final_lr. step: warm-up, then "
           "inner.lr, times inner.decay_factor after each of inner.milestones. notebook: as "
           "cosine, but one step behind, and each round's first step at inner.lr, as the public "
           "notebook of Liu et al. 2024 has it."},
      {.name = "inner.milestones",
       .member = at([](auto& c) -> auto& { return c.inner.milestones; }),
       .range = between(0, 1),
       .used_when = when("inner.schedule", {"step"}),
       .help = "Shares of a schedule after which the learning rate falls, in rising order; by "
               "default epochs 30, 60 and 80 of 90. []: it never falls."},
      {.name = "inner.decay_factor",
       .member = at([](auto& c) -> auto& { return c.inner.decay_factor; }),
       .range = above_to(0, 1),
       .used_when = when("inner.schedule", {"step"}),
       .help = "Factor on the learning rate at each of inner.milestones."},
      {.name = "inner.state",
       .member = at([](auto& c) -> auto& { return c.inner.state; }),
       .choices = {"keep", "zero", "average"},
       .help =
           "What becomes of the state of a worker's optimizer between rounds. keep: it goes on, "
           "as in Liu et al. 2024; zero: each round begins with a fresh one; average: with the "
           "mean of all workers' (sync only)."},
      {.name = "inner.state_files",
       .member = at([](auto& c) -> auto& { return c.inner.state_files; }),
       .scope = key_scope::node,
       .used_when = both(both(when("inner.optimizer", {"momentum", "nesterov", "lars", "adamw"}),
                              when("inner.state", {"keep", "average"})),
                         when("workers.device", {"[\"cpu\"]"})),
       .help =
           "Keep the states of workers' optimizers in files, mapped into memory, so that those of "
           "workers that wait can leave it. The files have no names and lie in the folder that "
           "TMPDIR names, or in /var/tmp: for each worker up to twice the parameters' size, three "
           "times with network.codec_up. Same results."},
      {.name = "inner.label_smoothing",
       .member = at([](auto& c) -> auto& { return c.inner.label_smoothing; }),
       .range = from_below(0, 1),
       .used_when = when("model.kind", {"transformer", "mlp", "resnet", "null"}),
       .help = "Share of each target that the training loss spreads evenly over all classes or "
               "tokens; evaluations do without. 0: off."},
      {.name = "inner.local_scale",
       .member = at([](auto& c) -> auto& { return c.inner.local_scale; }),
       .range = above_to(0, 1000),
       .help =
           "Factor on the learning rate of local rounds that follow a data-parallel stage, such "
           "as 1 / workers."},
      {.name = "inner.precision",
       .member = at([](auto& c) -> auto& { return c.inner.precision; }),
       .choices = {"auto", "f32", "bf16"},
       .help =
           "Of the products in a local step; loss, parameters, optimizer and evaluation are f32 "
           "always. auto: where the CPU is faster with it (AMD's with AVX512-BF16, Intel's with "
           "AMX-BF16), bf16 for transformers with at least 128 tokens at once and 16384 tokens "
           "times width, and for resnets with at least 1024 examples in a batch times channels of "
           "the first stage; f32 otherwise."},
      {.name = "inner.micro_batch",
       .member = at([](auto& c) -> auto& { return c.inner.micro_batch; }),
       .unit = "examples",
       .range = from_to(0, 65536),
       .used_when = {{{"model.kind", {"transformer", "mlp"}}, {"model.norm", {"group"}}}},
       .help =
           "Examples of a batch that are computed at once, for less memory; their gradients add "
           "up to the batch's, but for rounding. 0: all."},
      {.name = "inner.proximal",
       .member = at([](auto& c) -> auto& { return c.inner.proximal; }),
       .range = from_to(0, 1e6),
       .help = "rho: local steps descend the loss plus rho / 2 times the squared distance to the "
               "parameters that the round began with (FedAsync, FedProx); reported losses are "
               "without it. 0: off."},

      // -- outer --------------------------------------------------------------------------------
      {.name = "outer.mode",
       .member = at([](auto& c) -> auto& { return c.outer.mode; }),
       .choices = {"sync", "async"},
       .help = "sync: one step a round, on the mean of all updates; async: one for each update, "
               "as it arrives."},
      {.name = "outer.optimizer",
       .member = at([](auto& c) -> auto& { return c.outer.optimizer; }),
       .choices = {"sgd", "momentum", "nesterov", "delayed-nesterov", "adam", "adamw", "mixing",
                   "slowmo", "lookahead-nesterov"},
       .help = "The server's optimizer. delayed-nesterov is made for async; nesterov with sync is "
               "DiLoCo; mixing is FedAsync's: a share outer.lr of the worker's parameters replaces "
               "as much of the server's; slowmo is for sync; lookahead-nesterov sends out what "
               "momentum "
               "will have made of the parameters when the workers are done."},
      {.name = "outer.lr",
       .member = at([](auto& c) -> auto& { return c.outer.lr; }),
       .range = above_to(0, 100),
       .help = "Learning rate of the server's optimizer; with mixing, alpha of FedAsync; with "
               "slowmo, alpha of SlowMo."},
      {.name = "outer.momentum",
       .member = at([](auto& c) -> auto& { return c.outer.momentum; }),
       .range = from_below(0, 1),
       .used_when = when("outer.optimizer", {"momentum", "nesterov", "delayed-nesterov", "slowmo",
                                             "lookahead-nesterov"}),
       .help = "Momentum of the server's optimizer; beta of SlowMo."},
      {.name = "outer.buffer",
       .member = at([](auto& c) -> auto& { return c.outer.buffer; }),
       .unit = "updates",
       .range = from_to(0, 65536),
       .used_when = when("outer.optimizer", {"delayed-nesterov"}),
       .help = "N: updates from one change of the momentum to the next; 0: the number of workers."},
      {.name = "outer.activation",
       .member = at([](auto& c) -> auto& { return c.outer.activation; }),
       .range = from_to(0, 1),
       .used_when = when("outer.optimizer", {"delayed-nesterov"}),
       .help = "c: share of the momentum that every update between applies; at most 1/N."},
      {.name = "outer.accumulate",
       .member = at([](auto& c) -> auto& { return c.outer.accumulate; }),
       .unit = "updates",
       .range = from_to(1, 65536),
       .used_when = both(when("outer.mode", {"async"}),
                         when("outer.optimizer", {"sgd", "momentum", "nesterov", "adam", "adamw"})),
       .help =
           "Updates that are averaged into one step of the optimizer, in between the parameters "
           "stay: FedBuff with sgd, Async Buffer with nesterov."},
      {.name = "outer.beta1",
       .member = at([](auto& c) -> auto& { return c.outer.beta1; }),
       .range = from_below(0, 1),
       .used_when = when("outer.optimizer", {"adam", "adamw"}),
       .help = "Decay of the server's mean of pseudo-gradients."},
      {.name = "outer.beta2",
       .member = at([](auto& c) -> auto& { return c.outer.beta2; }),
       .range = from_below(0, 1),
       .used_when = when("outer.optimizer", {"adam", "adamw"}),
       .help = "Decay of the server's mean of squared pseudo-gradients."},
      {.name = "outer.epsilon",
       .member = at([](auto& c) -> auto& { return c.outer.epsilon; }),
       .range = above_to(0, 10),
       .used_when = when("outer.optimizer", {"adam", "adamw"}),
       .help = "Added to the denominator of the server's Adam."},
      {.name = "outer.weight_decay",
       .member = at([](auto& c) -> auto& { return c.outer.weight_decay; }),
       .range = from_to(0, 10),
       .used_when = when("outer.optimizer", {"adam", "adamw"}),
       .help = "Weight decay on the server: added to the pseudo-gradient with adam, decoupled with "
               "adamw."},
      {.name = "outer.weighting",
       .member = at([](auto& c) -> auto& { return c.outer.weighting; }),
       .choices = {"uniform", "tokens"},
       .help = "What an update counts beside its staleness. uniform: the same for all; tokens: in "
               "proportion to its local steps, of which quota.local_steps count 1."},

      {.name = "outer.handover",
       .member = at([](auto& c) -> auto& { return c.outer.handover; }),
       .choices = {"maintain", "zero"},
       .used_when = when("outer.mode", {"sync"}),
       .help = "What workers begin with when a data-parallel stage ends: the state of the server's "
               "optimizer, or a fresh one."},
      {.name = "outer.group_size",
       .member = at([](auto& c) -> auto& { return c.outer.group_size; }),
       .unit = "workers",
       .range = from_to(1, 65536),
       .used_when = when("outer.mode", {"sync"}),
       .help = "Hierarchical averaging: so many neighbouring workers form a group; it must divide "
               "workers.count. After each round a group's workers go on from the mean of their "
               "parameters."},
      {.name = "outer.group_rounds",
       .member = at([](auto& c) -> auto& { return c.outer.group_rounds; }),
       .unit = "rounds",
       .range = from_to(1, 1e6),
       .used_when = when("outer.mode", {"sync"}),
       .help =
           "Every so many rounds it is all workers' turn, with the outer optimizer, in place of "
           "the groups'; 1: always, so that there are no groups."},
      {.name = "outer.threads",
       .member = at([](auto& c) -> auto& { return c.outer.threads; }),
       .scope = key_scope::node,
       .range = from_to(0, 1024),
       .help = "How many threads take part in an outer step, of a model large enough to share: one "
               "for each million parameters at most; 0: one for each core, at most 4. Without "
               "effect on results."},
      {.name = "outer.norm_guard",
       .member = at([](auto& c) -> auto& { return c.outer.norm_guard; }),
       .range = from_to(0, 1e6),
       .help = "Refuse an update whose norm, over the square root of its steps, is so many spreads "
               "above that of the last 64 updates, and let its worker begin its next round with a "
               "fresh optimizer state. The spread is a robust standard deviation of the norms' "
               "logarithms, at least 0.1. 0: off; what is not finite is refused in any case."},

      // -- staleness ----------------------------------------------------------------------------
      {.name = "staleness.weight",
       .member = at([](auto& c) -> auto& { return c.staleness.weight; }),
       .choices = {"constant", "polynomial", "hinge"},
       .help = "How an update's weight falls with its staleness s. polynomial: (1 + s)^-exponent; "
               "hinge: 1 up to hinge_start, then 1 / (hinge_slope (s - hinge_start) + 1)."},
      {.name = "staleness.scale",
       .member = at([](auto& c) -> auto& { return c.staleness.scale; }),
       .range = above_to(0, 10),
       .used_when = when("outer.mode", {"async"}),
       .help = "Weight of an update that is not stale: the soup weight of Liu et al. 2024, whose "
               "notebook has 1 / sqrt(workers)."},
      {.name = "staleness.exponent",
       .member = at([](auto& c) -> auto& { return c.staleness.exponent; }),
       .range = from_to(0, 10),
       .used_when = when("staleness.weight", {"polynomial"}),
       .help = "Exponent of the polynomial weight."},
      {.name = "staleness.hinge_slope",
       .member = at([](auto& c) -> auto& { return c.staleness.hinge_slope; }),
       .range = above_to(0, 1e6),
       .used_when = when("staleness.weight", {"hinge"}),
       .help = "a of FedAsync's hinge."},
      {.name = "staleness.hinge_start",
       .member = at([](auto& c) -> auto& { return c.staleness.hinge_start; }),
       .range = from_to(0, 1e6),
       .used_when = when("staleness.weight", {"hinge"}),
       .help = "b of FedAsync's hinge."},
      {.name = "staleness.limit",
       .member = at([](auto& c) -> auto& { return c.staleness.limit; }),
       .range = from_to(-1, 1e9),
       .help = "Updates that are staler are dropped; -1: none. PolyThres has 10."},
      {.name = "staleness.unit",
       .member = at([](auto& c) -> auto& { return c.staleness.unit; }),
       .choices = {"versions", "arrivals"},
       .help =
           "What staleness counts: changes of the parameters, or arrivals of updates, since the "
           "round was assigned. They differ where several updates make one version."},
      {.name = "staleness.compensation",
       .member = at([](auto& c) -> auto& { return c.staleness.compensation; }),
       .choices = {"none", "constant", "adaptive"},
       .used_when = when("outer.mode", {"async"}),
       .help = "Delay compensation: g + lambda g g (theta - theta_base), elementwise. adaptive: "
               "lambda over the root of a running mean of g g (DC-ASGD-a)."},
      {.name = "staleness.compensation_strength",
       .member = at([](auto& c) -> auto& { return c.staleness.compensation_strength; }),
       .range = from_to(0, 1e6),
       .used_when = when("staleness.compensation", {"constant", "adaptive"}),
       .help = "lambda; 2 is usual with adaptive."},
      {.name = "staleness.compensation_decay",
       .member = at([](auto& c) -> auto& { return c.staleness.compensation_decay; }),
       .range = from_below(0, 1),
       .used_when = when("staleness.compensation", {"adaptive"}),
       .help = "Decay of the running mean of g g."},

      // -- quota --------------------------------------------------------------------------------
      {.name = "quota.policy",
       .member = at([](auto& c) -> auto& { return c.quota.policy; }),
       .choices = {"fixed", "dylu"},
       .help = "Local steps of a round. fixed: the same for all; dylu: in proportion to a worker's "
               "speed, so that all take about as long."},
      {.name = "quota.local_steps",
       .member = at([](auto& c) -> auto& { return c.quota.local_steps; }),
       .unit = "steps",
       .range = from_to(1, 1e6),
       .used_when = when("quota.stages", {"[]"}),
       .help = "H: local steps of a round; with dylu, those of the fastest worker."},
      {.name = "quota.stages",
       .member = at([](auto& c) -> auto& { return c.quota.stages; }),
       .help = "H over time, in place of quota.local_steps: \"FROM H\", FROM in local steps of all "
               "workers, or in percent of run.local_steps (\"33.3% 16\"), rounded to the nearest "
               "step. \"FROM data-parallel\" averages the gradients of one batch a worker and "
               "lets the server take the step (sync only). Post-local SGD: [\"0 data-parallel\", "
               "\"40000 16\"]."},
      {.name = "quota.speeds",
       .member = at([](auto& c) -> auto& { return c.quota.speeds; }),
       .choices = {"auto", "given", "measured"},
       .used_when = when("quota.policy", {"dylu"}),
       .help = "How dylu knows speeds. given: from the workers' paces; measured: from the rounds "
               "they finished; auto: given on the virtual clock, measured on the wall clock."},

      // -- window -------------------------------------------------------------------------------
      {.name = "window.policy",
       .member = at([](auto& c) -> auto& { return c.window.policy; }),
       .choices = {"grace", "clairvoyant"},
       .used_when = when("outer.mode", {"async"}),
       .help =
           "When those who arrived restart. grace: when the window ends; clairvoyant: with the "
           "last arrival in it, which only a simulation can know, as the public notebook of Liu "
           "et al. 2024 does."},
      {.name = "window.grace_seconds",
       .member = at([](auto& c) -> auto& { return c.window.grace_seconds; }),
       .unit = "seconds",
       .range = from_to(0, 1e6),
       .used_when = when("outer.mode", {"async"}),
       .help = "How long after an arrival others may arrive and restart from the same version."},
      {.name = "window.quorum",
       .member = at([](auto& c) -> auto& { return c.window.quorum; }),
       .unit = "updates",
       .range = from_to(0, 65536),
       .used_when = when("outer.mode", {"sync"}),
       .help = "Arrivals that close a round; 0: those of all workers."},

      // -- network ------------------------------------------------------------------------------
      {.name = "network.latency_seconds",
       .member = at([](auto& c) -> auto& { return c.network.latency_seconds; }),
       .unit = "seconds",
       .range = from_to(0, 1000),
       .used_when = paced,
       .help = "Latency of the workers' links: one for all, or one a worker; empty: 0."},
      {.name = "network.bandwidth_mbit",
       .member = at([](auto& c) -> auto& { return c.network.bandwidth_mbit; }),
       .unit = "Mbit/s",
       .range = from_to(0, 1e9),
       .used_when = paced,
       .help = "Bandwidth of the workers' links: one for all, or one a worker; empty or 0: no "
               "limit."},
      {.name = "network.codec_up",
       .member = at([](auto& c) -> auto& { return c.network.codec_up; }),
       .choices = {"f32", "bf16", "int8", "int4"},
       .help = "How updates travel: as they are, or with 16, 8 or 4 bits a value. What is lost of "
               "an update comes along with the worker's next ones."},
      {.name = "network.codec_down",
       .member = at([](auto& c) -> auto& { return c.network.codec_down; }),
       .choices = {"f32", "bf16", "int8", "int4"},
       .help = "How versions travel; int8 and int4 code the difference to what the worker has, "
               "which takes the memory of one more model a worker."},

      {.name = "network.overlap",
       .member = at([](auto& c) -> auto& { return c.network.overlap; }),
       .used_when = when("outer.mode", {"async"}),
       .help =
           "Workers go on computing while their last update travels, and take over the server's "
           "version when it comes."},
      {.name = "network.listen",
       .member = at([](auto& c) -> auto& { return c.network.listen; }),
       .scope = key_scope::node,
       .help = "Where `rubato serve` waits for nodes, as HOST:PORT; port 0 is any free one. Only "
               "this machine can reach 127.0.0.1."},
      {.name = "network.chunk_kib",
       .member = at([](auto& c) -> auto& { return c.network.chunk_kib; }),
       .scope = key_scope::node,
       .unit = "KiB",
       .range = from_to(16, 4096),
       .help =
           "What this process sends of parameters in one message, at most: less on slow links."},
      {.name = "network.window",
       .member = at([](auto& c) -> auto& { return c.network.window; }),
       .scope = key_scope::node,
       .unit = "chunks",
       .range = from_to(1, 64),
       .help = "How many chunks may be on their way to this process, on each link."},
      {.name = "network.heartbeat_seconds",
       .member = at([](auto& c) -> auto& { return c.network.heartbeat_seconds; }),
       .scope = key_scope::node,
       .unit = "seconds",
       .range = from_to(0.02, 60),
       .help = "Time between two signs of life of this process."},
      {.name = "network.silence_seconds",
       .member = at([](auto& c) -> auto& { return c.network.silence_seconds; }),
       .scope = key_scope::node,
       .unit = "seconds",
       .range = from_to(0.1, 3600),
       .help = "The least silence after which the other end counts as gone; more where its signs "
               "of life have come irregularly."},
      {.name = "network.retry_seconds",
       .member = at([](auto& c) -> auto& { return c.network.retry_seconds; }),
       .scope = key_scope::node,
       .unit = "seconds",
       .range = from_to(0, 1e7),
       .help = "How long `rubato work` tries to reach its server before it gives up."},
      {.name = "network.cert",
       .member = at([](auto& c) -> auto& { return c.network.cert; }),
       .scope = key_scope::node,
       .help = "This process's certificate, a PEM file. With network.key and network.ca, links are "
               "encrypted and both ends show theirs; `rubato certs` makes all three."},
      {.name = "network.key",
       .member = at([](auto& c) -> auto& { return c.network.key; }),
       .scope = key_scope::node,
       .help = "The certificate's private key, a PEM file."},
      {.name = "network.ca",
       .member = at([](auto& c) -> auto& { return c.network.ca; }),
       .scope = key_scope::node,
       .help = "The certificate of who signs those of all machines of the run, a PEM file."},

      // -- evaluate -----------------------------------------------------------------------------
      {.name = "evaluate.every_local_steps",
       .member = at([](auto& c) -> auto& { return c.evaluate.every_local_steps; }),
       .unit = "steps",
       .range = from_to(1, 1e9),
       .help = "Local steps, of all workers together, from one evaluation to the next."},
      {.name = "evaluate.batches",
       .member = at([](auto& c) -> auto& { return c.evaluate.batches; }),
       .unit = "batches",
       .range = from_to(1, 1e6),
       .help = "Batches of each shard in an evaluation."},
      {.name = "evaluate.half",
       .member = at([](auto& c) -> auto& { return c.evaluate.half; }),
       .choices = {"all", "a", "b"},
       .help = "Which of the batches to evaluate on: all, or every other one. Choose settings by "
               "half a and report half b, which they were not fitted to."},
      {.name = "evaluate.on",
       .member = at([](auto& c) -> auto& { return c.evaluate.on; }),
       .choices = {"held-out", "training"},
       .used_when = of_mixtures,
       .help = "The points to evaluate on: others of the same mixture, or, as the notebook of Liu "
               "et al. 2024 does, some of those that are trained on."},
      {.name = "evaluate.baselines",
       .member = at([](auto& c) -> auto& { return c.evaluate.baselines; }),
       .used_when = of_text,
       .help = "Print the loss of n-gram models beside the model's, to compare with."},
      {.name = "evaluate.diverged_after",
       .member = at([](auto& c) -> auto& { return c.evaluate.diverged_after; }),
       .unit = "evaluations",
       .range = from_to(0, 1e6),
       .help = "End the run as diverged when the loss was no number so many times in a row. If no "
               "update has changed the parameters since, their loss counts again when another "
               "evaluation is due. 0: never. 1 makes the virtual clock wait for every evaluation."},

      // -- record -------------------------------------------------------------------------------
      {.name = "record.pairwise_cosines",
       .member = at([](auto& c) -> auto& { return c.record.pairwise_cosines; }),
       .help = "Compare each update with the latest one of every other worker, in sync mode with "
               "those of its own round: cosine_to_others in updates.jsonl. Costs one pass over the "
               "parameters for each other worker, and keeps the latest update of all."},

      // -- checkpoint ---------------------------------------------------------------------------
      {.name = "checkpoint.every_versions",
       .member = at([](auto& c) -> auto& { return c.checkpoint.every_versions; }),
       .unit = "versions",
       .range = from_to(0, 1e9),
       .help = "How often the whole state of the run is written, so that it can go on from there; "
               "also at the start, and when a signal ends it. 0: never. No effect on results."},
      {.name = "checkpoint.keep",
       .member = at([](auto& c) -> auto& { return c.checkpoint.keep; }),
       .range = from_to(1, 1e6),
       .help = "How many checkpoints stay, the newest."},

      // -- journal ------------------------------------------------------------------------------
      {.name = "journal.enabled",
       .member = at([](auto& c) -> auto& { return c.journal.enabled; }),
       .help = "Write down every round and every update before it has an effect outside, so that a "
               "run that is killed loses none, and can be replayed and audited. No effect on "
               "results."},
      {.name = "journal.keep",
       .member = at([](auto& c) -> auto& { return c.journal.keep; }),
       .choices = {"tail", "all"},
       .used_when = when("journal.enabled", {"true"}),
       .help =
           "tail: what going on from the oldest checkpoint that stays takes. all: from the "
           "beginning of the run, with its first checkpoint, so that all of it can be replayed; "
           "as large as all updates together."},

      // -- monitor ------------------------------------------------------------------------------
      {.name = "monitor.listen",
       .member = at([](auto& c) -> auto& { return c.monitor.listen; }),
       .scope = key_scope::node,
       .help = "Where a browser sees the run and Prometheus gets its metrics, as HOST:PORT; port 0 "
               "is any free one. auto: 127.0.0.1:9464, or nowhere if that is in use, or for "
               "nodes. Empty: nowhere. Others than this machine only with --insecure-network. No "
               "effect on results."},
  };
}

// -- values as text -----------------------------------------------------------------------------

std::string text_of(bool value) {
  return value ? "true" : "false";
}

std::string text_of(std::int64_t value) {
  return fmt::format("{}", value);
}

std::string text_of(double value) {
  auto text = fmt::format("{}", value);
  // TOML tells a float from an integer by its point or exponent; nan and inf are words.
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

std::string text_of(const std::string& value) {
  std::string text = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\u{:04x}", byte);
    } else {
      text += c;
    }
  }
  return text + '"';
}

template <class Element>
std::string text_of(const std::vector<Element>& list) {
  std::string text;
  for (const auto& element : list) text += (text.empty() ? "" : ", ") + text_of(element);
  return "[" + text + "]";
}

// An inner list of one is written as the string that it may also be given as.
std::string text_of(const std::vector<std::vector<std::string>>& lists) {
  std::string text;
  for (const auto& list : lists) {
    text += (text.empty() ? "" : ", ") + (list.size() == 1 ? text_of(list[0]) : text_of(list));
  }
  return "[" + text + "]";
}

// -- checks -------------------------------------------------------------------------------------

bool contains(const interval& range, double x) {
  return std::isfinite(x) && (range.without_minimum ? x > range.minimum : x >= range.minimum) &&
         (range.without_maximum ? x < range.maximum : x <= range.maximum);
}

/// "from 0 to 1", "above 0 and at most 10", ...
std::string describe(const interval& range) {
  if (!range.without_minimum && !range.without_maximum) {
    const auto maximum = std::isfinite(range.maximum)
                             ? fmt::format("{}", range.maximum)
                             : fmt::format("{}", std::numeric_limits<std::int64_t>::max());
    return fmt::format("from {} to {}", range.minimum, maximum);
  }
  return fmt::format("{} {} and {} {}", range.without_minimum ? "above" : "of at least",
                     range.minimum, range.without_maximum ? "below" : "at most", range.maximum);
}

// -- descriptions -------------------------------------------------------------------------------

/// Help, and when the key is used.
std::string full_help(const key_spec& spec) {
  std::string text(spec.help);
  if (!spec.used_when.empty()) text += " Used with " + to_text(spec.used_when) + ".";
  return text;
}

/// Text that Markdown shows as it is: "<name>" would be taken for HTML.
std::string plain_markdown(std::string text) {
  for (auto at = text.find('<'); at != std::string::npos; at = text.find('<', at)) {
    text.replace(at, 1, "&lt;");
  }
  return text;
}

/// Breaks text between words into lines of at most `width` columns, each after `indent` spaces.
std::string wrap(std::string_view text, std::size_t indent, std::size_t width) {
  std::string lines;
  const auto room = width - indent;
  while (!text.empty()) {
    auto end = text.size() <= room ? text.size() : text.rfind(' ', room);
    if (end == std::string_view::npos) end = std::min(text.find(' '), text.size());
    lines += std::string(indent, ' ').append(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

std::vector<key_spec>& keys_to_extend() {
  static auto all = declare_keys();
  return all;
}

const std::vector<key_spec>& keys() {
  return keys_to_extend();
}

const key_spec* find_key(std::string_view name) {
  const auto found = std::find_if(keys().begin(), keys().end(),
                                  [&](const key_spec& spec) { return spec.name == name; });
  return found == keys().end() ? nullptr : &*found;
}

const key_clause* failing_clause(const key_spec& spec, const config& c) {
  const auto holds = [&](const key_test& test) {
    const auto value = find_key(test.key)->member.get(c);
    const auto* string = std::get_if<std::string>(&value);
    const auto text = string ? *string : to_text(value);
    return std::find(test.values.begin(), test.values.end(), text) != test.values.end();
  };
  for (const auto& clause : spec.used_when) {
    if (std::none_of(clause.begin(), clause.end(), holds)) return &clause;
  }
  return nullptr;
}

bool in_use(const key_spec& spec, const config& c) {
  return failing_clause(spec, c) == nullptr;
}

bool allows(const key_spec& spec, const key_value& value) {
  if (value.index() != spec.default_value().index()) return false;
  const auto in_range = [&](auto x) { return contains(spec.range, static_cast<double>(x)); };
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return in_range(*integer);
  if (const auto* number = std::get_if<double>(&value)) return in_range(*number);
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    return std::all_of(numbers->begin(), numbers->end(), in_range);
  }
  if (const auto* text = std::get_if<std::string>(&value); text && !spec.choices.empty()) {
    return std::find(spec.choices.begin(), spec.choices.end(), *text) != spec.choices.end();
  }
  if (const auto* lists = std::get_if<std::vector<std::vector<std::string>>>(&value)) {
    return std::all_of(lists->begin(), lists->end(), [](const auto& list) {
      return !list.empty() && std::find(list.begin(), list.end(), "") == list.end();
    });
  }
  return true;
}

std::string allowed_values(const key_spec& spec) {
  const auto type = spec.default_value();
  const auto unit = spec.unit.empty() ? "" : fmt::format(" ({})", spec.unit);
  if (std::holds_alternative<bool>(type)) return "true or false";
  if (std::holds_alternative<std::int64_t>(type)) {
    return "a whole number " + describe(spec.range) + unit;
  }
  if (std::holds_alternative<double>(type)) return "a number " + describe(spec.range) + unit;
  if (std::holds_alternative<std::vector<double>>(type)) {
    return "a list of numbers, each " + describe(spec.range) + unit;
  }
  if (std::holds_alternative<std::string>(type)) {
    if (spec.choices.empty()) return "a string";
    std::string text;
    for (const auto choice : spec.choices) {
      text += (text.empty() ? "" : ", ") + text_of(std::string(choice));
    }
    return spec.choices.size() == 1 ? text : "one of " + text;
  }
  if (std::holds_alternative<std::vector<std::string>>(type))
    return "a string or a list of strings";
  return "a list with a string or a list of strings for each shard, none of them empty";
}

std::string to_text(const key_value& value) {
  return std::visit([](const auto& v) { return text_of(v); }, value);
}

std::string to_text(const key_condition& condition) {
  std::string text;
  for (const auto& clause : condition) {
    if (!text.empty()) text += ", and ";
    std::string_view key;
    for (const auto& test : clause) {
      const bool quoted = std::holds_alternative<std::string>(find_key(test.key)->default_value());
      for (const auto value : test.values) {
        if (!key.empty()) text += " or ";
        if (key != test.key) text += fmt::format("{} = ", test.key);
        text += quoted ? text_of(std::string(value)) : std::string(value);
        key = test.key;
      }
    }
  }
  return text;
}

std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for (const auto& spec : keys()) names.emplace_back(spec.name);
  return names;
}

std::string describe_keys_markdown() {
  std::string text =
      "# Configuration\n"
      "\n"
      "A run is described by a TOML file. Every key is also an option, which overrides the file:\n"
      "`--run.seed 7`, `--workers.seconds_per_step \"[0.5, 1.0]\"`. Nothing is silently ignored:\n"
      "unknown keys, values out of range, contradictions and settings that the chosen method does\n"
      "not use are errors; a setting of the file that an option put out of use is reported.\n"
      "\n"
      "Keys of scope *run* hold for the whole run; those of scope *node* are each machine's own.\n"
      "This page is made from `config/schema.cpp`.\n";
  std::string_view section;
  for (const auto& spec : keys()) {
    if (spec.section() != section) {
      section = spec.section();
      text += fmt::format(
          "\n## {}\n\n| Key | Default | Allowed | Scope | Meaning |\n|---|---|---|---|---|\n",
          section);
    }
    text +=
        fmt::format("| `{}` | `{}` | {} | {} | {} |\n", spec.name, to_text(spec.default_value()),
                    allowed_values(spec), spec.scope == key_scope::run ? "run" : "node",
                    plain_markdown(full_help(spec)));
  }
  return text;
}

std::string describe_keys_text() {
  std::string text;
  std::string_view section;
  for (const auto& spec : keys()) {
    if (spec.section() != section) {
      section = spec.section();
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    text += fmt::format("  --{} {}\n", spec.name, to_text(spec.default_value()));
    text += wrap(full_help(spec) + " Takes " + allowed_values(spec) + ".", 6, 100);
  }
  return text;
}

}  // namespace rubato
