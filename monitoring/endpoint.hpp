// A small HTTP server, for a browser and Prometheus: it answers GET and HEAD and nothing else, so
// nobody can change anything through it. What it answers is its owner's business.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace rubato {

struct http_answer {
  int status = 200;
  std::string type;  // of the content
  std::string content;
};

/// From the path of a request to the answer. Called from several threads at a time; must not throw.
using http_source = std::function<http_answer(const std::string& path)>;

class endpoint {
 public:
  /// Listens from now on; `host` is an IPv4 address or localhost, port 0 is any free one. Throws
  /// run_error if it cannot listen there, saying why.
  endpoint(const std::string& host, std::uint16_t port, http_source source);
  /// Waits for the answers that are being given.
  ~endpoint();
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;

  std::uint16_t port() const;

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace rubato
