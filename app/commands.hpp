// The subcommands of `rubato`, one file each, and what they share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/command_line.hpp"
#include "app/step_command.hpp"
#include "bench/cluster.hpp"
#include "bench/journal.hpp"
#include "bench/memory.hpp"
#include "bench/merge.hpp"
#include "bench/recovery.hpp"
#include "bench/scale.hpp"
#include "bench/step.hpp"
#include "bench/train.hpp"
#include "bench/wire.hpp"
#include "config/load.hpp"
#include "corpus/prepare.hpp"
#include "corpus/train_tokenizer.hpp"
#include "generation/generate.hpp"

namespace rubato {

struct train_options {
  std::vector<std::string> config_paths;  // may be empty where `resume` is not
  std::string resume;                     // the directory of a run to go on with; empty: begin one
  override_list overrides;
  bool print_config = false;
  bool json = false;
  bool no_report = false;         // leave report.html out
  bool serve = false;             // workers are on other machines
  bool insecure_network = false;  // these may be anybody's
};

/// `rubato train` and `rubato serve`: returns the exit code. A run that has finished already is
/// shown, not touched.
int train(const train_options& options);

struct work_options {
  std::string server;                     // HOST:PORT
  std::vector<std::string> config_paths;  // for settings of this node
  override_list overrides;
  std::string name;
  std::int64_t workers = 0;  // 0: as many as it can compute at once
  bool insecure_network = false;
};

/// `rubato work`: returns the exit code.
int work(const work_options& options);

struct certs_options {
  std::string directory;
  std::vector<std::string> names;  // of machines
  std::int64_t days = 365;         // that the certificates are good for
};

/// `rubato certs`: returns the exit code.
int make_certificates(const certs_options& options);

struct compare_options {
  std::vector<std::string> config_paths;
  override_list overrides;
  bool json = false;
};

/// `rubato compare`: returns the exit code.
int compare(const compare_options& options);

struct report_options {
  std::vector<std::string> directories;  // of the runs
  std::string output = "report.html";
};

/// `rubato report`: returns the exit code.
int report(const report_options& options);

/// Writes report.html into the directory of a run that has ended. One that cannot be written is
/// told of, and no error.
void write_report_of(const std::string& directory);

/// `rubato metrics`: returns the exit code.
int show_metrics(bool markdown);

struct replay_options {
  std::string directory;  // of the run
  override_list overrides;
  std::string output;  // for the parameters; empty: none
};

/// `rubato replay`: returns the exit code.
int replay(const replay_options& options);

struct audit_options {
  std::string directory;  // of the run
};

/// `rubato audit`: returns the exit code.
int audit(const audit_options& options);

struct checkpoint_options {
  std::string path;    // of a checkpoint, or a run or folder with some
  std::string output;  // of `export`; .pt: the whole module, of TorchScript
  std::string module;  // for that, the run's model.path; empty: as in its configuration
};

/// `rubato checkpoint inspect`, `verify` and `export`: return the exit code.
int inspect_checkpoint(const checkpoint_options& options);
int verify_checkpoints(const checkpoint_options& options);
int export_checkpoint(const checkpoint_options& options);

struct generate_options {
  std::string path;       // of a run, a checkpoint or a .safetensors file
  std::string config;     // empty: the one that lies beside the parameters
  std::string tokenizer;  // empty: the one that the model was trained with
  override_list overrides;
  generation_options generation;
};

/// `rubato generate`: returns the exit code.
int generate_text(const generate_options& options);

/// `rubato data prepare`: returns the exit code. Shows progress in place of options.report.
int prepare_data(prepare_options options);

struct tokenizer_options {
  tokenizer_training training;
  std::string output;  // a file, that is not overwritten
};

/// `rubato data tokenizer`: returns the exit code.
int make_tokenizer_model(const tokenizer_options& options);

struct inspect_data_options {
  std::string directory;  // of the corpus
  std::int64_t samples = 3;
  bool verify = false;
};

/// `rubato data inspect`: returns the exit code.
int inspect_data(const inspect_data_options& options);

struct bench_merge_options {
  override_list overrides;
  merge_bench_options measurement;
  bool json = false;
};

/// `rubato bench merge`: returns the exit code.
int bench_merge(const bench_merge_options& options);

/// `rubato bench step`: returns the exit code.
int bench_step(const bench_step_options& options);

struct bench_journal_options {
  journal_bench_options measurement;
  std::int64_t update_kib = 4096;
  bool json = false;
};

/// `rubato bench journal`: returns the exit code.
int bench_journal(const bench_journal_options& options);

struct bench_recovery_options {
  recovery_bench_options measurement;
  override_list overrides;  // of the outer optimizer
  bool json = false;
};

struct bench_wire_options {
  wire_bench_options measurement;
  bool send = false;  // be the other process
  bool json = false;
};

/// `rubato bench wire`: returns the exit code.
int bench_wire(const bench_wire_options& options);

struct bench_cluster_options {
  cluster_bench_options measurement;
  std::string codec_up = "f32";
  std::string codec_down = "f32";
  bool json = false;
};

/// `rubato bench cluster`: returns the exit code.
int bench_cluster(const bench_cluster_options& options);

struct bench_train_options {
  std::vector<std::string> config_paths;
  override_list overrides;
  train_bench_options measurement;
  bool json = false;
};

/// `rubato bench train`: returns the exit code.
int bench_train(const bench_train_options& options);

struct bench_memory_options {
  memory_bench_options measurement;
  bool json = false;
};

/// `rubato bench memory`: returns the exit code.
int bench_memory(const bench_memory_options& options);

struct bench_scale_options {
  scale_bench_options measurement;
  bool json = false;
};

/// `rubato bench scale`: returns the exit code.
int bench_scale(const bench_scale_options& options);

/// `rubato bench recovery`: returns the exit code.
int bench_recovery(const bench_recovery_options& options);

}  // namespace rubato
