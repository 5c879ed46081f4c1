#include "model/blas.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace rubato {
namespace {

template <class Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

std::string describe_blas() {
  const auto core = find<const char* (*)()>("openblas_get_corename");
  if (core == nullptr) return "not OpenBLAS: training may be several times slower";
  const bool forced = std::getenv("OPENBLAS_CORETYPE") != nullptr;
  return std::string("OpenBLAS with ") + core() + " kernels" +
         (forced ? " (chosen by OPENBLAS_CORETYPE)" : "");
}

void set_blas_threads(int count) {
  if (const auto set = find<void (*)(int)>("openblas_set_num_threads")) set(count);
}

}  // namespace rubato
