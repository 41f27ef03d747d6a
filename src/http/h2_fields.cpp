#include "http/h2_fields.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "http/h1_chunked.h"
#include "http/h1_text.h"

namespace postern::http::h2 {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

bool has_upper(std::string_view name) { return std::any_of(name.begin(), name.end(), is_upper); }

}  // namespace

bool is_connection_field(std::string_view name) {
  switch (name.size()) {
    case 7:
      return h1::is_named(name, "upgrade");
    case 10:
      return h1::is_named(name, "connection") || h1::is_named(name, "keep-alive");
    case 16:
      return h1::is_named(name, "proxy-connection");
    case 17:
      return h1::is_named(name, "transfer-encoding");
    default:
      return false;
  }
}

NameValues& NameValues::fresh() {
  thread_local NameValues list;
  list.pairs_.clear();
  list.names_.clear();
  return list;
}

void NameValues::add(std::string_view name, std::string_view value) {
  pairs_.push_back({name, value});
}

void NameValues::add_status(std::uint16_t status) {
  std::to_chars(status_.data(), status_.data() + status_.size(), status);
  add(":status", {status_.data(), status_.size()});
}

void NameValues::add_length(BodyLength body) {
  if (body.kind != BodyLength::Kind::kKnown) return;
  const auto end = std::to_chars(length_.data(), length_.data() + length_.size(), body.bytes);
  add("content-length", {length_.data(), static_cast<std::size_t>(end.ptr - length_.data())});
}

void NameValues::add_fields(const Fields& fields, bool content_length) {
  reserve_names(fields);
  for (const Field& field : fields) {
    if (!h1::is_token(field.name) || is_connection_field(field.name)) continue;
    if (h1::is_named(field.name, "host")) continue;
    if (!content_length && h1::is_named(field.name, "content-length")) continue;
    if (h1::is_named(field.name, "te") && !same_name(field.value, "trailers")) continue;
    add_lowered(field);
  }
}

void NameValues::add_trailers(const Fields& trailers) {
  reserve_names(trailers);
  for (const Field& field : trailers) {
    if (h1::is_token(field.name) && !h1::is_forbidden_trailer(field.name)) add_lowered(field);
  }
}

void NameValues::reserve_names(const Fields& fields) {
  std::size_t bytes = names_.size();
  for (const Field& field : fields) bytes += field.name.size();
  names_.reserve(bytes);
}

void NameValues::add_lowered(const Field& field) {
  if (!has_upper(field.name)) {
    add(field.name, field.value);
    return;
  }
  const std::size_t at = names_.size();
  for (const char c : field.name) names_.push_back(is_upper(c) ? static_cast<char>(c | 0x20) : c);
  add(std::string_view(names_).substr(at), field.value);
}

}  // namespace postern::http::h2
