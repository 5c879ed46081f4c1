#include "model/precision.hpp"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdint>

#include "model/network.hpp"

namespace rubato {

namespace {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
at::DeviceType type_of(processor where) {
  return where == processor::cpu ? at::kCPU : at::kCUDA;
}
bool autocast_enabled(processor where) {
  return at::autocast::is_autocast_enabled(type_of(where));
}
void set_autocast(processor where, bool on) {
  at::autocast::set_autocast_dtype(type_of(where), at::kBFloat16);
  at::autocast::set_autocast_enabled(type_of(where), on);
}
#else
bool autocast_enabled(processor where) {
  return where == processor::cpu ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled();
}
void set_autocast(processor where, bool on) {
  if (where == processor::cpu) {
    at::autocast::set_cpu_enabled(on);
  } else {
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    at::autocast::set_enabled(on);
  }
}
#endif

// What bf16 costs is converting each weight, which does not depend on the number of tokens, and
// some microseconds for each call. Measured on one core of a Zen 5 (f32 by OpenBLAS's Cooperlake
// kernels, bf16 by oneDNN, 2 layers), bf16 / f32 in tokens a second, over width and tokens in a
// batch:
//
//              16     32     128    256    512    2048
//     32      0.40   0.43   0.60   0.85   0.95   1.23
//     64      0.49   0.54   0.84   1.05   1.43   1.65
//     128     0.58   0.68   1.23   1.39   1.56   1.71
//     256     0.79   1.02   1.37   1.65   1.87   1.97
//     512     1.09   0.83   1.12   1.53   1.70   1.94
//
// 64 tokens: 0.97 at a width of 256, 1.05 at 512. Depth and vocabulary hardly matter.
constexpr std::int64_t least_tokens = 128;
constexpr std::int64_t least_tokens_times_width = 16384;

bool pays_for_transformer(const config& c) {
  const auto at_once = c.inner.micro_batch;
  const std::int64_t examples =
      at_once > 0 ? std::min(at_once, c.data.batch_size) : c.data.batch_size;
  const std::int64_t tokens = examples * c.model.sequence_length;
  return tokens >= least_tokens && tokens * c.model.width >= least_tokens_times_width;
}

// Residual networks convert weights as well, but products outweigh everything else sooner. The same
// ratio on the same machine, in images a second, for networks with BatchNorm:
//
//     depth  channels  image  batch 8    16     32     64
//       8        8        16     -      0.90    -      -
//       8       16        16     -      1.21   1.37   1.48
//       8       32        16     -      1.54    -      -
//      20       16        32     -       -     1.84    -
//      18       64        16    0.95    1.50    -      -
//      18       64        32    1.56     -     2.03    -
//
// GroupNorm takes f32 alone, so there are more conversions: 1.06 in place of 1.48.
constexpr std::int64_t least_images_times_channels = 1024;

bool pays(const config& c) {
  if (c.model.kind == "transformer") return pays_for_transformer(c);
  return c.model.kind == "resnet" &&
         c.data.batch_size * first_channels(c.model) >= least_images_times_channels;
}

}  // namespace

std::string_view to_string(precision p) {
  return p == precision::bf16 ? "bf16" : "f32";
}

// An instruction of AVX512-BF16 does the work of two for f32. An Emerald Rapids (Intel) gets
// through a quarter as many of them, so that without AMX a step in bf16 has 0.7 of f32's tokens a
// second; on a Zen 5 (AMD) it has 1.6 times as many.
bool has_fast_bf16(const cpu_features& cpu) {
  return cpu.amx_bf16 || (cpu.avx512_bf16 && cpu.amd);
}

bool has_fast_bf16() {
  return has_fast_bf16(this_cpu()) && at::hasMKLDNN();
}

precision choose_precision(const config& c, bool fast_bf16) {
  const auto& wanted = c.inner.precision;
  const bool bf16 = wanted == "bf16" || (wanted == "auto" && fast_bf16 && pays(c));
  return bf16 ? precision::bf16 : precision::f32;
}

precision resolve_precision(const config& c, processor where) {
  if (where == processor::cpu) return choose_precision(c, has_fast_bf16());
  const bool pays = c.model.kind == "transformer" || c.model.kind == "resnet";
  const auto& wanted = c.inner.precision;
  return wanted == "bf16" || (wanted == "auto" && pays) ? precision::bf16 : precision::f32;
}

precision resolve_precision(const config& c) {
  const bool on_cpu = c.workers.device.front().starts_with("cpu");
  return resolve_precision(c, on_cpu ? processor::cpu : processor::gpu);
}

precision current_precision(processor where) {
  return autocast_enabled(where) ? precision::bf16 : precision::f32;
}

product_precision::product_precision(precision p, processor where)
    : where_(where),
      autocast_(autocast_enabled(where)),
      cache_(at::autocast::is_autocast_cache_enabled()) {
  if (p == precision::f32) return;
  set_autocast(where, true);
  // Each weight is converted once a step anyway; a cache, which in LibTorch 1.13 all threads share,
  // would give the last step's weights to the next one.
  at::autocast::set_autocast_cache_enabled(false);
}

product_precision::~product_precision() {
  set_autocast(where_, autocast_);
  at::autocast::set_autocast_cache_enabled(cache_);
}

}  // namespace rubato
