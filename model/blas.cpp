#include "model/blas.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

namespace rubato {
namespace {

template <class Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

/// Empty if the BLAS is not OpenBLAS.
std::string openblas_core() {
  const auto core = find<const char* (*)()>("openblas_get_corename");
  return core == nullptr ? "" : core();
}

bool cpu_has_avx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

}  // namespace

std::string describe_blas() {
  const std::string core = openblas_core();
  if (core.empty()) return "not OpenBLAS: training may be several times slower";
  return "OpenBLAS with " + core + " kernels";
}

void set_blas_threads(int count) {
  if (const auto set = find<void (*)(int)>("openblas_set_num_threads")) set(count);
}

std::optional<std::string> better_blas_core() {
  const std::string_view core_type = [] {
    const char* value = std::getenv("OPENBLAS_CORETYPE");
    return value == nullptr ? "" : value;
  }();
  const std::string core = openblas_core();
  if (!core_type.empty() || !cpu_has_avx512() || (core != "Haswell" && core != "Zen")) return {};
  return "SkylakeX";
}

}  // namespace rubato
