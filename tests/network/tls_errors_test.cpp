#include "network/tls_errors.hpp"

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace rubato;

TEST_CASE("a socket of OpenSSL's does not see errors from before") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
  keep_tls_errors_apart();
  keep_tls_errors_apart();
  BIO* const bio = BIO_new_socket(ends[0], BIO_CLOSE);
  char byte = 0;
  ERR_raise(ERR_LIB_USER, 1);
  REQUIRE(ERR_peek_error() != 0);
  CHECK(BIO_read(bio, &byte, 1) < 0);  // there is nothing yet
  CHECK(BIO_should_retry(bio));
  CHECK(ERR_peek_error() == 0);
  ERR_raise(ERR_LIB_USER, 1);
  CHECK(BIO_write(bio, &byte, 1) == 1);
  CHECK(ERR_peek_error() == 0);
  BIO_free(bio);
  ::close(ends[1]);
}
