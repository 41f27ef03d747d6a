// One backend URL in one worker: its addresses, its connections and those who wait for one. Kept
// connections are used again, the last one used first; a connection that cannot be opened is tried
// at the next address. Loop thread only.
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
#include "gateway/backend_addresses.h"
#include "gateway/backend_connection.h"
#include "gateway/context.h"
#include "gateway/counts.h"
#include "gateway/exchange_sides.h"
#include "http/route.h"
#include "http/url.h"
#include "net/loop.h"

namespace postern::gateway {

/// What kind of connection a request needs.
struct BackendWish {
  bool http1_only = false;    ///< it asks for an upgrade
  bool must_be_open = false;  ///< it can't be sent again: look at a kept connection before using it
  bool fresh = false;         ///< no kept connection: one has just failed
};

class Backend final : public ConnectionOwner {
 public:
  static constexpr std::size_t kConnectionsMax = 4096;  ///< of one worker
  static constexpr std::size_t kWaitingMax = 16384;     ///< requests that wait for a connection
  static constexpr std::size_t kKeptMax = 512;          ///< idle connections of HTTP/1.1
  static constexpr std::uint64_t kKeptIdleMs = 60'000;

  Backend(Context& context, const http::BackendUrl& url, const http::HealthSettings& health);
  ~Backend() override;
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

  /// One of its addresses is well, or none is known yet.
  bool healthy() const;
  /// All of its addresses do, or there is none; false without health checks.
  bool fails_health_check() const;
  /// Requests under way, with those that wait for a connection.
  std::size_t load() const { return in_use_ + waiting_.size(); }
  const std::string& text() const { return text_; }
  RequestCounts::NameId name_id() const { return name_id_; }
  const http::BackendUrl& url() const { return url_; }
  bool can_upgrade() const { return url_.scheme != http::BackendScheme::kH2c; }
  const http::HealthSettings& health() const { return health_; }
  /// How log lines name it: with the address, when it has a name of its own.
  std::string text_at(const Endpoint& address) const;
  void count_failure() { ++counts_.failures; }
  /// The head of a response came from this address.
  void answered(const Endpoint& address);
  /// A request on a new connection, or in time, got no valid answer. After several in a row others
  /// are asked for a while.
  void gave_no_answer(const Endpoint& address, std::string_view why);
  /// From its health checks. It has just let one of them connect.
  void takes_connections(const Endpoint& address);
  /// It began to fail them.
  void fell_sick(const Endpoint& address);
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
  bool unused() const { return in_use_ + waiting_.size() == 0; }
  Context& context() { return context_; }

  // ConnectionOwner
  void connected(BackendConnection& connection) override;
  void connect_failed(BackendConnection& connection, const Error& error) override;
  void available(BackendConnection& connection) override;
  void request_over(bool failed) override;
  void closed(BackendConnection& connection) override;

 private:
  BackendConnection* take_open(const BackendWish& wish);
  BackendConnection* take_kept(const BackendWish& wish);
  BackendConnection* take_shared(const BackendWish& wish);
  void serve(BackendConnection& connection, BackendEvents& events, bool reused);
  bool serve_waiting(BackendConnection& connection);
  void open_for_waiting();
  void remove(BackendConnection& connection);
  bool open_connection(bool http1_only, std::uint64_t tried);
  void try_late();
  void fail_waiting(BackendFailure failure, std::string_view detail, std::size_t count);
  void check_addresses();
  void addresses_settled();
  void tell_whether_found() const;
  void leave_addresses();
  /// Those who waited for addresses.
  void go_on();
  void mark_down(const Endpoint& address, std::string_view why);
  /// Its address takes no more requests: the name does not have it any more, or it is sick.
  bool is_left(const BackendConnection& connection);
  void close_kept(const Endpoint& address);
  /// But for those that got a request when others were closed.
  static void close_unused(std::span<BackendConnection* const> connections);
  void forget(const Waiting& waiting);

  Context& context_;
  http::BackendUrl url_;
  std::string text_;
  RequestCounts::NameId name_id_;
  http::HealthSettings health_;
  std::shared_ptr<const net::TlsClient> tls_, tls_h2_;
  BackendAddresses addresses_;
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
  bool was_without_ = false;  // an address
  BackendCounts counts_;
};

/// Which of a route's backends gets a request: not one in `tried` (bits) or that fails its health
/// check, one that takes connections when there is one; by weight, or, with equal weights, the one
/// with the fewest requests under way.
std::optional<std::size_t> choose_backend(std::span<const std::shared_ptr<Backend>> backends,
                                          std::span<const http::BackendSettings> settings,
                                          std::uint64_t random, std::uint64_t tried);

}  // namespace postern::gateway
