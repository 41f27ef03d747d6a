// A zone as it is served: immutable, compact, searched by hash. Answers by RFC 1034 section 4.3.2
// with the clarifications of RFC 2181, RFC 4592 (wildcards), RFC 6672 (DNAME), RFC 2308 (negative).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::dns {

/// All records of one owner and type. Borrowed from the zone; rdata is uncompressed wire form.
class RrsetView {
 public:
  RrType type{};
  std::uint32_t ttl = 0;
  std::uint16_t count = 0;  ///< 0: no such RRset

  explicit operator bool() const { return count != 0; }
  /// Rdatas stand one after the other, each behind a 16-bit length in network order.
  Bytes packed;

  template <class Visitor>  // bool visit(Bytes rdata); false stops. Returns false when stopped.
  bool for_each(Visitor visit) const {
    std::size_t at = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
      const std::size_t size = load_u16(packed.data() + at);
      if (!visit(packed.subspan(at + 2, size))) return false;
      at += 2 + size;
    }
    return true;
  }
};

struct ZoneMatch {
  enum class Kind : std::uint8_t {
    kAnswer,    ///< `rrset` (for ANY: one RRset of the name, RFC 8482)
    kCname,     ///< `rrset` is the CNAME; the chain goes on at its target
    kDname,     ///< `rrset` is the DNAME at `owner`; a CNAME is to be synthesized
    kReferral,  ///< `rrset` is the NS set at the cut `owner`
    kNoData,    ///< the name is there (maybe as empty non-terminal), the type is not
    kNxDomain,
  };
  Kind kind = Kind::kNxDomain;
  RrsetView rrset;
  NameView owner;         ///< kDname, kReferral: where the RRset stands; else the name asked for
  bool wildcard = false;  ///< made from a wildcard
};

class Zone {
 public:
  ~Zone();
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

  NameView apex() const;
  std::uint32_t serial() const;
  std::size_t record_count() const;
  std::size_t memory_bytes() const;
  const RrsetView& soa() const;  ///< count == 1
  /// Lesser of the SOA's TTL and its minimum field (RFC 2308 section 5).
  std::uint32_t negative_ttl() const;

  /// REQUIRES: `name` is at or below the apex. No allocation.
  ZoneMatch find(const LookupName& name, RrType type) const;
  /// The RRset exactly there, below cuts too (glue). For additional sections.
  RrsetView find_exact(const LookupName& name, RrType type) const;

  /// For tools and tests: every RRset, apex first, the rest in no particular order.
  void for_each(const std::function<void(NameView owner, const RrsetView&)>& visit) const;

 private:
  friend class ZoneBuilder;
  Zone();
  struct Data;
  std::unique_ptr<Data> data_;
};

/// One thing wrong with a zone file. `file` as the user named it; line and column from 1.
struct ZoneProblem {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string text;
  bool warning = false;  ///< serves all the same

  std::string to_string() const;  ///< "FILE:LINE:COLUMN: text", one line
};

struct ZoneLoad {
  std::shared_ptr<const Zone> zone;   ///< nullptr when there is an error
  std::vector<ZoneProblem> problems;  ///< in order of file and line, at most `problems_max`
  std::size_t problem_count = 0;      ///< all of them
  std::vector<std::string> files;     ///< the file and all it includes, to be watched
  std::uint64_t content_hash = 0;     ///< of the bytes of all files
};

struct ZoneLoadLimits {
  std::size_t problems_max = 50;
  std::size_t include_depth_max = 8;
  std::size_t generate_records_max = 1'000'000;
  std::size_t records_max = 20'000'000;
};

/// Reads the master file, checks it, builds the zone. Cold path; any thread.
ZoneLoad load_zone(const std::string& path, NameView apex, const ZoneLoadLimits& limits = {});

}  // namespace postern::dns
