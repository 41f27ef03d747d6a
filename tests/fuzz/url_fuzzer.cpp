// URLs as text: every reader gets the same one. What is normal stays as it is, what is sent on
// normalises to what was matched, and a second, slower reading comes to the same.
#include <array>
#include <string>
#include <string_view>

#include "check.h"
#include "http/url.h"

namespace postern::fuzz {
namespace {

using http::RequestPath;

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// "%xx" to its byte when `wanted(byte)`, all other text as it is.
template <class Wanted>
std::string decode(std::string_view text, Wanted wanted) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      const char byte = static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      if (wanted(byte)) {
        out += byte;
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::string decode_dots(std::string_view text) {
  return decode(text, [](char c) { return c == '.'; });
}

std::string decode_all(std::string_view text) {
  return decode(text, [](char) { return true; });
}

/// RFC 3986 section 5.2.4, step by step as it is written there.
std::string remove_dot_segments(std::string in) {
  std::string out;
  const auto back_up = [&out] {
    const std::size_t slash = out.rfind('/');
    out.erase(slash == std::string::npos ? 0 : slash);
  };
  while (!in.empty()) {
    if (in.starts_with("../")) {
      in.erase(0, 3);
    } else if (in.starts_with("./") || in.starts_with("/./")) {
      in.erase(0, 2);
    } else if (in == "/.") {
      in = "/";
    } else if (in.starts_with("/../")) {
      in.erase(0, 3);
      back_up();
    } else if (in == "/..") {
      in = "/";
      back_up();
    } else if (in == "." || in == "..") {
      in.clear();
    } else {
      const std::size_t end = std::min(in.find('/', 1), in.size());
      out += in.substr(0, end);
      in.erase(0, end);
    }
  }
  return out;
}

/// Letters and digits as "%xx": the same path for a backend.
std::string encode_all(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    const bool escape = path[i] == '%';
    if (escape || hex(path[i]) < 0) {
      out += path.substr(i, escape ? 3 : 1);
      i += escape ? 2 : 0;
    } else {
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

void check_same(const std::string& target, const RequestPath& path, const char* property) {
  RequestPath other;
  require(other.parse(target).has_value() && other.decoded() == path.decoded(), property);
}

void check_path(std::string_view text) {
  RequestPath path;
  if (!path.parse(text)) return;
  require(path.target() == text, "what was parsed is remembered");
  if (path.path() == "*") return;
  const std::string sent(path.path());
  RequestPath again;
  require(again.parse(sent).has_value(), "a normal path is a path");
  require(again.is_normal() && again.path() == sent, "a normal path stays as it is");
  require(again.decoded() == path.decoded(), "what is sent normalises to what was matched");
  require(path.is_normal() == (sent == text.substr(0, text.find('?'))), "a change is told");
  check_same(sent + "?" + std::string(path.query()), path, "a query does not change the path");
  check_same(encode_all(sent), path, "escaped letters are letters");
  require(decode_dots(sent) == remove_dot_segments(decode_dots(text.substr(0, text.find('?')))),
          "dot segments go as in RFC 3986");
  require(decode_all(sent) == decode_all(path.decoded()), "a backend decodes to what was matched");
  for (std::size_t i = 0; i < 4; ++i) {
    const std::string_view behind = http::path_behind(sent, i);
    const std::string_view front = std::string_view(sent).substr(0, sent.size() - behind.size());
    require(behind.empty() || behind.front() == '/', "the rest begins with a slash");
    require(behind.empty() ||
                static_cast<std::size_t>(std::count(front.begin(), front.end(), '/')) == i,
            "so many elements are in front");
  }
}

void check_authority(std::string_view text) {
  const auto authority = http::parse_host_port(text);
  if (!authority) return;
  const std::string host(authority->host());
  require(!host.empty() && host.size() <= http::HostPort::kHostBytesMax, "a host has a size");
  require(std::none_of(host.begin(), host.end(), [](char c) { return c >= 'A' && c <= 'Z'; }),
          "a host is in lower case");
  const auto again = http::parse_host_port(
      host + ":" + (authority->port == 0 ? "" : std::to_string(authority->port)));
  require(again.has_value() && again->host() == host && again->port == authority->port &&
              again->is_address == authority->is_address,
          "an authority reads the same again");
}

void check_backend(std::string_view text) {
  const auto url = http::parse_backend_url(text);
  if (!url) return;
  const auto again = http::parse_backend_url(url->to_string());
  require(again.has_value() && *again == *url, "a backend reads the same again");
}

/// Each parameter is found by its name when it is the first of it, and only with its value.
void check_query(std::string_view query) {
  std::string_view rest = query;
  for (int i = 0; i < 8 && !rest.empty(); ++i) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string name = decode_all(pair.substr(0, equals));
    const std::string value = decode_all(pair.substr(std::min(equals + 1, pair.size())));
    if (i == 0) {
      require(http::query_has(query, name, value), "the first parameter is found");
      require(!http::query_has(query, name, value + "x"), "with its value only");
    }
    http::query_has(query, value, name);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

void check_config_path(std::string_view text) {
  const auto path = http::parse_config_path(text);
  RequestPath request;
  if (!path || !request.parse(text)) return;
  require(request.decoded() == *path, "the configuration's path matches the same request");
}

void run(Bytes data) {
  const ExactCopy copy(data);
  const std::string_view text = as_text(copy.bytes());
  check_path(text);
  check_authority(text);
  check_backend(text);
  check_query(text);
  check_config_path(text);
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
