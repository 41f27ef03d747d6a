// Reads a master file and all it includes (RFC 1035 section 5, RFC 2308 section 4: $TTL, BIND's
// $GENERATE) and hands its records to a ZoneSink. After an error it goes on with the next
// record. Cold path; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dns/mapped_array.h"
#include "dns/zone.h"
#include "dns/zone_lexer.h"
#include "dns/zone_problems.h"
#include "dns/zone_rdata.h"
#include "dns/zone_sink.h"
#include "dns/zone_text.h"

namespace postern::dns {

class ZoneFileReader {
 public:
  ZoneFileReader(NameView apex, const ZoneLoadLimits& limits, ZoneSink* sink,
                 ZoneProblems* problems);
  ~ZoneFileReader();
  ZoneFileReader(const ZoneFileReader&) = delete;
  ZoneFileReader& operator=(const ZoneFileReader&) = delete;

  void read(const std::string& path);
  /// Of the bytes of all files read; changes when any of them does.
  std::uint64_t content_hash() const { return content_hash_; }

 private:
  struct Frame;
  struct RecordHead {
    RrType type{};
    std::optional<std::uint32_t> ttl;
    std::size_t next = 0;  ///< index of the first token of the data
    ZonePlace position;
  };

  bool open(const std::string& path, const ZonePlace& from);
  void close();
  void take_entry(const ZoneEntry& entry);
  void take_directive(std::span<const ZoneToken> tokens);
  void take_origin(std::span<const ZoneToken> tokens);
  void take_ttl(std::span<const ZoneToken> tokens);
  void take_include(std::span<const ZoneToken> tokens);
  void take_generate(std::span<const ZoneToken> tokens);
  bool generate_one(std::span<const ZoneToken> tokens, std::uint32_t number);
  void take_record(std::span<const ZoneToken> tokens, bool indented);
  bool take_owner(const ZoneToken& token);
  bool take_head(std::span<const ZoneToken> tokens, std::size_t first, RecordHead* head);
  bool take_class_or_ttl(const ZoneToken& token, bool* klass_seen, RecordHead* head);
  std::uint32_t ttl_of(const RecordHead& head, bool* known);
  void store(const RecordHead& head, std::uint32_t ttl);
  void error(TextPosition where, std::string text);
  void warning(TextPosition where, std::string text);
  ZonePlace here(TextPosition where) const;

  ZoneLoadLimits limits_;
  ZoneSink* sink_;
  ZoneProblems* problems_;
  Name apex_;
  std::vector<std::unique_ptr<Frame>> frames_;  // the file being read and those that include it
  std::size_t files_opened_ = 0;
  std::size_t generated_ = 0;
  std::size_t records_ = 0;
  std::uint64_t content_hash_ = kRootHash;
  bool full_ = false;  // a limit was hit: nothing more is taken

  WireName origin_;
  WireName owner_;
  bool owner_known_ = false;
  bool owner_faulty_ = false;  // told; what is said of it is left out
  bool owner_in_zone_ = false;
  bool origin_changed_ = false;  // since the owner was written
  std::optional<std::uint32_t> default_ttl_;
  std::optional<std::uint32_t> last_ttl_;
  std::optional<TextPosition> generated_at_;  // $GENERATE: its line stands for the records it makes
  RdataReader rdata_;
  std::string why_;
};

}  // namespace postern::dns
