#include "recovery/snapshot.hpp"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "config/error.hpp"
#include "coordination/state_json.hpp"

namespace rubato {

using nlohmann::json;

namespace {

// So much may wait for the disk before somebody has to wait for it.
constexpr std::size_t sync_bytes = std::size_t{64} << 20;

/// Sections of buffers are told from parts by this.
constexpr char separator = '/';

version_ptr take_buffer(snapshot& part, const std::string& name) {
  auto found = part.buffers.extract(name);
  if (!found) throw run_error(fmt::format("a checkpoint lacks the buffer \"{}\"", name));
  return std::move(found.mapped());
}

}  // namespace

std::string worker_part(worker_id worker) {
  return fmt::format("worker-{}", worker);
}

// -- contents -----------------------------------------------------------------------------------

json layout_json(const parameter_layout& layout) {
  auto tensors = json::array();
  for (const auto& tensor : layout.tensors()) {
    tensors.push_back({{"name", tensor.name}, {"shape", tensor.shape}, {"section", tensor.part}});
  }
  return tensors;
}

parameter_layout layout_from(const json& tensors) {
  parameter_layout layout;
  for (const auto& tensor : tensors) {
    layout.add(tensor.at("name").get<std::string>(),
               tensor.at("shape").get<std::vector<std::int64_t>>(),
               tensor.at("section").get<section>());
  }
  return layout;
}

void put_inner(snapshot& part, const std::string& name,
               const std::shared_ptr<const inner_state>& state) {
  if (!state) {
    part.values[name] = nullptr;
    return;
  }
  const auto buffers = buffers_of(*state);
  part.values[name] = {{"steps", state->steps},
                       {"buffers", buffers.size()},
                       {"local", state->local != nullptr},
                       {"residual", state->residual != nullptr}};
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    part.buffers[fmt::format("{}.{}", name, i)] = buffers[i];
  }
  if (state->local) part.buffers[name + ".local"] = state->local;
  if (state->residual) part.buffers[name + ".residual"] = state->residual;
}

std::shared_ptr<inner_state> take_inner(snapshot& part, const std::string& name) {
  const auto& values = part.values.at(name);
  if (values.is_null()) return nullptr;
  auto state = std::make_shared<inner_state>();
  values.at("steps").get_to(state->steps);
  const auto buffers = values.at("buffers").get<std::size_t>();
  for (std::size_t i = 0; i < buffers; ++i) {
    state->buffers.push_back(own(take_buffer(part, fmt::format("{}.{}", name, i))));
  }
  if (values.at("local").get<bool>()) state->local = take_buffer(part, name + ".local");
  if (values.at("residual").get<bool>()) state->residual = take_buffer(part, name + ".residual");
  return state;
}

void put_merging(snapshot& part, const replay_start& start) {
  part.values["version"] = start.version;
  part.buffers["parameters"] = start.parameters;
  if (start.outer) {
    auto names = json::array();
    for (const auto& buffer : start.outer->buffers) {
      names.push_back(buffer.name);
      part.buffers["outer." + buffer.name] = buffer.values;
    }
    part.values["outer"] = {{"updates", start.outer->updates},
                            {"pending", start.outer->pending},
                            {"pending_weight", start.outer->pending_weight},
                            {"buffers", std::move(names)}};
  } else {
    part.values["outer"] = nullptr;
  }
  put_inner(part, "data_parallel", start.data_parallel);
  auto& groups = part.values["groups"] = json::array();
  for (const auto& [group, parameters] : start.groups) {
    groups.push_back(group);
    part.buffers[fmt::format("group.{}", group)] = parameters;
  }
  auto& known = part.values["known"] = json::array();
  for (const auto& [worker, version] : start.known) {
    known.push_back(worker);
    part.buffers[fmt::format("known.{}", worker)] = version;
  }
  auto& bases = part.values["bases"] = json::array();
  for (const auto& [id, base] : start.bases) {
    part.buffers[fmt::format("base.{}", bases.size())] = base;
    bases.push_back(id);
  }
}

replay_start take_merging(snapshot& part) {
  replay_start start;
  part.values.at("version").get_to(start.version);
  start.parameters = take_buffer(part, "parameters");
  if (const auto& outer = part.values.at("outer"); !outer.is_null()) {
    auto& state = start.outer.emplace();
    outer.at("updates").get_to(state.updates);
    outer.at("pending").get_to(state.pending);
    outer.at("pending_weight").get_to(state.pending_weight);
    for (const auto& name : outer.at("buffers")) {
      state.buffers.push_back(
          {name.get<std::string>(), take_buffer(part, "outer." + name.get<std::string>())});
    }
  }
  start.data_parallel = take_inner(part, "data_parallel");
  for (const auto& group : part.values.at("groups")) {
    const auto id = group.get<group_id>();
    start.groups[id] = take_buffer(part, fmt::format("group.{}", id));
  }
  for (const auto& worker : part.values.at("known")) {
    const auto id = worker.get<worker_id>();
    start.known[id] = take_buffer(part, fmt::format("known.{}", id));
  }
  const auto& bases = part.values.at("bases");
  for (std::size_t i = 0; i < bases.size(); ++i) {
    start.bases[bases[i].get<update_id>()] = take_buffer(part, fmt::format("base.{}", i));
  }
  return start;
}

snapshot to_snapshot(const worker_snapshot& worker) {
  snapshot part;
  const auto put = [&](std::string name, const version_ptr& buffer) {
    if (buffer) part.buffers[std::move(name)] = buffer;
    return buffer != nullptr;
  };
  auto rounds = json::array();
  for (const auto& round : worker.rounds) {
    const auto prefix = fmt::format("round.{}.", rounds.size());
    rounds.push_back({{"work", round.work},
                      {"steps_before", round.steps_before},
                      {"update", round.update},
                      {"submits_inner", round.submits_inner},
                      {"base", put(prefix + "base", round.base)},
                      {"delta", put(prefix + "delta", round.delta)},
                      {"encoded", put(prefix + "encoded", round.encoded)}});
  }
  part.values = {{"worker", worker.worker},
                 {"incarnation", worker.incarnation},
                 {"rounds", std::move(rounds)},
                 {"went", put("from", worker.went.from) && put("to", worker.went.to)},
                 {"replied", worker.replied}};
  put_inner(part, "inner", worker.inner);
  return part;
}

worker_snapshot take_worker(snapshot& part) {
  const auto take = [&](const json& there, std::string name) {
    return there.get<bool>() ? take_buffer(part, name) : nullptr;
  };
  worker_snapshot worker;
  const auto& values = part.values;
  values.at("worker").get_to(worker.worker);
  values.at("incarnation").get_to(worker.incarnation);
  values.at("replied").get_to(worker.replied);
  worker.went = {take(values.at("went"), "from"), take(values.at("went"), "to")};
  for (const auto& saved : values.at("rounds")) {
    const auto prefix = fmt::format("round.{}.", worker.rounds.size());
    auto& round = worker.rounds.emplace_back();
    saved.at("work").get_to(round.work);
    saved.at("steps_before").get_to(round.steps_before);
    saved.at("update").get_to(round.update);
    saved.at("submits_inner").get_to(round.submits_inner);
    round.base = take(saved.at("base"), prefix + "base");
    round.delta = take(saved.at("delta"), prefix + "delta");
    round.encoded = take(saved.at("encoded"), prefix + "encoded");
  }
  worker.inner = take_inner(part, "inner");
  return worker;
}

// -- files --------------------------------------------------------------------------------------

void snapshot_writer::add(std::string name, snapshot part) {
  auto queued = std::make_unique<queued_part>();
  queued->name = std::move(name);
  queued->content = std::move(part);
  queued->next = queued->content.buffers.begin();
  queue_.push_back(std::move(queued));
}

std::optional<std::string> snapshot_writer::write_slice() {
  auto& part = *queue_.front();
  if (rest_.empty()) {
    const auto end = part.content.buffers.cend();
    // Those that are in the file already take no time.
    for (; part.next != end; ++part.next) {
      const auto found = written_.find(part.next->second);
      if (found == written_.end()) break;
      part.sections[part.next->first] = found->second;
    }
    if (part.next == end) {
      const auto bytes =
          json::to_cbor({{"values", part.content.values}, {"buffers", part.sections}});
      file_.begin_section(part.name);
      file_.write(std::as_bytes(std::span(bytes)));
      auto name = std::move(part.name);
      queue_.pop_front();
      return name;
    }
    auto section = part.name + separator + part.next->first;
    part.sections[part.next->first] = section;
    file_.begin_section(section);
    rest_ = std::as_bytes(part.next->second->span());
    written_.emplace(part.next->second, std::move(section));
    ++part.next;
  }
  const auto slice = rest_.first(std::min(rest_.size(), slice_bytes));
  file_.write(slice);
  rest_ = rest_.subspan(slice.size());
  if (rest_.empty()) std::prev(part.next)->second->let_go();
  unsynced_ += slice.size();
  if (unsynced_ >= sync_bytes) {
    file_.sync();
    unsynced_ = 0;
  }
  return std::nullopt;
}

std::vector<std::string> snapshot_reader::parts() const {
  std::vector<std::string> result;
  for (const auto& section : file_.sections()) {
    if (section.name.find(separator) == std::string::npos) result.push_back(section.name);
  }
  return result;
}

snapshot snapshot_reader::read(std::string_view part) {
  const auto fail = [&](std::string_view reason) {
    throw file_error("read", file_.path(), fmt::format("its part \"{}\" {}", part, reason));
  };
  const auto bytes = file_.read(part);
  const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
  auto content = json::from_cbor(begin, begin + bytes.size(), true, false);
  if (!content.is_object() || !content.contains("values") || !content.contains("buffers") ||
      !content["buffers"].is_object()) {
    fail("is not one of a run");
  }
  snapshot result;
  result.values = std::move(content["values"]);
  for (const auto& [name, section] : content["buffers"].items()) {
    if (!section.is_string()) fail("is not one of a run");
    const auto where = section.get<std::string>();
    auto buffer = read_[where].lock();
    if (!buffer) {
      const auto* found = file_.find(where);
      if (found == nullptr || found->size % sizeof(float) != 0) {
        fail(fmt::format("has no buffer \"{}\"", name));
      }
      auto fresh = std::make_shared<parameter_buffer>(found->size / sizeof(float));
      file_.read(where, std::as_writable_bytes(fresh->span()));
      read_[where] = buffer = std::move(fresh);
    }
    result.buffers[name] = std::move(buffer);
  }
  return result;
}

}  // namespace rubato
