#include "actors/worker.hpp"

#include <utility>

#include "model/inner_optimizer.hpp"

namespace rubato {

worker_actor::behavior_type worker(actor_pointer<worker_actor, worker_state> self,
                                   server_actor server, node_actor node) {
  state_of(self).server = std::move(server);
  state_of(self).node = std::move(node);
  return {
      [self](const assign_round& round) {
        guarded(self, "worker", [&] {
          auto& state = state_of(self);
          if (!state.inner) state.inner = std::make_shared<inner_state>();
          send(self, state.node, run_round{round.work, round.base, state.inner});
        });
      },
      [self](const round_finished& round) {
        guarded(self, "worker", [&] {
          state_of(self).unsettled = round.content;
          send(self, state_of(self).server, submit_update{round.content});
        });
      },
      [self](const update_settled& settled) {
        guarded(self, "worker", [&] {
          auto& state = state_of(self);
          if (state.unsettled && state.unsettled->update.id == settled.id) state.unsettled.reset();
          // What made the update NaN or infinite is in the state too, and would never leave it.
          if (settled.what == fate::not_finite) state.inner.reset();
        });
      },
  };
}

}  // namespace rubato
