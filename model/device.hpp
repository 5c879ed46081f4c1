// Where lanes compute (workers.device), as LibTorch's devices. Internal to model/; includes
// LibTorch, but nothing of CUDA's, so that the same source is compiled with and without it. Not
// here: what lies there (model_memory.hpp).
#pragma once

#include <torch/torch.h>

#include <cstddef>

#include "config/config.hpp"
#include "model/precision.hpp"

namespace rubato {

/// A name of workers.device. "cpu" is main memory and the CPU. Every other name is a device with
/// memory of its own; "cpu:0" is one, too, that copies between main memory and main memory: for
/// tests, since the config refuses it.
struct compute_device {
  bool is_host = true;
  torch::Device torch = torch::kCPU;
};

/// The device of a lane: they take those of the list in turn. Throws usage_error, naming the device
/// and what there is, if this LibTorch or this machine has no such one.
compute_device device_of(const config::workers_section& workers, std::size_t lane);

/// Throws usage_error unless all of them are there.
void check_devices(const config::workers_section& workers);

/// Makes LibTorch work for this thread on a stream of the thread's own, on which operations follow
/// one another; those of several threads overlap. Nothing to do for the CPU.
void use_own_stream(torch::Device device);

/// Until everything that this thread has begun there is done.
void wait_for(torch::Device device);

/// A tensor of main memory, there: itself for the CPU, else copied through pinned memory while the
/// thread goes on.
torch::Tensor on_device(const torch::Tensor& tensor, torch::Device device);

/// Whose precision (precision.hpp) products on a device have.
inline processor processor_of(torch::Device device) {
  return device.is_cpu() ? processor::cpu : processor::gpu;
}

}  // namespace rubato
