// In which precision a learner multiplies matrices in a local step: `inner.precision`, resolved for
// the machine. Loss, parameters, gradients, optimizers and evaluation are f32 always.
// No LibTorch in this header.
#pragma once

#include <string_view>

#include "config/config.hpp"
#include "config/cpu.hpp"

namespace rubato {

enum class precision { f32, bf16 };

/// "f32" or "bf16", as in the config.
std::string_view to_string(precision p);

/// What multiplies.
enum class processor { cpu, gpu };

/// Whether a CPU multiplies matrices faster in bf16 than in f32.
bool has_fast_bf16(const cpu_features& cpu);

/// Whether this one does, and this LibTorch lets it. Otherwise bf16 works, but may take many times
/// as long as f32.
bool has_fast_bf16();

/// What `inner.precision` means on a CPU: itself, or for "auto" bf16 if that is fast, the model is
/// a transformer or a residual network, and its local steps are big enough for it to pay. Never
/// measured at run time, so that the same config gives the same bits whenever it is run on a
/// machine.
precision choose_precision(const config& c, bool fast_bf16);

/// The choice for this machine. On a GPU "auto" is bf16 for transformers and residual networks,
/// which every GPU since NVIDIA's Ampere has instructions for.
precision resolve_precision(const config& c, processor where);

/// The same where the first lane computes, and the evaluator.
precision resolve_precision(const config& c);

/// What the products on this thread are.
precision current_precision(processor where);

/// While it lives, LibTorch's products on this thread are those of `p`: matrices are converted for
/// each product, and its result stays in bf16 until something needs f32. Put it around the forward
/// pass alone; the backward pass follows the types that it finds. Does nothing for f32.
class product_precision {
 public:
  product_precision(precision p, processor where);
  ~product_precision();
  product_precision(const product_precision&) = delete;
  product_precision& operator=(const product_precision&) = delete;

 private:
  processor where_;
  // The thread's settings before.
  bool autocast_;
  bool cache_;
};

}  // namespace rubato
