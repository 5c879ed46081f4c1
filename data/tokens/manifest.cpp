#include "data/tokens/manifest.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "config/error.hpp"
#include "data/tokens/mapped_file.hpp"

namespace rubato {
namespace {

using json = nlohmann::ordered_json;

json json_of(const manifest_part& part) {
  return {{"file", part.file},
          {"tokens", part.tokens},
          {"documents", part.documents},
          {"text_bytes", part.text_bytes},
          {"file_bytes", part.file_bytes},
          {"sha256", part.sha256}};
}

manifest_part part_of(const json& j) {
  manifest_part part{j.at("file"),       j.at("tokens"),     j.at("documents"),
                     j.at("text_bytes"), j.at("file_bytes"), j.at("sha256")};
  if (part.file.empty() || part.file.find('/') != std::string::npos) {
    throw std::invalid_argument(fmt::format("\"{}\" is not the name of a file", part.file));
  }
  return part;
}

manifest parse(std::string_view text) {
  const auto j = json::parse(text);
  if (const int version = j.at("version"); version != manifest::version) {
    throw std::invalid_argument(fmt::format(
        "it has version {} of the format; this program reads {}", version, manifest::version));
  }
  manifest m;
  m.vocabulary = j.at("vocabulary");
  m.tokenizer = j.at("tokenizer");
  m.tokenizer_sha256 = j.at("tokenizer_sha256");
  m.settings = j.at("settings");
  m.lines = j.at("lines");
  m.empty_documents = j.at("empty_documents");
  m.bad_lines = j.at("bad_lines");
  for (const auto& input : j.at("inputs")) {
    m.inputs.push_back({input.at("path"), input.at("bytes"), input.at("modified_ns")});
  }
  for (const auto& shard : j.at("shards")) {
    m.shards.push_back({shard.at("name"), shard.at("files"), part_of(shard.at("training")),
                        part_of(shard.at("held_out"))});
  }
  if (m.shards.empty()) throw std::invalid_argument("there are no shards");
  return m;
}

}  // namespace

std::string to_json(const manifest& m) {
  json inputs = json::array();
  for (const auto& input : m.inputs) {
    inputs.push_back(
        {{"path", input.path}, {"bytes", input.bytes}, {"modified_ns", input.modified_ns}});
  }
  json shards = json::array();
  for (const auto& shard : m.shards) {
    shards.push_back({{"name", shard.name},
                      {"files", shard.files},
                      {"training", json_of(shard.training)},
                      {"held_out", json_of(shard.held_out)}});
  }
  const json j = {{"version", manifest::version},
                  {"vocabulary", m.vocabulary},
                  {"tokenizer", m.tokenizer},
                  {"tokenizer_sha256", m.tokenizer_sha256},
                  {"settings", m.settings},
                  {"lines", m.lines},
                  {"empty_documents", m.empty_documents},
                  {"bad_lines", m.bad_lines},
                  {"shards", shards},
                  {"inputs", inputs}};
  // Names of files need not be UTF-8.
  return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

manifest read_manifest(const std::string& folder) {
  const auto path = (std::filesystem::path(folder) / manifest::file_name).string();
  if (!std::filesystem::exists(path)) {
    throw usage_error(fmt::format("{} has no {}; name a folder that `rubato data prepare` has made",
                                  folder, manifest::file_name));
  }
  const mapped_file file(path);
  try {
    return parse({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  } catch (const std::exception& error) {
    throw usage_error(
        fmt::format("cannot use {}: {}; prepare the corpus again", path, error.what()));
  }
}

}  // namespace rubato
