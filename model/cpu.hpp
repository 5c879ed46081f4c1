// The vector instructions of the CPU that decide which kernels and which precision are fast here.
// Not here: the decisions (blas.hpp, precision.hpp).
#pragma once

namespace rubato {

/// All false on anything but x86-64.
struct cpu_features {
  bool avx2 = false;         // AVX2 and FMA
  bool avx512 = false;       // AVX512-F, -DQ, -BW and -VL
  bool avx512_bf16 = false;  // also on every CPU with AMX-BF16
};

/// Those of this machine that the operating system lets programs use.
cpu_features this_cpu();

}  // namespace rubato
