// Which run a file belongs to, so that those of two runs are never mixed.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <string>

namespace rubato {

/// In the header of every file of journal and checkpoints. Says nothing about the weights: two runs
/// of one config and seed have different ones.
struct run_identity {
  std::array<std::byte, 16> id{};
  std::chrono::nanoseconds created{0};  // when the run was begun, since 1970 (UTC)

  auto operator<=>(const run_identity&) const = default;
};

/// For a run that begins now; from the system's source of random numbers.
run_identity new_run_identity();

/// The id as 32 hexadecimal digits.
std::string to_string(const run_identity& run);

}  // namespace rubato
