#include "network/tls_errors.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>

namespace rubato {
namespace {

/// Before each operation of a socket: what went wrong until now is none of its business.
long forget_errors(BIO* bio, int operation, const char*, std::size_t, int, long, int result,
                   std::size_t*) {
  const bool begins = operation == BIO_CB_READ || operation == BIO_CB_WRITE;
  if (begins && BIO_method_type(bio) == BIO_TYPE_SOCKET) ERR_clear_error();
  return result;
}

/// OpenSSL calls this for each BIO that it makes.
void watch(void* bio, void*, CRYPTO_EX_DATA*, int, long, void*) {
  BIO_set_callback_ex(static_cast<BIO*>(bio), forget_errors);
}

}  // namespace

void keep_tls_errors_apart() {
  [[maybe_unused]] static const int once =
      BIO_get_ex_new_index(0, nullptr, watch, nullptr, nullptr);
}

}  // namespace rubato
