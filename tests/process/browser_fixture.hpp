// The program as a user runs it, and a browser that looks at its pages.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <sstream>
#include <string>

#include "tests/process/program_fixture.hpp"

namespace rubato {

/// A program of one of these names on the PATH, or "".
inline std::string find_program(std::initializer_list<const char*> names) {
  std::istringstream path(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) {
    for (const char* name : names) {
      const auto file = std::filesystem::path(folder) / name;
      if (access(file.c_str(), X_OK) == 0) return file.string();
    }
  }
  return "";
}

struct browser_fixture : program_fixture {
  /// What the browser made of the page, a file of the folder or an address, with what it complained
  /// about at the end. `options` are the browser's.
  std::string drawn(const std::string& page, const std::string& options = "") const {
    const bool is_address = page.starts_with("http://");
    const auto address = is_address ? page : "file://" + (root / page).string();
    const std::string command =
        "cd '" + root.string() + "' && timeout 120 '" + browser +
        "' --headless --no-sandbox --disable-gpu --user-data-dir=profile --enable-logging=stderr "
        "--window-size=1200,3000 " +
        options + " --dump-dom '" + address + "' 2> complaints";
    std::FILE* const pipe = popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string text;
    char piece[4096];
    for (std::size_t n; (n = fread(piece, 1, sizeof piece, pipe)) > 0;) text.append(piece, n);
    pclose(pipe);
    std::istringstream complaints(read(root / "complaints"));
    for (std::string line; std::getline(complaints, line);) {
      if (line.find("CONSOLE") != std::string::npos) text += line + '\n';
    }
    return text;
  }

  void check_drawn(const std::string& page, int charts = 6) const {
    const auto text = drawn(page);
    const auto ready = "<body data-status=\"ready: " + std::to_string(charts) + " charts, 0 errors";
    CHECK(text.find(ready) != std::string::npos);
    CHECK(text.find("could not be drawn.</p>") == std::string::npos);
    const auto complaint = text.find("CONSOLE");
    CHECK_MESSAGE(complaint == std::string::npos, text.substr(std::min(complaint, text.size())));
  }

  std::string browser = find_program({"chromium", "chromium-browser", "google-chrome"});
};

}  // namespace rubato
