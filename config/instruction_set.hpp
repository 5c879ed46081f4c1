// Loops that are written once and compiled for each instruction set; at run time those for the one
// in use are called. The program so runs on any x86-64, and as fast as the CPU lets it.
//   vectorised([=] {
//     RUBATO_ELEMENTWISE
//     for (std::size_t i = 0; i < count; ++i) sum[i] += g[i];
//   });
// What such a loop computes must not depend on the width of the registers: single IEEE operations
// on each element, and sums over elements in a fixed number of accumulators. Then all sets give the
// same bits, for nothing is compiled with fused multiply-adds (-ffp-contract=off).
// Not here: the loops, and libraries, which choose for themselves (model/blas.hpp).
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace rubato {

/// Ascending: who has one has those before it.
enum class instruction_set { baseline, avx2, avx512 };

/// As in `run.instruction_set`.
std::string_view name(instruction_set s);

/// Those that this CPU has, ascending. `baseline`, what the compiler takes for granted, always is.
std::vector<instruction_set> instruction_sets_here();

/// The one that vectorised() takes in this process: the last of those here, until another is asked
/// for. Any thread may ask for one at any time.
instruction_set instruction_set_in_use();

/// `choice` as in `run.instruction_set`, "auto" for the last of those here. Throws usage_error for
/// one that this CPU does not have, with those it has.
void use_instruction_set(std::string_view choice);

/// Bytes of the widest register, and of a cache line. An array in which a loop keeps what the next
/// one reads begins at a multiple of them, so that no step goes over the end of a line.
inline constexpr std::size_t register_bytes = 64;

/// Before a loop whose passes touch each element of an array by themselves, so that two arrays are
/// either one or have no element in common: it need not be found out at run time.
#if defined(__clang__)
#  define RUBATO_ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")
#else
#  define RUBATO_ELEMENTWISE _Pragma("GCC ivdep")
#endif

// What they call is compiled with them. The loop is a copy, so that no store to an array can change
// what it has captured.
template <class Loop>
auto in_baseline(Loop loop) {
  return loop();
}
#if defined(__x86_64__)
template <class Loop>
[[gnu::target("avx2"), gnu::flatten]] auto in_avx2(Loop loop) {
  return loop();
}
template <class Loop>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl"), gnu::flatten]] auto in_avx512(Loop loop) {
  return loop();
}
#endif

/// Calls a function object that captures by value what its loop needs, and returns what it returns.
template <class Loop>
auto vectorised(const Loop& loop) {
  switch (instruction_set_in_use()) {
#if defined(__x86_64__)
    case instruction_set::avx512:
      return in_avx512(loop);
    case instruction_set::avx2:
      return in_avx2(loop);
#endif
    default:
      return in_baseline(loop);
  }
}

}  // namespace rubato
