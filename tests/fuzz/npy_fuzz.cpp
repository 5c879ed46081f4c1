// Gives any bytes to the reader of NumPy's headers.
#include "config/error.hpp"
#include "data/tensors/npy.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace rubato;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto header = read_npy_header("x.npy", {reinterpret_cast<const std::byte*>(data), size});
    require(header.begin <= size, "the values begin in the file");
    std::size_t bytes = size_of(header.type);
    for (const auto extent : header.shape) {
      require(extent >= 0, "no extent is negative");
      bytes *= static_cast<std::size_t>(extent);
    }
    require(bytes == size - header.begin, "the values fill the rest of the file");
  } catch (const usage_error&) {
    // Damage, told as it should be.
  }
  return 0;
}
