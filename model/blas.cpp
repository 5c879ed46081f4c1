#include "model/blas.hpp"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace rubato {
namespace {

constexpr const char* coretype = "OPENBLAS_CORETYPE";
constexpr const char* replaced_coretype = "RUBATO_REPLACED_CORETYPE";

// OpenBLAS's names for kernels of x86-64 CPUs without AVX2, and with AVX2 but without AVX-512.
constexpr std::array<std::string_view, 16> before_avx2 = {
    "Prescott", "Atom",      "Core2",        "Penryn",     "Dunnington", "Nehalem",
    "Athlon",   "Opteron",   "Opteron_SSE3", "Barcelona",  "Nano",       "Sandybridge",
    "Bobcat",   "Bulldozer", "Piledriver",   "Steamroller"};
constexpr std::array<std::string_view, 3> before_avx512 = {"Haswell", "Excavator", "Zen"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <class Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

/// Without a name if LibTorch does not use OpenBLAS.
openblas_kernels loaded_kernels() {
  openblas_kernels kernels;
  if (at::hasMKL()) return kernels;
  if (const auto name = find<const char* (*)()>("openblas_get_corename")) kernels.name = name();
  const char* const set = std::getenv(coretype);
  kernels.by_environment = set != nullptr && *set != '\0';
  const char* const replaced = std::getenv(replaced_coretype);
  if (replaced != nullptr) kernels.replaced = replaced;
  return kernels;
}

/// OpenBLAS may have been built for one CPU alone.
bool has_other_kernels() {
  const auto configuration = find<const char* (*)()>("openblas_get_config");
  return configuration != nullptr &&
         std::string_view(configuration()).find("DYNAMIC_ARCH") != std::string_view::npos;
}

}  // namespace

std::string_view better_kernels(std::string_view kernels, const cpu_features& cpu) {
  const bool leaves_avx2 = contains(before_avx2, kernels);
  const bool leaves_avx512 = leaves_avx2 || contains(before_avx512, kernels);
  if (leaves_avx512 && cpu.avx512) return cpu.avx512_bf16 ? "Cooperlake" : "SkylakeX";
  if (leaves_avx2 && cpu.avx2) return "Haswell";
  return {};
}

std::string describe(const openblas_kernels& kernels, const cpu_features& cpu) {
  std::string text = "OpenBLAS with " + kernels.name + " kernels";
  std::string remarks;
  if (kernels.by_environment && !kernels.replaced.empty()) {
    remarks = "chosen by Rubato in place of " + kernels.replaced;
  } else if (kernels.by_environment) {
    remarks = std::string("chosen by ") + coretype;
  }
  const auto better = better_kernels(kernels.name, cpu);
  if (!better.empty()) {
    if (!remarks.empty()) remarks += "; ";
    remarks += std::string(better) + " would suit this CPU";
  }
  if (!remarks.empty()) text += " (" + remarks + ")";
  return text;
}

std::string describe_blas() {
  if (has_slow_blas()) return "neither OpenBLAS nor MKL: steps may take several times as long";
  return at::hasMKL() ? "MKL" : describe(loaded_kernels(), this_cpu());
}

std::string matrix_kernels() {
  if (at::hasMKL()) return "MKL";
  const auto kernels = loaded_kernels();
  return kernels.name.empty() ? "LibTorch" : "OpenBLAS, " + kernels.name;
}

bool has_slow_blas() {
  return !at::hasMKL() && loaded_kernels().name.empty();
}

void choose_blas_kernels(char** argv) {
  const auto kernels = loaded_kernels();
  const auto better = better_kernels(kernels.name, this_cpu());
  if (kernels.by_environment || better.empty() || !has_other_kernels()) return;
  // The file's own path: as /proc/self/exe the program would be called "exe" in lists of processes.
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return;
  setenv(coretype, std::string(better).c_str(), 1);
  setenv(replaced_coretype, kernels.name.c_str(), 1);
  execv(program.c_str(), argv);
  // It could not be started: go on with the kernels there are.
  unsetenv(coretype);
  unsetenv(replaced_coretype);
}

void set_blas_threads(int count) {
  if (const auto set = find<void (*)(int)>("openblas_set_num_threads")) set(count);
}

}  // namespace rubato
