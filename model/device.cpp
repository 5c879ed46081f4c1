#include "model/device.hpp"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <optional>
#include <string>

#include "config/error.hpp"

namespace rubato {
namespace {

/// The device of that name, if it is there.
compute_device find_device(const std::string& name) {
  if (name == "cpu") return {};
  torch::Device device(name);
  if (device.is_cpu()) return {false, torch::kCPU};
  if (!c10::impl::hasDeviceGuardImpl(device.type())) {
    throw usage_error(fmt::format(
        "workers.device = \"{}\": this LibTorch ({}) is built without CUDA; use \"cpu\", or build "
        "Rubato with a LibTorch that has it",
        name, TORCH_VERSION));
  }
  const auto count = c10::impl::VirtualGuardImpl(device.type()).deviceCount();
  if (!device.has_index()) device.set_index(0);
  if (device.index() >= count) {
    throw usage_error(fmt::format(
        "workers.device = \"{}\": there is no such GPU here; {}", name,
        count == 0   ? "LibTorch finds none: is the driver there?"
        : count == 1 ? "the only one is cuda:0"
                     : fmt::format("there are cuda:0 to cuda:{}", static_cast<int>(count) - 1)));
  }
  return {false, device};
}

}  // namespace

compute_device device_of(const config::workers_section& workers, std::size_t lane) {
  return find_device(workers.device[lane % workers.device.size()]);
}

void check_devices(const config::workers_section& workers) {
  for (const auto& name : workers.device) find_device(name);
}

void use_own_stream(torch::Device device) {
  if (device.is_cpu()) return;
  thread_local std::optional<c10::Stream> own;
  if (own && own->device() == device) return;
  if (own) own->synchronize();
  const c10::impl::VirtualGuardImpl guard(device.type());
  guard.setDevice(device);
  own = guard.getStreamFromGlobalPool(device);
  guard.exchangeStream(*own);
}

void wait_for(torch::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
}

torch::Tensor on_device(const torch::Tensor& tensor, torch::Device device) {
  if (device.is_cpu()) return tensor;
  // LibTorch keeps the pinned copy until it has arrived.
  return tensor.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace rubato
