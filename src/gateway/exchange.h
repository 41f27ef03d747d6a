// One request and its response, between a client's side and a backend's. All that the gateway
// decides about a request is decided here, in the order of exchange.cpp's begin(): memory, sanity,
// redirect to https, route, limits, fields, backend; then both bodies are passed on as they come.
// Belongs to its client's side; used again for later requests. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/backend.h"
#include "gateway/context.h"
#include "gateway/delivery_watch.h"
#include "gateway/exchange_sides.h"
#include "http/forwarded.h"
#include "http/h1_body.h"
#include "http/h1_request.h"
#include "http/head.h"
#include "http/route.h"
#include "http/url.h"
#include "net/timer.h"

namespace postern::gateway {

/// A client's connection as its exchanges see it. Outlives them.
struct ClientInfo {
  explicit ClientInfo(const http::Peer& the_peer) : peer(the_peer) {}

  std::shared_ptr<const WorkerSite> site;  ///< new requests are served by this one
  const Listener* listener = nullptr;      ///< in it
  http::Peer peer;
  bool tls = false;
  std::string sni;
  std::uint16_t port = 0;  ///< of ours
};

/// What reads a request of HTTP/1.1.
struct H1Input {
  http::h1::RequestReader head;
  http::h1::BodyReader body;
};

class Exchange final : public BackendEvents, private HeldBytes {
 public:
  explicit Exchange(Context& context);
  ~Exchange() override;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// To be filled before begin(); what it refers to stays until clear().
  http::RequestHead& request() { return request_; }
  /// Memory for what request() refers to. Kept between requests.
  std::vector<std::uint8_t>& memory() { return memory_; }
  /// Of what request() refers to.
  std::size_t head_bytes() const { return memory_.size() + request_.arena.bytes(); }
  /// For who reads HTTP/1.1. Kept between requests; not reset by clear().
  H1Input& h1_input() {
    if (h1_input_ == nullptr) h1_input_ = std::make_unique<H1Input>();
    return *h1_input_;
  }

  // The client's side. Each call may end in ClientSide::finished().

  /// With kNone there will be no request_end(). `protocol` is a literal, for the log.
  void begin(ClientSide& client, const ClientInfo& info, std::string_view protocol,
             http::BodyLength body);
  /// In place of begin(): the request can't be understood, or is too large.
  void refuse(ClientSide& client, const ClientInfo& info, std::string_view protocol,
              std::uint16_t status, std::string_view reason);
  /// In place of begin(): what came of the request is no request, and is not answered.
  void reject(ClientSide& client, const ClientInfo& info, std::string_view protocol,
              std::string_view reason);
  void request_body(Bytes chunk);
  void request_end(const http::Fields& trailers);
  void client_drained();
  /// The client is gone; the exchange ends without finished().
  void client_gone(std::string_view why);
  /// The rest of the request is not valid; answered with `status` when nothing was yet.
  void client_failed(std::uint16_t status, std::string_view reason);

  /// Ends the exchange when nothing moved for too long; `now_ms` of the loop.
  void check_idle(std::uint64_t now_ms);
  /// 0: none
  std::uint64_t idle_limit_ms() const;
  /// It ended since its client took nothing of what there was for it.
  bool was_unread() const { return unread_; }
  bool is_upgraded() const { return upgraded_; }
  bool responded() const { return responded_; }
  bool request_done() const { return request_done_; }

  /// Makes it ready for the next request.
  void clear();

  // BackendEvents
  void backend_ready(BackendStream& stream) override;
  http::ResponseHead& response_head() override;
  void interim_response() override;
  void response(http::BodyLength body) override;
  void response_body(Bytes chunk) override;
  void response_end(const http::Fields& trailers) override;
  void backend_drained() override;
  bool may_repeat() const override { return may_send_again(BackendFailure::kClosed, true); }
  void request_returned(Bytes body) override;
  void backend_failed(BackendFailure failure, std::string_view detail, bool reused) override;

  // HeldBytes: for the client's side as well
  void give_up_held() override;

 private:
  std::uint64_t moved() const override;
  void hold_request();
  void start(ClientSide& client, const ClientInfo& info, std::string_view protocol);
  std::string claimed_address();
  bool has_memory();
  bool is_sane();
  bool read_host();
  bool redirect_to_https();
  bool find_route();
  bool answer_by_route();
  void filter_request();
  void settle_upgrade();
  bool may_go_further();
  bool set_own_fields();
  http::RequestedPlace requested_place() const;
  void prepare_upgrade();
  void refuse_loop();
  void ask_backend();
  /// timeouts.request or timeouts.backend.
  struct TimeLimit {
    std::uint64_t left_ms;
    std::string_view name;
  };
  std::optional<TimeLimit> next_limit() const;
  void start_timer();
  void timed_out();
  void note_unsent();
  bool watch_delivery(std::uint64_t idle_ms, std::uint64_t limit_ms);
  void note_silence(std::string_view limit);

  bool may_send_again(BackendFailure failure, bool reused) const;
  bool too_many_interims();
  bool filter_response();
  void refuse_answer(std::string_view why);
  void accept_upgrade(http::BodyLength* body);
  void open_tunnel();
  void send_pending();

  void answer(std::uint16_t status, std::string_view text, std::string_view failure);
  void answer_with(std::uint16_t status, std::string_view content_type, std::string_view body);
  void redirect_to(std::uint16_t status, std::string_view location);
  void fail(std::uint16_t status, std::string_view text, std::string_view failure);
  void add_own_fields();
  void note_alt_svc();
  void finish(bool cut);
  void leave_backend();
  void count_status(std::uint16_t status);
  void account();
  void log(std::uint64_t duration_us, std::uint64_t first_byte_us);
  std::uint64_t now_ms() const { return context_.loop.now_ms(); }
  void touch() { active_ms_ = now_ms(); }
  bool over() const { return client_ == nullptr; }
  const http::RouteSettings& settings() const { return *match_.route->settings; }
  bool to_head() const { return request_.method == "HEAD"; }

  Context& context_;
  ClientSide* client_ = nullptr;  // nullptr: no exchange, or over
  const ClientInfo* info_ = nullptr;
  std::shared_ptr<const WorkerSite> site_;
  const Listener* listener_ = nullptr;
  std::string_view protocol_;
  std::string_view target_;  // as the client wrote it

  http::RequestHead request_;
  http::ResponseHead response_;
  std::vector<std::uint8_t> memory_;
  std::unique_ptr<H1Input> h1_input_;
  http::BodyLength request_length_;
  const http::HostPort* host_ = nullptr;  // parsed_host_, once it is valid
  http::HostPort parsed_host_;
  std::string host_text_;  // that was parsed
  http::RequestPath path_;
  http::RouteMatch match_;
  std::string client_address_;

  std::shared_ptr<Backend> backend_;
  std::unique_ptr<Backend::Waiting> waiting_;
  BackendStream* stream_ = nullptr;
  BackendFailure last_failure_ = BackendFailure::kNone;
  unsigned attempts_ = 0;
  std::uint64_t tried_ = 0;  // backends of the route, as bits

  std::vector<std::uint8_t> pending_;            // body that came before the backend was ready
  std::unique_ptr<http::OwnedFields> trailers_;  // of a request that may still be sent (again)
  std::unique_ptr<net::Timer> timer_;
  bool request_done_ = false, request_end_pending_ = false, request_stopped_ = false;
  bool body_sent_ = false;  // some of the request's body went to the backend
  bool response_begun_ = false, response_stopped_ = false, responded_ = false;
  bool response_done_ = false;  // of an upgraded exchange, whose request goes on
  bool extended_connect_ = false, upgraded_ = false, loop_marked_ = false, unread_ = false;
  std::uint16_t status_ = 0;
  unsigned interims_ = 0;  // since interims_since_ms_
  std::uint64_t interims_since_ms_ = 0;
  std::uint64_t active_ms_ = 0, request_done_ms_ = 0;
  std::uint64_t begun_us_ = 0, first_byte_us_ = 0;
  std::uint64_t received_ = 0, sent_ = 0;
  std::size_t charged_ = 0, taken_ = 0;  // of the memory budget; taken_ is what is not held
  std::size_t unsent_ = 0;               // to both sides, when it was last looked at
  std::uint64_t watched_ms_ = 0;
  DeliveryWatch client_watch_, backend_watch_;
  std::string failure_;
};

}  // namespace postern::gateway
