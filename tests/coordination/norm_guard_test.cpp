#include "coordination/norm_guard.hpp"

#include <doctest/doctest.h>

#include <cmath>

namespace rubato {
namespace {

/// Norms of usual updates: 1 to 1.09, in no order.
double usual(int i) {
  return 1.0 + 0.01 * ((7 * i) % 10);
}

TEST_CASE("an update far longer than the last ones is refused, one a little longer is not") {
  norm_guard guard(5.0);
  for (int i = 0; i < 20; ++i) CHECK(guard.admits(usual(i), 1));
  CHECK(guard.admits(1.5, 1));  // within five tenths of a logarithm
  CHECK_FALSE(guard.admits(2.0, 1));
  CHECK_FALSE(guard.admits(1e30, 1));
  CHECK(guard.admits(0.01, 1));  // short ones do no harm
  CHECK(guard.admits(0.0, 1));
}

TEST_CASE("where updates differ more, more is usual") {
  norm_guard guard(5.0);
  for (int i = 0; i < 20; ++i) guard.admits(std::exp(i % 5), 1);  // median e^2, deviation 1
  CHECK(guard.admits(std::exp(2.0 + 5.0 * 1.4826) * 0.99, 1));
  CHECK_FALSE(guard.admits(std::exp(2.0 + 5.0 * 1.4826) * 1.01, 1));
}

TEST_CASE("a longer round may have a longer update") {
  norm_guard guard(5.0);
  for (int i = 0; i < 20; ++i) guard.admits(usual(i), 1);
  CHECK_FALSE(guard.admits(10.0, 1));
  CHECK(guard.admits(10.0, 100));
}

TEST_CASE("the first updates pass, whatever they are") {
  norm_guard guard(5.0);
  CHECK(guard.admits(1e20, 1));
  for (std::size_t i = 1; i < norm_guard::needed; ++i) CHECK(guard.admits(1.0, 1));
  CHECK_FALSE(guard.admits(1e20, 1));
}

TEST_CASE("what all updates have become is usual after a while") {
  norm_guard guard(5.0);
  for (int i = 0; i < 64; ++i) guard.admits(usual(i), 1);
  int refused = 0;
  for (int i = 0; i < 64; ++i) refused += guard.admits(100.0 * usual(i), 1) ? 0 : 1;
  CHECK(refused > 0);
  CHECK(refused < 40);
  CHECK(guard.admits(100.0, 1));
}

TEST_CASE("without a limit everything passes") {
  norm_guard guard(0.0);
  for (int i = 0; i < 20; ++i) guard.admits(1.0, 1);
  CHECK(guard.admits(1e300, 1));
}

TEST_CASE("restored, it judges as it would have") {
  norm_guard guard(5.0), other(5.0);
  for (int i = 0; i < 30; ++i) guard.admits(usual(i), 1);
  other.restore(guard.remembered());
  CHECK_FALSE(other.admits(2.0, 1));
  CHECK(other.admits(1.2, 1));
}

}  // namespace
}  // namespace rubato
