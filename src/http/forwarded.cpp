#include "http/forwarded.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "http/header_filter.h"

namespace postern::http {
namespace {

constexpr std::string_view kFor = "x-forwarded-for";
constexpr std::string_view kProto = "x-forwarded-proto";
constexpr std::string_view kHost = "x-forwarded-host";
constexpr std::string_view kForwarded = "forwarded";

/// "[IPv6]:port" with room to spare.
constexpr std::size_t kAddressBytesMax = 64;

/// A byte of a name as it ends in a CGI variable.
char cgi_byte(char c) {
  if (c == '_') return '-';
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool starts_as_cgi(std::string_view name, std::string_view start) {
  return name.size() >= start.size() &&
         std::equal(start.begin(), start.end(), name.begin(),
                    [](char a, char b) { return cgi_byte(a) == cgi_byte(b); });
}

bool same_as_cgi(std::string_view a, std::string_view b) {
  return a.size() == b.size() && starts_as_cgi(a, b);
}

/// A field that says who the client is.
bool is_claim(std::string_view name, const ForwardedSettings& settings) {
  return same_as_cgi(name, kForwarded) || starts_as_cgi(name, "x-forwarded-") ||
         same_as_cgi(name, "x-real-ip") || same_as_cgi(name, settings.client_ip_header);
}

bool is_disguised(std::string_view name, const ForwardedSettings& settings) {
  return name.find('_') != std::string_view::npos && !same_name(name, settings.client_ip_header);
}

void remove_untrusted(Fields& request, bool trusted, const ForwardedSettings& settings) {
  request.remove_if([&](const Field& line) {
    return is_claim(line.name, settings) && (!trusted || is_disguised(line.name, settings));
  });
}

/// "192.0.2.1", "2001:db8::1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80"
std::optional<IpAddress> address_of(std::string_view item) {
  while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
  while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
  if (item.size() > kAddressBytesMax) return std::nullopt;
  if (const auto plain = IpAddress::parse(item)) return *plain;
  const auto endpoint = Endpoint::parse(item, 1);
  return endpoint ? std::optional(endpoint->ip) : std::nullopt;
}

/// From the last item of the last line on; `visit(item)` is false when it has seen enough.
template <class Visitor>
void for_each_item_backwards(const Fields& fields, std::string_view name, Visitor visit) {
  for (const Field* line = fields.end(); line != fields.begin();) {
    --line;
    if (!same_name(line->name, name)) continue;
    std::string_view rest = line->value;
    for (bool more = true; more;) {
      const std::size_t comma = rest.rfind(',');
      more = comma != std::string_view::npos;
      if (!visit(more ? rest.substr(comma + 1) : rest)) return;
      rest = rest.substr(0, more ? comma : 0);
    }
  }
}

ClientClaim last_untrusted(const Fields& request, const Peer& peer,
                           const ForwardedSettings& settings) {
  IpAddress client = peer.address;
  bool valid = true;
  int hops = 0;
  for_each_item_backwards(request, kFor, [&](std::string_view item) {
    const std::optional<IpAddress> address = address_of(item);
    if (!address) {
      valid = false;
      return false;
    }
    client = *address;
    return ++hops < kForwardedHopsMax && contains(settings.trusted_proxies, client);
  });
  return {client, valid};
}

/// All lines of that name as one list, "" when there are none.
std::string_view joined(const Fields& fields, std::string_view name, TextArena& arena) {
  std::string_view all;
  for (const Field& line : fields) {
    if (!same_name(line.name, name) || line.value.empty()) continue;
    const std::array<std::string_view, 3> parts{all, ", ", line.value};
    all = all.empty() ? line.value : arena.join(parts);
  }
  return all;
}

void set_for(Fields& request, TextArena& arena, const Peer& peer, const IpAddress& client) {
  std::string_view before = joined(request, kFor, arena);
  if (before.empty() && client != peer.address) before = arena.copy(client.to_string());
  const std::array<std::string_view, 3> parts{before, ", ", peer.text};
  request.set(kFor, before.empty() ? arena.copy(peer.text) : arena.join(parts));
}

/// Is every quoted string closed? Otherwise what is put behind would be part of the last one.
bool is_balanced(std::string_view value) {
  bool quoted = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') quoted = !quoted;
    if (value[i] == '\\' && quoted) ++i;
  }
  return !quoted;
}

/// What a trusted proxy said of its client by other fields.
std::string_view element_of_client(const Fields& request, TextArena& arena,
                                   const IpAddress& client) {
  const std::string text = client.to_string();
  const std::string_view proto = request.value(kProto);
  const bool has_proto = same_name(proto, "https") || same_name(proto, "http");
  const std::array<std::string_view, 5> parts{client.is_v4() ? "for=" : "for=\"[", text,
                                              client.is_v4() ? "" : "]\"",
                                              has_proto ? ";proto=" : "", has_proto ? proto : ""};
  return arena.join(parts);
}

std::string_view end_of(bool quoted, const Hop& hop) {
  if (quoted) return hop.tls ? "\";proto=https" : "\";proto=http";
  return hop.tls ? ";proto=https" : ";proto=http";
}

/// RFC 7239 section 4: for=, host=, proto= of one hop; values that are no token are quoted.
std::string_view with_element(std::string_view before, TextArena& arena, const Peer& peer,
                              const Hop& hop) {
  const bool v4 = peer.address.is_v4(), quoted = !is_field_name(hop.authority);
  const std::string_view separator = before.empty() ? "" : ", ";
  const std::string_view open = v4 ? "for=" : "for=\"[", close = v4 ? ";host=" : "]\";host=";
  const std::string_view quote = quoted ? "\"" : "";
  const std::array<std::string_view, 8> parts{
      before, separator, open, peer.text, close, quote, hop.authority, end_of(quoted, hop)};
  return arena.join(parts);
}

void set_forwarded_element(Fields& request, TextArena& arena, const Peer& peer, const Hop& hop,
                           const IpAddress& client) {
  std::string_view before = joined(request, kForwarded, arena);
  if (!is_balanced(before)) before = {};
  if (before.empty() && client != peer.address) before = element_of_client(request, arena, client);
  request.set(kForwarded, with_element(before, arena, peer, hop));
}

}  // namespace

void remove_claims(Fields& trailers, const ForwardedSettings& settings) {
  trailers.remove_if([&](const Field& line) {
    return is_claim(line.name, settings) || same_as_cgi(line.name, "x-request-id");
  });
}

ClientClaim client_claim(const Fields& request, const Peer& peer,
                         const ForwardedSettings& settings) {
  if (!peer.trusted) return {peer.address, true};
  if (same_name(settings.client_ip_header, kFor)) return last_untrusted(request, peer, settings);
  const std::size_t lines = request.count(settings.client_ip_header);
  if (lines == 0) return {peer.address, true};
  // Two of them, and nobody knows which one the proxy has written.
  if (lines > 1) return {peer.address, false};
  const auto address = address_of(request.value(settings.client_ip_header));
  return {address.value_or(peer.address), address.has_value()};
}

IpAddress client_address(const Fields& request, const Peer& peer,
                         const ForwardedSettings& settings) {
  return client_claim(request, peer, settings).address;
}

void set_forwarded(Fields& request, TextArena& arena, const Peer& peer, const Hop& hop,
                   const ForwardedSettings& settings) {
  const IpAddress client = client_address(request, peer, settings);
  remove_untrusted(request, peer.trusted, settings);
  if (!peer.trusted) {  // nothing is left of these
    request.add(kFor, arena.copy(peer.text));
    request.add(kForwarded, with_element({}, arena, peer, hop));
    request.add(kProto, hop.tls ? "https" : "http");
    request.add(kHost, hop.authority);
    return;
  }
  set_for(request, arena, peer, client);
  set_forwarded_element(request, arena, peer, hop, client);
  if (request.count(kProto) != 1) request.set(kProto, hop.tls ? "https" : "http");
  if (request.count(kHost) != 1) request.set(kHost, arena.copy(hop.authority));
}

}  // namespace postern::http
