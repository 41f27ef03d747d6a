#include "http/rewrite.h"

#include <array>
#include <charconv>

namespace postern::http {
namespace {

/// Replaced and kept part of a path; the table of HTTPPathModifier.
struct PathParts {
  std::string_view front;
  std::string_view back;
};

PathParts rewritten(std::string_view path, const RewriteSettings& rewrite,
                    std::size_t prefix_elements) {
  if (!rewrite.path.empty()) return {rewrite.path, {}};
  std::string_view front = rewrite.prefix;
  if (front.ends_with('/')) front.remove_suffix(1);
  const std::string_view back = path_behind(path, prefix_elements);
  return {front, front.empty() && back.empty() ? "/" : back};
}

}  // namespace

std::string_view backend_target(const RequestPath& path, const RewriteSettings& rewrite,
                                std::size_t prefix_elements, TextArena& arena) {
  const bool rewrites = !rewrite.path.empty() || !rewrite.prefix.empty();
  if (path.path() == "*" || (!rewrites && path.is_normal())) return path.target();
  const PathParts parts =
      rewrites ? rewritten(path.path(), rewrite, prefix_elements) : PathParts{path.path(), {}};
  const std::array<std::string_view, 4> all{parts.front, parts.back, path.has_query() ? "?" : "",
                                            path.query()};
  return arena.join(all);
}

std::string_view redirect_location(const RedirectSettings& redirect, const RequestedPlace& place,
                                   const RequestPath& path, TextArena& arena) {
  const bool tls = redirect.scheme.empty() ? place.tls : redirect.scheme == "https";
  const std::uint16_t usual = tls ? 443 : 80;
  std::uint16_t port = redirect.port;
  if (port == 0) port = redirect.scheme.empty() ? place.listener_port : usual;
  std::array<char, 6> port_text;
  port_text[0] = ':';
  const char* const end =
      std::to_chars(port_text.data() + 1, port_text.data() + port_text.size(), port).ptr;
  const auto port_size = static_cast<std::size_t>(end - port_text.data());
  const bool asterisk = path.path() == "*";
  const std::string_view old_path = asterisk ? "/" : path.path();
  const bool keep_query = path.has_query() && redirect.path.find('?') == std::string::npos;
  const std::array<std::string_view, 6> all{
      tls ? "https://" : "http://",
      redirect.hostname.empty() ? place.host : std::string_view(redirect.hostname),
      std::string_view(port_text.data(), port == usual ? 0 : port_size),
      redirect.path.empty() ? old_path : std::string_view(redirect.path),
      keep_query ? "?" : "",
      keep_query ? path.query() : std::string_view()};
  return arena.join(all);
}

}  // namespace postern::http
