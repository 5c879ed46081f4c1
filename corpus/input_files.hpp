// The files that a corpus is made of. Not here: reading them (text_source).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rubato {

struct input_entry {
  std::string path;
  std::size_t source = 0;  // which of the inputs that were named it belongs to
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  // since 1970
};

/// The files that `inputs` name, and those in the folders that they name, whatever the depth; those
/// of an input sorted by path. Left out are files of no bytes and those whose name, or a folder's,
/// begins with a dot. Throws usage_error: an input does not exist, cannot be read, has no text, or
/// names a file again.
std::vector<input_entry> find_inputs(const std::vector<std::string>& inputs);

}  // namespace rubato
