// One backend URL in one worker: its addresses, its connections and those who wait for one. Kept
// connections are used again, the last one used first; a connection that cannot be opened is tried
// at the next address; an address that failed is left alone for a while as long as others work.
// Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "gateway/context.h"
#include "gateway/counts.h"
#include "gateway/exchange_sides.h"
#include "gateway/host_resolver.h"
#include "http/route.h"
#include "http/url.h"
#include "net/loop.h"
#include "net/timer.h"

namespace postern::gateway {

class BackendConnection;
class HealthProbe;

/// What kind of connection a request needs.
struct BackendWish {
  bool http1_only = false;    ///< it asks for an upgrade
  bool must_be_open = false;  ///< it can't be sent again: look at a kept connection before using it
  bool fresh = false;         ///< no kept connection: one has just failed
  bool probe = false;         ///< a health check: fresh, on a connection that is not kept then
};

class Backend {
 public:
  static constexpr std::size_t kConnectionsMax = 4096;  ///< of one worker
  static constexpr std::size_t kWaitingMax = 16384;     ///< requests that wait for a connection
  static constexpr std::size_t kKeptMax = 512;          ///< idle connections of HTTP/1.1
  static constexpr std::uint64_t kKeptIdleMs = 60'000;
  static constexpr std::uint32_t kConnectTimeoutMs = 5'000;

  Backend(Context& context, const http::BackendUrl& url, const http::HealthSettings& health);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  /// A request that waits for a connection. Its destructor gives up the place.
  class Waiting {
   public:
    Waiting(Backend& backend, BackendEvents& events, const BackendWish& wish);
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    friend class Backend;
    Backend* backend_;  // nullptr: served
    BackendEvents& events_;
    BackendWish wish_;
    std::uint64_t since_ms_;
  };
  /// Calls backend_ready() or backend_failed() at once, then returns nullptr; or later.
  [[nodiscard]] std::unique_ptr<Waiting> request(BackendEvents& events, const BackendWish& wish);

  /// TLS to it is from now on made as this site says, which has it. Kept: a later site may have
  /// none, while requests of this one go on.
  void use_tls_of(const Site& site);
  std::shared_ptr<const net::TlsClient> tls(bool http1_only) const {
    return http1_only ? tls_ : tls_h2_;
  }

  bool healthy() const;
  /// By its last answer; false without health checks.
  bool fails_health_check() const;
  /// Requests under way, with those that wait for a connection.
  std::size_t load() const { return in_use_ + waiting_.size(); }
  const std::string& text() const { return text_; }
  RequestCounts::NameId name_id() const { return name_id_; }
  const http::BackendUrl& url() const { return url_; }
  const http::HealthSettings& health() const { return health_; }
  void count_failure() { ++counts_.failures; }
  /// The head of a response came.
  void answered();
  /// A request on a new connection, or in time, got no valid answer. After several in a row other
  /// backends are asked for a while.
  void gave_no_answer(std::string_view why);
  void count_retry() { ++counts_.retries; }
  BackendCounts counts() const;

  /// Closes what was idle for too long, and whatever is idle while file descriptors are scarce.
  void sweep(std::uint64_t now_ms);
  /// At the end of this turn, when what was closed is gone, connections are opened for those who
  /// got none, since no descriptor was left. Who has waited for a while, in which nobody got one
  /// that another request gave back, is given up.
  void open_late();
  /// The last connection that was wanted got none.
  bool lacks_file() const { return lacks_file_; }
  /// No connection is kept any more.
  void close_idle();
  /// By others than its health check.
  bool unused() const;

  // From its connections.
  Context& context() { return context_; }
  void connected(BackendConnection& connection);
  void connect_failed(BackendConnection& connection, const Error& error);
  /// A request was handed to, or given back by, a connection.
  void begin_use() { ++in_use_; }
  void end_use() { --in_use_; }
  /// It can take a request (again).
  void available(BackendConnection& connection);
  /// It is gone; its memory lasts until the end of the turn.
  void closed(BackendConnection& connection);

 private:
  struct Address {
    Endpoint endpoint;
    unsigned failures = 0;  // to connect, in a row
    std::uint64_t down_until_ms = 0;
    std::size_t connections = 0;
  };

  BackendConnection* take_open(const BackendWish& wish);
  BackendConnection* take_kept(const BackendWish& wish);
  BackendConnection* take_shared(const BackendWish& wish);
  void serve(BackendConnection& connection, BackendEvents& events, bool reused);
  bool serve_waiting(BackendConnection& connection);
  void open_for_waiting();
  void remove(BackendConnection& connection);
  bool open_connection(bool http1_only, std::uint64_t tried);
  std::size_t choose_address(std::uint64_t tried) const;
  void try_late();
  void fail_waiting(BackendFailure failure, std::string_view detail, std::size_t count);
  bool are_addresses_old() const;
  void resolve();
  void take_addresses(const ResolvedHost& host);
  /// Those who waited for addresses.
  void go_on();
  void resolved(Result<ResolvedHost> result);
  void mark_down(const Endpoint& endpoint, std::string_view why);
  Address* find(const Endpoint& endpoint);
  /// To an address that the name has no longer: it takes no more requests.
  bool is_old(const BackendConnection& connection);
  void forget(const Waiting& waiting);

  Context& context_;
  http::BackendUrl url_;
  std::string text_;
  RequestCounts::NameId name_id_;
  http::HealthSettings health_;
  std::shared_ptr<const net::TlsClient> tls_, tls_h2_;
  unsigned unanswered_ = 0;  // requests in a row
  std::uint64_t unanswered_at_ms_ = 0, resting_until_ms_ = 0;
  std::vector<Address> addresses_;
  std::uint64_t addresses_until_ms_ = 0;
  bool lookup_failed_ = false;  // then what was known is used meanwhile
  std::unique_ptr<HostResolver::Ticket> resolving_;
  std::vector<std::unique_ptr<BackendConnection>> connections_;
  std::vector<BackendConnection*> kept_;    // HTTP/1.1, idle; the last one used at the end
  std::vector<BackendConnection*> shared_;  // HTTP/2
  std::vector<Waiting*> waiting_;           // in the order they came
  bool lacks_file_ = false;
  net::Deferred late_;
  std::uint64_t passed_on_ms_ = 0;  // when a request that waited got a connection
  std::size_t connecting_ = 0;
  std::size_t in_use_ = 0;
  bool speaks_h2_ = false;
  std::unique_ptr<HealthProbe> probe_;
  BackendCounts counts_;
};

/// Which of a route's backends gets a request: not one in `tried` (bits) or that fails its health
/// check, one that takes connections when there is one; by weight, or, with equal weights, the one
/// with the fewest requests under way.
std::optional<std::size_t> choose_backend(std::span<const std::shared_ptr<Backend>> backends,
                                          std::span<const http::BackendSettings> settings,
                                          std::uint64_t random, std::uint64_t tried);

}  // namespace postern::gateway
