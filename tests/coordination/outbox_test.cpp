#include "coordination/outbox.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace rubato;

namespace {

std::vector<std::string> all_of(outbox<std::string>& box) {
  std::vector<std::string> items;
  while (auto item = box.take()) items.push_back(std::move(*item));
  return items;
}

using items = std::vector<std::string>;

}  // namespace

TEST_CASE("what is put into an outbox leaves when all records before it are durable") {
  outbox<std::string> box;
  box.put(0, "follows from nothing");
  CHECK(all_of(box) == items{"follows from nothing"});
  box.put(2, "acknowledgement");
  box.put(3, "assignment");
  CHECK(all_of(box).empty());
  box.durable(1);
  CHECK(all_of(box).empty());
  box.durable(2);
  CHECK(all_of(box) == items{"acknowledgement"});
  box.durable(7);
  CHECK(all_of(box) == items{"assignment"});
  CHECK(box.durable_before() == 7);
}

TEST_CASE("the order in which things leave an outbox is that in which they came") {
  outbox<std::string> box;
  box.put(5, "first");
  box.put(5, "second");
  box.durable(5);
  box.put(5, "third");
  CHECK(all_of(box) == items{"first", "second", "third"});
  box.put(6, "fourth");
  box.durable(4);  // heard late: what is durable stays so
  CHECK(box.durable_before() == 5);
  CHECK(all_of(box).empty());
}
