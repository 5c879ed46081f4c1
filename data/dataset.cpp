#include "data/dataset.hpp"

#include <fmt/format.h>

#include "config/error.hpp"
#include "data/text_dataset.hpp"

namespace rubato {

std::unique_ptr<dataset> make_dataset(const config& c) {
  if (c.data.kind == "text") return std::make_unique<text_dataset>(c);
  throw usage_error(
      fmt::format("data.kind = \"{}\" is not a kind of data set; allowed: \"text\"", c.data.kind));
}

}  // namespace rubato
