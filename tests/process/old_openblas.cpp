// For LD_PRELOAD: an OpenBLAS that takes every CPU for an old one. It multiplies nothing; that is
// done by the real one, with whatever kernels it chooses.
#include <cstdlib>

extern "C" const char* openblas_get_corename() {
  const char* const chosen = std::getenv("OPENBLAS_CORETYPE");
  return chosen != nullptr ? chosen : "Prescott";
}

extern "C" const char* openblas_get_config() {
  return "OpenBLAS 0.3.21 DYNAMIC_ARCH";
}
