// Exchange: what the gateway answers by itself, and how an exchange ends.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "gateway/exchange.h"
#include "http/h1_write.h"
#include "http/header_filter.h"

namespace postern::gateway {
namespace {

constexpr std::size_t kAltSvcLogged = 200;  // bytes of a value that a backend chose
constexpr std::size_t kClaimLogged = 80;    // that came through a proxy

}  // namespace

// What a trusted proxy says of its client.
std::string Exchange::claimed_address() {
  const http::ForwardedSettings& settings = listener_->settings.forwarded;
  const http::ClientClaim claim = http::client_claim(request_.fields, info_->peer, settings);
  if (!claim.valid) {
    ++context_.counts.client_ip_invalid;
    std::uint64_t held_back = 0;
    if (context_.claim_log.allow(now_ms(), &held_back)) {
      const std::string_view value = request_.fields.value(settings.client_ip_header);
      log_warning("client_ip_header",
                  "{} of the trusted proxy {} is '{}', which is not one address: {} stands for the "
                  "client{}",
                  settings.client_ip_header, info_->peer.text, value.substr(0, kClaimLogged),
                  claim.address.to_string(), LogLimit::text(held_back));
    }
  }
  return claim.address.to_string();
}

// Date also for a backend that has no clock (RFC 9110 section 6.6.1).
void Exchange::add_own_fields() {
  if (response_.fields.find("date") == nullptr) response_.fields.add("date", context_.date());
  http::apply_alt_svc(response_.fields, listener_->settings.alt_svc, info_->tls);
  http::apply_hsts(response_.fields, listener_->hsts, info_->tls);
}

// What a backend offers goes by apply_alt_svc().
void Exchange::note_alt_svc() {
  const std::string_view offered = response_.fields.value("alt-svc");
  if (offered.empty() || offered == "clear") return;
  ++context_.counts.alt_svc_cleared;
  IpAddress client = info_->peer.address;
  if (info_->peer.trusted) client = IpAddress::parse(client_address_).value_or(client);
  if (!context_.is_first_note(ClientEvent::kAltSvcRemoved, client)) return;
  ClientNote note;
  note.event = ClientEvent::kAltSvcRemoved;
  note.client = client;
  note.name = host_ ? host_->host() : request_.authority;
  note.removed = offered.substr(0, kAltSvcLogged);
  if (backend_ != nullptr) note.where = backend_->text();
  context_.notes->tell(std::move(note));
}

void Exchange::count_status(std::uint16_t status) {
  const std::size_t first_digit = status / 100U;
  if (first_digit < context_.counts.by_class.size()) ++context_.counts.by_class[first_digit];
}

void Exchange::refuse_loop() {
  std::uint64_t held_back = 0;
  if (context_.loop_log.allow(now_ms(), &held_back)) {
    log_warning("backend_loop",
                "{}: requests for '{}' come back to this gateway: a backend of this route leads to "
                "it{}",
                settings().source, host_->host(), LogLimit::text(held_back));
  }
  answer(508, "The backend of this request leads back to this gateway.", "backend loop");
}

// A short page for people: "404 Not Found" and a sentence.
void Exchange::answer(std::uint16_t status, std::string_view text, std::string_view failure) {
  failure_ = failure;
  if (status == 400) client_->distrust();
  std::array<char, 3> digits{};
  std::to_chars(digits.data(), digits.data() + digits.size(), status);
  const std::array<std::string_view, 6> parts{std::string_view(digits.data(), digits.size()),
                                              " ",
                                              http::h1::reason_phrase(status),
                                              "\n\n",
                                              text,
                                              "\n"};
  answer_with(status, "text/plain; charset=utf-8", request_.arena.join(parts));
}

void Exchange::answer_with(std::uint16_t status, std::string_view content_type,
                           std::string_view body) {
  using Kind = http::BodyLength::Kind;
  if (!content_type.empty()) response_.fields.set("content-type", content_type);
  if (status == 405) response_.fields.set("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  response_.status = status;
  add_own_fields();
  const bool no_body = status == 204 || status == 304 || status < 200;
  http::BodyLength length{Kind::kKnown, body.size()};
  if (no_body || to_head() || body.empty()) length = {};
  if (to_head() && !no_body) {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), body.size()).ptr;
    response_.fields.add(
        "content-length",
        response_.arena.copy({digits.data(), static_cast<std::size_t>(end - digits.data())}));
  }
  first_byte_us_ = context_.loop.now_us();
  status_ = status;
  responded_ = true;
  count_status(status);
  client_->send_head(response_, length);
  if (over()) return;
  if (length.kind == Kind::kKnown) {
    sent_ += body.size();
    context_.counts.bytes_sent += body.size();
    client_->send_body(as_bytes(body));
    if (!over()) client_->send_end(no_fields());
  }
  finish(false);
}

void Exchange::redirect_to(std::uint16_t status, std::string_view location) {
  response_.fields.set("location", location);
  answer_with(status, "", "");
}

void Exchange::fail(std::uint16_t status, std::string_view text, std::string_view failure) {
  std::string why(failure);
  leave_backend();
  if (!responded_) {
    response_.clear();
    answer(status, text, why);
    return;
  }
  failure_ = std::move(why);
  finish(true);
}

void Exchange::finish(bool cut) {
  if (over()) return;
  account();
  leave_backend();
  std::exchange(client_, nullptr)->finished(cut);
}

// An exchange has ended, however it did.
void Exchange::account() {
  if (info_ == nullptr) return;
  const std::uint64_t duration_us = context_.loop.now_us() - begun_us_;
  const std::uint64_t first_byte_us = first_byte_us_ > begun_us_ ? first_byte_us_ - begun_us_ : 0;
  RequestCounts::End end;
  const auto at = static_cast<std::size_t>(listener_ - site_->site->listeners.data());
  end.listener = site_->listener_names[at];
  if (match_) end.route = site_->route_names[match_.route->index];
  if (backend_ != nullptr) end.backend = backend_->name_id();
  end.status = status_;
  end.duration_us = duration_us;
  end.first_byte_us = status_ == 0 ? 0 : std::max<std::uint64_t>(first_byte_us, 1);
  end.upgraded = upgraded_;
  context_.requests.count(end);
  if (context_.access_log.wants(site_->site->log_requests)) log(duration_us, first_byte_us);
}

void Exchange::log(std::uint64_t duration_us, std::uint64_t first_byte_us) {
  AccessRecord record;
  record.listener = listener_->settings.name;
  record.client = client_address_;
  record.sni = info_->sni;
  record.protocol = protocol_;
  record.method = extended_connect_ ? "CONNECT" : request_.method;
  record.host = host_ ? host_->host() : request_.authority;
  record.path = target_;
  record.status = status_;
  record.bytes_received = received_;
  record.bytes_sent = sent_;
  record.duration_us = duration_us;
  record.first_byte_us = first_byte_us;
  if (match_) record.route = settings().source;
  if (backend_ != nullptr) record.backend = backend_->text();
  record.request_id = request_.fields.value("x-request-id");
  record.failure = failure_;
  context_.access_log.note(record, site_->site->log_requests);
}

}  // namespace postern::gateway
