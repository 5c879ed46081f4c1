// Which BLAS does LibTorch's matrix products here, and with which kernels. It is whatever the
// system loads, so everything is found out at run time. No LibTorch needed.
#pragma once

#include <optional>
#include <string>

namespace rubato {

/// For people: "OpenBLAS with SkylakeX kernels", or a warning that it is something else.
std::string describe_blas();

/// OpenBLAS's own pool; other libraries are left alone. One count for the whole process.
void set_blas_threads(int count);

/// OpenBLAS 0.3.21 takes CPUs that it does not know for Haswell, where AVX-512 would be half as
/// fast again. Returns the core type to ask for ("SkylakeX") if that is so here; empty if the
/// choice is fine or was made with OPENBLAS_CORETYPE already.
std::optional<std::string> better_blas_core();

}  // namespace rubato
