#include "recovery/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>
#include <variant>

#include "config/error.hpp"
#include "recovery/history.hpp"
#include "recovery/records.hpp"
#include "recovery/resume.hpp"
#include "recovery/snapshot.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/safetensors.hpp"

namespace rubato {
namespace {

update_id id_of(const assign_record& work) {
  return {work.worker, work.incarnation, work.sequence};
}

}  // namespace

// -- records ------------------------------------------------------------------------------------

replayer::replayer(const parameter_layout& layout, const config& c, replay_start start, bool strict)
    : layout_(layout),
      config_(c),
      strict_(strict),
      merger_(layout_, config_),
      pool_(layout_.size()),
      down_(layout_, find_codec(config_.network.codec_down).value()),
      current_(std::move(start.parameters)),
      version_(start.version),
      groups_(std::move(start.groups)),
      bases_(std::move(start.bases)) {
  down_.restore(std::move(start.known));
  if (config_.outer.group_rounds > 1) {
    group_mean_ = std::make_unique<merger>(layout_, plain_mean(config_));
  }
  if (start.data_parallel) {
    data_parallel_ = std::make_unique<data_parallel>(layout_, config_.inner);
    data_parallel_->restore(copy_of(*start.data_parallel));
  }
  if (!start.outer) return;
  try {
    merger_.restore(std::move(*start.outer));
  } catch (const std::invalid_argument& e) {
    throw run_error(e.what());
  }
}

void replayer::add(const journal_entry& entry) {
  record_ = entry.number;
  std::visit([this](const auto& record) { enter(record); }, entry.content);
}

std::span<std::byte> replayer::room(std::size_t bytes) {
  if (!room_) room_ = pool_.take();
  return room_for_update(layout_, *room_, bytes);
}

void replayer::enter(const assign_record& work) {
  complete();
  if (strict_ && work.base_version != version_) {
    fail(fmt::format("{} starts from version {}, but the replay is at {}", to_string(id_of(work)),
                     work.base_version, version_));
  }
  if (!merger_.needs_base()) return;
  auto start = current_;
  if (work.group) {
    const auto group = groups_.find(*work.group);
    if (group == groups_.end()) {
      fail(fmt::format("{} starts from what group {} has, but that has nothing of its own",
                       to_string(id_of(work)), *work.group));
    }
    start = group->second;
  }
  bases_[id_of(work)] = down_.send(work.worker, work.sequence == 0, start).base;
}

void replayer::enter(const settle_record& settled) {
  const auto id = id_of(settled.work);
  if (settled.merge == 0) {
    if (!settles_no_round(static_cast<fate>(settled.fate))) bases_.erase(id);
    return;
  }
  if (collected_ && collected_->number != settled.merge) complete();
  if (!collected_) {
    const auto kind = from_journal(settled).record.work.kind;
    collected_ = collected_merge{
        settled.merge, settled.merge_group, kind, settled.inner_lr, settled.version, record_, {}};
  }
  collected_->version = settled.version;
  collected_->record = record_;

  if (!room_) room_ = pool_.take();
  try {
    read_update(settled, layout_, *room_);
  } catch (const run_error& e) {
    fail(e.what());
  }
  merge_input input{std::exchange(room_, nullptr), nullptr, settled.weight};
  if (merger_.needs_base()) {
    const auto base = bases_.extract(id);
    if (!base) {
      fail(fmt::format("where {} started from is not known; it was in flight when the replay began",
                       to_string(id)));
    }
    input.base = base.mapped();
  }
  collected_->inputs.push_back(std::move(input));
}

void replayer::complete() {
  if (!collected_) return;
  const auto merge = std::move(*collected_);
  collected_.reset();
  record_ = merge.record;
  const auto before = current_;
  try {
    apply(merge);
  } catch (const std::invalid_argument& e) {
    fail(e.what());
  }
  updates_ += merge.inputs.size();
  version_ += current_ == before ? 0 : 1;
  if (strict_ && version_ != merge.version) {
    fail(fmt::format("merge {} made version {}, but the replay's is {}", merge.number,
                     merge.version, version_));
  }
  version_ = merge.version;
}

/// As the server carries out an apply_action.
void replayer::apply(const collected_merge& merge) {
  if (merge.group) {
    if (!group_mean_) fail("groups averaged, but the configuration has none");
    groups_[*merge.group] =
        group_mean_->merge(merge.inputs.front().base, merge.inputs, merge.inner_lr);
    return;
  }
  groups_.clear();
  if (merge.kind == round_kind::gradient) {
    if (!data_parallel_) data_parallel_ = std::make_unique<data_parallel>(layout_, config_.inner);
    current_ = data_parallel_->step(*current_, merge.inputs, merge.inner_lr);
  } else {
    current_ = merger_.merge(current_, merge.inputs, merge.inner_lr);
  }
}

void replayer::fail(std::string_view reason) const {
  throw run_error(fmt::format("record {} of the journal cannot be replayed: {}", record_, reason));
}

// -- a run --------------------------------------------------------------------------------------

namespace {

/// What a checkpoint gives to begin with, or to compare to.
struct saved_moment {
  file_header header;
  parameter_layout layout;
  replay_start state;
  std::string sha256;
};

std::string recorded_sha256(checkpoint_reader& file) {
  return snapshot_reader(file).read(record_part).values.at("sha256").get<std::string>();
}

saved_moment moment_in(checkpoint_reader& file) {
  auto run = snapshot_reader(file).read(run_part);
  saved_moment moment{file.header(), layout_from(run.values.at("layout")), take_merging(run),
                      recorded_sha256(file)};
  const auto actual = parameters_sha256(moment.layout, moment.state.parameters->span());
  if (actual != moment.sha256) {
    throw file_error(
        "read", file.path(),
        fmt::format("its parameters have the SHA-256 {}, but it says {}", actual, moment.sha256));
  }
  return moment;
}

double distance(const parameter_layout& layout, const parameter_buffer& a,
                const parameter_buffer& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < layout.end(section::trainable); ++i) {
    const double difference = static_cast<double>(a.data()[i]) - b.data()[i];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

/// The parameters that a run has left; null if they are not there.
version_ptr final_parameters(const std::string& directory, const parameter_layout& layout) {
  const auto path = std::filesystem::path(directory) / "parameters.safetensors";
  if (!std::filesystem::exists(path)) return nullptr;
  const safetensors_file file(path.string());
  auto parameters = std::make_shared<parameter_buffer>(layout.size());
  for (const auto& tensor : layout.tensors()) {
    const auto* found = file.find(tensor.name);
    if (found == nullptr || found->values.size() != tensor.size) {
      throw run_error(fmt::format("{}: its tensor {} is not the one of the run's checkpoints",
                                  path.string(), tensor.name));
    }
    std::copy(found->values.begin(), found->values.end(), parameters->data() + tensor.offset);
  }
  return parameters;
}

/// One replay of a run directory.
class run_replay {
 public:
  run_replay(file_system& files, const std::string& directory, bool what_if,
             const std::function<void(const replay_point&)>& report)
      : files_(files), directory_(directory), what_if_(what_if), report_(report) {}

  replay_result run(const config& c) {
    require_journal(files_, directory_);
    begin();
    journal_reader journal(files_, journal_folder(directory_), begin_->header.record);
    auto replay = replayer_for(c);
    open_next();
    for (;;) {
      const auto entry = journal.next([&replay](std::size_t bytes) { return replay.room(bytes); });
      const auto next = entry ? entry->number : journal.end().next_record;
      for (; next_ && next_->header().record <= next; open_next()) {
        replay.complete();
        report_(compare(replay));
      }
      if (!entry) break;
      result_.finished = std::holds_alternative<end_record>(entry->content);
      replay.add(*entry);
    }
    replay.complete();
    if (next_) {
      throw run_error(fmt::format("{}: it was taken before record {}, but the journal ends with {}",
                                  next_->path(), next_->header().record,
                                  journal.end().next_record));
    }
    if (result_.finished) compare_end(replay);
    result_.version = replay.version();
    result_.updates = replay.updates();
    result_.torn = journal.end().torn;
    result_.layout = begin_->layout;
    result_.parameters = replay.parameters();
    return std::move(result_);
  }

 private:
  void begin() {
    const journal_reader journal(files_, journal_folder(directory_));
    const auto restored =
        restore_oldest(files_, directory_, journal.first_record(), [&](checkpoint_reader& file) {
          check_run(file, journal.run());
          begin_ = moment_in(file);
        });
    if (!restored.header && restored.skipped.empty()) {
      throw usage_error(
          fmt::format("{}: has no checkpoint that its journal goes on from, and a "
                      "replay begins with one",
                      directory_));
    }
    if (!restored.header) {
      throw run_error(fmt::format("{}: no checkpoint that its journal goes on from is whole; {}",
                                  directory_, restored.skipped.front()));
    }
    result_.began_at = begin_->header.number;
    result_.skipped = restored.skipped;
    for (const auto number : list_checkpoints(files_, checkpoint_folder(directory_))) {
      if (number > begin_->header.number) later_.push_back(number);
    }
  }

  static void check_run(const checkpoint_reader& file, const run_identity& run) {
    if (file.header().run == run) return;
    throw file_error("use", file.path(), "it is of another run than the journal");
  }

  replayer replayer_for(const config& c) {
    auto start = std::exchange(begin_->state, {});
    began_with_ = start.parameters;
    if (!what_if_) return {begin_->layout, c, std::move(start)};
    try {
      return {begin_->layout, c, start, false};
    } catch (const run_error&) {
      start.outer.reset();  // it is another method's
      result_.fresh_optimizer = start.version > 0;
      return {begin_->layout, c, std::move(start), false};
    }
  }

  /// The next checkpoint to compare to; those that cannot be opened are told at once.
  void open_next() {
    next_.reset();
    while (!next_ && opened_ < later_.size()) {
      const auto number = later_[opened_++];
      try {
        next_.emplace(files_, checkpoint_path(checkpoint_folder(directory_), number));
        check_run(*next_, begin_->header.run);
      } catch (const file_error& e) {
        next_.reset();
        replay_point point;
        point.checkpoint = number;
        point.damage = e.what();
        report_(point);
      }
    }
  }

  replay_point point_of(const replayer& replay) const {
    replay_point point;
    point.version = replay.version();
    point.replayed = parameters_sha256(begin_->layout, replay.parameters()->span());
    return point;
  }

  void measure(replay_point& point, const version_ptr& recorded, const replayer& replay) const {
    point.distance = distance(begin_->layout, *recorded, *replay.parameters());
    point.moved = distance(begin_->layout, *recorded, *began_with_);
  }

  replay_point compare(const replayer& replay) {
    auto point = point_of(replay);
    point.checkpoint = next_->header().number;
    try {
      if (what_if_) {
        const auto recorded = moment_in(*next_);
        point.recorded = recorded.sha256;
        measure(point, recorded.state.parameters, replay);
      } else {
        point.recorded = recorded_sha256(*next_);
      }
    } catch (const file_error& e) {
      point.damage = e.what();
    } catch (const nlohmann::json::exception& e) {
      point.damage = e.what();
    }
    return point;
  }

  void compare_end(const replayer& replay) {
    const auto summary = summary_of(directory_);
    if (!summary) return;  // the run was killed between its journal and its summary
    auto point = point_of(replay);
    point.recorded = summary->value("params_sha256", "");
    if (what_if_) {
      const auto recorded = final_parameters(directory_, begin_->layout);
      if (recorded) measure(point, recorded, replay);
    }
    report_(point);
  }

  file_system& files_;
  std::string directory_;
  bool what_if_;
  const std::function<void(const replay_point&)>& report_;
  std::optional<saved_moment> begin_;
  version_ptr began_with_;
  std::vector<std::uint64_t> later_;  // numbers of checkpoints
  std::size_t opened_ = 0;            // of these
  std::optional<checkpoint_reader> next_;
  replay_result result_;
};

}  // namespace

replay_result replay_run(file_system& files, const std::string& directory, const config& c,
                         bool what_if, const std::function<void(const replay_point&)>& report) {
  return run_replay(files, directory, what_if, report).run(c);
}

bool may_be_replayed_with(std::string_view key) {
  static constexpr std::string_view allowed[] = {"outer.optimizer",
                                                 "outer.lr",
                                                 "outer.momentum",
                                                 "outer.buffer",
                                                 "outer.activation",
                                                 "outer.accumulate",
                                                 "outer.beta1",
                                                 "outer.beta2",
                                                 "outer.epsilon",
                                                 "outer.weight_decay",
                                                 "staleness.compensation",
                                                 "staleness.compensation_strength",
                                                 "staleness.compensation_decay"};
  return std::find(std::begin(allowed), std::end(allowed), key) != std::end(allowed);
}

}  // namespace rubato
