// The token shards that a manifest names. Not here: what is done with them.
#pragma once

#include <string>

#include "data/tokens/manifest.hpp"
#include "data/tokens/token_shard.hpp"

namespace rubato {

/// Opens one of the shards of the corpus in a folder. Throws usage_error naming the file: missing,
/// damaged, empty, or not what the manifest says.
token_shard open_part(const std::string& folder, const manifest& m, const manifest_part& part);

}  // namespace rubato
