#include "http/h1_target.h"

#include <array>

#include "http/authority.h"

namespace postern::http::h1 {
namespace {

constexpr std::string_view kBadTarget = "bad request target";
constexpr std::string_view kBadAuthority = "bad authority in the request target";

// Up to and without "://", as a text that lasts.
std::string_view known_scheme(std::string_view text) {
  if (same_name(text, "http")) return "http";
  if (same_name(text, "https")) return "https";
  return {};
}

std::string_view parse_absolute(std::string_view target, RequestHead* head) {
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return kBadTarget;
  head->scheme = known_scheme(target.substr(0, colon));
  if (head->scheme.empty()) return "scheme of the request target is not http or https";
  const std::string_view rest = target.substr(colon + 3);
  const std::size_t slash = rest.find_first_of("/?");
  const auto authority = parse_authority(rest.substr(0, slash));
  if (!authority) return kBadAuthority;
  head->authority = authority->text;
  if (slash == std::string_view::npos) {
    head->path = head->method == "OPTIONS" ? "*" : "/";
  } else if (rest[slash] == '/') {
    head->path = rest.substr(slash);
  } else {
    head->path = head->arena.join(std::array<std::string_view, 2>{"/", rest.substr(slash)});
  }
  return {};
}

std::string_view parse_connect(std::string_view target, RequestHead* head) {
  const auto authority = parse_authority(target);
  if (!authority || !authority->port) return kBadAuthority;  // RFC 9110 section 9.3.6
  head->authority = authority->text;
  return {};
}

}  // namespace

std::string_view parse_target(std::string_view target, RequestHead* head) {
  if (target.find('#') != std::string_view::npos) return "fragment in the request target";
  if (head->method == "CONNECT") return parse_connect(target, head);
  if (target.front() != '/' && target != "*") return parse_absolute(target, head);
  if (target == "*" && head->method != "OPTIONS") return kBadTarget;
  head->path = target;
  return {};
}

}  // namespace postern::http::h1
