// What a program registers becomes a choice, with keys of its own, like those that were there.
#include "config/registration.hpp"

#include <doctest/doctest.h>

#include <regex>
#include <stdexcept>
#include <string>

#include "config/error.hpp"
#include "config/load.hpp"
#include "coordination/quota.hpp"
#include "coordination/staleness.hpp"
#include "data/map_dataset.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

/// 0 to 99 as points of one feature, in three parts; their class is the last digit.
class numbers final : public map_dataset {
 public:
  std::uint64_t size() const override { return 100; }
  data_shape shape() const override { return {.features = 1, .classes = 10}; }
  std::vector<part> parts() const override { return equal_parts(size(), 3); }

  batch get(std::span<const std::uint64_t> wanted) const override {
    batch b{.examples = static_cast<std::int64_t>(wanted.size()), .length = 1};
    for (const auto n : wanted) {
      b.features.push_back(static_cast<float>(n));
      b.labels.push_back(static_cast<std::int32_t>(n % 10));
    }
    return b;
  }
};

/// Gives fewer examples than it was asked for.
class lazy final : public map_dataset {
 public:
  std::uint64_t size() const override { return 10; }
  data_shape shape() const override { return {.features = 1, .classes = 2}; }
  batch get(std::span<const std::uint64_t>) const override {
    return {.examples = 1, .length = 1, .features = {0.0F}, .labels = {0}};
  }
};

/// Once in the process: a name can be registered once.
void register_all() {
  static const bool done = [] {
    register_dataset({.name = "numbers",
                      .help = "a hundred of them.",
                      .version = "2",
                      .keys = {{.name = "data.base",
                                .default_value = std::int64_t{10},
                                .help = "Of the numerals.",
                                .range = {.minimum = 2, .maximum = 36}}}},
                     [](const config&) { return std::make_unique<numbers>(); });
    register_dataset({.name = "lazy"}, [](const config&) { return std::make_unique<lazy>(); });
    // No weight at all with a scale of a half: a mistake.
    register_staleness_rule({.name = "hyperbola"}, [](const config& c) {
      return [mistaken = c.staleness.scale == 0.5](double s) {
        return mistaken ? -1.0 : 1.0 / (1.0 + 2.0 * s);
      };
    });
    register_quota_rule({.name = "all-or-half"}, [](const config&) {
      return [](const quota_question& q) {
        return q.seconds_per_step > q.fastest_seconds_per_step ? q.local_steps / 2 : q.local_steps;
      };
    });
    return true;
  }();
  static_cast<void>(done);
}

std::string error_of(const override_list& settings) {
  try {
    load_config("", settings);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "";
}

const override_list of_numbers = {{"data.kind", "numbers"}, {"model.kind", "mlp"}};

config with(override_list more) {
  more.insert(more.end(), of_numbers.begin(), of_numbers.end());
  return load_config("", more);
}

config numbers_config() {
  auto c = with({});
  c.data.batch_size = 7;
  c.data.held_out = 0.1;
  return c;
}

}  // namespace

TEST_CASE("a registered name is a choice, listed with the others") {
  register_all();
  CHECK(is_registered("data.kind", "numbers"));
  CHECK_FALSE(is_registered("data.kind", "text"));
  CHECK(registered_version("data.kind", "numbers") == "2");
  CHECK(registered_version("data.kind", "text") == "");
  CHECK(load_config("", of_numbers).data.kind == "numbers");
  const auto error = error_of({{"data.kind", "letters"}});
  CHECK(error.find("\"image-folder\"") != std::string::npos);
  CHECK(error.find("\"numbers\"") != std::string::npos);
  const auto help = std::regex_replace(describe_keys_text(), std::regex("\\s+"), " ");
  CHECK(help.find("numbers: a hundred of them.") != std::string::npos);
}

TEST_CASE("a key of its own is checked, used with it alone, and goes through TOML") {
  register_all();
  auto settings = of_numbers;
  CHECK(setting<std::int64_t>(load_config("", settings), "data.base") == 10);
  settings.emplace_back("data.base", "16");
  const auto c = load_config("", settings);
  CHECK(setting<std::int64_t>(c, "data.base") == 16);
  CHECK(to_toml(c).find("base = 16") != std::string::npos);
  const auto sent = run_settings(c);
  CHECK(std::find(sent.begin(), sent.end(), override_list::value_type("data.base", "16")) !=
        sent.end());
  settings.back().second = "37";
  CHECK(error_of(settings).find("from 2 to 36") != std::string::npos);
  CHECK(error_of({{"data.base", "16"}}).find("it needs data.kind = \"numbers\"") !=
        std::string::npos);
  CHECK_THROWS_AS(setting<double>(c, "data.base"), std::invalid_argument);
  CHECK_THROWS_AS(setting<double>(c, "data.bass"), std::invalid_argument);
}

TEST_CASE("keys that it does not use are refused, those that it uses are not") {
  register_all();
  auto settings = of_numbers;
  settings.emplace_back("data.tokenizer", "bytes");
  CHECK(error_of(settings).find("is not used with data.kind = \"numbers\"") != std::string::npos);
  settings.back() = {"data.held_out", "0.5"};
  CHECK(error_of(settings) == "");
}

TEST_CASE("what cannot be registered changes nothing") {
  register_all();
  const auto before = describe_keys_text();
  const auto refused = [](std::string_view key, const own_choice& choice, const char* why) {
    CAPTURE(why);
    CHECK_THROWS_WITH_AS(add_choice(key, choice), doctest::Contains(why), std::invalid_argument);
  };
  refused("data.kind", {.name = "text"}, "there is one of that name");
  refused("data.kind", {.name = "numbers"}, "there is one of that name");
  refused("data.kind", {}, "it has no name");
  refused("run.name", {.name = "x"}, "has no choices");
  refused("data.sort", {.name = "x"}, "has no choices");
  refused("data.kind", {.name = "x", .keys = {{"numbers.base", 1.0, ""}}}, "in no section");
  refused("data.kind", {.name = "x", .keys = {{"data.noise", 1.0, ""}}}, "there is a key");
  refused("data.kind", {.name = "x", .keys = {{"data.a", 1.0, ""}, {"data.a", 1.0, ""}}},
          "there is a key");
  refused("data.kind", {.name = "x", .uses = {"data.nosie"}}, "there is no key data.nosie");
  CHECK(describe_keys_text() == before);
}

TEST_CASE("a data set by number is dealt into batches: each example once an epoch, none held out") {
  register_all();
  const auto data = make_dataset(numbers_config());
  REQUIRE(data->shards() == 3);
  std::vector<bool> seen(100);
  for (std::size_t shard = 0; shard < 3; ++shard) {
    const auto size = data->shard_size(shard);
    CHECK(size == (shard == 0 ? 31 : 30));
    std::vector<bool> held(100);
    for (const auto& b : data->held_out(shard)) {
      for (const float x : b.features) held.at(static_cast<std::size_t>(x)) = true;
    }
    CHECK(static_cast<std::uint64_t>(std::count(held.begin(), held.end(), true)) ==
          data->info(shard).held_out_size);
    // Seven epochs are whole batches of seven.
    std::vector<int> times(100);
    for (std::uint64_t position = 0; position < size; ++position) {
      const auto b = data->training_batch(shard, position);
      REQUIRE(b.examples == 7);
      for (const float x : b.features) times.at(static_cast<std::size_t>(x)) += 1;
    }
    for (std::size_t n = 0; n < 100; ++n) {
      CHECK((times[n] == 0 || times[n] == 7));
      CHECK_FALSE((times[n] > 0 && held[n]));
      if (times[n] > 0 || held[n]) {
        CHECK_FALSE(seen[n]);
        seen[n] = true;
      }
    }
  }
  CHECK(std::count(seen.begin(), seen.end(), true) == 100);
}

TEST_CASE("the seed decides on the order of a data set by number, not on what is held out") {
  register_all();
  auto c = numbers_config();
  const auto one = make_dataset(c);
  const auto again = make_dataset(c);
  c.run.seed = 2;
  const auto other = make_dataset(c);
  CHECK(one->training_batch(1, 4).features == again->training_batch(1, 4).features);
  CHECK(one->training_batch(1, 4).features != other->training_batch(1, 4).features);
  CHECK(one->held_out(1).front().features == other->held_out(1).front().features);
}

TEST_CASE("a batch that is not what was asked for is refused by name") {
  register_all();
  auto c = numbers_config();
  c.data.kind = "lazy";
  c.data.held_out = 0.5;
  CHECK_THROWS_WITH_AS(make_dataset(c),
                       "data.kind = \"lazy\" was asked for 5 examples and gave a batch of 1",
                       run_error);
}

TEST_CASE("a registered staleness rule takes the place of the decay, not of scale and limit") {
  register_all();
  auto c = with({{"staleness.weight", "hyperbola"}, {"staleness.scale", "0.75"}});
  c.staleness.limit = 3;
  const staleness_policy policy(c);
  CHECK(policy.weight(0, 1) == 0.75);
  CHECK(policy.weight(2, 1) == 0.75 * (1.0 / 5.0));
  CHECK_FALSE(policy.weight(4, 1).has_value());
  c.staleness.scale = 0.5;
  CHECK_THROWS_WITH_AS(staleness_policy(c).weight(1, 1), doctest::Contains("the weight -1"),
                       run_error);
}

TEST_CASE("a registered quota rule sees H and paces, and must give a number of steps") {
  register_all();
  auto c = with({{"quota.policy", "all-or-half"}, {"quota.local_steps", "9"}});
  quota_policy policy(c);
  policy.add(0, 2s);
  policy.add(1, 1s);
  CHECK(policy.steps(0) == 4);
  CHECK(policy.steps(1) == 9);
  policy.set_local_steps(1);
  CHECK_THROWS_WITH_AS(policy.steps(0),
                       "quota.policy = \"all-or-half\" gives a worker 0 steps; it must be 1 to "
                       "1000000",
                       run_error);
}
