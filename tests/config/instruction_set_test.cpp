#include "config/instruction_set.hpp"

#include <doctest/doctest.h>

#include <string>

#include "config/error.hpp"
#include "config/schema.hpp"
#include "tests/each_instruction_set.hpp"

using namespace rubato;

TEST_CASE("every instruction set that this CPU has can be asked for, and auto is the widest") {
  const auto here = instruction_sets_here();
  REQUIRE(!here.empty());
  CHECK(here.front() == instruction_set::baseline);
  in_each_instruction_set([] {
    const auto asked_for = instruction_set_in_use();
    use_instruction_set("auto");
    CHECK(instruction_set_in_use() == instruction_sets_here().back());
    use_instruction_set(name(asked_for));
    CHECK(instruction_set_in_use() == asked_for);
  });
  CHECK(instruction_set_in_use() == here.back());
}

TEST_CASE("an instruction set that this CPU does not have is refused with those that it has") {
  std::string allowed = "auto";
  for (const auto set : instruction_sets_here()) allowed += ", " + std::string(name(set));
  const auto before = instruction_set_in_use();
  CHECK_THROWS_WITH_AS(use_instruction_set("avx1024"),
                       ("run.instruction_set = \"avx1024\" is not what this CPU has; it must be "
                        "one of " +
                        allowed)
                           .c_str(),
                       usage_error);
  CHECK(instruction_set_in_use() == before);
}

TEST_CASE("the key allows auto and every instruction set there is") {
  const auto& choices = find_key("run.instruction_set")->choices;
  CHECK(choices == std::vector<std::string_view>{"auto", name(instruction_set::baseline),
                                                 name(instruction_set::avx2),
                                                 name(instruction_set::avx512)});
}

TEST_CASE("a loop in any instruction set returns what it has computed") {
  in_each_instruction_set([] {
    const int factor = 6;
    CHECK(vectorised([=] { return 7 * factor; }) == 42);
    int seen = 0;
    vectorised([to = &seen] { *to = 1; });
    CHECK(seen == 1);
  });
}
