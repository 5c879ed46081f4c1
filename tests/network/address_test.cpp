#include "network/address.hpp"

#include <doctest/doctest.h>

#include <string>

#include "config/error.hpp"

using namespace rubato;

TEST_CASE("an address is a host and a port, and is written as it was read") {
  for (const std::string text : {"127.0.0.1:4711", "node-3.example.org:1", "[::1]:65535",
                                 "[2001:db8::7]:80", "localhost:0"}) {
    CAPTURE(text);
    CHECK(to_string(parse_address(text, "x", true)) == text);
  }
  CHECK(parse_address("[::1]:80", "x", true) == network_address{"::1", 80});
}

TEST_CASE("what is no address is refused with what is allowed") {
  for (const std::string text :
       {"", "4711", "host", "host:", ":80", "host:65536", "host:-1", "host:+1", "host:80x",
        "::1:80", "[::1:80", "a:b:80", "host:1e3"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_address(text, "--server", true), usage_error);
  }
  CHECK_THROWS_WITH_AS(parse_address("host", "--server", false),
                       "--server = \"host\" must be HOST:PORT with a port from 1 to 65535, such as "
                       "\"127.0.0.1:4711\" or \"[::1]:4711\"",
                       usage_error);
  CHECK_THROWS_AS(parse_address("host:0", "--server", false), usage_error);
}

TEST_CASE("only this machine's own addresses are loopback") {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "localhost", "::1"}) {
    CAPTURE(host);
    CHECK(is_loopback({host, 1}));
  }
  for (const char* host : {"0.0.0.0", "::", "128.0.0.1", "127.0.0.1.example.org", "127.x", "127.",
                           "localhost.example.org"}) {
    CAPTURE(host);
    CHECK_FALSE(is_loopback({host, 1}));
  }
}
