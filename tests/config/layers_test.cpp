// Configs in layers: several files and the command line, later ones over earlier ones.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/error.hpp"
#include "config/load.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace rubato {
namespace {

struct fixture {
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = folder.file(name);
    write_bytes(path, text);
    return path;
  }
  /// The message without the folder's path.
  std::string error_of(const layered_config& layers) const {
    try {
      load_config(layers);
    } catch (const usage_error& error) {
      std::string text = error.what();
      const auto prefix = folder.file("");
      for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
        text.erase(at, prefix.size());
      }
      return text;
    }
    return "";
  }

  temporary_folder folder;
};

TEST_CASE_FIXTURE(fixture, "of several files the later one wins, and the command line over all") {
  const auto size =
      file("size.toml", "data.paths = ['a']\n[model]\nlayers = 2\nwidth = 64\nheads = 2\n");
  const auto method = file("method.toml", "[model]\nlayers = 3\n[outer]\nlr = 0.5\nmomentum = 0.8");
  const auto c =
      load_config({.paths = {size, method}, .layers = {{.settings = {{"outer.lr", "0.25"}}}}});
  CHECK(c.model.width == 64);
  CHECK(c.model.layers == 3);
  CHECK(c.outer.momentum == 0.8);
  CHECK(c.outer.lr == 0.25);
}

TEST_CASE_FIXTURE(fixture, "a key that a later file put out of use is dropped, with a note") {
  const auto first = file("first.toml", "data.paths = ['a']\n[outer]\nactivation = 0.1\n");
  const auto second = file("second.toml", "outer.optimizer = 'nesterov'\n");
  std::vector<std::string> notes;
  const auto c = load_config({.paths = {first, second}}, &notes);
  CHECK(c.outer.activation == config{}.outer.activation);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("first.toml:3") != std::string::npos);
  CHECK(notes[0].find("second.toml:1") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a key that was put out of use stays so through the layers after") {
  const auto path = file("x.toml", "data.paths = ['a']\n[outer]\nactivation = 0.1\n");
  const layered_config layers{
      .paths = {path},
      .layers = {{.settings = {{"outer.optimizer", "nesterov"}}},
                 {.settings = {{"outer.lr", "0.1"}}, .source = "a run of its own"}}};
  CHECK(load_config(layers).outer.lr == 0.1);
}

TEST_CASE_FIXTURE(fixture, "a key that was never of use is refused where it stands") {
  const auto first = file("first.toml", "data.paths = ['a']\n");
  const auto second = file("second.toml", "[outer]\noptimizer = 'sgd'\nactivation = 0.1\n");
  CHECK(error_of({.paths = {first, second}}).find("second.toml:3: outer.activation") == 0);
  CHECK(error_of({.paths = {second, first}}).find("second.toml:3: outer.activation") == 0);
}

TEST_CASE_FIXTURE(fixture, "a key that a later layer puts to use is welcome") {
  const auto first = file("first.toml", "data.paths = ['a']\nouter.optimizer = 'sgd'\n");
  const auto second = file("second.toml", "[outer]\nactivation = 0.1\n");
  const auto c = load_config({.paths = {first, second},
                              .layers = {{.settings = {{"outer.optimizer", "delayed-nesterov"}}}}});
  CHECK(c.outer.activation == 0.1);
}

}  // namespace
}  // namespace rubato
