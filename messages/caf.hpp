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
#include <caf/io/all.hpp>
#include <caf/openssl/manager.hpp>
#include <caf/openssl/publish.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <new>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "config/error.hpp"
#include "network/tls_errors.hpp"

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

/// Who sent the message that is being handled.
template <class Self>
caf::strong_actor_ptr sender_of(Self* self) {
  return caf::actor_cast<caf::strong_actor_ptr>(self->current_sender());
}

/// Asks, and calls one of the two back: with the answer, or with the error, at the latest after
/// `timeout`.
template <class Self, class Handle, class OnAnswer, class OnError, class... Ts>
void ask(Self* self, const Handle& whom, std::chrono::nanoseconds timeout, OnAnswer on_answer,
         OnError on_error, Ts&&... question) {
#if RUBATO_CAF_1
  self->mail(std::forward<Ts>(question)...)
      .request(whom, timeout)
      .then(std::move(on_answer), std::move(on_error));
#else
  self->request(whom, timeout, std::forward<Ts>(question)...)
      .then(std::move(on_answer), std::move(on_error));
#endif
}

// -- messages that leave the process ------------------------------------------------------------

/// For the body of inspect(): how CAF writes and reads a struct with these members.
template <class Inspector, class Message, class... Members>
auto inspect_members(Inspector& f, [[maybe_unused]] Message& message,
                     const std::tuple<Members&...>& members) {
#if RUBATO_CAF_018
  // The names are of no use to the binary format; they only have to differ.
  static constexpr const char* names[] = {"0",  "1",  "2",  "3",  "4",  "5",  "6",
                                          "7",  "8",  "9",  "10", "11", "12", "13",
                                          "14", "15", "16", "17", "18", "19"};
  static_assert(sizeof...(Members) <= std::size(names));
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return f.object(message).fields(f.field(names[I], std::get<I>(members))...);
  }
  (std::index_sequence_for<Members...>());
#else
  return std::apply([&f](auto&... member) { return f(member...); }, members);
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
      const auto found = callbacks_.extract(message.source);
      if (found) found.mapped()(message.reason);
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
template <class... TypeIdBlocks>
void initialize_messages() {
  (caf::init_global_meta_objects<TypeIdBlocks>(), ...);
  caf::openssl::manager::init_global_meta_objects();
  caf::io::middleman::init_global_meta_objects();
  caf::core::init_global_meta_objects();
}
#  define RUBATO_CAF_KEY(key) "caf." key
#else
template <class... TypeIdBlocks>
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

// -- the network --------------------------------------------------------------------------------

/// Certificates for TLS, as paths of PEM files: of this process, its key, and of who signs those of
/// all others. All three or none.
struct network_identity {
  std::string certificate;
  std::string key;
  std::string authority;

  bool given() const { return !certificate.empty(); }
};

/// Lets actors of other processes in and out. Their messages are those of the block.
template <class TypeIdBlock>
void configure_network(caf::actor_system_config& system, const network_identity& identity) {
  // Which processes are there is the couriers' to find out; these two only clean connections up
  // that hang. The first is far above the time that a handshake takes: a beat in the middle of one
  // makes CAF 0.17.6 give it up.
  using namespace std::chrono_literals;
  system.set(RUBATO_CAF_KEY("middleman.heartbeat-interval"), caf::timespan(5s));
  system.set(RUBATO_CAF_KEY("middleman.connection-timeout"), caf::timespan(30s));
#if !RUBATO_CAF_018
  system.add_message_types<TypeIdBlock>();
#endif
  system.load<caf::io::middleman>();
  if (!identity.given()) return;
  keep_tls_errors_apart();
  system.load<caf::openssl::manager>();
#if RUBATO_CAF_018
  system.set("caf.openssl.certificate", identity.certificate);
  system.set("caf.openssl.key", identity.key);
  system.set("caf.openssl.cafile", identity.authority);
#else
  system.openssl_certificate = identity.certificate;
  system.openssl_key = identity.key;
  system.openssl_cafile = identity.authority;
#endif
}

/// Whom to ask for connections.
inline caf::io::middleman_actor connector(caf::actor_system& system, bool encrypted) {
  return encrypted ? system.openssl_manager().actor_handle() : system.middleman().actor_handle();
}

/// Makes the actor reachable. Returns the port, which is another one if `port` is 0.
template <class Handle>
caf::expected<std::uint16_t> publish(caf::actor_system& system, const Handle& actor,
                                     const std::string& host, std::uint16_t port, bool encrypted) {
  constexpr bool reuse = true;
  if (encrypted) return caf::openssl::publish(actor, port, host.c_str(), reuse);
  return system.middleman().publish(actor, port, host.c_str(), reuse);
}

/// Why a connection did not come about, for people.
inline std::string explain_connecting(const caf::error& reason) {
  if (reason == caf::sec::cannot_connect_to_node) return "nobody listens there";
  if (reason == caf::sec::request_timeout) return "it did not answer";
  if (reason == caf::sec::disconnect_during_handshake) {
    return "it broke off: it takes other certificates, or TLS from one side only";
  }
  return explain(reason);
}

/// Connects to the actor that was published there. Calls one of the two back, the second with a
/// sentence.
template <class Handle, class Self, class OnConnected, class OnError>
void connect(Self* self, const std::string& host, std::uint16_t port, bool encrypted,
             std::chrono::nanoseconds timeout, OnConnected on_connected, OnError on_error) {
  ask(
      self, connector(self->system(), encrypted), timeout,
      [=](const caf::node_id&, const caf::strong_actor_ptr& actor, const std::set<std::string>&) {
        if (actor) {
          on_connected(caf::actor_cast<Handle>(actor));
        } else {
          on_error("nobody is to be reached there");
        }
      },
      [=](const caf::error& reason) { on_error(explain_connecting(reason)); }, caf::connect_atom_v,
      host, port);
}

/// Calls back with "address:port" of an actor's process, or with words in its place.
template <class Self, class Callback>
void find_address(Self* self, const caf::strong_actor_ptr& actor, Callback callback) {
  if (actor->node() == self->node()) {
    callback(std::string("this process"));
    return;
  }
  ask(
      self, connector(self->system(), false), std::chrono::seconds(2),
      [=](const caf::node_id&, const std::string& host, std::uint16_t port) {
        callback(host.empty() ? std::string("an unknown address")
                              : host + ":" + std::to_string(port));
      },
      [=](const caf::error&) { callback(std::string("an unknown address")); }, caf::get_atom_v,
      actor->node());
}

}  // namespace rubato
