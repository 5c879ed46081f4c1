#include "network/serving.hpp"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <string>

#include "config/error.hpp"

using namespace rubato;

namespace {

config servable() {
  config c;
  c.clock.mode = std::string("wall");
  return c;
}

std::string refusal(const config& c, bool insecure = false) {
  try {
    check_serving(c, insecure);
  } catch (const usage_error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a run can be served on this machine") {
  CHECK(check_serving(servable(), false) == network_address{"127.0.0.1", 0});
  auto c = servable();
  c.network.listen = fmt::format("[::1]:{}", 4711);
  CHECK(check_serving(c, false) == network_address{"::1", 4711});
}

TEST_CASE("other machines can reach it with TLS, or if that is asked for") {
  auto c = servable();
  c.network.listen = fmt::format("0.0.0.0:{}", 4711);
  CHECK(refusal(c).find("network.listen = \"0.0.0.0:4711\" without TLS: ") == 0);
  CHECK(refusal(c).find("--insecure-network") != std::string::npos);
  CHECK(refusal(c, true) == "");
  c.network.cert = c.network.key = c.network.ca = fmt::format("x.{}", "pem");
  CHECK(refusal(c) == "");
  CHECK_THROWS_AS(check_joining({"example.org", 80}, config{}, false), usage_error);
  CHECK_NOTHROW(check_joining({"example.org", 80}, config{}, true));
  CHECK_NOTHROW(check_joining({"localhost", 80}, config{}, false));
  CHECK_NOTHROW(check_joining({"example.org", 80}, c, false));
}

TEST_CASE("certificate, key and CA are given together") {
  auto c = servable();
  c.network.cert = fmt::format("x.{}", "pem");
  CHECK_THROWS_AS(check_joining({"example.org", 80}, c, true), usage_error);
}

TEST_CASE("what cannot go over a network is refused with the key") {
  auto c = servable();
  c.workers.events = {"5 0 leave"};
  CHECK(refusal(c).find("workers.events") == 0);
  c.clock.mode = std::string("virtual");
  CHECK(refusal(c) == "");
  c = servable();
  c.inner.state = std::string("average");
  CHECK(refusal(c).find("inner.state") == 0);
  c = servable();
  c.outer.mode = std::string("sync");
  c.quota.stages = {"0 data-parallel", "100 5"};
  CHECK(refusal(c).find("outer.handover") == 0);
  c.outer.handover = std::string("zero");
  CHECK(refusal(c) == "");
  c = servable();
  c.network.listen = std::string("anywhere");
  CHECK(refusal(c).find("network.listen = \"anywhere\" must be HOST:PORT") == 0);
}
