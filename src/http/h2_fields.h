// Heads and trailers on their way out as HTTP/2 wants them: name-value pairs, names in lower case
// (RFC 9113 section 8.2), without what other layers say (section 8.2.2). One list per thread, used
// again and again: no allocation in a steady state.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "http/head.h"

namespace postern::http::h2 {

/// Of a connection only (RFC 9113 section 8.2.2). REQUIRES: `name` is a token
bool is_connection_field(std::string_view name);

class NameValues {
 public:
  /// The one of this thread, empty. nghttp2 copies what is submitted, so the next use may follow at
  /// once.
  static NameValues& fresh();

  /// Text has to stay until the list is submitted.
  void add(std::string_view name, std::string_view value);
  void add_status(std::uint16_t status);
  /// Nothing when there is no length to tell.
  void add_length(BodyLength body);
  /// Without pseudo-fields, fields of a connection, Host, and Content-Length unless wanted.
  void add_fields(const Fields& fields, bool content_length);
  void add_trailers(const Fields& trailers);

  const std::vector<Field>& pairs() const { return pairs_; }

 private:
  void reserve_names(const Fields& fields);
  void add_lowered(const Field& field);

  std::vector<Field> pairs_;
  std::string names_;  // lowered; reserved before anything refers into it
  std::array<char, 3> status_{};
  std::array<char, 20> length_{};
};

}  // namespace postern::http::h2
