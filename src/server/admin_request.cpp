#include "server/admin_request.h"

#include <algorithm>
#include <array>
#include <utility>

namespace postern::server {
namespace {

std::string_view take_word(std::string_view* line) {
  const std::string_view word = line->substr(0, line->find(' '));
  line->remove_prefix(std::min(line->size(), word.size() + 1));
  return word;
}

std::string_view take_until(std::string_view* text, std::string_view end) {
  const std::size_t at = text->find(end);
  const std::string_view taken = text->substr(0, at);
  text->remove_prefix(at == std::string_view::npos ? text->size() : at + end.size());
  return taken;
}

bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= 16 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool is_target(std::string_view text) {
  return text.starts_with('/') &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string lower_text(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

// application/x-www-form-urlencoded, as forms and URLSearchParams write it.
std::string decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
        hex_digit(text[i + 2]) >= 0) {
      result.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      result.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return result;
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6U | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    result.push_back(static_cast<char>(bits >> count & 0xffU));
  }
  return result;
}

// What the client names as the secret, in either scheme.
std::string secret_of(const AdminRequest& request) {
  std::string_view value = request.authorization;
  const std::string scheme = lower_text(take_word(&value));
  if (scheme == "bearer") return std::string(trimmed(value));
  if (scheme != "basic") return {};
  const auto pair = decode_base64(trimmed(value));
  if (!pair || pair->find(':') == std::string::npos) return {};
  return pair->substr(pair->find(':') + 1);
}

// Without its port.
std::string host_name(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  return lower_text(host.substr(0, host.find(':')));
}

bool is_fixed_host(std::string_view host) {
  const std::string name = host_name(host);
  return IpAddress::parse(name).has_value() || name == "localhost" || name.ends_with(".localhost");
}

bool is_cross_site(const AdminRequest& request) {
  const std::string& site = request.fetch_site;
  if (!site.empty() && site != "same-origin" && site != "none") return true;
  if (request.origin.empty()) return false;  // not from a page: curl, or ourselves
  return request.origin != "http://" + request.host && request.origin != "https://" + request.host;
}

}  // namespace

std::optional<std::string> AdminRequest::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    std::string_view pair = take_until(&rest, "&");
    if (decoded(take_until(&pair, "=")) == name) return decoded(pair);
  }
  return std::nullopt;
}

Result<AdminRequest> parse_admin_request(std::string_view head) {
  std::string_view line = take_until(&head, "\r\n");
  const std::string_view method = take_word(&line);
  std::string_view target = take_word(&line);
  if (!is_token(method) || !is_target(target) || (line != "HTTP/1.1" && line != "HTTP/1.0")) {
    return fail(Code::kMalformed, "not a request line of HTTP/1.1");
  }
  AdminRequest request;
  request.method = method;
  request.path = take_until(&target, "?");
  request.query = target;
  const std::array<std::pair<std::string_view, std::string*>, 4> wanted{
      {{"host", &request.host},
       {"origin", &request.origin},
       {"sec-fetch-site", &request.fetch_site},
       {"authorization", &request.authorization}}};
  while (!head.empty()) {
    std::string_view value = take_until(&head, "\r\n");
    const std::string name = lower_text(take_until(&value, ":"));
    for (const auto& [field, to] : wanted) {
      if (field != name) continue;
      if (!to->empty()) return fail(Code::kMalformed, "the field " + name + " is there twice");
      *to = trimmed(value);
    }
  }
  return request;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  unsigned different = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const unsigned left = i < a.size() ? static_cast<unsigned char>(a[i]) : 0;
    const unsigned right = i < b.size() ? static_cast<unsigned char>(b[i]) : 0;
    different |= left ^ right;
  }
  return different == 0;
}

AdminAccess admin_access(const AdminRequest& request, std::string_view token) {
  if (!token.empty()) {
    if (!equal_secrets(secret_of(request), token)) return AdminAccess::kTokenWanted;
  } else {
    if (!request.peer.is_loopback()) return AdminAccess::kLocalOnly;
    if (!is_fixed_host(request.host)) return AdminAccess::kForeignHost;
  }
  // Pages of other sites cannot read what they get, but could make it be made. A link to the page
  // itself is harmless.
  const bool costs = request.method == "POST" || request.path.starts_with("/api/");
  if (costs && is_cross_site(request)) return AdminAccess::kCrossSite;
  return AdminAccess::kGranted;
}

}  // namespace postern::server
