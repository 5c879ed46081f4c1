// Gives any bytes to the readers of .safetensors files.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "config/error.hpp"
#include "storage/safetensors.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace rubato;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The reader takes a path: a file in memory has one, too.
  static const int file = ::memfd_create("safetensors", 0);
  require(file >= 0 && ::ftruncate(file, 0) == 0 &&
              ::pwrite(file, data, size, 0) == static_cast<ssize_t>(size),
          "the input can be written to memory");
  const auto path = "/proc/self/fd/" + std::to_string(file);
  std::size_t listed = 0;
  try {
    for (const stored_tensor& tensor : list_safetensors(path)) {
      require(tensor.begin <= tensor.end && tensor.end <= size, "a tensor lies in the file");
      listed += 1;
    }
  } catch (const usage_error&) {
    // Damage, told as it should be.
  }
  try {
    const safetensors_file tensors(path);
    require(tensors.tensors().size() == listed, "what can be read can be listed");
    std::size_t bytes = 0;
    for (const named_tensor& tensor : tensors.tensors()) {
      std::size_t elements = 1;
      for (const std::int64_t extent : tensor.shape) elements *= static_cast<std::size_t>(extent);
      require(elements == tensor.values.size(), "a tensor has as many values as its shape says");
      bytes += 2 * elements;
    }
    require(bytes <= size, "values come from the file");
  } catch (const usage_error&) {
    // Damage, told as it should be.
  }
  return 0;
}
