// What the program prints for shells and for man, in the hands of bash and groff where they are.
#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "config/schema.hpp"
#include "tests/process/program_fixture.hpp"

using namespace rubato;

namespace {

struct pages_fixture : program_fixture {
  /// What bash offers for a command line whose last word is being typed.
  std::string offered(const std::string& line) {
    std::ofstream(root / "completion") << run({"completion", "bash"}).out;
    std::ofstream(root / "ask") << "source completion\n"
                                   "compopt() { echo FILES; }\n"
                                   "COMP_WORDS=("
                                << line
                                << ")\n"
                                   "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                                   "_rubato\n"
                                   "echo \" ${COMPREPLY[*]} \"\n";
    const auto result = finish(start({}, [] { execlp("bash", "bash", "--norc", "ask", nullptr); }));
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return result.out;
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(pages_fixture, "bash offers subcommands, their options, keys and choices") {
  const auto commands = offered("rubato ''");
  for (const char* name : {" train ", " serve ", " work ", " compare ", " data ", " manual "}) {
    CAPTURE(name);
    CHECK(has(commands, name));
  }
  CHECK(offered("rubato tr") == " train \n");
  CHECK(offered("rubato data ins") == " inspect \n");
  CHECK(has(offered("rubato data prepare --"), " --held-out "));
  CHECK_FALSE(has(offered("rubato data prepare --"), "--run.seed"));
  const auto options = offered("rubato train quickstart.toml --");
  CHECK(has(options, " --resume "));
  for (const auto& key : key_names()) {
    CAPTURE(key);
    CHECK(has(options, " --" + key + " "));
  }
  CHECK(offered("rubato train x.toml --outer.mode ''") == " sync async \n");
  CHECK(offered("rubato train x.toml --workers.throttle t") == " true \n");
  CHECK(has(offered("rubato train quick"), "FILES"));
}

TEST_CASE_FIXTURE(pages_fixture, "the manual has every subcommand and key, and is sound roff") {
  const auto page = run({"manual"});
  REQUIRE(page.code == 0);
  for (auto key : key_names()) {
    for (auto at = key.find('-'); at != std::string::npos; at = key.find('-', at + 2)) {
      key.replace(at, 1, "\\-");
    }
    CAPTURE(key);
    CHECK(has(page.out, "\\-\\-" + key));
  }
  CHECK(has(page.out, ".SS rubato data prepare\n"));
  CHECK(has(page.out, ".TH RUBATO 1 \"\" \"rubato " RUBATO_VERSION "\""));
  std::ofstream(root / "rubato.1") << page.out;
  const auto warnings = finish(start({}, [] {
    execlp("groff", "groff", "-man", "-ww", "-z", "-Tutf8", "rubato.1", nullptr);
    _exit(0);  // there is no groff here
  }));
  CHECK(warnings.code == 0);
  CHECK(warnings.err == "");
}

TEST_CASE_FIXTURE(pages_fixture, "a shell that it knows nothing of is refused, and keys with it") {
  const auto other = run({"completion", "fish"});
  CHECK(other.code == 2);
  CHECK(has(other.err, "bash"));
  CHECK(run({"manual", "--run.seed", "1"}).code == 2);
}
