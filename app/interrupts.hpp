// Ctrl-C and its kin: the first asks a command to end well, a second one ends it at once.
#pragma once

#include <atomic>

namespace rubato {

/// The shell's code for a program ended by SIGINT: scripts must not go on after Ctrl-C.
inline constexpr int exit_interrupted = 130;

/// From now on SIGINT, SIGTERM and SIGHUP set the flag that is returned; a second one ends the
/// program with exit_interrupted. A signal that whoever started the program has switched off stays
/// so, and writing to a closed pipe is an error like any other.
std::atomic<bool>& catch_interrupts();

/// Looks which of these signals are switched off. Only for before the first constructor, as a
/// library that then sets a handler of its own would hide it from catch_interrupts().
void remember_switched_off() noexcept;

}  // namespace rubato
