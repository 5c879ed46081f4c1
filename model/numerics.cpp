#include "model/numerics.hpp"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <set>
#include <string_view>

#include "config/cpu.hpp"
#include "model/blas.hpp"
#include "model/precision.hpp"

namespace rubato {
namespace {

/// As LibTorch says itself, among other things.
std::string torch_instructions() {
  constexpr std::string_view label = "CPU capability usage: ";
  const auto all = at::show_config();
  const auto begin = all.find(label);
  if (begin == all.npos) return "unknown";
  const auto from = begin + label.size();
  return all.substr(from, all.find('\n', from) - from);
}

/// The instructions that oneDNN uses: its own word for it if it can be asked, or those there are.
std::string onednn_instructions() {
  if (!at::hasMKLDNN()) return "not used";
  using function = int (*)();
  if (const auto isa =
          reinterpret_cast<function>(dlsym(RTLD_DEFAULT, "dnnl_get_effective_cpu_isa"))) {
    return fmt::format("{:#x}", isa());
  }
  const auto cpu = this_cpu();
  return cpu.avx512_bf16 ? "AVX512-BF16" : cpu.avx512 ? "AVX-512" : cpu.avx2 ? "AVX2" : "SSE";
}

/// Without numbers: which one of its GPUs a machine uses makes no difference.
std::string device_kinds(const config& c) {
  std::set<std::string> kinds;
  for (const auto& name : c.workers.device) kinds.insert(name.substr(0, name.find(':')));
  return fmt::format("{}", fmt::join(kinds, ", "));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> numerics_of(const config& c) {
  return {{"compiler", __VERSION__},
          {"LibTorch", TORCH_VERSION},
          {"vector instructions of LibTorch", torch_instructions()},
          {"matrix kernels", matrix_kernels()},
          {"instructions of oneDNN", onednn_instructions()},
          {"inner.precision", std::string(to_string(resolve_precision(c)))},
          {"workers.device", device_kinds(c)},
          {"workers.threads_per_lane", fmt::format("{}", c.workers.threads_per_lane)}};
}

}  // namespace rubato
