// Exchange: what is decided about a request before a backend is asked, and what that gets of it.
#include <array>
#include <charconv>

#include "gateway/exchange.h"
#include "gateway/loop_mark.h"
#include "http/header_filter.h"
#include "http/rewrite.h"

namespace postern::gateway {
namespace {

constexpr std::size_t kHostTextMax = http::HostPort::kHostBytesMax + 7;  // with a dot and a port
constexpr std::string_view kMaxForwards = "max-forwards";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Sec-WebSocket-Key: 16 random bytes in base64, which end in one of four digits and "==" (RFC 6455
// section 4.1).
std::string_view websocket_key(Random& random, http::TextArena& arena) {
  std::array<char, 24> key{};
  for (std::size_t i = 0; i < 22; ++i) key[i] = kBase64[random.next() >> 58];
  key[21] = "AQgw"[random.next() >> 62];
  key[22] = key[23] = '=';
  return arena.copy({key.data(), key.size()});
}

bool begins_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && http::same_name(text.substr(0, start.size()), start);
}

// Is it one protocol, behind which there are no requests? Those could not be looked at any more:
// they would reach what no route leads to, and say of their client what they like.
bool may_be_switched_to(std::string_view protocol) {
  const std::string_view name = protocol.substr(0, protocol.find('/'));
  return http::is_protocol(protocol) && !begins_with(name, "http") && !begins_with(name, "h2") &&
         !http::same_name(name, "tls");
}

}  // namespace

bool Exchange::is_sane() {
  const bool connects = request_.method == "CONNECT";
  if ((connects && request_.protocol.empty()) || request_.method == "TRACE") {
    answer(405, "This method is not allowed here.", "method not allowed");
    return false;
  }
  if (connects && !may_be_switched_to(request_.protocol)) {
    answer(501, "This protocol is not passed on here.", "a protocol that is not passed on");
    return false;
  }
  if (!read_host()) {
    ++context_.counts.malformed;
    answer(400, "The host of this request is not valid.", "bad host");
    return false;
  }
  if (!path_.parse(request_.path)) {
    ++context_.counts.malformed;
    answer(400, "The path of this request is not valid.", "bad path");
    return false;
  }
  if (path_.path() == "*" || !may_go_further()) {
    answer_with(200, "", "");
    return false;
  }
  return true;
}

// RFC 9110 section 7.6.2. What is no number says nothing.
bool Exchange::may_go_further() {
  if (request_.method != "OPTIONS") return true;
  const std::string_view text = request_.fields.value(kMaxForwards);
  std::uint32_t hops = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), hops);
  if (error != std::errc() || end != text.data() + text.size()) return true;
  if (hops == 0) return false;
  std::array<char, 10> digits{};
  const auto last = std::to_chars(digits.data(), digits.data() + digits.size(), hops - 1).ptr;
  const std::string_view left(digits.data(), static_cast<std::size_t>(last - digits.data()));
  request_.fields.set(kMaxForwards, request_.arena.copy(left));
  return true;
}

// This object's last request was most likely for the same host.
bool Exchange::read_host() {
  if (request_.authority.empty() || request_.authority != host_text_) {
    const auto host = http::parse_host_port(request_.authority);
    if (!host) return false;
    host_text_ = request_.authority.size() <= kHostTextMax ? request_.authority : "";
    parsed_host_ = *host;
  }
  host_ = &parsed_host_;
  return true;
}

// An Upgrade may be ignored (RFC 9110 section 7.8). It is, too, when the request has a body, which
// the other protocol could not be told from.
void Exchange::settle_upgrade() {
  if (request_.protocol.empty() || request_.method == "CONNECT") return;
  if (!may_be_switched_to(request_.protocol) || !request_done_) request_.protocol = {};
}

// A proxy that we trust may say that its client came by https: cloudflared does.
bool Exchange::redirect_to_https() {
  const ListenerSettings& settings = listener_->settings;
  if (info_->tls || !settings.redirect_to_https || settings.https == 0) return false;
  if (info_->peer.trusted && http::same_name(request_.fields.value("x-forwarded-proto"), "https")) {
    return false;
  }
  http::RedirectSettings redirect;
  redirect.scheme = "https";
  redirect.port = settings.https;
  const bool is_read = request_.method == "GET" || request_.method == "HEAD";
  redirect_to(is_read ? 301 : 308,
              http::redirect_location(redirect, {false, host_->host(), info_->port}, path_,
                                      request_.arena));
  return true;
}

// As the client knows it: a proxy that we trust may say how it came, and sends its Host.
http::RequestedPlace Exchange::requested_place() const {
  if (!info_->peer.trusted) return {info_->tls, host_->host(), info_->port};
  const std::string_view proto = request_.fields.value("x-forwarded-proto");
  const bool tls = http::same_name(proto, "https");
  const std::uint16_t usual = tls ? 443 : 80;
  return {tls, host_->host(), host_->port != 0 ? host_->port : usual};
}

// Before routes are looked at: they match what the backend will see, and nothing that a stranger
// claims.
bool Exchange::set_own_fields() {
  if (!http::remove_hop_by_hop(request_.fields, false)) {
    ++context_.counts.malformed;
    answer(400, "This request names too many fields in Connection.", "too many connection options");
    return false;
  }
  http::set_forwarded(request_.fields, request_.arena, info_->peer,
                      {info_->tls, request_.authority}, listener_->settings.forwarded);
  return true;
}

bool Exchange::find_route() {
  // To a route an extended CONNECT is the GET that it would be in HTTP/1.1.
  const std::string_view method = request_.protocol.empty() ? request_.method : "GET";
  match_ = listener_->routes.match(
      {host_->host(), method, path_.decoded(), path_.query(), request_.fields, request_.protocol});
  if (!match_) {
    answer(404, "Nothing is served under this name and path.", "no route");
    return false;
  }
  const std::uint64_t limit = settings().body_bytes_max;
  if (limit != 0 && request_length_.kind == http::BodyLength::Kind::kKnown &&
      request_length_.bytes > limit) {
    ++context_.counts.body_too_large;
    answer(413, "The body of this request is too large.", "body too large");
    return false;
  }
  return true;
}

bool Exchange::answer_by_route() {
  const http::RouteSettings& route = settings();
  if (!route.redirect && !route.respond) return false;
  http::apply(route.filters.response, response_.fields);
  if (route.redirect) {
    redirect_to(route.redirect->status,
                http::redirect_location(*route.redirect, requested_place(), path_, request_.arena));
  } else if (request_.method == "CONNECT" && route.respond->status / 100 == 2) {
    // That would say that the tunnel is open (RFC 8441 section 5).
    answer(501, "There is no other protocol behind this name and path.", "respond to CONNECT");
  } else {
    answer_with(route.respond->status, route.respond->content_type, route.respond->body);
  }
  return true;
}

void Exchange::filter_request() {
  const http::FilterSettings& filters = settings().filters;
  if (has_looped(request_.fields)) {
    refuse_loop();
    return;
  }
  http::set_request_id(request_.fields, request_.arena, context_.random.next(),
                       context_.random.next());
  http::apply(filters.request, request_.fields);
  request_.path =
      http::backend_target(path_, filters.rewrite, match_.prefix_elements, request_.arena);
  if (!filters.rewrite.host.empty()) request_.authority = filters.rewrite.host;
  if (!request_.protocol.empty()) prepare_upgrade();
}

// What follows is the other protocol's; it waits for the 101.
void Exchange::prepare_upgrade() {
  request_length_ = {};
  if (request_.method != "CONNECT") return;
  extended_connect_ = true;
  request_done_ = false;
  request_.method = "GET";
  if (http::same_name(request_.protocol, "websocket") &&
      request_.fields.find("sec-websocket-key") == nullptr) {
    request_.fields.add("sec-websocket-key", websocket_key(context_.random, request_.arena));
  }
}

}  // namespace postern::gateway
