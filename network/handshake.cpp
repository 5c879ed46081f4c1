#include "network/handshake.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/error.hpp"

namespace rubato {
namespace {

using nlohmann::json;

constexpr std::size_t longest_name = 200;
constexpr std::uint32_t most_workers = 1 << 20;

using item_list = std::vector<std::pair<std::string, std::string>>;

json to_json(const item_list& items) {
  auto list = json::array();
  for (const auto& [item, value] : items) list.push_back({item, value});
  return list;
}

item_list items_from(const json& list) {
  item_list items;
  for (const auto& item : list) {
    items.emplace_back(item.at(0).get<std::string>(), item.at(1).get<std::string>());
  }
  return items;
}

json to_json(const run_manifest& manifest) {
  auto tensors = json::array();
  for (const auto& tensor : manifest.layout.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"shape", tensor.shape},
                       {"section", static_cast<std::uint8_t>(tensor.part)}});
  }
  auto shards = json::array();
  for (const auto& shard : manifest.shards) {
    shards.push_back({{"name", shard.name}, {"training_size", shard.training_size}});
  }
  return {{"tensors", std::move(tensors)},
          {"contents", to_json(manifest.contents)},
          {"shards", std::move(shards)},
          {"numerics", to_json(manifest.numerics)}};
}

run_manifest manifest_from(const json& text) {
  run_manifest manifest;
  for (const auto& tensor : text.at("tensors")) {
    const auto part = tensor.at("section").get<std::uint8_t>();
    if (part > static_cast<std::uint8_t>(section::local)) throw run_error("no such section");
    manifest.layout.add(tensor.at("name").get<std::string>(),
                        tensor.at("shape").get<std::vector<std::int64_t>>(),
                        static_cast<section>(part));
  }
  for (const auto& shard : text.at("shards")) {
    manifest.shards.push_back(
        {shard.at("name").get<std::string>(), shard.at("training_size").get<std::uint64_t>()});
  }
  manifest.contents = items_from(text.at("contents"));
  manifest.numerics = items_from(text.at("numerics"));
  return manifest;
}

/// Calls `parse` with the text as JSON; whatever is wrong becomes one kind of error.
template <class Parse>
auto parsed(const std::string& text, const char* what, Parse parse) {
  try {
    return parse(json::parse(text));
  } catch (const std::exception& e) {
    throw run_error(fmt::format("{} that cannot be read: {}", what, e.what()));
  }
}

constexpr const char* names[] = {"trainable", "averaged", "local"};

std::string describe(const tensor_entry& tensor) {
  return fmt::format("\"{}\" [{}], {}", tensor.name, fmt::join(tensor.shape, ", "),
                     names[static_cast<std::size_t>(tensor.part)]);
}

std::string describe(const run_manifest::shard& shard) {
  return fmt::format("\"{}\" with {} to train on", shard.name, shard.training_size);
}

/// The first of the run's items that is another one here.
std::optional<std::string> difference(const item_list& run, const item_list& here) {
  for (const auto& [item, value] : run) {
    const auto same_item = [&item = item](const auto& other) { return other.first == item; };
    const auto found = std::find_if(here.begin(), here.end(), same_item);
    const std::string own = found == here.end() ? "unknown" : found->second;
    if (own == value) continue;
    return fmt::format("{} is \"{}\" in the run, and \"{}\" here", item, value, own);
  }
  return std::nullopt;
}

/// The first entry that differs; `same` compares two of them.
template <class Entry, class Same>
std::optional<std::string> difference(const char* what, const std::vector<Entry>& run,
                                      const std::vector<Entry>& here, Same same) {
  const auto count = std::min(run.size(), here.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (same(run[i], here[i])) continue;
    return fmt::format("{} {} is {} in the run, and {} here", what, i, describe(run[i]),
                       describe(here[i]));
  }
  if (run.size() == here.size()) return std::nullopt;
  return fmt::format("the run has {} {}s, and here are {}", run.size(), what, here.size());
}

}  // namespace

std::optional<std::string> difference(const run_manifest& run, const run_manifest& here) {
  const auto same_tensor = [](const tensor_entry& a, const tensor_entry& b) {
    return a.name == b.name && a.shape == b.shape && a.part == b.part;
  };
  if (auto found = difference("tensor", run.layout.tensors(), here.layout.tensors(), same_tensor)) {
    return "another model: " + *found;
  }
  if (auto found = difference(run.contents, here.contents)) return "other files: " + *found;
  if (auto found = difference("shard", run.shards, here.shards, std::equal_to<>())) {
    return "other data: " + *found;
  }
  if (auto found = difference(run.numerics, here.numerics)) {
    return "other numerics, so that its steps may have other bits: " + *found;
  }
  return std::nullopt;
}

std::string printable(std::string text) {
  constexpr std::size_t longest = 500;
  if (text.size() > longest) text.replace(longest, text.npos, "...");
  for (auto& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) c = ' ';
  }
  return text;
}

std::string to_text(const node_offer& offer) {
  return json{{"name", offer.name},
              {"instance", offer.instance},
              {"workers", offer.workers},
              {"run", offer.run},
              {"before", offer.before}}
      .dump();
}

node_offer parse_node_offer(const std::string& text) {
  return parsed(text, "a hello", [](const json& read) {
    node_offer offer;
    read.at("name").get_to(offer.name);
    read.at("instance").get_to(offer.instance);
    read.at("workers").get_to(offer.workers);
    read.at("run").get_to(offer.run);
    read.at("before").get_to(offer.before);
    const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
    if (offer.name.empty() || offer.name.size() > longest_name ||
        !std::all_of(offer.name.begin(), offer.name.end(), printable)) {
      throw run_error("the name of a node must be printable ASCII, and not long");
    }
    if (offer.workers == 0 || offer.workers > most_workers) {
      throw run_error(fmt::format("a node must have 1 to {} workers", most_workers));
    }
    return offer;
  });
}

std::string to_text(const run_offer& offer) {
  auto settings = json::array();
  for (const auto& [key, value] : offer.settings) settings.push_back({key, value});
  return json{{"run", offer.run},
              {"settings", std::move(settings)},
              {"manifest", to_json(offer.manifest)},
              {"workers", offer.workers}}
      .dump();
}

run_offer parse_run_offer(const std::string& text) {
  return parsed(text, "a welcome", [](const json& read) {
    run_offer offer;
    read.at("run").get_to(offer.run);
    for (const auto& setting : read.at("settings")) {
      offer.settings.emplace_back(setting.at(0).get<std::string>(),
                                  setting.at(1).get<std::string>());
    }
    offer.manifest = manifest_from(read.at("manifest"));
    read.at("workers").get_to(offer.workers);
    if (offer.workers.empty()) throw run_error("it gives the node no workers");
    return offer;
  });
}

std::string to_text(const std::vector<worker_life>& lives) {
  auto text = json::array();
  for (const auto& life : lives) {
    text.push_back({life.worker, life.incarnation, life.sequences});
  }
  return text.dump();
}

std::vector<worker_life> parse_lives(const std::string& text) {
  return parsed(text, "what workers have", [](const json& read) {
    std::vector<worker_life> lives;
    for (const auto& life : read.get<json::array_t>()) {
      lives.push_back({life.at(0).get<worker_id>(), life.at(1).get<std::uint32_t>(),
                       life.at(2).get<std::vector<std::uint64_t>>()});
    }
    return lives;
  });
}

}  // namespace rubato
