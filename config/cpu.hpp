// The vector instructions of the CPU that decide which kernels and which precision are fast here.
// Not here: the decisions (instruction_set.hpp; in model/ blas.hpp and precision.hpp).
#pragma once

namespace rubato {

/// All false on anything but x86-64.
struct cpu_features {
  bool avx2 = false;         // AVX2 and FMA
  bool avx512 = false;       // AVX512-F, -DQ, -BW and -VL
  bool avx512_bf16 = false;  // as every CPU with AMX-BF16 has, too
  bool amx_bf16 = false;     // AMX's tiles of bf16; hypervisors often hide them
  bool amd = false;          // whose AVX512-BF16 does more than its f32; Intel's does less
};

/// Those of this machine that the operating system lets programs use.
inline cpu_features this_cpu() {
  cpu_features features;
#if defined(__x86_64__)
  features.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  features.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  features.amx_bf16 = features.avx512_bf16 && __builtin_cpu_supports("amx-bf16");
  features.amd = __builtin_cpu_is("amd");
#endif
  return features;
}

}  // namespace rubato
