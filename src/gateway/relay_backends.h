// Where a plain TCP listener's connections go: its backends with their addresses, their health as
// connections show it, and the choice among them. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "gateway/counts.h"
#include "gateway/host_resolver.h"
#include "gateway/settings.h"
#include "net/loop.h"

namespace postern::gateway {

/// Told when addresses came, or that there are none. May wait again and forget others meanwhile.
class AddressWaiter {
 public:
  virtual ~AddressWaiter() = default;
  virtual void addresses_ready() = 0;
};

/// Owned by a shared pointer.
class RelayBackend : public std::enable_shared_from_this<RelayBackend> {
 public:
  static constexpr std::uint64_t kFirstRestMs = 1000, kRestMaxMs = 30'000;
  static constexpr std::uint64_t kFailedLookupMs = 5000;  ///< former addresses hold so long

  /// `loop` and `resolver` outlive it.
  RelayBackend(net::Loop& loop, HostResolver& resolver, TcpBackend settings);

  const TcpBackend& settings() const { return settings_; }
  const std::string& text() const { return counts_.backend; }

  /// The addresses when they are known and fresh; empty: wait().
  std::vector<Endpoint> addresses() const;
  /// `waiter` is told once, from the loop; forget() it before it goes.
  void wait(AddressWaiter& waiter);
  void forget(AddressWaiter& waiter);
  /// Why there are no addresses; "" when there are.
  const std::string& lookup_error() const { return lookup_error_; }

  bool is_down() const;
  std::uint64_t rest_until_ms() const { return rest_until_ms_; }
  void begin() { ++counts_.connections; }  ///< a connection was sent here
  void end() { --counts_.connections; }
  void connected();
  /// It rests 1 s, then twice as long each time, 30 s at most.
  void failed(const std::string& why);

  std::uint64_t connections() const { return counts_.connections; }
  const BackendCounts& counts() const { return counts_; }

 private:
  void resolved(Result<ResolvedHost> result);

  net::Loop& loop_;
  HostResolver& resolver_;
  TcpBackend settings_;
  BackendCounts counts_;
  std::vector<IpAddress> addresses_;
  std::uint64_t expires_ms_ = 0;
  std::string lookup_error_;
  std::unique_ptr<HostResolver::Ticket> ticket_;
  std::vector<AddressWaiter*> waiters_, telling_;
  std::uint64_t rest_until_ms_ = 0, rest_ms_ = 0;
};

/// The backends of one listener.
class RelayTarget {
 public:
  using Tried = std::vector<std::shared_ptr<RelayBackend>>;

  RelayTarget(net::Loop& loop, HostResolver& resolver) : loop_(loop), resolver_(resolver) {}

  /// Backends that stay keep their health and their connections.
  void configure(const ListenerSettings& settings);
  const ListenerSettings& settings() const { return settings_; }

  /// The healthy one with the fewest connections, in turn among equals; when none is healthy the
  /// one that has rested most. nullptr: all were tried.
  std::shared_ptr<RelayBackend> choose(const Tried& tried);
  const std::vector<std::shared_ptr<RelayBackend>>& backends() const { return backends_; }

 private:
  net::Loop& loop_;
  HostResolver& resolver_;
  ListenerSettings settings_;
  std::vector<std::shared_ptr<RelayBackend>> backends_;
  std::size_t turn_ = 0;
};

}  // namespace postern::gateway
