#include "actors/preparer.hpp"

#include <utility>

namespace rubato {

preparer_actor::behavior_type preparer(
    actor_pointer<preparer_actor, preparer_state> self,
    std::function<run_context_ptr(const override_list&)> prepare) {
  state_of(self).prepare = std::move(prepare);
  return {
      [self](const prepare_run& request) {
        run_prepared result{request.settings, nullptr, nullptr};
        try {
          result.run = state_of(self).prepare(request.settings);
        } catch (...) {
          result.error = std::current_exception();
        }
        send(self, caf::actor_cast<server_courier_actor>(sender_of(self)), std::move(result));
        self->quit();
      },
  };
}

}  // namespace rubato
