#include "corpus/sentencepiece.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "config/error.hpp"
#include "corpus/sentencepiece_module.hpp"
#include "data/tokens/mapped_file.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

constexpr const char* module_file = "librubato_sentencepiece.so";

#if defined(__SANITIZE_ADDRESS__)
constexpr int how = RTLD_NOW | RTLD_LOCAL;  // its own look-up does without the next one
#else
constexpr int how = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#endif

/// Loads the module: from beside the program or its tests, or from where it is installed.
const sentencepiece_module* load_module() {
  const auto program = fs::read_symlink("/proc/self/exe").parent_path();
  std::string fault;
  for (const char* folder : {".", "..", "../lib/rubato"}) {
    const auto path = program / folder / module_file;
    if (!fs::exists(path)) continue;
    void* loaded = ::dlopen(path.c_str(), how);
    if (loaded == nullptr) {
      fault = ::dlerror();
      continue;
    }
    if (void* function = ::dlsym(loaded, "rubato_sentencepiece_module")) {
      return reinterpret_cast<decltype(&rubato_sentencepiece_module)>(function)();
    }
    fault = path.string() + " is something else";
  }
  throw run_error(fmt::format(
      "SentencePiece cannot be used: {}",
      fault.empty() ? fmt::format("there is no {} beside {}", module_file, program.string())
                    : fault));
}

const sentencepiece_module& the_module() {
  static const sentencepiece_module* const loaded = load_module();
  return *loaded;
}

}  // namespace

std::unique_ptr<tokenizer> make_sentencepiece(const std::string& path) {
  const mapped_file file(path);
  auto made =
      the_module().load({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  if (!made) {
    throw usage_error(fmt::format(
        "cannot use {}: it is not a SentencePiece model; `rubato data tokenizer` makes one", path));
  }
  return made;
}

std::string train_sentencepiece(const std::function<std::optional<std::string>()>& next_line,
                                std::int64_t vocabulary) {
  std::string fault;
  auto model = the_module().train(next_line, vocabulary, fault);
  if (model.empty()) {
    std::replace(fault.begin(), fault.end(), '\n', ' ');
    throw usage_error(fmt::format("cannot train a tokenizer of {} pieces: {}", vocabulary, fault));
  }
  return model;
}

}  // namespace rubato
