#include "monitoring/endpoint.hpp"

#include <CivetServer.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#include "config/error.hpp"

/// CivetWeb is built to give its threads stacks of 100 KiB. The C library puts the thread-local
/// variables of all libraries of the program there too, and those of LibTorch and OpenBLAS alone
/// are more: no such thread can be started. So this stands in front of the C library's function,
/// for the whole program, and lets no stack be smaller than a megabyte (of addresses, not of
/// memory).
extern "C" int pthread_attr_setstacksize(pthread_attr_t* attributes, std::size_t size) noexcept {
  using function = int (*)(pthread_attr_t*, std::size_t);
  static const auto original =
      reinterpret_cast<function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  constexpr std::size_t least = std::size_t{1} << 20;
  return original(attributes, std::max(size, least));
}

namespace rubato {
namespace {

std::string address_of(const std::string& host) {
  auto address = host == "localhost" ? std::string("127.0.0.1") : host;
  in_addr parsed;
  if (inet_pton(AF_INET, address.c_str(), &parsed) != 1) {
    throw run_error(fmt::format("\"{}\" is neither an IPv4 address nor localhost", host));
  }
  return address;
}

/// The server's options. One that sends slowly, or nothing, is cut off; of a request, so much is
/// read.
std::vector<std::string> options(const std::string& address, std::uint16_t port) {
  return {"listening_ports",
          fmt::format("{}:{}", address, port),
          "num_threads",
          "4",
          "request_timeout_ms",
          "5000",
          "max_request_size",
          "8192",
          "enable_directory_listing",
          "no"};
}

/// What the library complains about first while this thread makes it listen: the rest only follows
/// from it. Later complaints are of what clients do wrong, and nobody's concern.
thread_local std::string* first_complaint = nullptr;

struct complaints : CivetCallbacks {
  complaints() {
    log_message = [](const mg_connection*, const char* text) {
      if (first_complaint != nullptr && first_complaint->empty()) *first_complaint = text;
      return 1;  // it need not be printed
    };
  }
};

/// Calls, and hangs up.
void knock(const std::string& address, std::uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const int caller = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (caller < 0) return;
  static_cast<void>(connect(caller, reinterpret_cast<const sockaddr*>(&to), sizeof to));
  ::close(caller);
}

const char* text_of(int status) {
  return mg_get_response_code_text(nullptr, status);
}

}  // namespace

class endpoint::impl : public CivetHandler {
 public:
  impl(const std::string& host, std::uint16_t port, http_source source)
      : source_(std::move(source)), address_(address_of(host)), server_(start(port)) {
    server_->addHandler("/", this);
  }
  /// Nobody calls back once it is closed. The library looks every two seconds whether it is to end,
  /// and whenever somebody calls.
  ~impl() override {
    const std::jthread caller([address = address_, at = port()](const std::stop_token& closed) {
      while (!closed.stop_requested()) {
        knock(address, at);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    });
    server_->close();
  }

  std::uint16_t port() const {
    return static_cast<std::uint16_t>(server_->getListeningPorts().at(0));
  }

  bool handleGet(CivetServer*, mg_connection* to) override { return answer(to, true); }
  bool handleHead(CivetServer*, mg_connection* to) override { return answer(to, false); }
  bool handlePost(CivetServer*, mg_connection* to) override { return refuse(to); }
  bool handlePut(CivetServer*, mg_connection* to) override { return refuse(to); }
  bool handleDelete(CivetServer*, mg_connection* to) override { return refuse(to); }
  bool handleOptions(CivetServer*, mg_connection* to) override { return refuse(to); }
  bool handlePatch(CivetServer*, mg_connection* to) override { return refuse(to); }

 private:
  std::unique_ptr<CivetServer> start(std::uint16_t port) {
    std::string complaint;
    const auto wanted = options(address_, port);
    first_complaint = &complaint;
    try {
      auto server = std::make_unique<CivetServer>(wanted, &callbacks_);
      first_complaint = nullptr;
      return server;
    } catch (const CivetException& e) {
      first_complaint = nullptr;
      throw run_error(complaint.empty() ? std::string(e.what()) : complaint);
    }
  }

  bool answer(mg_connection* to, bool with_content) {
    const auto* request = mg_get_request_info(to);
    send(to, source_(request->local_uri == nullptr ? "" : request->local_uri), with_content);
    return true;
  }

  static bool refuse(mg_connection* to) {
    send(to,
         {405, "text/plain; charset=utf-8", "Only GET and HEAD: nothing can be changed here.\n"},
         true);
    return true;
  }

  static void send(mg_connection* to, const http_answer& answer, bool with_content) {
    const auto head = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n{}Connection: close\r\n\r\n",
        answer.status, text_of(answer.status), answer.type, answer.content.size(),
        answer.status == 405 ? "Allow: GET, HEAD\r\n" : "");
    mg_write(to, head.data(), head.size());
    if (with_content) mg_write(to, answer.content.data(), answer.content.size());
  }

  http_source source_;
  std::string address_;
  complaints callbacks_;
  std::unique_ptr<CivetServer> server_;
};

endpoint::endpoint(const std::string& host, std::uint16_t port, http_source source)
    : impl_(std::make_unique<impl>(host, port, std::move(source))) {}

endpoint::~endpoint() = default;

std::uint16_t endpoint::port() const {
  return impl_->port();
}

}  // namespace rubato
