// The command line, whatever program it is of: reads it and calls the subcommand. Exit codes: 0
// done, 1 the run failed, 2 wrong usage or config, 130 ended by a signal after writing everything.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "app/command_pages.hpp"
#include "app/commands.hpp"
#include "app/program.hpp"
#include "config/error.hpp"
#include "config/schema.hpp"
#include "model/blas.hpp"

namespace {

using namespace rubato;

int run(int argc, char** argv) {
  auto line = split_command_line(argc, argv);

  CLI::App app{"Rubato trains neural networks with asynchronous Local-SGD.", "rubato"};
  app.set_version_flag("--version", RUBATO_VERSION);
  app.require_subcommand(1);
  app.footer("Every configuration key can be given as --section.key value; see `rubato options`.");

  train_options training;
  auto* train_command = app.add_subcommand("train", "Train as a config file says, in this process");
  train_command->add_option("CONFIG", training.config_paths,
                            "A TOML file, such as quickstart.toml; of several, later ones win");
  train_command->add_option(
      "--resume", training.resume,
      "The directory of a run to go on with; without CONFIG, as it was begun");
  train_command->add_flag("--print-config", training.print_config,
                          "Print the effective configuration and stop");
  train_command->add_flag(
      "--json", training.json,
      "Print the summary as JSON to standard output, the rest to standard error");
  train_command->add_flag("--no-report", training.no_report,
                          "Do not write report.html into the run directory at the end");

  train_command->add_flag("--insecure-network", training.insecure_network,
                          "Let other machines watch the run (monitor.listen)");

  train_options serving;
  serving.serve = true;
  auto* serve_command = app.add_subcommand(
      "serve", "Train as a config file says, with workers on other machines (`rubato work`)");
  serve_command->add_option("CONFIG", serving.config_paths,
                            "A TOML file; of several, later ones win");
  serve_command->add_option("--resume", serving.resume, "The directory of a run to go on with");
  serve_command->add_flag("--print-config", serving.print_config,
                          "Print the effective configuration and stop");
  serve_command->add_flag(
      "--json", serving.json,
      "Print the summary as JSON to standard output, the rest to standard error");
  serve_command->add_flag("--no-report", serving.no_report,
                          "Do not write report.html into the run directory at the end");
  serve_command->add_flag("--insecure-network", serving.insecure_network,
                          "Listen where other machines can reach it, though without TLS (also "
                          "monitor.listen)");

  work_options working;
  auto* work_command = app.add_subcommand("work", "Take part in the run of a `rubato serve`");
  work_command
      ->add_option("CONFIG", working.config_paths,
                   "TOML files with settings of this machine, such as data.paths; what holds for "
                   "the whole run is passed over")
      ->expected(0, -1);
  work_command->add_option("--server", working.server, "Where the server is, as HOST:PORT")
      ->required();
  work_command->add_option("--name", working.name, "What the server calls this node");
  work_command
      ->add_option("--workers", working.workers,
                   "How many workers to be; by default as many as compute at once (run.threads)")
      ->check(CLI::Range(1, 1000000));
  work_command->add_flag("--insecure-network", working.insecure_network,
                         "Reach another machine, though without TLS; let others see the metrics");

  certs_options certificates;
  auto* certs_command =
      app.add_subcommand("certs", "Make certificates for TLS between the machines of a run");
  certs_command
      ->add_option("DIRECTORY", certificates.directory,
                   "For the files; if a ca.pem and ca.key are there, they sign")
      ->required();
  certs_command->add_option("NAME", certificates.names, "A certificate for each of these machines")
      ->required();
  certs_command->add_option("--days", certificates.days, "How long they are good for")
      ->check(CLI::Range(1, 36500))
      ->capture_default_str();

  compare_options comparison;
  auto* compare_command =
      app.add_subcommand("compare", "Train with several methods, and compare them");
  compare_command
      ->add_option("CONFIG", comparison.config_paths,
                   "A TOML file with a [compare] table; of several, later ones win")
      ->required();
  compare_command->add_flag(
      "--json", comparison.json,
      "Print the findings as JSON to standard output, the rest to standard error");

  report_options reporting;
  auto* report_command =
      app.add_subcommand("report", "Show a run, or compare many, in one HTML file");
  report_command->add_option("RUN", reporting.directories, "Run directories")->required();
  report_command->add_option("--output", reporting.output, "The file to write")
      ->capture_default_str();

  replay_options replaying;
  auto* replay_command = app.add_subcommand(
      "replay", "Make a run's parameters again from its journal, or with another outer optimizer");
  replay_command->add_option("RUN", replaying.directory, "A run directory")->required();
  replay_command->add_option("--output", replaying.output,
                             "A .safetensors file to write the parameters to");

  audit_options auditing;
  auto* audit_command =
      app.add_subcommand("audit", "Account for every token that a run has given out");
  audit_command->add_option("RUN", auditing.directory, "A run directory")->required();

  checkpoint_options checkpoint;
  auto* checkpoint_command = app.add_subcommand("checkpoint", "Look into a run's checkpoints");
  const auto checkpoint_action = [&](const char* name, const char* help) {
    auto* command = checkpoint_command->add_subcommand(name, help);
    command->add_option("PATH", checkpoint.path, "A checkpoint, or a run directory for its newest")
        ->required();
    return command;
  };
  auto* inspect_command = checkpoint_action("inspect", "Show what is in it");
  auto* verify_command = checkpoint_action(
      "verify", "Read all of it, or of all of a run, and say whether it is whole");
  auto* export_command = checkpoint_action(
      "export",
      "Write its parameters as a .safetensors file, or a TorchScript model as a .pt file");
  export_command->add_option("--output", checkpoint.output, "The file to write")->required();
  export_command->add_option("--model", checkpoint.module,
                             "For .pt: the run's model.path, if that is elsewhere now");

  generate_options generating;
  auto* generate_command = app.add_subcommand("generate", "Let a language model go on with a text");
  generate_command
      ->add_option("PATH", generating.path,
                   "A run directory, a checkpoint or a .safetensors file of parameters")
      ->required();
  generate_command->add_option("--prompt", generating.generation.prompt,
                               "The text to go on with; by default a new document");
  generate_command
      ->add_option("--tokens", generating.generation.tokens,
                   "How many at most; the model may end the document before")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  generate_command
      ->add_option("--temperature", generating.generation.how.temperature,
                   "Below 1 likely tokens become more likely; 0: always the most likely one")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  generate_command
      ->add_option("--top-k", generating.generation.how.top_k,
                   "Draw from the so many most likely tokens; 0: from all")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  generate_command->add_option("--seed", generating.generation.seed, "Of the random draws")
      ->capture_default_str();
  generate_command->add_option("--config", generating.config,
                               "By default config.toml beside PATH or above it");
  generate_command->add_option(
      "--tokenizer", generating.tokenizer,
      "\"bytes\", or a SentencePiece model; by default what the model was trained with");

  auto* data_command = app.add_subcommand("data", "Make a corpus of tokens from files of text");
  prepare_options preparing;
  auto* prepare_command = data_command->add_subcommand(
      "prepare", "Turn text, JSON Lines and .gz of these into token shards; goes on if cut short");
  prepare_command->add_option("INPUT", preparing.inputs, "Files and folders")->required();
  prepare_command->add_option("--output", preparing.output, "The folder to make")->required();
  prepare_command
      ->add_option("--tokenizer", preparing.tokenizer, "\"bytes\", or a SentencePiece model")
      ->capture_default_str();
  auto* shards_option =
      prepare_command->add_option("--shards", preparing.shards, "How many; one for each source");
  prepare_command
      ->add_option(
          "--split", preparing.split,
          "What decides on a document's shard: iid (chance), source (its INPUT) or cluster "
          "(its words)")
      ->capture_default_str();
  prepare_command
      ->add_option("--held-out", preparing.held_out, "Share of the documents not to train on")
      ->capture_default_str();
  prepare_command->add_option("--seed", preparing.seed, "Of the shares and shards")
      ->capture_default_str();
  prepare_command
      ->add_option("--max-bad-lines", preparing.max_bad_lines,
                   "Share of the lines that may be of no use")
      ->capture_default_str();
  prepare_command->add_option("--threads", preparing.threads, "0: one for each core")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  tokenizer_options tokenizing;
  auto* tokenizer_command =
      data_command->add_subcommand("tokenizer", "Train a SentencePiece tokenizer on files of text");
  tokenizer_command->add_option("INPUT", tokenizing.training.inputs, "Files and folders")
      ->required();
  tokenizer_command->add_option("--output", tokenizing.output, "The model's file")->required();
  tokenizer_command->add_option("--vocabulary", tokenizing.training.vocabulary, "Pieces")
      ->check(CLI::Range(300, 1000000))
      ->capture_default_str();
  tokenizer_command
      ->add_option("--sample-mib", tokenizing.training.sample_mib,
                   "Text to train on at most, from the beginning of each file; takes 20 times that "
                   "in memory")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  inspect_data_options data_inspection;
  auto* data_inspect_command =
      data_command->add_subcommand("inspect", "Show sizes, lengths and samples of a corpus");
  data_inspect_command->add_option("DIRECTORY", data_inspection.directory, "Of the corpus")
      ->required();
  data_inspect_command
      ->add_option("--samples", data_inspection.samples, "Documents to show of each shard")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  data_inspect_command->add_flag("--verify", data_inspection.verify, "Also read all of it");

  bench_step_options step_bench;
  auto* bench_command = app.add_subcommand("bench", "Measure what Rubato itself costs");
  auto* step_command = add_step_command(*bench_command, step_bench);

  const auto measurements_of = [](CLI::App* command, auto& options) {
    command
        ->add_option("--directory", options.measurement.directory,
                     "A folder on the disk to measure; by default the one for temporary files")
        ->check(CLI::ExistingDirectory);
    command->add_option("--repeats", options.measurement.repeats, "Measurements of each side")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command->add_flag("--json", options.json, "Print JSON, with every single measurement");
  };

  bench_journal_options journal_bench;
  auto* journal_command = bench_command->add_subcommand(
      "journal", "How fast the journal writes, against dd with the same blocks and syncs");
  journal_command->add_option("--update-kib", journal_bench.update_kib, "Size of an update")
      ->check(CLI::Range(1, 1 << 22))
      ->capture_default_str();
  journal_command
      ->add_option("--group", journal_bench.measurement.group_updates, "Updates that share a sync")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  journal_command->add_option("--groups", journal_bench.measurement.groups, "In a measurement")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  measurements_of(journal_command, journal_bench);

  bench_merge_options merge_bench;
  auto* merge_command = bench_command->add_subcommand(
      "merge", "How fast an outer step is, against what memory allows; takes --outer.* keys");
  merge_command->add_option("--parameters", merge_bench.measurement.parameters, "Of the model")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{10'000'000'000}))
      ->capture_default_str();
  merge_command
      ->add_option("--codec", merge_bench.measurement.codec,
                   "Of an update that is decoded on the way")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int4"}))
      ->capture_default_str();
  merge_command->add_option(
      "--peer", merge_bench.measurement.peer,
      "A program to be measured as well, such as \"python3 bench/peers/merge.py\"; it is given the "
      "numbers of parameters and of threads");
  merge_command
      ->add_option("--repeats", merge_bench.measurement.repeats, "Measurements of each side")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  merge_command->add_flag("--json", merge_bench.json, "Print JSON, with every single measurement");

  bench_recovery_options recovery_bench;
  auto* recovery_command = bench_command->add_subcommand(
      "recovery",
      "From a checkpoint and a journal to parameters, against reading the same bytes and merging; "
      "takes --outer.* keys");
  recovery_command
      ->add_option("--parameters", recovery_bench.measurement.parameters, "Of the model")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{10'000'000'000}))
      ->capture_default_str();
  recovery_command->add_option("--updates", recovery_bench.measurement.updates, "In the journal")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  measurements_of(recovery_command, recovery_bench);

  bench_wire_options wire_bench;
  auto* wire_command = bench_command->add_subcommand(
      "wire", "How fast parameters get to another process, against iperf3");
  wire_command->add_option("--mib", wire_bench.measurement.mib, "Size of the parameters as f32")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  wire_command->add_option("--chunk-kib", wire_bench.measurement.chunk_kib, "As network.chunk_kib")
      ->check(CLI::Range(16, 4096))
      ->capture_default_str();
  wire_command->add_option("--window", wire_bench.measurement.window, "As network.window")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  wire_command->add_option("--repeats", wire_bench.measurement.repeats, "Measurements of each side")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  wire_command->add_flag("--json", wire_bench.json, "Print JSON, with every single measurement");
  wire_command->add_flag("--send", wire_bench.send, "Be the other process")->group("");

  bench_train_options train_bench;
  auto* train_bench_command = bench_command->add_subcommand(
      "train", "How long training takes, against the same with PyTorch");
  train_bench_command
      ->add_option("CONFIG", train_bench.config_paths,
                   "The transformer and its workers; of several files, later ones win")
      ->required();
  train_bench_command->add_option("--rounds", train_bench.measurement.rounds, "Of a measurement")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  train_bench_command
      ->add_option("--vocabulary", train_bench.measurement.vocabulary,
                   "Random tokens, so many different ones")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  train_bench_command
      ->add_option("--peer", train_bench.measurement.peer,
                   "What to compare with; it is given the transformer's size, threads, local "
                   "steps, workers and rounds")
      ->capture_default_str();
  train_bench_command
      ->add_option("--repeats", train_bench.measurement.repeats, "Measurements of each side")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  train_bench_command->add_flag("--json", train_bench.json,
                                "Print JSON, with every single measurement");

  bench_scale_options scale_bench;
  auto* scale_command = bench_command->add_subcommand(
      "scale", "What thousands of workers cost in one process, against CAF's messages alone");
  auto& scale = scale_bench.measurement;
  scale_command->add_option("--workers", scale.workers, "Many")
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  scale_command->add_option("--few", scale.few, "Workers to compare with, fewer")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  scale_command->add_option("--parameters", scale.parameters, "Of a learner without network")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  scale_command->add_option("--updates", scale.updates, "Of a run")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  scale_command->add_option("--repeats", scale.repeats, "Measurements of each side")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  scale_command->add_flag("--json", scale_bench.json, "Print JSON, with every single measurement");

  bench_memory_options memory_bench;
  auto* memory_command = bench_command->add_subcommand(
      "memory", "What each worker more takes of memory, over what it must hold");
  memory_command->add_option("--workers", memory_bench.measurement.workers, "Many")
      ->check(CLI::Range(3, 10000))
      ->capture_default_str();
  memory_command->add_option("--few", memory_bench.measurement.few, "Workers to compare with")
      ->check(CLI::Range(2, 10000))
      ->capture_default_str();
  memory_command->add_flag("--json", memory_bench.json, "Print JSON");

  bench_cluster_options cluster_bench;
  auto* cluster_command =
      bench_command->add_subcommand("cluster",
                                    "What share of the time workers compute behind slow links, "
                                    "against arithmetic and the virtual "
                                    "clock; as root");
  auto& cluster = cluster_bench.measurement;
  cluster_command->add_option("--mbit", cluster.mbit, "Speeds of a worker's link, each way")
      ->delimiter(',')
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  cluster_command->add_option("--workers", cluster.workers, "Each in a process of its own")
      ->check(CLI::Range(1, 200))
      ->capture_default_str();
  cluster_command->add_option("--parameters", cluster.parameters, "Of the model")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{10'000'000'000}))
      ->capture_default_str();
  cluster_command->add_option("--step-seconds", cluster.step_seconds, "What a local step takes")
      ->check(CLI::Range(0.0001, 3600.0))
      ->capture_default_str();
  cluster_command->add_option("--local-steps", cluster.local_steps, "H, of a round")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  cluster_command
      ->add_option("--rounds", cluster.rounds, "Of each worker; the first is not measured")
      ->check(CLI::Range(2, 1000000))
      ->capture_default_str();
  const auto codec_names = CLI::IsMember({"f32", "bf16", "int8", "int4"});
  cluster_command->add_option("--codec-up", cluster_bench.codec_up, "As network.codec_up")
      ->check(codec_names);
  cluster_command->add_option("--codec-down", cluster_bench.codec_down, "As network.codec_down")
      ->check(codec_names);
  cluster_command->add_flag("--overlap", cluster.overlap, "As network.overlap");
  cluster_command->add_flag("--json", cluster_bench.json,
                            "Print JSON, with every single measurement");

  bool markdown = false;
  auto* options_command = app.add_subcommand("options", "Describe every configuration key");
  options_command->add_flag("--markdown", markdown, "As the text of docs/config.md");
  auto* metrics_command = app.add_subcommand("metrics", "Describe every metric for Prometheus");
  metrics_command->add_flag("--markdown", markdown, "As the text of docs/metrics.md");
  std::string shell;
  auto* completion_command =
      app.add_subcommand("completion", "Print a shell's completion of this command line");
  completion_command->add_option("SHELL", shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  auto* manual_command = app.add_subcommand("manual", "Print the manual page, for man");

  const auto named = [&](CLI::App* command) { return command->get_name() == line.rest.front(); };
  if (!line.rest.empty() && !line.rest.front().starts_with("-") &&
      app.get_subcommands(named).empty()) {
    throw usage_error("command line: unknown command \"" + line.rest.front() +
                      "\"; there are train, serve, work, certs, compare, report, replay, audit, "
                      "checkpoint, generate, data, bench, options, metrics, completion and manual, "
                      "see `rubato --help`");
  }
  std::reverse(line.rest.begin(), line.rest.end());  // CLI11 wants the last argument first
  try {
    app.parse(line.rest);
  } catch (const CLI::ParseError& e) {
    // CLI11 has exit codes of its own; here only help and --version are no error.
    if (e.get_exit_code() == 0) return app.exit(e);
    throw usage_error(std::string("command line: ") + e.what() + "; see `rubato --help`");
  }
  const auto without_keys = [&line](std::string_view command) {
    if (line.overrides.empty()) return;
    throw usage_error(fmt::format("command line: `rubato {}` takes no configuration keys, got --{}",
                                  command, line.overrides.front().first));
  };
  if (*options_command) {
    without_keys("options");
    std::fputs((markdown ? describe_keys_markdown() : describe_keys_text()).c_str(), stdout);
    return exit_done;
  }
  if (*metrics_command) {
    without_keys("metrics");
    return show_metrics(markdown);
  }
  if (*completion_command) {
    without_keys("completion");
    std::fputs((shell == "zsh" ? zsh_completion(app) : bash_completion(app)).c_str(), stdout);
    return exit_done;
  }
  if (*manual_command) {
    without_keys("manual");
    std::fputs(manual_page(app, RUBATO_VERSION).c_str(), stdout);
    return exit_done;
  }
  if (*work_command) {
    working.overrides = std::move(line.overrides);
    return work(working);
  }
  if (*certs_command) {
    without_keys("certs");
    return make_certificates(certificates);
  }
  if (*compare_command) {
    comparison.overrides = std::move(line.overrides);
    return compare(comparison);
  }
  if (*report_command) {
    without_keys("report");
    return report(reporting);
  }
  if (*replay_command) {
    replaying.overrides = std::move(line.overrides);
    return replay(replaying);
  }
  if (*audit_command) {
    without_keys("audit");
    return audit(auditing);
  }
  if (*checkpoint_command) {
    without_keys("checkpoint");
    if (*inspect_command) return inspect_checkpoint(checkpoint);
    if (*verify_command) return verify_checkpoints(checkpoint);
    if (*export_command) return export_checkpoint(checkpoint);
    throw usage_error(
        "command line: `rubato checkpoint` needs to know what to do; there are inspect, verify and "
        "export");
  }
  if (*generate_command) {
    generating.overrides = std::move(line.overrides);
    return generate_text(generating);
  }
  if (*data_command) {
    without_keys("data");
    if (*prepare_command) {
      if (preparing.split == "source" && shards_option->count() == 0) {
        preparing.shards = static_cast<std::int64_t>(preparing.inputs.size());
      }
      return prepare_data(preparing);
    }
    if (*tokenizer_command) return make_tokenizer_model(tokenizing);
    if (*data_inspect_command) return inspect_data(data_inspection);
    throw usage_error(
        "command line: `rubato data` needs to know what to do; there are prepare, tokenizer and "
        "inspect");
  }
  if (*journal_command) {
    without_keys("bench journal");
    return bench_journal(journal_bench);
  }
  if (*merge_command) {
    merge_bench.overrides = std::move(line.overrides);
    return bench_merge(merge_bench);
  }
  if (*recovery_command) {
    recovery_bench.overrides = std::move(line.overrides);
    return bench_recovery(recovery_bench);
  }
  if (*wire_command) {
    without_keys("bench wire");
    return bench_wire(wire_bench);
  }
  if (*train_bench_command) {
    train_bench.overrides = std::move(line.overrides);
    return bench_train(train_bench);
  }
  if (*scale_command) {
    without_keys("bench scale");
    return bench_scale(scale_bench);
  }
  if (*memory_command) {
    without_keys("bench memory");
    return bench_memory(memory_bench);
  }
  if (*cluster_command) {
    without_keys("bench cluster");
    return bench_cluster(cluster_bench);
  }
  if (*bench_command && !*step_command) {
    throw usage_error(
        "command line: `rubato bench` needs to know what to measure; there are step, merge, "
        "journal, recovery, wire, cluster, scale, memory and train");
  }
  if (*step_command) {
    step_bench.overrides = std::move(line.overrides);
    return bench_step(step_bench);
  }
  auto& chosen = *serve_command ? serving : training;
  if (chosen.config_paths.empty() && chosen.resume.empty()) {
    throw usage_error("command line: CONFIG is required; see `rubato --help`");
  }
  chosen.overrides = std::move(line.overrides);
  return train(chosen);
}

}  // namespace

int rubato::run_program(int argc, char** argv) {
  choose_blas_kernels(argv);
  try {
    return run(argc, argv);
  } catch (const usage_error& e) {
    std::fprintf(stderr, "rubato: %s\n", e.what());
    return exit_usage;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "rubato: %s\n", out_of_memory);
    return exit_run_failed;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "rubato: %s\n", e.what());
    return exit_run_failed;
  }
}
