#include "http/url.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/address.h"
#include "http/head.h"

namespace postern::http {
namespace {

constexpr std::size_t kLabelBytesMax = 63;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// The byte that "%xx" at the front of `text` stands for; nullopt when it is not that.
std::optional<char> escape_at(std::string_view text) {
  if (text.size() < 3 || text[0] != '%') return std::nullopt;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

/// Takes one byte off the front, percent-decoded.
char take_decoded(std::string_view& text) {
  const std::optional<char> escaped = escape_at(text);
  const char c = escaped ? *escaped : text.front();
  text.remove_prefix(escaped ? 3 : 1);
  return c;
}

bool equals_decoded(std::string_view encoded, std::string_view plain) {
  for (const char c : plain) {
    if (encoded.empty() || take_decoded(encoded) != c) return false;
  }
  return encoded.empty();
}

bool is_name_byte(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_'; }

/// A name in lower case, each label of 1 to 63 bytes.
bool is_name(std::string_view host) {
  std::size_t label = 0;
  for (const char c : host) {
    if (c == '.' ? label == 0 : (!is_name_byte(c) || label == kLabelBytesMax)) return false;
    label = c == '.' ? 0 : label + 1;
  }
  return label != 0;
}

/// "1.2.3.4", and also "1.2.3", which is no name and no address.
bool ends_in_number(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return std::all_of(last.begin(), last.end(), is_digit);
}

bool is_ipv6(std::string_view text) {
  return text.find(':') != std::string_view::npos && IpAddress::parse(text).has_value();
}

/// Port behind the ":"; "" is none (RFC 3986 section 3.2.3).
bool read_port(std::string_view text, std::uint16_t* port) {
  if (text.empty()) return true;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc{} && end == text.data() + text.size() && *port != 0;
}

/// Where the host ends: at the ":" of the port, or at the end.
std::size_t host_end(std::string_view text) {
  if (!text.starts_with('[')) return std::min(text.find(':'), text.size());
  const std::size_t bracket = text.find(']');
  return bracket == std::string_view::npos ? 0 : bracket + 1;
}

bool check_host(HostPort& authority) {
  std::string_view host = authority.host();
  if (host.starts_with('[')) {
    authority.is_address = true;
    return is_ipv6(host.substr(1, host.size() - 2));
  }
  if (host.ends_with('.')) {
    --authority.size;
    host = authority.host();
  }
  if (!is_name(host)) return false;
  if (!ends_in_number(host)) return true;
  authority.is_address = true;
  return IpAddress::parse(host).has_value();
}

// Browsers make "/" of "\" in a path and leave it in a query (WHATWG URL, "query state").
bool is_query_byte(char c) { return c > ' ' && c < 0x7f && c != '#'; }
bool is_path_byte(char c) { return is_query_byte(c) && c != '\\'; }

/// Nothing in it but slashes, letters, digits, "-", "_", and "." within a segment: most paths are
/// so, and there is nothing to be found in them.
bool is_plain_path(std::string_view path) {
  constexpr auto kPlain = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("/-_.0123456789abcdefghijklmnopqrstuvwxyz"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
      table[static_cast<unsigned char>(c)] = true;
    }
    return table;
  }();
  char before = 0;
  for (const char c : path) {
    if (!kPlain[static_cast<unsigned char>(c)] || (c == '.' && before == '/')) return false;
    before = c;
  }
  return true;
}

/// A segment is "." or ".." with any of its dots as "%2e" (RFC 3986 section 6.2.2.3).
enum class Segment : std::uint8_t { kPlain, kDot, kDotDot };

Segment segment_kind(std::string_view segment) {
  std::size_t dots = 0;
  while (!segment.empty()) {
    if (take_decoded(segment) != '.' || ++dots > 2) return Segment::kPlain;
  }
  if (dots == 0) return Segment::kPlain;
  return dots == 1 ? Segment::kDot : Segment::kDotDot;
}

/// Is a part of the segment, cut at what only some readers cut at, "." or ".."?
bool is_deceptive(std::string_view segment) {
  std::size_t dots = 0;
  std::size_t others = 0;
  bool cut = false;
  while (!segment.empty()) {
    const bool plain = segment.front() == ';';
    const char c = take_decoded(segment);
    if (c == '/' || c == '\\' || plain) {
      if (others == 0 && (dots == 1 || dots == 2)) return true;
      cut = true;
      dots = others = 0;
      // Behind ";" come parameters up to the next slash.
      if (plain) others = 1;
      continue;
    }
    ++(c == '.' ? dots : others);
  }
  return cut && others == 0 && (dots == 1 || dots == 2);
}

struct PathFindings {
  bool good = true;
  bool has_dots = false;    ///< dot segments
  bool has_escape = false;  ///< "%"
};

PathFindings check_segment(std::string_view segment) {
  PathFindings found;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') continue;
    found.has_escape = true;
    const std::optional<char> byte = escape_at(segment.substr(i));
    if (!byte || *byte == '\0') found.good = false;
  }
  found.has_dots = segment_kind(segment) != Segment::kPlain;
  if (found.good && !found.has_dots) found.good = !is_deceptive(segment);
  return found;
}

/// REQUIRES: `path` begins with "/". Calls `visit(segment, is_last)` for what is between slashes.
template <class Visitor>
void for_each_segment(std::string_view path, Visitor visit) {
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    visit(path.substr(begin, end - begin), end == path.size());
    begin = end + 1;
  }
}

PathFindings check_path(std::string_view path) {
  PathFindings all;
  for_each_segment(path, [&](std::string_view segment, bool) {
    const PathFindings found = check_segment(segment);
    all.good = all.good && found.good;
    all.has_dots = all.has_dots || found.has_dots;
    all.has_escape = all.has_escape || found.has_escape;
  });
  return all;
}

/// RFC 3986 section 5.2.4 for a path that begins with "/".
void remove_dot_segments(std::string_view path, std::string* out) {
  out->clear();
  for_each_segment(path, [&](std::string_view segment, bool is_last) {
    const Segment kind = segment_kind(segment);
    if (kind == Segment::kPlain) {
      out->append("/").append(segment);
      return;
    }
    if (kind == Segment::kDotDot && !out->empty()) out->resize(out->rfind('/'));
    if (is_last) out->append("/");
  });
}

void decode_path(std::string_view path, std::string* out) {
  out->clear();
  while (!path.empty()) {
    const bool escaped = path.front() == '%';
    const char c = take_decoded(path);
    if (escaped && c == '/') {
      out->append("%2F");
    } else if (escaped && c == '%') {
      out->append("%25");
    } else {
      out->push_back(c);
    }
  }
}

Result<BackendScheme> parse_backend_scheme(std::string_view scheme) {
  if (same_name(scheme, "http")) return BackendScheme::kHttp;
  if (same_name(scheme, "https")) return BackendScheme::kHttps;
  if (same_name(scheme, "h2c")) return BackendScheme::kH2c;
  return fail(
      Code::kMalformed,
      fmt::format("'{}' is not a scheme of backends; allowed: http://, https://, h2c://", scheme));
}

std::string_view scheme_text(BackendScheme scheme) {
  switch (scheme) {
    case BackendScheme::kHttp:
      return "http";
    case BackendScheme::kHttps:
      return "https";
    case BackendScheme::kH2c:
      break;
  }
  return "h2c";
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const std::size_t end = host_end(text);
  if (end == 0 || end > HostPort::kHostBytesMax + 1) return fail(Code::kMalformed);
  const std::string_view host = text.substr(0, end == HostPort::kHostBytesMax + 1 ? end - 1 : end);
  // One byte more than a name may have is a name with a dot at its end.
  if (host.size() != end && text[end - 1] != '.') return fail(Code::kMalformed);
  Result<HostPort> result(HostPort{});
  std::transform(host.begin(), host.end(), result->text.begin(), lower);
  result->size = static_cast<std::uint8_t>(host.size());
  if (!check_host(*result)) return fail(Code::kMalformed);
  const std::string_view rest = text.substr(end);
  if (rest.empty()) return result;
  if (rest[0] != ':' || !read_port(rest.substr(1), &result->port)) return fail(Code::kMalformed);
  return result;
}

std::string BackendUrl::to_string() const {
  const bool brackets = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme_text(scheme), brackets ? "[" : "", host,
                     brackets ? "]" : "", port);
}

Result<BackendUrl> parse_backend_url(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) {
    return fail(Code::kMalformed,
                fmt::format("'{}' has no scheme; allowed: http://, https://, h2c://", text));
  }
  const Result<BackendScheme> scheme = parse_backend_scheme(text.substr(0, colon));
  if (!scheme) return fail(Code::kMalformed, scheme.error().detail);
  std::string_view rest = text.substr(colon + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    return fail(Code::kInvalid,
                fmt::format("'{}' has a path; a backend is host and port, and the path is said by "
                            "rewrite_prefix or rewrite_path of the route's filters",
                            text));
  }
  const Result<HostPort> authority = parse_host_port(rest);
  if (!authority) {
    return fail(Code::kMalformed,
                fmt::format("'{}' is not 'host', 'host:port' or '[IPv6]:port'", rest));
  }
  BackendUrl url;
  url.scheme = *scheme;
  url.host = authority->host();
  if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  url.is_address = authority->is_address;
  const std::uint16_t usual = *scheme == BackendScheme::kHttps ? 443 : 80;
  url.port = authority->port != 0 ? authority->port : usual;
  return url;
}

Result<void> RequestPath::parse(std::string_view target) {
  target_ = target;
  const std::size_t question = target.find('?');
  has_query_ = question != std::string_view::npos;
  query_ = has_query_ ? target.substr(question + 1) : std::string_view();
  path_ = decoded_ = target.substr(0, question);
  is_normal_ = true;
  if (target == "*") return {};
  if (!path_.starts_with('/')) return fail(Code::kMalformed);
  if (!std::all_of(query_.begin(), query_.end(), is_query_byte)) return fail(Code::kMalformed);
  if (is_plain_path(path_)) return {};
  if (!std::all_of(path_.begin(), path_.end(), is_path_byte)) return fail(Code::kMalformed);
  const PathFindings found = check_path(path_);
  if (!found.good) return fail(Code::kMalformed);
  if (found.has_dots) {
    remove_dot_segments(path_, &path_text_);
    path_ = decoded_ = path_text_;
    is_normal_ = false;
  }
  if (found.has_escape) {
    decode_path(path_, &decoded_text_);
    decoded_ = decoded_text_;
  }
  return {};
}

Result<std::string> parse_config_path(std::string_view text) {
  if (!text.starts_with('/')) {
    return fail(Code::kMalformed, fmt::format("'{}' does not begin with '/'", text));
  }
  for (const std::string_view part : {"//", "?", "#", "\\"}) {
    if (text.find(part) == std::string_view::npos) continue;
    return fail(Code::kInvalid,
                fmt::format("'{}' has '{}', which is not part of a path", text, part));
  }
  const PathFindings found = check_path(text);
  if (!found.good || found.has_dots) {
    return fail(Code::kInvalid,
                fmt::format("'{}' has '.' or '..' as an element, or a '%' without two hexadecimal "
                            "digits",
                            text));
  }
  std::string decoded;
  decode_path(text, &decoded);
  return decoded;
}

std::string_view path_behind(std::string_view path, std::size_t elements) {
  std::size_t at = 0;
  for (; elements > 0 && at < path.size(); --elements) {
    at = std::min(path.find('/', at + 1), path.size());
  }
  return path.substr(at);
}

bool query_has(std::string_view query, std::string_view name, std::string_view value) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (equals_decoded(pair.substr(0, equals), name)) {
      return equals_decoded(equals < pair.size() ? pair.substr(equals + 1) : "", value);
    }
    query = end < query.size() ? query.substr(end + 1) : "";
  }
  return false;
}

}  // namespace postern::http
