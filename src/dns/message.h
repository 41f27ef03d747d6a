// DNS messages as bytes: a reader that checks every bound and a writer that compresses names
// (RFC 1035 section 4.1). Neither allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::dns {

enum class Section : std::uint8_t { kQuestion, kAnswer, kAuthority, kAdditional };

struct Header {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;                ///< kFlag..., opcode and the low bits of the rcode
  std::array<std::uint16_t, 4> counts{};  ///< by Section

  Opcode opcode() const { return static_cast<Opcode>((flags & kOpcodeMask) >> kOpcodeShift); }
  std::uint16_t count(Section s) const { return counts[static_cast<std::size_t>(s)]; }
};

/// REQUIRES: message.size() >= kHeaderBytes
Header read_header(Bytes message);

/// Where a record stands in its message; nothing is copied.
struct RecordPosition {
  std::size_t owner = 0;  ///< offset of the (maybe compressed) owner name
  RrType type{};
  std::uint16_t klass = 0;  ///< as sent: a class, or the payload size in an OPT record
  std::uint32_t ttl = 0;
  std::size_t ttl_offset = 0;
  std::size_t rdata = 0;  ///< offset
  std::uint16_t rdata_size = 0;
  std::size_t end = 0;  ///< offset behind the record
};

/// Reads the record at `offset`. False when it runs past the end of the message.
bool read_record(Bytes message, std::size_t offset, RecordPosition* out);

/// Copies a record's rdata with every compressed name in it written out in full, for the types
/// whose names may come compressed (RFC 3597 section 4: those of RFC 1035, plus RP, AFSDB, RT, SIG,
/// PX, NXT, NAPTR, KX, SRV, DNAME, which are accepted on receipt). Other types are copied as they
/// are. Returns the size, or -1 when malformed (a name, or more or less behind the names than the
/// type has there) or larger than `out`.
int expand_rdata(Bytes message, const RecordPosition& record, MutableBytes out);

/// Builds a message in a buffer given by the caller. A call that would not fit changes nothing and
/// returns false. Names are compressed only against bytes that are equal in case too, so no
/// record's case is changed; the question's name is an exception on purpose: an owner equal to it
/// points at it and so carries the case that the client sent.
class MessageWriter {
 public:
  /// `limit` <= buffer.size(): the size that the message must not pass (payload of the client).
  MessageWriter(MutableBytes buffer, std::size_t limit);

  /// Writes id, flags and zero counts. Call first.
  void start(std::uint16_t id, std::uint16_t flags);
  bool question(NameView name, RrType type, RrClass klass);
  /// An owner that is this very view is the question's name: no bytes need be compared.
  void alias_question(NameView name) { question_alias_ = name.wire().data(); }

  /// `rdata` is uncompressed. Names in it are compressed for the types of RFC 1035 only
  /// (RFC 3597 section 4).
  bool record(Section section, NameView owner, RrType type, RrClass klass, std::uint32_t ttl,
              Bytes rdata);

  /// Keeps `bytes` free at the end (for OPT, written last).
  void reserve(std::size_t bytes) { reserved_ = bytes; }
  void release_reserved() { reserved_ = 0; }

  /// Whole RRsets or nothing: remember a state, go back to it when the next record does not fit.
  struct Mark {
    std::size_t size;
    std::array<std::uint16_t, 4> counts;
    std::uint8_t known_names;
  };
  Mark mark() const;
  void rewind(const Mark& mark);

  /// Free bytes behind what is written, regardless of the limit; for a body that is copied there
  /// and then adopted with its counts (answer, authority, additional). adopt() is false beyond the
  /// limit.
  MutableBytes room() { return buffer_.subspan(size_); }
  bool adopt(std::size_t bytes, std::uint16_t answers, std::uint16_t authorities,
             std::uint16_t additionals);

  void set_flags(std::uint16_t flags) { flags_ = flags; }
  std::uint16_t flags() const { return flags_; }
  std::uint16_t count(Section s) const { return counts_[static_cast<std::size_t>(s)]; }
  std::size_t size() const { return size_; }
  std::size_t limit() const { return limit_; }
  /// Offset of the TTL field of the record written last; for images whose TTLs age.
  std::size_t last_ttl_offset() const { return last_ttl_offset_; }
  /// Writes flags and counts into the header and returns the message.
  Bytes finish();

 private:
  static constexpr std::size_t kKnownNamesMax = 32;
  bool put_name(NameView name, bool is_owner);
  bool put_pointer(std::size_t offset);
  bool put_bytes(Bytes bytes);
  bool is_question(NameView name) const;
  bool put_rdata(RrType type, Bytes rdata);
  bool known_suffix(NameView suffix, bool from_question, std::uint16_t* offset) const;
  bool stands_at(std::size_t offset, Bytes name, bool from_question) const;
  void remember(std::size_t offset, std::size_t name_size);

  MutableBytes buffer_;
  std::size_t limit_;
  std::size_t size_ = 0;
  std::size_t reserved_ = 0;
  std::size_t last_ttl_offset_ = 0;
  std::uint16_t flags_ = 0;
  std::array<std::uint16_t, 4> counts_{};
  const std::uint8_t* question_alias_ = nullptr;
  std::uint8_t question_name_size_ = 0;
  std::uint8_t known_names_ = 0;
  std::array<std::uint16_t, kKnownNamesMax> known_{};  // offsets of names that may be pointed at
  std::array<std::uint8_t, kKnownNamesMax> known_sizes_{};  // of these names, written out in full
};

}  // namespace postern::dns
