// The preparer actor: makes a node's context, which means to load data and to build a model, while
// the node's courier keeps its link alive. It ends when that is done.
#pragma once

#include <functional>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"

namespace rubato {

struct preparer_state {
  preparer_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "preparer";

  std::function<run_context_ptr(const override_list&)> prepare;
};

preparer_actor::behavior_type preparer(
    actor_pointer<preparer_actor, preparer_state> self,
    std::function<run_context_ptr(const override_list&)> prepare);

}  // namespace rubato
