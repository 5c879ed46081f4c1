// What instructions are counted of: workloads NAME COUNT does the same COUNT times. Without threads
// and clocks, and in the instruction set that all have, so that a count says the same on every
// machine.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "config/instruction_set.hpp"
#include "coordination/coordinator.hpp"
#include "coordination/event_queue.hpp"
#include "optim/merger.hpp"
#include "transfer/buffer_coding.hpp"

using namespace rubato;

namespace {

constexpr std::size_t parameters = 65536;

parameter_layout layout_of_parameters() {
  parameter_layout layout;
  layout.add("parameters", {static_cast<std::int64_t>(parameters)});
  return layout;
}

std::shared_ptr<parameter_buffer> made_up(std::size_t size) {
  auto buffer = std::make_shared<parameter_buffer>(size);
  for (std::size_t i = 0; i < size; ++i) buffer->data()[i] = 1e-4F * static_cast<float>(i % 997);
  return buffer;
}

/// Merges of an update, in f32 or as int8.
void merge(std::int64_t count, bool encoded) {
  config c;
  c.outer.threads = 1;
  const auto layout = layout_of_parameters();
  merger m(layout, c);
  version_ptr current = made_up(layout.size());
  const auto update = made_up(layout.size());
  parameter_buffer kept(layout.size());
  parameter_buffer bytes(encoded_floats(codec::int8, layout));
  encode_update(codec::int8, layout, *update, nullptr, kept, bytes);
  merge_input input{update, nullptr};
  if (encoded) {
    input.delta = nullptr;
    input.read = [&](std::size_t first, std::span<float> out) {
      decode_part(codec::int8, layout, std::as_bytes(bytes.span()), first, out);
    };
  }
  for (std::int64_t i = 0; i < count; ++i) current = m.merge(current, std::span(&input, 1), 0.0);
}

/// Updates encoded as int4, with error feedback.
void encode(std::int64_t count) {
  const auto layout = layout_of_parameters();
  const auto update = made_up(layout.size());
  std::array<parameter_buffer, 2> kept{parameter_buffer(layout.size()),
                                       parameter_buffer(layout.size())};
  parameter_buffer bytes(encoded_floats(codec::int4, layout));
  for (std::int64_t i = 0; i < count; ++i) {
    encode_update(codec::int4, layout, *update, &kept[i % 2], kept[(i + 1) % 2], bytes);
  }
}

/// Updates of 2,000 workers, as the server has the coordinator decide on them.
void settle(std::int64_t count) {
  config c;
  c.workers.count = 2000;
  c.quota.local_steps = 1;
  c.quota.policy = std::string("fixed");
  c.run.local_steps = 1'000'000'000;
  c.evaluate.every_local_steps = c.run.local_steps;
  coordinator::setting facts;
  facts.shard_weights = {1.0};
  facts.elements = 16;
  coordinator decisions(c, facts);
  event_queue events;
  std::map<update_id, assignment> open;
  const auto carry_out = [&](const action_list& actions) {
    for (const auto& action : actions) {
      const auto* assign = std::get_if<assign_action>(&action);
      if (assign == nullptr) continue;
      events.expect(assign->work.due(), assign->work.id);
      open[assign->work.id] = assign->work;
    }
  };
  for (worker_id i = 0; i < 2000; ++i) carry_out(decisions.worker_joined(run_time{0}, i));
  while (count > 0) {
    events.set_window_end(decisions.window_end());
    const auto event = events.next();
    events.take();
    if (const auto* id = std::get_if<update_id>(&event->what)) {
      const auto work = open.extract(*id).mapped();
      arrival update;
      update.id = *id;
      update.base_version = work.base_version;
      update.elements = 16;
      update.norm = 1.0;
      update.compute_time = work.timing.compute;
      carry_out(decisions.update_arrived(event->time, update));
      --count;
    } else {
      carry_out(decisions.tick(event->time));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  use_instruction_set("baseline");
  const std::string name = argv[1];
  const std::int64_t count = std::atoll(argv[2]);
  if (name == "merge") {
    merge(count, false);
  } else if (name == "merge_int8") {
    merge(count, true);
  } else if (name == "encode_int4") {
    encode(count);
  } else if (name == "settle") {
    settle(count);
  } else {
    std::fprintf(stderr, "workloads: there is no %s\n", argv[1]);
    return 2;
  }
  return 0;
}
