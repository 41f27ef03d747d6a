#include "gateway/loop_mark.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include <fmt/format.h>
#include <sys/random.h>

namespace postern::gateway {
namespace {

constexpr std::size_t kRoundsMax = 4;

std::string make_mark() {
  std::uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) random = 1;
  return fmt::format("postern-{:016x}", random);
}

}  // namespace

std::string_view loop_mark() {
  static const std::string mark = make_mark();
  return mark;
}

bool has_looped(const http::Fields& request) {
  std::size_t rounds = 0;
  for (const http::Field& field : request) {
    if (!http::same_name(field.name, kLoopField)) continue;
    for (std::size_t at = 0; (at = field.value.find(loop_mark(), at)) != std::string_view::npos;) {
      ++rounds;
      at += loop_mark().size();
    }
  }
  return rounds >= kRoundsMax;
}

bool leads_here(const Site& site, const net::Stream& connection) {
  const Endpoint& peer = connection.peer();
  const auto has_port = [&](const auto& listener) {
    return peer.port == listener.settings.http || peer.port == listener.settings.https;
  };
  if (std::none_of(site.listeners.begin(), site.listeners.end(), has_port)) return false;
  return peer.ip.is_loopback() || peer.ip == connection.local().ip;
}

}  // namespace postern::gateway
