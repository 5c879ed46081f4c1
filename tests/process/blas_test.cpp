// OpenBLAS's kernels as the program chooses them: by starting itself anew.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <string>

#include "tests/process/program_fixture.hpp"

using namespace rubato;

#if defined(__x86_64__)

namespace {

/// Trains with an OpenBLAS that takes the CPU for an old one.
struct fixture : program_fixture {
  outcome train(const std::string& directory, const char* coretype) const {
    return finish(start({"train", "tiny.toml", "--run.directory", directory}, [coretype] {
      setenv("LD_PRELOAD", RUBATO_OLD_OPENBLAS, 1);
      // A sanitizer's library wants to be the first.
      const char* const options = getenv("ASAN_OPTIONS");
      const auto others = options != nullptr ? std::string(options) + ':' : std::string();
      setenv("ASAN_OPTIONS", (others + "verify_asan_link_order=0").c_str(), 1);
      unsetenv("RUBATO_REPLACED_CORETYPE");
      unsetenv("OPENBLAS_CORETYPE");
      if (coretype != nullptr) setenv("OPENBLAS_CORETYPE", coretype, 1);
    }));
  }
};

bool old_cpu() {
  return !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma");
}

}  // namespace

TEST_CASE_FIXTURE(fixture,
                  "an OpenBLAS that has chosen old kernels gets better ones, and it is said" *
                      doctest::skip(old_cpu())) {
  const auto result = train("chosen", nullptr);
  CHECK(result.code == 0);
  CHECK(result.err == "");
  CHECK_MESSAGE(
      result.out.find(" kernels (chosen by Rubato in place of Prescott)") != std::string::npos,
      result.out);
  CHECK(summary("chosen")["outcome"] == "finished");
}

TEST_CASE_FIXTURE(fixture, "kernels that the user has chosen stay, and better ones are named" *
                               doctest::skip(old_cpu())) {
  const auto result = train("kept", "Nehalem");
  CHECK(result.code == 0);
  const std::string kept = "OpenBLAS with Nehalem kernels (chosen by OPENBLAS_CORETYPE; ";
  CHECK_MESSAGE(result.out.find(kept) != std::string::npos, result.out);
  CHECK(result.out.find(" would suit this CPU)") != std::string::npos);
}

#endif
