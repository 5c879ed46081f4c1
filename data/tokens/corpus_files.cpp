#include "data/tokens/corpus_files.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "config/error.hpp"

namespace rubato {

token_shard open_part(const std::string& folder, const manifest& m, const manifest_part& part) {
  const auto path = (std::filesystem::path(folder) / part.file).string();
  token_shard shard(path);
  const auto& header = shard.header();
  if (header.tokens != part.tokens || header.documents != part.documents ||
      header.text_bytes != part.text_bytes || header.vocabulary != m.vocabulary ||
      header.documents == 0) {
    throw usage_error(
        fmt::format("cannot use {}: it is not the file that {} tells of; prepare the corpus again",
                    path, manifest::file_name));
  }
  return shard;
}

}  // namespace rubato
