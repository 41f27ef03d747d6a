// The fields that say where a message ends and what becomes of its connection, gathered while the
// lines of a head go by, then judged at its end (RFC 9112 sections 6 and 9). Strict on purpose: two
// readers that disagree here let a request be smuggled past one of them (RFC 9112 section 11.2).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/h1.h"
#include "http/head.h"

namespace postern::http::h1 {

/// Names that a head's reader does not only pass on.
enum class KnownField : std::uint8_t {
  kOther,
  kHost,
  kExpect,
  kUpgrade,
  kConnection,
  kContentLength,
  kTransferEncoding,
};
/// REQUIRES: `name` is a token
KnownField known_field(std::string_view name);

/// 1*DIGIT that fits 63 bits, in at most 19 digits (RFC 9110 section 8.6).
std::optional<std::uint64_t> parse_length(std::string_view text);

class Framing {
 public:
  void clear() { *this = Framing(); }

  /// Takes note of a line; of fields that mean nothing here it does not.
  void note(KnownField known, std::string_view value);

  /// What is wrong with Content-Length and Transfer-Encoding; status 0 when nothing is. Refused
  /// are: both of them, several lines of one, a length that is not digits (a list of equal ones
  /// too), and any coding but a single `chunked` (501 when only the codings before it are foreign,
  /// RFC 9112 section 6.1), which HTTP/1.0 does not have.
  Fault problem(unsigned minor_version) const;

  /// REQUIRES: no problem. Only what the fields say.
  bool has_length() const { return lengths_ != 0; }
  bool has_coding() const { return codings_ != 0; }
  std::uint64_t length() const { return length_.value_or(0); }

  /// May the connection be used for another message (RFC 9112 section 9.3)?
  bool keep_alive(unsigned minor_version) const;
  /// The one protocol of Upgrade when Connection lists it; else "" (RFC 9110 section 7.8).
  std::string_view upgrade() const;

 private:
  enum class Coding : std::uint8_t { kChunked, kForeign, kBad };
  static Coding coding_of(std::string_view value);

  unsigned lengths_ = 0;  // lines
  unsigned codings_ = 0;
  unsigned upgrades_ = 0;
  std::optional<std::uint64_t> length_;
  Coding coding_ = Coding::kBad;
  std::string_view upgrade_;
  bool close_ = false;
  bool keep_alive_ = false;
  bool upgrade_listed_ = false;
};

}  // namespace postern::http::h1
