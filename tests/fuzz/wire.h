// A second reader of DNS messages, slow and plain, so that the one under test is not its own judge
// (RFC 1035 section 4.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace postern::fuzz {

struct WireRecord {
  int section = 1;    ///< 1 answer, 2 authority, 3 additional
  std::string owner;  ///< uncompressed wire form, lower case
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
  std::uint32_t ttl = 0;
  std::size_t rdata_at = 0;
  Bytes rdata;
};

struct WireQuestion {
  std::string name;
  std::uint16_t type = 0;
  std::uint16_t klass = 0;
};

struct WireMessage {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::vector<WireQuestion> questions;
  std::vector<WireRecord> records;
  std::size_t end = 0;  ///< behind the last record
};

inline constexpr std::uint16_t kTypeA = 1;
inline constexpr std::uint16_t kTypeCname = 5;
inline constexpr std::uint16_t kTypeAaaa = 28;
inline constexpr std::uint16_t kTypeDname = 39;
inline constexpr std::uint16_t kTypeOpt = 41;
inline constexpr std::uint16_t kTypeRrsig = 46;
inline constexpr std::uint16_t kTypeSvcb = 64;
inline constexpr std::uint16_t kTypeHttps = 65;

/// False when anything runs past the end or a pointer does not lead backwards.
bool walk_message(Bytes message, WireMessage* out);

/// The name at `*at`, lower case, and `*at` moved behind it. False when malformed.
bool walk_name(Bytes message, std::size_t* at, std::string* out);

/// Is `name` equal to `parent` or below it? Both in lower-case wire form.
bool wire_at_or_below(const std::string& name, const std::string& parent);

/// "a.example" without escapes to wire form.
std::string wire_of(const char* text);

/// Does ldns take the message?
bool ldns_reads(Bytes message);

struct LdnsRecord {
  std::string owner;  ///< wire form, lower case
  std::uint16_t type = 0;
  std::uint32_t ttl = 0;
  std::string rdata;  ///< names in it written out
};

/// The records that ldns reads, without OPT and TSIG. False when it does not take the message.
bool ldns_records(Bytes message, std::vector<LdnsRecord>* out);

struct WireParam {
  std::uint16_t key = 0;
  Bytes value;
};

/// The parameters of an HTTPS or SVCB record; false when priority, target or framing are broken.
bool walk_svcb(Bytes rdata, std::uint16_t* priority, std::string* target,
               std::vector<WireParam>* params);

/// The ids of an alpn value; a broken list ends early.
std::vector<std::string> alpn_ids(Bytes value);

}  // namespace postern::fuzz
