// A response from upstream with its records indexed: where each stands, the hash of its owner, and
// whether it was used. Every bound is checked here; what is said about records is decided in
// accept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "dns/image.h"
#include "dns/message.h"
#include "dns/name.h"

namespace postern::dns {

/// A name with its hash, either way it came by it. Borrowed.
struct OwnerName {
  NameView name;
  std::uint64_t hash = 0;
};

inline OwnerName owner_at(const LookupName& name, std::size_t skipped_labels = 0) {
  return {name.suffix(skipped_labels), name.hash(skipped_labels)};
}

struct ResponseRecord {
  RecordPosition at;
  std::uint64_t owner_hash = 0;
  Section section = Section::kAnswer;
  RrType covered{};   ///< RRSIG: the type that it signs
  bool used = false;  ///< taken into the image, or knowingly left out
};

/// Large: one per thread.
class Response {
 public:
  /// REQUIRES: one question at offset 12 whose name is `question`. False when a record runs past
  /// the end, a name is malformed, or there are more records than an image can hold. Bytes behind
  /// the last record are ignored.
  bool parse(Bytes message, const LookupName& question);

  Bytes message() const { return message_; }
  const Header& header() const { return header_; }
  std::span<ResponseRecord> records() { return {records_.data(), size_}; }
  /// With the high bits that an OPT record brings (RFC 6891 section 6.1.3).
  std::uint16_t rcode() const { return rcode_; }

  bool owner_is(const ResponseRecord& record, const OwnerName& owner) const;
  /// The owner with its case as sent.
  NameView read_owner(const ResponseRecord& record, std::array<std::uint8_t, kNameBytesMax>& out);

 private:
  bool index_record(std::size_t* at, Section section);
  bool hash_owner(ResponseRecord* record);

  Bytes message_;
  Header header_;
  OwnerName question_;
  std::uint16_t rcode_ = 0;
  std::size_t size_ = 0;
  std::array<ResponseRecord, kImageTtlsMax> records_;
};

}  // namespace postern::dns
