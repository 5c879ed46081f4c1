// `rubato generate`: finds a trained model, its configuration and its tokenizer, and lets it go on
// with a prompt. Not here: how tokens are drawn (generation/).
#include "generation/generate.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "actors/parameter_file.hpp"
#include "app/commands.hpp"
#include "config/error.hpp"
#include "data/tokens/manifest.hpp"
#include "model/learner.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<tokenizer> find_tokenizer(const config& c, const std::string& given) {
  if (!given.empty()) return make_tokenizer(given);
  if (c.data.kind == "text") return make_tokenizer(c.data.tokenizer);
  const auto& folder = c.data.paths.front().front();
  if (!fs::exists(fs::path(folder) / manifest::file_name)) {
    throw usage_error(fmt::format(
        "{} is not there, the corpus that the model was trained on; say where it is with "
        "--data.paths, or name its tokenizer with --tokenizer",
        folder));
  }
  const auto name = read_manifest(folder).tokenizer;
  return make_tokenizer(name == "bytes" ? name : (fs::path(folder) / name).string());
}

}  // namespace

int generate_text(const generate_options& options) {
  const auto parameters = find_parameters(options.path);
  const auto config_path = options.config.empty() ? find_config(parameters) : options.config;
  if (config_path.empty()) {
    throw usage_error(
        fmt::format("{}: there is no config.toml beside it, which says what model it is of; name "
                    "one with --config",
                    parameters));
  }
  const config c =
      load_config({.paths = {config_path}, .layers = {{.settings = options.overrides}}});
  if (c.model.kind != "transformer") {
    throw usage_error(fmt::format(
        "{}: is of model.kind = \"{}\"; only a language model, a transformer, goes on with a text",
        parameters, c.model.kind));
  }
  const auto pieces = find_tokenizer(c, options.tokenizer);
  const auto model = make_learner_factory(c, {0, pieces->vocabulary()})();
  {
    parameter_buffer values(model->layout().size());
    load_parameters(parameters, model->layout(), values);
    const auto all = values.span();
    std::copy(all.begin(), all.end(), model->parameters().begin());
  }

  const auto show = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  const auto text = model->begin_text();
  const auto read = [&](std::span<const std::int32_t> tokens) { return text->read(tokens); };
  show(options.generation.prompt);
  const auto begun = std::chrono::steady_clock::now();
  const auto result = generate(read, *pieces, options.generation, show);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
  show("\n");
  fmt::print(stderr, "{} tokens{}, {:.3g} a second\n", result.tokens,
             result.ended ? ", to the document's end" : "",
             static_cast<double>(result.tokens) / seconds.count());
  return exit_done;
}

}  // namespace rubato
