#include "cli/admin_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "net/socket.h"
#include "server/config.h"
#include "server/config_admin.h"

namespace postern::cli {
namespace {

constexpr int kConnectTimeoutMs = 5000;
constexpr int kForEver = -1;
constexpr std::size_t kLineBytesMax = 1U << 20;

std::string encoded(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_';
    result += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

Error io_error(const Endpoint& server, int error) {
  return {Code::kIo, fmt::format("{}: {}; does postern run, and is this its server.admin?",
                                 server.to_string(), std::generic_category().message(error))};
}

bool wait_for(const net::Fd& fd, short events, int timeout_ms) {
  pollfd entry{fd.get(), events, 0};
  return ::poll(&entry, 1, timeout_ms) > 0;
}

Result<net::Fd> connect(const Endpoint& server) {
  auto fd = net::start_connect_tcp(server);
  if (!fd) return fd;
  if (!wait_for(*fd, POLLOUT, kConnectTimeoutMs)) {
    return tl::unexpected(io_error(server, ETIMEDOUT));
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd->get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return tl::unexpected(io_error(server, error));
  return fd;
}

Result<net::Fd> send(const Endpoint& server, std::string_view request) {
  auto fd = connect(server);
  if (!fd) return fd;
  while (!request.empty()) {
    const ssize_t sent = ::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      request.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN || !wait_for(*fd, POLLOUT, kConnectTimeoutMs)) {
      return tl::unexpected(io_error(server, errno));
    }
  }
  return fd;
}

/// Gives what comes to `take` until the end, or until it says no more.
Result<void> receive(const net::Fd& fd, const Endpoint& server, int timeout_ms,
                     const std::function<bool(std::string_view)>& take) {
  std::array<char, 16384> chunk{};
  for (;;) {
    if (!wait_for(fd, POLLIN, timeout_ms)) return tl::unexpected(io_error(server, ETIMEDOUT));
    const ssize_t size = ::recv(fd.get(), chunk.data(), chunk.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size < 0) return tl::unexpected(io_error(server, errno));
    if (size == 0 || !take({chunk.data(), static_cast<std::size_t>(size)})) return {};
  }
}

/// The status in "HTTP/1.1 200 OK", 0 when it is none.
int status_of(std::string_view head) {
  if (!head.starts_with("HTTP/1.1 ") || head.size() < 12) return 0;
  return std::atoi(std::string(head.substr(9, 3)).c_str());
}

Result<Endpoint> parse_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  std::string_view rest = url;
  if (rest.starts_with(kScheme)) rest.remove_prefix(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto endpoint = Endpoint::parse(rest, 9153);
  if (endpoint) return *endpoint;
  return fail(Code::kInvalid, fmt::format("'{}' is not \"http://IP:port\"", url));
}

// What listens everywhere is asked here.
Endpoint reachable(Endpoint admin) {
  if (!admin.ip.is_unspecified()) return admin;
  admin.ip = *IpAddress::parse(admin.ip.is_v4() ? "127.0.0.1" : "::1");
  return admin;
}

}  // namespace

Result<AdminClient> AdminClient::find(const AdminOptions& options) {
  AdminClient client;
  client.server_ = *Endpoint::parse("127.0.0.1:9153");
  std::string file = options.config_file;
  if (file.empty() && ::access(server::kDefaultConfigFile, R_OK) == 0) {
    file = server::kDefaultConfigFile;
  }
  if (options.url.empty() && !file.empty()) {
    // One with errors may be just what is to be looked at: the admin address is mostly known.
    const server::ServerSettings settings = server::load_config(file).config.server;
    if (!settings.admin) {
      return fail(Code::kInvalid, file + ": server.admin is off; there is nobody to ask");
    }
    client.server_ = reachable(*settings.admin);
    client.token_ = settings.admin_token;
  }
  if (!options.url.empty()) {
    const auto server = parse_url(options.url);
    if (!server) return tl::unexpected(server.error());
    client.server_ = *server;
  }
  if (!options.token_file.empty()) {
    client.token_ = server::admin_token_in(options.token_file);
    if (client.token_.empty()) {
      return fail(Code::kInvalid, options.token_file + " has no token, or cannot be read");
    }
  }
  return client;
}

std::string AdminClient::request(std::string_view method, std::string_view path,
                                 const Parameters& parameters) const {
  std::string target(path);
  char mark = '?';
  for (const auto& [name, value] : parameters) {
    target += fmt::format("{}{}={}", std::exchange(mark, '&'), name, encoded(value));
  }
  return fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}{}{}\r\n", method,
                     target, server_.to_string(), token_.empty() ? "" : "Authorization: Bearer ",
                     token_, token_.empty() ? "" : "\r\n");
}

Result<AdminAnswer> AdminClient::ask(std::string_view method, std::string_view path,
                                     const Parameters& parameters) const {
  const auto fd = send(server_, request(method, path, parameters));
  if (!fd) return tl::unexpected(fd.error());
  std::string text;
  auto received = receive(*fd, server_, kTimeoutMs, [&](std::string_view chunk) {
    text += chunk;
    return text.size() <= kAnswerBytesMax;
  });
  if (!received) return tl::unexpected(received.error());
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos || status_of(text) == 0) {
    return fail(Code::kMalformed, server_.to_string() + " does not answer in HTTP");
  }
  return AdminAnswer{status_of(text), text.substr(end + 4)};
}

Result<void> AdminClient::follow(std::string_view path, const Parameters& parameters,
                                 const std::function<bool(std::string_view)>& take) const {
  const auto fd = send(server_, request("GET", path, parameters));
  if (!fd) return tl::unexpected(fd.error());
  std::string text;
  bool in_body = false;
  auto received = receive(*fd, server_, kForEver, [&](std::string_view chunk) {
    text += chunk;
    if (!in_body) {
      const std::size_t end = text.find("\r\n\r\n");
      if (end == std::string::npos) return text.size() <= kLineBytesMax;
      if (status_of(text) != 200) return true;  // all of it is the reason
      text.erase(0, end + 4);
      in_body = true;
    }
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;
         text.erase(0, end + 1)) {
      if (!take(std::string_view(text).substr(0, end))) return false;
    }
    return text.size() <= kLineBytesMax;
  });
  if (!received || in_body) return received;
  if (text.empty()) return fail(Code::kIo, server_.to_string() + " ended without an answer");
  return fail(Code::kInvalid, text.substr(std::min(text.size(), text.find("\r\n\r\n") + 4)));
}

}  // namespace postern::cli
