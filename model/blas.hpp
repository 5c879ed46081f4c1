// Which BLAS does LibTorch's matrix products here, and with which kernels. It is whatever the
// system loads, so everything is found out at run time.
// OpenBLAS chooses its kernels when it is loaded, by the CPU's model number; for a CPU that is
// newer than it, or that a hypervisor disguises, they can be those of an old one, and slow.
#pragma once

#include <string>
#include <string_view>

#include "config/cpu.hpp"

namespace rubato {

/// OpenBLAS's kernels, by its names for them ("Haswell"), and how it came to them.
struct openblas_kernels {
  std::string name = {};
  bool by_environment = false;  // OPENBLAS_CORETYPE was set
  std::string replaced = {};    // with by_environment: Rubato set it, because these were chosen
};

/// The kernels that suit this CPU better than those called `kernels`, or nothing: SkylakeX, or
/// Cooperlake with bf16 instructions, where AVX-512 would be left unused; Haswell where AVX2 would.
/// Names that are not known are taken for new kernels and left alone.
std::string_view better_kernels(std::string_view kernels, const cpu_features& cpu);

/// For people: "OpenBLAS with SkylakeX kernels", who chose them, and whether others would suit the
/// CPU better.
std::string describe(const openblas_kernels& kernels, const cpu_features& cpu);

/// describe() for what is loaded here, or what there is in place of OpenBLAS.
std::string describe_blas();

/// What multiplies matrices here, without how it came to that: "OpenBLAS, SkylakeX", "MKL" or
/// "LibTorch".
std::string matrix_kernels();

/// Whether LibTorch has neither OpenBLAS nor MKL: what is left takes several times as long.
bool has_slow_blas();

/// Starts the program anew with OPENBLAS_CORETYPE set if OpenBLAS has chosen kernels for which
/// there are better ones; to be called first thing in main(), with its argv. Does nothing if the
/// variable is set: that is how users choose, and how the second start knows that it is one. For
/// describe_blas(), RUBATO_REPLACED_CORETYPE then holds the kernels that OpenBLAS had chosen.
void choose_blas_kernels(char** argv);

/// OpenBLAS's own pool; other libraries are left alone. One count for the whole process.
void set_blas_threads(int count);

}  // namespace rubato
