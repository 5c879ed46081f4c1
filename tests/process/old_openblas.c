/* For LD_PRELOAD: an OpenBLAS that takes every CPU for an old one. It does no products; those are
   done by the real one, with whatever kernels that chooses. */
#include <stdlib.h>

const char* openblas_get_corename(void) {
  const char* const chosen = getenv("OPENBLAS_CORETYPE");
  return chosen != NULL ? chosen : "Prescott";
}

const char* openblas_get_config(void) { return "OpenBLAS 0.3.21 DYNAMIC_ARCH"; }
