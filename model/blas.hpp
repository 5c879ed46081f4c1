// Which BLAS does LibTorch's matrix products here, and with which kernels. It is whatever the
// system loads, so everything is found out at run time. No LibTorch needed.
#pragma once

#include <string>

namespace rubato {

/// For people: "OpenBLAS with SkylakeX kernels", and whether OPENBLAS_CORETYPE made that choice, or
/// a warning that it is something slower.
std::string describe_blas();

/// OpenBLAS's own pool; other libraries are left alone. One count for the whole process.
void set_blas_threads(int count);

}  // namespace rubato
