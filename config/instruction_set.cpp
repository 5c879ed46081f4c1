#include "config/instruction_set.hpp"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstddef>

#include "config/cpu.hpp"
#include "config/error.hpp"

namespace rubato {
namespace {

constexpr std::array<std::string_view, 3> names{"baseline", "avx2", "avx512"};

std::atomic<instruction_set>& chosen() {
  static std::atomic<instruction_set> set{instruction_sets_here().back()};
  return set;
}

}  // namespace

std::string_view name(instruction_set s) {
  return names.at(static_cast<std::size_t>(s));
}

std::vector<instruction_set> instruction_sets_here() {
  const auto cpu = this_cpu();
  std::vector<instruction_set> sets{instruction_set::baseline};
  if (cpu.avx2) sets.push_back(instruction_set::avx2);
  if (cpu.avx2 && cpu.avx512) sets.push_back(instruction_set::avx512);
  return sets;
}

instruction_set instruction_set_in_use() {
  return chosen().load(std::memory_order_relaxed);
}

void use_instruction_set(std::string_view choice) {
  const auto here = instruction_sets_here();
  std::vector<std::string_view> allowed{"auto"};
  for (const auto set : here) {
    allowed.push_back(name(set));
    if (choice == "auto" ? set == here.back() : choice == name(set)) {
      chosen().store(set, std::memory_order_relaxed);
      return;
    }
  }
  throw usage_error(
      fmt::format("run.instruction_set = \"{}\" is not what this CPU has; it must be one of {}",
                  choice, fmt::join(allowed, ", ")));
}

}  // namespace rubato
