// Makes TLS connections independent of each other. OpenSSL keeps the errors of a thread in one
// queue, and takes what lies there for the error of whichever connection the thread turns to next;
// CAF 0.17.6 does not empty it. So a stranger's handshake that failed would end the connection of a
// node.
#pragma once

namespace rubato {

/// From now on no socket of this process that OpenSSL reads or writes sees errors of another one.
/// To be called before the first connection; once is enough, more do no harm.
void keep_tls_errors_apart();

}  // namespace rubato
