#include "model/blas.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace rubato;

namespace {

constexpr cpu_features old_cpu{};
constexpr cpu_features with_avx2{true, false, false};
constexpr cpu_features with_avx512{true, true, false};
constexpr cpu_features with_bf16{true, true, true};

}  // namespace

TEST_CASE("kernels that leave the CPU's vector instructions unused have better ones") {
  for (const char* name : {"Prescott", "Nehalem", "Sandybridge", "Barcelona"}) {
    CAPTURE(name);
    CHECK(better_kernels(name, old_cpu) == "");
    CHECK(better_kernels(name, with_avx2) == "Haswell");
    CHECK(better_kernels(name, with_avx512) == "SkylakeX");
    CHECK(better_kernels(name, with_bf16) == "Cooperlake");
  }
  for (const char* name : {"Haswell", "Zen", "Excavator"}) {
    CAPTURE(name);
    CHECK(better_kernels(name, with_avx2) == "");
    CHECK(better_kernels(name, with_avx512) == "SkylakeX");
    CHECK(better_kernels(name, with_bf16) == "Cooperlake");
  }
}

TEST_CASE("kernels for AVX-512, for other CPUs, and unknown ones are left alone") {
  for (const char* name : {"SkylakeX", "Cooperlake", "Sapphirerapids", "neoversen1", "New", ""}) {
    CAPTURE(name);
    CHECK(better_kernels(name, with_bf16) == "");
  }
}

TEST_CASE("better kernels have no better ones") {
  for (const cpu_features& cpu : {with_avx2, with_avx512, with_bf16}) {
    CHECK(better_kernels(better_kernels("Prescott", cpu), cpu) == "");
  }
}

TEST_CASE("a description says who chose the kernels, and which would suit the CPU better") {
  CHECK(describe({"SkylakeX"}, with_avx512) == "OpenBLAS with SkylakeX kernels");
  CHECK(describe({"Haswell"}, with_avx512) ==
        "OpenBLAS with Haswell kernels (SkylakeX would suit this CPU)");
  CHECK(describe({"Haswell", true}, with_avx2) ==
        "OpenBLAS with Haswell kernels (chosen by OPENBLAS_CORETYPE)");
  CHECK(describe({"Haswell", true}, with_bf16) ==
        "OpenBLAS with Haswell kernels (chosen by OPENBLAS_CORETYPE; Cooperlake would suit this "
        "CPU)");
  CHECK(describe({"SkylakeX", true, "Haswell"}, with_avx512) ==
        "OpenBLAS with SkylakeX kernels (chosen by Rubato in place of Haswell)");
  // Its own choice is not Rubato's, whatever an earlier start has left in the environment.
  CHECK(describe({"SkylakeX", false, "Haswell"}, with_avx512) == "OpenBLAS with SkylakeX kernels");
}
