#include "server/config_gateway.h"

#include <algorithm>
#include <array>

#include "server/config_help.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kSecond = 1000, kHour = 3600 * kSecond, kDay = 24 * kHour;
constexpr std::uint64_t kTimeoutMax = 7 * kDay;
constexpr std::uint64_t kHstsMax = 3650 * kDay;
constexpr std::uint64_t kBodyMax = 1ULL << 50;
constexpr std::int64_t kPortMax = 65'535;
constexpr std::int64_t kWeightMax = 1'000'000;  // as in the Gateway API

using gateway::GatewayLimits;
using gateway::ListenerSettings;
using gateway::TcpBackend;
using http::RouteSettings;

// [[tls.certificate]]

constexpr std::array<Key<CertificateSettings>, 3> kCertificateKeys{{
    {"name", field<&CertificateSettings::name, read_text>},
    {"cert", field<&CertificateSettings::cert, read_text>},
    {"key", field<&CertificateSettings::key, read_text>},
}};

constexpr std::array<Key<Document>, 1> kTlsKeys{{
    {"certificate", elements<&Document::certificates, kCertificateKeys>},
}};

// [[gateway.listener]]

constexpr Choice<http::AltSvc> choice_of(http::AltSvc policy) { return {word_of(policy), policy}; }
constexpr std::array<Choice<http::AltSvc>, 3> kAltSvc{choice_of(http::AltSvc::kClear),
                                                      choice_of(http::AltSvc::kStrip),
                                                      choice_of(http::AltSvc::kPass)};
constexpr std::array<Choice<bool>, 2> kQuic{{{"refuse", true}, {"ignore", false}}};

Result<IpAddress> parse_listener_address(std::string_view text) {
  auto address = IpAddress::parse(text);
  if (address) return address;
  return fail(Code::kInvalid,
              fmt::format("'{}' is not an address; write one like \"192.168.10.50\" or "
                          "\"fd00::50\"; ports are said by http, https and tcp",
                          text));
}

Result<std::string> parse_alpn(std::string_view text) {
  if (text == "h2" || text == "http/1.1") return std::string(text);
  if (text.starts_with("h3")) {
    return fail(Code::kInvalid,
                fmt::format("'{}' is HTTP over QUIC, which this gateway does not speak: a browser "
                            "that is promised it tries UDP and waits; allowed: \"h2\", "
                            "\"http/1.1\"",
                            text));
  }
  return fail(Code::kInvalid,
              fmt::format("'{}' is not a protocol of this gateway; allowed: \"h2\", "
                          "\"http/1.1\"",
                          text));
}

Result<TcpBackend> parse_tcp_backend(std::string_view text) {
  const auto place = http::parse_host_port(text);
  if (!place || place->port == 0) {
    return fail(Code::kInvalid,
                fmt::format("'{}' is not a host with a port; write it like \"10.43.0.20:5432\", "
                            "\"[fd00::1]:5432\" or \"db.home.arpa:5432\"",
                            text));
  }
  std::string_view host = place->host();
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return TcpBackend{std::string(host), place->port};
}

Result<std::string> parse_header_name(std::string_view text) {
  if (http::is_field_name(text)) return std::string(text);
  return fail(
      Code::kInvalid,
      fmt::format("'{}' is not the name of a header; write one like \"X-Forwarded-For\"", text));
}

void read_hsts(Reader& reader, const Node& node, ListenerSettings& listener) {
  std::uint32_t age_s = 0;
  if (seconds<0, kHstsMax / kSecond>(reader, node, &age_s)) listener.hsts_s = age_s;
}

template <auto Pointer, auto Read>
void forwarded(Reader& reader, const Node& node, ListenerSettings& listener) {
  Read(reader, node, &(listener.forwarded.*Pointer));
}

constexpr auto kReadPort = integer<0, kPortMax, std::uint16_t>;

constexpr std::array<Key<ListenerSettings>, 17> kListenerKeys{{
    {"name", field<&ListenerSettings::name, read_text>},
    {"address", field<&ListenerSettings::addresses,
                      unique_list<parsed<parse_listener_address, IpAddress>, IpAddress>>},
    {"http", field<&ListenerSettings::http, kReadPort>},
    {"https", field<&ListenerSettings::https, kReadPort>},
    {"tcp", field<&ListenerSettings::tcp, kReadPort>},
    {"certificates", field<&ListenerSettings::certificates, unique_list<read_text, std::string>>},
    {"alpn",
     field<&ListenerSettings::alpn, unique_list<parsed<parse_alpn, std::string>, std::string>>},
    {"redirect_to_https", field<&ListenerSettings::redirect_to_https, read_boolean>},
    {"hsts", read_hsts},
    {"alt_svc", field<&ListenerSettings::alt_svc, choice<kAltSvc, http::AltSvc>>},
    {"quic", field<&ListenerSettings::quic_refuse, choice<kQuic, bool>>},
    {"trusted_proxies", forwarded<&http::ForwardedSettings::trusted_proxies, kReadNetworks>},
    {"client_ip_header",
     forwarded<&http::ForwardedSettings::client_ip_header, parsed<parse_header_name, std::string>>},
    {"publish_dns", field<&ListenerSettings::publish_dns, read_boolean>},
    {"backends", field<&ListenerSettings::backends,
                       unique_list<parsed<parse_tcp_backend, TcpBackend>, TcpBackend>>},
    {"proxy_protocol", field<&ListenerSettings::proxy_protocol, read_boolean>},
    {"idle", field<&ListenerSettings::idle_ms, milliseconds<0, kTimeoutMax, std::uint64_t>>},
}};

// [[gateway.route]]

template <http::PathMatch kind>
void match_path(Reader& reader, const Node& node, http::RouteMatchSettings& match) {
  match.kind = kind;
  read_text(reader, node, &match.path);
}

constexpr std::array<Key<http::RouteMatchSettings>, 6> kMatchKeys{{
    {"path_prefix", match_path<http::PathMatch::kPrefix>},
    {"path_exact", match_path<http::PathMatch::kExact>},
    {"path_regex", match_path<http::PathMatch::kRegex>},
    {"method", field<&http::RouteMatchSettings::method, read_text>},
    {"headers", field<&http::RouteMatchSettings::headers, read_pairs>},
    {"query", field<&http::RouteMatchSettings::query, read_pairs>},
}};

constexpr std::array<Key<http::BackendSettings>, 2> kBackendKeys{{
    {"url", field<&http::BackendSettings::url, parsed<http::parse_backend_url, http::BackendUrl>>},
    {"weight", field<&http::BackendSettings::weight, integer<0, kWeightMax, std::uint32_t>>},
}};

bool read_header_lines(Reader& reader, const Node& node, std::vector<http::HeaderValue>* out) {
  if (!read_pairs(reader, node, out)) return false;
  for (auto line = out->begin(); line != out->end(); ++line) {
    const auto same = std::find_if(out->begin(), line, [&](const http::HeaderValue& before) {
      return http::same_name(before.name, line->name);
    });
    if (same == line) continue;
    reader.error(node.place, fmt::format("{}: '{}' and '{}' are the same header; keep one of them",
                                         reader.path(), same->name, line->name));
  }
  return true;
}

using http::FilterSettings;
using http::HeaderEdits;

template <auto Side, auto Pointer, auto Read>
void edit(Reader& reader, const Node& node, FilterSettings& filters) {
  Read(reader, node, &((filters.*Side).*Pointer));
}

template <auto Pointer>
void rewrite(Reader& reader, const Node& node, FilterSettings& filters) {
  read_text(reader, node, &(filters.rewrite.*Pointer));
}

constexpr auto kReadHeaderNames = unique_list<read_text, std::string>;

constexpr std::array<Key<FilterSettings>, 9> kFilterKeys{{
    {"set_request_headers", edit<&FilterSettings::request, &HeaderEdits::set, read_header_lines>},
    {"add_request_headers", edit<&FilterSettings::request, &HeaderEdits::add, read_header_lines>},
    {"remove_request_headers",
     edit<&FilterSettings::request, &HeaderEdits::remove, kReadHeaderNames>},
    {"set_response_headers", edit<&FilterSettings::response, &HeaderEdits::set, read_header_lines>},
    {"add_response_headers", edit<&FilterSettings::response, &HeaderEdits::add, read_header_lines>},
    {"remove_response_headers",
     edit<&FilterSettings::response, &HeaderEdits::remove, kReadHeaderNames>},
    {"rewrite_host", rewrite<&http::RewriteSettings::host>},
    {"rewrite_prefix", rewrite<&http::RewriteSettings::prefix>},
    {"rewrite_path", rewrite<&http::RewriteSettings::path>},
}};

constexpr std::array<Key<http::RedirectSettings>, 5> kRedirectKeys{{
    {"scheme", field<&http::RedirectSettings::scheme, read_text>},
    {"hostname", field<&http::RedirectSettings::hostname, read_text>},
    {"port", field<&http::RedirectSettings::port, kReadPort>},
    {"path", field<&http::RedirectSettings::path, read_text>},
    {"status", field<&http::RedirectSettings::status, integer<0, 999, std::uint16_t>>},
}};

constexpr std::array<Key<http::RespondSettings>, 3> kRespondKeys{{
    {"status", field<&http::RespondSettings::status, integer<0, 999, std::uint16_t>>},
    {"content_type", field<&http::RespondSettings::content_type, read_text>},
    {"body", field<&http::RespondSettings::body, read_text>},
}};

constexpr auto kReadTimeout = milliseconds<0, kTimeoutMax, std::uint64_t>;

void read_idle(Reader& reader, const Node& node, http::TimeoutSettings& timeouts) {
  field<&http::TimeoutSettings::idle_ms, kReadTimeout>(reader, node, timeouts);
  timeouts.idle_given = true;
}

constexpr std::array<Key<http::TimeoutSettings>, 3> kTimeoutKeys{{
    {"request", field<&http::TimeoutSettings::request_ms, kReadTimeout>},
    {"backend", field<&http::TimeoutSettings::backend_ms, kReadTimeout>},
    {"idle", read_idle},
}};

constexpr std::array<Key<RouteSettings>, 1> kRouteLimitKeys{{
    {"body", field<&RouteSettings::body_bytes_max, bytes<0, kBodyMax, std::uint64_t>>},
}};

void read_route_limits(Reader& reader, const Node& node, RouteSettings& route) {
  read_table(reader, node, kRouteLimitKeys, route);
}

constexpr std::array<Key<http::HealthSettings>, 2> kHealthKeys{{
    {"path", field<&http::HealthSettings::path, read_text>},
    {"interval",
     field<&http::HealthSettings::interval_ms, milliseconds<100, kHour, std::uint64_t>>},
}};

// As in DNS, a dot at the end changes nothing.
bool read_hostname(Reader& reader, const Node& node, std::string* out) {
  if (!read_text(reader, node, out)) return false;
  if (out->size() > 1 && out->ends_with('.')) out->pop_back();
  *out = to_lower(std::move(*out));
  return true;
}

constexpr std::array<Key<RouteSettings>, 10> kRouteKeys{{
    {"listeners", field<&RouteSettings::listeners, unique_list<read_text, std::string>>},
    {"hostnames", field<&RouteSettings::hostnames, unique_list<read_hostname, std::string>>},
    {"matches", tables<&RouteSettings::matches, kMatchKeys>},
    {"backends", tables<&RouteSettings::backends, kBackendKeys>},
    {"filters", table<&RouteSettings::filters, kFilterKeys>},
    {"redirect", optional_table<&RouteSettings::redirect, kRedirectKeys>},
    {"respond", optional_table<&RouteSettings::respond, kRespondKeys>},
    {"timeouts", table<&RouteSettings::timeouts, kTimeoutKeys>},
    {"limits", read_route_limits},
    {"health", table<&RouteSettings::health, kHealthKeys>},
}};

// [gateway.limits]

template <auto Pointer, auto Read>
void limit(Reader& reader, const Node& node, GatewayLimits& limits) {
  Read(reader, node, &(limits.*Pointer));
}

constexpr std::array<Key<GatewayLimits>, 5> kLimitKeys{{
    {"header_bytes", limit<&GatewayLimits::header_bytes, bytes<1U << 10, 1U << 20, std::size_t>>},
    {"headers", limit<&GatewayLimits::headers, integer<8, 10'000, std::size_t>>},
    {"header_timeout",
     limit<&GatewayLimits::header_timeout_ms, milliseconds<100, kHour, std::uint32_t>>},
    {"connections", limit<&GatewayLimits::connections, integer<1, 1'000'000, std::uint32_t>>},
    {"streams", limit<&GatewayLimits::streams, integer<1, 10'000, std::uint32_t>>},
}};

// [gateway]

Result<std::string> parse_public_name(std::string_view text) {
  const auto place = http::parse_host_port(text);
  if (place && !place->is_address && text.find(':') == std::string_view::npos) {
    return std::string(place->host());
  }
  return fail(Code::kInvalid,
              fmt::format("'{}' is not a host name; write one like \"cloudflare-ech.com\"", text));
}

void read_ech_public_names(Reader& reader, const Node& node, Document& document) {
  unique_list<parsed<parse_public_name, std::string>>(reader, node,
                                                      &document.config.ech_public_names);
}

void read_gateway_limits(Reader& reader, const Node& node, Document& document) {
  read_table(reader, node, kLimitKeys, document.config.gateway_limits);
}

constexpr std::array<Key<Document>, 4> kGatewayKeys{{
    {"listener", elements<&Document::listeners, kListenerKeys>},
    {"route", elements<&Document::routes, kRouteKeys>},
    {"limits", read_gateway_limits},
    {"ech_public_names", read_ech_public_names},
}};

}  // namespace

void read_tls(Reader& reader, const Node& node, Document& document) {
  read_table(reader, node, kTlsKeys, document);
}

void read_gateway(Reader& reader, const Node& node, Document& document) {
  read_table(reader, node, kGatewayKeys, document);
}

}  // namespace postern::server
