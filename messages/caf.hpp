// The only file that includes CAF or asks for its version. Rubato is written against the names
// below; they mean the same with CAF 0.17.6 (what Debian ships) and with 0.18, 1.0 and 1.1.
//
// Rules that keep the common subset common: typed, function-based actors whose state is made
// without arguments and declares a default constructor (an aggregate would be made from the
// actor's pointer, as its first member); one struct a message, listed in a type-ID block; no
// floating point in a message (0.17.6 corrupts denormals and loops for ever on infinities when it
// serialises them): numbers travel as integers or behind a pointer; no groups, streams, flows,
// atoms or `after`.
#pragma once

#include <caf/all.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "config/error.hpp"

#define RUBATO_CAF_018 (CAF_MAJOR_VERSION > 0 || CAF_MINOR_VERSION >= 18)
#define RUBATO_CAF_1 (CAF_MAJOR_VERSION > 0)

namespace rubato {

// -- interfaces ---------------------------------------------------------------------------------

/// One handler of a typed actor that answers with nothing: `takes<message>`.
#if RUBATO_CAF_018
template <class... Ts>
using takes = caf::result<void>(Ts...);
#else
template <class... Ts>
using takes = caf::reacts_to<Ts...>;
#endif

template <class... Handlers>
using actor_interface = caf::typed_actor<Handlers...>;

template <class Interface, class State>
using actor_pointer = typename Interface::template stateful_pointer<State>;

template <class Self>
auto& state_of(Self* self) {
#if RUBATO_CAF_1
  return self->state();
#else
  return self->state;
#endif
}

// -- sending ------------------------------------------------------------------------------------

template <class Self, class Handle, class Message>
void send(Self* self, const Handle& to, Message&& message) {
#if RUBATO_CAF_1
  self->mail(std::forward<Message>(message)).send(to);
#else
  self->send(to, std::forward<Message>(message));
#endif
}

/// Sends later, and not at all if the actor system has ended by then.
template <class Self, class Handle, class Message>
void send_after(Self* self, std::chrono::nanoseconds delay, const Handle& to, Message&& message) {
#if RUBATO_CAF_1
  self->mail(std::forward<Message>(message)).delay(delay).send(to);
#else
  self->delayed_send(to, delay, std::forward<Message>(message));
#endif
}

/// From outside any actor.
template <class Handle, class Message>
void send_from_outside(const Handle& to, Message&& message) {
#if RUBATO_CAF_1
  caf::anon_mail(std::forward<Message>(message)).send(to);
#else
  caf::anon_send(to, std::forward<Message>(message));
#endif
}

// -- errors -------------------------------------------------------------------------------------

/// An error that carries a sentence for a person; shown again by explain().
inline caf::error failure(const std::string& text) {
  return caf::make_error(caf::sec::runtime_error, text);
}

/// The sentence inside a failure, or CAF's own words for its own errors.
inline std::string explain(const caf::error& reason) {
  if (reason == caf::sec::runtime_error) {
    const auto& context = reason.context();
    if (context.size() == 1 && context.match_element<std::string>(0)) {
      return context.get_as<std::string>(0);
    }
  }
#if RUBATO_CAF_018
  return caf::to_string(reason);
#else
  return caf::to_string(reason.category()) == "exit"
             ? caf::to_string(static_cast<caf::exit_reason>(reason.code()))
             : caf::to_string(reason);
#endif
}

/// Why an actor is gone, as a failure: its own words, or its name and CAF's reason.
inline caf::error failure_of(const char* actor, const caf::error& reason) {
  if (reason == caf::sec::runtime_error) return reason;
  return failure(std::string("the ") + actor + " is gone: " + explain(reason));
}

/// Runs a handler's body; an exception ends the actor with its text as the reason, and with it
/// every actor that is linked. No exception crosses an actor boundary.
template <class Self, class Body>
void guarded(Self* self, const char* actor, Body&& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    self->quit(failure(std::string(actor) + ": " + out_of_memory));
  } catch (const std::exception& e) {
    self->quit(failure(std::string(actor) + ": " + e.what()));
  } catch (...) {
    self->quit(failure(std::string(actor) + ": an exception of an unknown kind"));
  }
}

// -- watching other actors ----------------------------------------------------------------------

/// Calls back when a watched actor is gone. One per actor, kept in its state.
class watch_list {
 public:
  using callback = std::function<void(const caf::error&)>;

  template <class Self, class Handle>
  void watch(Self* self, const Handle& handle, callback on_down) {
#if RUBATO_CAF_1
    self->monitor(handle, std::move(on_down));
#else
    callbacks_[caf::actor_cast<caf::actor_addr>(handle)] = std::move(on_down);
    self->monitor(handle);
    self->set_down_handler([this](const caf::down_msg& message) {
      const auto it = callbacks_.find(message.source);
      if (it != callbacks_.end()) it->second(message.reason);
    });
#endif
  }

 private:
#if !RUBATO_CAF_1
  std::map<caf::actor_addr, callback> callbacks_;
#endif
};

/// Calls back, on whatever thread, when the actor is gone.
template <class Handle, class Callback>
void when_gone(const Handle& handle, Callback callback) {
  caf::actor_cast<caf::strong_actor_ptr>(handle)->get()->attach_functor(
      [callback = std::move(callback)](const caf::error& reason) { callback(reason); });
}

template <class Handle>
void ask_to_exit(const Handle& handle) {
  caf::anon_send_exit(handle, caf::exit_reason::user_shutdown);
}

// -- the actor system ---------------------------------------------------------------------------

/// Must run before the first actor system is made.
#if RUBATO_CAF_018
template <class TypeIdBlock>
void initialize_messages() {
  caf::init_global_meta_objects<TypeIdBlock>();
  caf::core::init_global_meta_objects();
}
#  define RUBATO_CAF_KEY(key) "caf." key
#else
template <class TypeIdBlock>
void initialize_messages() {}
#  define RUBATO_CAF_KEY(key) key
#endif

/// `scheduler_threads` serve all actors that are not detached.
inline void configure(caf::actor_system_config& system, std::size_t scheduler_threads) {
  system.set(RUBATO_CAF_KEY("scheduler.max-threads"), scheduler_threads);
  // Idle threads of the default policy, work stealing, poll; these wait. Polling took a tenth of
  // the CPU time where rounds are short.
#if RUBATO_CAF_018
  system.set("caf.scheduler.policy", std::string("sharing"));
#else
  system.set("scheduler.policy", caf::atom("sharing"));
#endif
}

}  // namespace rubato
