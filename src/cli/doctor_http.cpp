#include "cli/doctor_http.h"

#include <array>
#include <memory>

#include <fmt/format.h>

#include "http/h2_client.h"

namespace postern::cli {
namespace {

namespace h2 = http::h2;

constexpr std::size_t kHeadBytesMax = 64U << 10;
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kAgent = "postern-doctor";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

class H1Get final : public net::TlsTalk {
 public:
  explicit H1Get(std::string_view authority)
      : request_(
            fmt::format("GET / HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nConnection: close\r\n\r\n",
                        authority, kAgent)) {}

  std::string to_send() override { return std::exchange(request_, {}); }
  bool received(Bytes chunk) override {
    reply_ += as_text(chunk);
    std::size_t end = reply_.find(kHeadEnd);
    while (end != std::string::npos && reply_.find(" 1") == reply_.find(' ')) {  // 103, say
      reply_.erase(0, end + kHeadEnd.size());
      end = reply_.find(kHeadEnd);
    }
    whole_ = end != std::string::npos;
    return !whole_ && reply_.size() < kHeadBytesMax;
  }

  HttpLook take() const {
    HttpLook look;
    if (!whole_) return look;
    look.status = reply_.substr(0, reply_.find("\r\n"));
    const std::string head = lower(reply_.substr(0, reply_.find(kHeadEnd) + 2));
    constexpr std::string_view kStart = "\r\nalt-svc:";
    const std::size_t at = head.find(kStart);
    if (at == std::string::npos) return look;
    const std::size_t from = head.find_first_not_of(' ', at + kStart.size());
    look.alt_svc = head.substr(from, head.find("\r\n", from) - from);
    return look;
  }

 private:
  std::string request_;
  std::string reply_;
  bool whole_ = false;
};

class H2Get final : public net::TlsTalk, private h2::ClientStream {
 public:
  explicit H2Get(std::string_view authority) : connection_(h2::ClientConnection::make({})) {
    http::RequestHead head;
    head.method = "GET";
    head.scheme = "https";
    head.authority = authority;
    head.path = "/";
    head.fields.add("user-agent", kAgent);
    connection_->request(head, {}, *this);
  }

  std::string to_send() override {
    std::string all;
    std::array<std::uint8_t, 4096> piece{};
    while (const std::size_t size = connection_->collect(piece)) {
      all += as_text(Bytes(piece).first(size));
    }
    return all;
  }
  bool received(Bytes chunk) override { return connection_->receive(chunk, 0) && !done_; }

  HttpLook take() const {
    HttpLook look = look_;
    if (look.status.empty()) look.error = connection_->fault();
    return look;
  }

 private:
  http::ResponseHead& head() override { return head_; }
  void interim() override {}
  void response(http::BodyLength) override {
    done_ = true;
    look_.status = fmt::format("HTTP/2 {}", head_.status);
    if (const http::Field* field = head_.fields.find("alt-svc"))
      look_.alt_svc = lower(field->value);
  }
  void body(Bytes) override {}
  void body_end(const http::Fields&) override {}
  void drained() override {}
  void closed(std::uint32_t, bool) override { done_ = true; }

  std::unique_ptr<h2::ClientConnection> connection_;
  http::ResponseHead head_;
  HttpLook look_;
  bool done_ = false;
};

template <class Get>
HttpLook run(const Endpoint& server, net::TlsLookSettings& settings) {
  Get get(server.port == 443 ? settings.name : fmt::format("{}:{}", settings.name, server.port));
  settings.talk = &get;
  const net::TlsLook tls = net::look_at_tls(server, settings);
  HttpLook look = get.take();
  if (look.status.empty() && look.error.empty()) look.error = tls.error;
  look.timed_out = tls.timed_out;
  return look;
}

}  // namespace

HttpLook get_root(const Endpoint& server, net::TlsLookSettings settings,
                  std::string_view protocol) {
  settings.alpn = {std::string(protocol)};
  return protocol == "h2" ? run<H2Get>(server, settings) : run<H1Get>(server, settings);
}

}  // namespace postern::cli
