#include "recovery/audit.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <variant>

#include "config/error.hpp"
#include "recovery/history.hpp"
#include "recovery/records.hpp"
#include "recovery/snapshot.hpp"
#include "storage/checkpoint_reader.hpp"

namespace rubato {
namespace {

using json = nlohmann::json;

// Enough to see what kind of trouble it is.
constexpr std::size_t faults_kept = 20;

/// The fate of that name; they are numbered without gaps.
fate fate_of(std::string_view name) {
  for (std::uint8_t number = 0;; ++number) {
    const auto value = static_cast<fate>(number);
    if (to_string(value) == name) return value;
    if (to_string(value) == "?") break;
  }
  throw run_error(fmt::format("the books have a fate \"{}\", which is not known here", name));
}

json to_json(const ledger::amount& a) {
  return {{"rounds", a.rounds}, {"tokens", a.tokens}};
}

ledger::amount amount_from(const json& j) {
  return {j.at("rounds").get<std::uint64_t>(), j.at("tokens").get<std::int64_t>()};
}

}  // namespace

// -- state --------------------------------------------------------------------------------------

ledger::ledger(const json& state) {
  try {
    for (const auto& worker : state.at("workers")) {
      workers_[worker.at("worker").get<worker_id>()] = {
          worker.at("incarnation").get<std::uint32_t>(), worker.at("live").get<bool>(),
          worker.at("next_sequence").get<std::uint64_t>()};
    }
    for (const auto& round : state.at("in_flight")) {
      const update_id id{round.at("worker").get<worker_id>(),
                         round.at("incarnation").get<std::uint32_t>(),
                         round.at("sequence").get<std::uint64_t>()};
      open_[id] = {round.at("base_version").get<std::uint64_t>(),
                   round.at("tokens").get<std::int64_t>()};
    }
    assigned_ = amount_from(state.at("assigned"));
    for (const auto& [name, amount] : state.at("settled").items()) {
      settled_[fate_of(name)] = amount_from(amount);
    }
    for (const auto& [name, count] : state.at("refused").items()) {
      refused_[fate_of(name)] = count.get<std::uint64_t>();
    }
    version_ = state.at("version").get<std::uint64_t>();
    merge_ = state.at("merge").get<std::uint64_t>();
    ended_ = state.at("ended").get<bool>();
  } catch (const json::exception& e) {
    throw run_error(fmt::format("the books of a checkpoint cannot be read: {}", e.what()));
  }
}

json ledger::state() const {
  json state;
  state["workers"] = json::array();
  for (const auto& [worker, life] : workers_) {
    state["workers"].push_back({{"worker", worker},
                                {"incarnation", life.incarnation},
                                {"live", life.live},
                                {"next_sequence", life.next_sequence}});
  }
  state["in_flight"] = json::array();
  for (const auto& [id, round] : open_) {
    state["in_flight"].push_back({{"worker", id.worker},
                                  {"incarnation", id.incarnation},
                                  {"sequence", id.sequence},
                                  {"base_version", round.base_version},
                                  {"tokens", round.tokens}});
  }
  state["assigned"] = to_json(assigned_);
  state["settled"] = json::object();
  for (const auto& [what, amount] : settled_) {
    state["settled"][std::string(to_string(what))] = to_json(amount);
  }
  state["refused"] = json::object();
  for (const auto& [what, count] : refused_) state["refused"][std::string(to_string(what))] = count;
  state["version"] = version_;
  state["merge"] = merge_;
  state["ended"] = ended_;
  return state;
}

ledger::amount ledger::in_flight() const {
  amount sum;
  for (const auto& [id, round] : open_) {
    sum.rounds += 1;
    sum.tokens += round.tokens;
  }
  return sum;
}

std::int64_t ledger::missing() const {
  std::int64_t rest = assigned_.tokens - in_flight().tokens;
  for (const auto& [what, amount] : settled_) rest -= amount.tokens;
  return rest;
}

// -- records ------------------------------------------------------------------------------------

void ledger::add(std::uint64_t number, const journal_record& record) {
  number_ = number;
  if (ended_) fault("comes behind the end of the run");
  std::visit([this](const auto& r) { enter(r); }, record);
}

void ledger::enter(const join_record& join) {
  auto& life = workers_[join.worker];
  if (join.incarnation != life.incarnation + 1) {
    fault(fmt::format("worker {} joins in its life {}, after life {}", join.worker,
                      join.incarnation, life.incarnation));
  }
  life = {join.incarnation, true, 0};
}

void ledger::enter(const fence_record& fence) {
  auto& life = workers_[fence.worker];
  if (!life.live || fence.incarnation != life.incarnation) {
    fault(fmt::format("worker {} is lost in its life {}, which is not the one it is in",
                      fence.worker, fence.incarnation));
    return;
  }
  life.live = false;
}

void ledger::enter(const assign_record& work) {
  merge_open_ = false;
  const update_id id{work.worker, work.incarnation, work.sequence};
  auto& life = workers_[work.worker];
  if (!life.live || work.incarnation != life.incarnation) {
    fault(fmt::format("{} is given out, but the worker is not there in that life", to_string(id)));
  } else if (work.sequence != life.next_sequence) {
    fault(fmt::format("{} is given out, where round {} is the next", to_string(id),
                      life.next_sequence));
  }
  if (work.base_version > version_) {
    fault(fmt::format("{} starts from version {}, but {} is the newest", to_string(id),
                      work.base_version, version_));
  }
  assigned_.rounds += 1;
  assigned_.tokens += work.tokens;
  if (was_assigned(id)) return;  // its tokens will be missing
  life.next_sequence = work.sequence + 1;
  open_[id] = {work.base_version, work.tokens};
}

void ledger::enter(const settle_record& settled) {
  const auto what = from_journal(settled).record.what;
  const update_id id{settled.work.worker, settled.work.incarnation, settled.work.sequence};
  follow_merges(id, settled, what);
  if (settles_no_round(what)) {
    refuse(id, what);
  } else {
    settle_round(id, settled, what);
  }
}

void ledger::settle_round(const update_id& id, const settle_record& settled, fate what) {
  const auto round = open_.find(id);
  if (round == open_.end()) {
    fault(fmt::format("{} is settled as {}, but it {}", to_string(id), to_string(what),
                      was_assigned(id) ? "has its fate already" : "was never given out"));
  } else {
    if (round->second.tokens != settled.work.tokens) {
      fault(fmt::format("{} is settled with {} tokens, but was given out with {}", to_string(id),
                        settled.work.tokens, round->second.tokens));
    }
    // With overlap it may be the one that came with the worker's next round.
    const auto next = open_.find({id.worker, id.incarnation, id.sequence + 1});
    const bool taken_over =
        next != open_.end() && next->second.base_version == settled.work.base_version;
    if (round->second.base_version != settled.work.base_version && !taken_over) {
      fault(fmt::format("{} is settled as from version {}, but was given out with {}",
                        to_string(id), settled.work.base_version, round->second.base_version));
    }
    open_.erase(round);
  }
  auto& sum = settled_[what];
  sum.rounds += 1;
  sum.tokens += settled.work.tokens;
}

void ledger::refuse(const update_id& id, fate what) {
  refused_[what] += 1;
  if (what == fate::duplicate && !was_assigned(id)) {
    fault(fmt::format("{} is called a duplicate, but it was never given out", to_string(id)));
  }
}

/// Versions count up, merges without gaps; the updates of one follow each other.
void ledger::follow_merges(const update_id& id, const settle_record& settled, fate what) {
  if ((what == fate::applied) != (settled.merge != 0)) {
    fault(fmt::format("{} is settled as {}, with merge {}", to_string(id), to_string(what),
                      settled.merge));
  }
  const bool begins = settled.merge != 0 && !(merge_open_ && settled.merge == merge_);
  if (begins) {
    if (settled.merge != merge_ + 1) {
      fault(fmt::format("{} goes into merge {}, where {} is the next", to_string(id), settled.merge,
                        merge_ + 1));
    }
    merge_ = settled.merge;
    merge_open_ = true;
  }
  // A merge need not make a version: updates may be accumulated, or only a group's.
  if (settled.version != version_ && !(begins && settled.version == version_ + 1)) {
    fault(fmt::format("{} is settled at version {}, after version {}", to_string(id),
                      settled.version, version_));
  }
  version_ = settled.version;
}

void ledger::enter(const end_record& end) {
  if (end.version != version_) {
    fault(fmt::format("the run ends at version {}, after version {}", end.version, version_));
  }
  if (!open_.empty()) {
    fault(fmt::format("the run ends, but {} has no fate", to_string(open_.begin()->first)));
  }
  merge_open_ = false;
  ended_ = true;
}

bool ledger::was_assigned(const update_id& id) const {
  const auto found = workers_.find(id.worker);
  if (found == workers_.end()) return false;
  const auto& life = found->second;
  return id.incarnation < life.incarnation ||
         (id.incarnation == life.incarnation && id.sequence < life.next_sequence);
}

void ledger::fault(std::string text) {
  fault_count_ += 1;
  if (faults_.size() < faults_kept) {
    faults_.push_back(fmt::format("record {}: {}", number_, text));
  }
}

// -- a run --------------------------------------------------------------------------------------

namespace {

ledger books_in(checkpoint_reader& file) {
  const auto part = snapshot_reader(file).read(record_part);
  if (part.values.contains("books")) return ledger(part.values["books"]);
  throw file_error("read", file.path(), "it has no books");
}

/// The counts that summary.json and the books should have in common.
std::vector<std::string> differences_to(const json& summary, const ledger& books) {
  std::map<std::string, std::uint64_t> counts{{"applied", 0},   {"stale", 0},     {"rejected", 0},
                                              {"duplicate", 0}, {"run_ended", 0}, {"abandoned", 0}};
  const auto count = [&counts](fate what, std::uint64_t n) {
    const auto found = counts.find(std::string(to_string(what)));
    if (found != counts.end()) {
      found->second += n;
    } else {
      counts[what == fate::too_stale ? "stale" : "rejected"] += n;
    }
  };
  for (const auto& [what, amount] : books.settled()) count(what, amount.rounds);
  for (const auto& [what, n] : books.refused()) count(what, n);

  std::vector<std::string> result;
  const auto compare = [&](const std::string& key, std::uint64_t n) {
    const auto said = summary.value(json::json_pointer("/" + key), json());
    if (said == n) return;
    result.push_back(
        fmt::format("summary.json: {} is {}, but {} by the journal", key, said.dump(), n));
  };
  compare("server_version", books.version());
  for (const auto& [key, n] : counts) compare("updates/" + key, n);
  return result;
}

}  // namespace

audit_result audit_run(file_system& files, const std::string& directory) {
  require_journal(files, directory);
  const auto folder = journal_folder(directory);
  audit_result result;
  auto from = journal_reader(files, folder).first_record();
  if (from > 0) {
    const auto restored = restore_oldest(files, directory, from, [&](checkpoint_reader& file) {
      result.books = books_in(file);
      from = file.header().record;
      result.checkpoint = file.header().number;
    });
    if (!restored.header) {
      throw run_error(fmt::format(
          "{}: its journal begins with record {}, and no checkpoint says what was before{}{}",
          directory, from, restored.skipped.empty() ? "" : "; ",
          restored.skipped.empty() ? "" : restored.skipped.front()));
    }
  }
  journal_reader journal(files, folder, from);
  while (const auto entry = journal.next()) {
    result.books.add(entry->number, entry->content);
    result.records += 1;
  }
  result.torn = journal.end().torn;
  if (const auto summary = summary_of(directory); result.books.ended() && summary) {
    result.against_summary = differences_to(*summary, result.books);
  }
  return result;
}

}  // namespace rubato
