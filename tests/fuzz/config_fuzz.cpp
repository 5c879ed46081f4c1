// Gives any text to the reader of configuration files.
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "config/error.hpp"
#include "config/load.hpp"
#include "config/schema.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace rubato;

namespace {

/// load_config() of a file with this text.
config load(std::string_view text) {
  // The reader takes a path: a file in memory has one, too.
  static const int file = ::memfd_create("config", 0);
  require(file >= 0 && ::ftruncate(file, 0) == 0 &&
              ::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
          "the input can be written to memory");
  return load_config("/proc/self/fd/" + std::to_string(file));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const config c = load({reinterpret_cast<const char*>(data), size});
    std::string text;
    try {
      text = to_toml(c);
      const config again = load(text);
      for (const auto& spec : keys()) {
        require(spec.member.get(again) == spec.member.get(c), "what is written reads the same");
      }
    } catch (const usage_error&) {
      require(false, "what is written can be read");
    }
  } catch (const usage_error& error) {
    require(std::string_view(error.what()).find('\n') == std::string_view::npos,
            "an error is one line");
  }
  return 0;
}
