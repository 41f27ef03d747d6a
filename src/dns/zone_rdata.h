// The data of a record from its text to wire form (RFC 1035 section 5, RFC 3597 section 5 and the
// RFCs of the types). Common types are read here by a table of fields, SVCB and HTTPS by RFC 9460
// section 2.1, the rare ones by ldns.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dns/name.h"
#include "dns/types.h"
#include "dns/zone_lexer.h"
#include "dns/zone_text.h"

namespace postern::dns {

struct RdataFault {
  std::string text;
  TextPosition position;
};

/// One for a whole zone: it owns the room that it works in.
class RdataReader {
 public:
  /// `tokens` are those behind the type, whose place is `after`. False with `fault` filled.
  bool read(RrType type, std::span<const ZoneToken> tokens, NameView origin, TextPosition after);

  Bytes rdata() const { return as_bytes(rdata_); }
  const RdataFault& fault() const { return fault_; }

 private:
  bool read_fields(std::string_view fields);
  bool read_field(char field, const ZoneToken& token);
  bool read_number(const ZoneToken& token, std::size_t bytes);
  bool read_rest(char field);
  bool read_joined(char field);
  bool read_type_bitmap();
  bool read_unknown(RrType type);
  bool read_no_more();
  bool read_loc();
  bool read_loc_angle(std::uint64_t degrees_max, std::string_view letters);
  bool read_amtrelay();
  bool read_nsap(const ZoneToken& token);
  bool read_nxt_bitmap();
  bool read_a6();
  bool read_atma();
  bool read_svcb();
  bool read_svc_param(const ZoneToken& token, std::uint16_t* key, std::string* value);
  bool read_with_ldns(RrType type);
  bool read_by_type(RrType type);
  bool fail_at(const ZoneToken& token, std::string text);
  bool fail_at_end(std::string text);

  void put_u8(std::uint64_t value) { rdata_.push_back(static_cast<char>(value & 0xff)); }
  void put_u16(std::uint64_t value);
  void put_u32(std::uint64_t value);

  std::span<const ZoneToken> tokens_;
  std::size_t next_ = 0;
  NameView origin_;
  TextPosition after_;
  WireName name_;
  std::string rdata_;
  std::string why_;
  RdataFault fault_;
};

}  // namespace postern::dns
