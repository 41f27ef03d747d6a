#include "server/passed_sockets.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

namespace postern::server {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
constexpr int kSocketsMax = 1024;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? std::string() : std::string(value);
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

std::vector<std::string> names_of(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    names.emplace_back(text.substr(0, colon));
    text.remove_prefix(std::min(colon + 1, text.size()));
  }
  return names;
}

// FileDescriptorName= may have been set to something else than the unit.
std::string name_of(const std::vector<std::string>& names, std::size_t index) {
  if (index >= names.size() || names[index].empty() || names[index] == "unknown") {
    return "the service manager";
  }
  return names[index];
}

// What is wrong with it; empty: it can be served.
std::string_view defect_of(const PassedSocket& socket, bool has_address) {
  if (!has_address || socket.local.port == 0) return "is no socket with an IP address";
  if (socket.type != SOCK_DGRAM && socket.type != SOCK_STREAM) return "is neither UDP nor TCP";
  if (socket.type == SOCK_STREAM && !net::is_listening(socket.fd)) {
    return "is a connection, not a listening socket (Accept=yes is not for this program)";
  }
  if (socket.local.ip.is_unspecified() && net::takes_both_families(socket.fd)) {
    return "takes IPv4, too: set BindIPv6Only=ipv6-only, and one for 0.0.0.0 beside it";
  }
  return {};
}

}  // namespace

PassedSockets PassedSockets::take() {
  const std::optional<int> process = number(variable("LISTEN_PID"));
  const std::optional<int> count = number(variable("LISTEN_FDS"));
  const std::vector<std::string> names = names_of(variable("LISTEN_FDNAMES"));
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  PassedSockets passed;
  if (process != ::getpid() || !count) return passed;
  for (int i = 0; i < std::min(*count, kSocketsMax); ++i) {
    const int fd = kFirst + i;
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    PassedSocket socket{net::Fd(fd), {}, 0, name_of(names, static_cast<std::size_t>(i))};
    const auto local = net::local_endpoint(socket.fd);
    if (local) socket.local = *local;
    socket.type = net::socket_type(socket.fd);
    if (const auto defect = defect_of(socket, local.has_value()); !defect.empty()) {
      log_warning("passed_socket", "descriptor {} from {} {}", fd, socket.name, defect);
      continue;
    }
    passed.sockets_.push_back(std::move(socket));
  }
  return passed;
}

bool PassedSockets::has(const Endpoint& local, int type) const {
  return std::any_of(sockets_.begin(), sockets_.end(), [&](const PassedSocket& socket) {
    return socket.local == local && socket.type == type;
  });
}

const PassedSocket* PassedSockets::on_port(std::uint16_t port, int type) const {
  for (const PassedSocket& socket : sockets_) {
    if (socket.local.port == port && socket.type == type) return &socket;
  }
  return nullptr;
}

std::vector<const PassedSocket*> PassedSockets::of_worker(const Endpoint& local, int type,
                                                          unsigned worker, unsigned workers) const {
  std::vector<const PassedSocket*> matching, own;
  for (const PassedSocket& socket : sockets_) {
    if (socket.local == local && socket.type == type) matching.push_back(&socket);
  }
  for (std::size_t i = 0; i < matching.size(); ++i) {
    if (i % workers == worker % matching.size()) own.push_back(matching[i]);
  }
  return own;
}

}  // namespace postern::server
