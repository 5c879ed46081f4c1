#include "network/shipping.hpp"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <string>

using namespace rubato;

namespace {

update_id round_of(worker_id worker, std::uint64_t sequence = 0) {
  return {worker, 1, sequence};
}

cargo fresh() {
  cargo c;
  c.owner = std::make_shared<int>(0);
  return c;
}

/// "0>1" announces worker 0's round with transfer 1, "+1" starts that, "x" cancels.
std::string show(const std::vector<shipping::action>& actions) {
  std::string text;
  for (const auto& action : actions) {
    if (!text.empty()) text += ' ';
    if (const auto* told = std::get_if<shipping::announce>(&action)) {
      text += fmt::format("{}>{}", told->round.worker, told->transfer);
    } else if (const auto* begun = std::get_if<shipping::start>(&action)) {
      text += fmt::format("+{}", begun->transfer);
    } else {
      text += 'x';
    }
  }
  return text;
}

}  // namespace

TEST_CASE(
    "rounds that need the same content share its transfer, before, while and after it is sent") {
  shipping queue;
  const auto a = fresh(), b = fresh();
  CHECK(show(queue.add(round_of(0), a)) == "0>1 +1");
  CHECK(show(queue.add(round_of(1), a)) == "1>1");
  CHECK(show(queue.add(round_of(2), b)) == "");
  CHECK(show(queue.add(round_of(3), b)) == "");
  CHECK(show(queue.delivered()) == "2>2 3>2 +2");
  CHECK(show(queue.delivered()) == "");
  CHECK(show(queue.add(round_of(4), b)) == "4>2");
  // The other end keeps the newest content only.
  CHECK(show(queue.add(round_of(5), a)) == "5>3 +3");
}

TEST_CASE("while a newer content is on its way the one before is sent again, for it may be gone") {
  shipping queue;
  const auto a = fresh(), b = fresh();
  queue.add(round_of(0), a);
  queue.delivered();
  CHECK(show(queue.add(round_of(1), b)) == "1>2 +2");
  CHECK(show(queue.add(round_of(2), a)) == "");
  CHECK(show(queue.delivered()) == "2>3 +3");
}

TEST_CASE("what nobody needs any more is not sent, or cancelled") {
  shipping queue;
  const auto a = fresh(), b = fresh(), c = fresh();
  queue.add(round_of(0), a);
  queue.add(round_of(1), a);
  queue.add(round_of(2), b);
  queue.add(round_of(3), c);
  CHECK(show(queue.settled(round_of(2))) == "");
  CHECK(queue.waiting() == 1);
  CHECK(show(queue.settled(round_of(0))) == "");
  CHECK(show(queue.settled(round_of(1))) == "x");
  CHECK(show(queue.settled(round_of(1))) == "");

  SUBCASE("and the next one follows when that is known") {
    CHECK(show(queue.cancelled()) == "3>2 +2");
  }
  SUBCASE("a round that needs it all the same gets it anew") {
    CHECK(show(queue.add(round_of(4), a)) == "");
    CHECK(show(queue.cancelled()) == "3>2 +2");
    CHECK(show(queue.delivered()) == "4>3 +3");
  }
  SUBCASE("or finds that it was delivered nevertheless") {
    queue.settled(round_of(3));
    CHECK(show(queue.add(round_of(4), a)) == "");
    CHECK(show(queue.delivered()) == "4>1");
    CHECK(queue.idle());
  }
}

TEST_CASE("nothing is kept alive for the other end's sake") {
  shipping queue;
  auto a = fresh();
  const std::weak_ptr<const void> seen = a.owner;
  queue.add(round_of(0), a);
  a = {};
  CHECK_FALSE(seen.expired());
  queue.delivered();
  CHECK(seen.expired());
}
