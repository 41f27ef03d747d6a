// A reply under construction: the client's question as sent, records added as whole RRsets or not
// at all, OPT and extended error last (RFC 6891, RFC 8914, RFC 2181 section 9). No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "dns/image.h"
#include "dns/message.h"
#include "dns/query.h"
#include "dns/zone.h"

namespace postern::dns {

class Reply {
 public:
  /// `message` is the query; `limit` what the client can take; `payload` what we announce in OPT.
  Reply(const Query& query, Bytes message, MutableBytes buffer, std::size_t limit,
        std::uint16_t payload);

  const Query& query() const { return query_; }
  Rcode rcode() const { return rcode_; }
  bool truncated() const { return (flags_ & kFlagTc) != 0; }

  void set_rcode(Rcode rcode) { rcode_ = rcode; }
  void set_flag(std::uint16_t flag) { flags_ = static_cast<std::uint16_t>(flags_ | flag); }
  /// The first code stays: it says what was decided first. `text` has to live until finish().
  void set_ede(Ede code, std::string_view text);

  /// Forgets all records and codes, keeps the question.
  void clear();

  bool add(Section section, NameView owner, RrType type, std::uint32_t ttl, Bytes rdata,
           RrClass klass = RrClass::kIn);
  /// All records or none. One that does not fit sets TC, but not in the additional section.
  bool add_rrset(Section section, NameView owner, const RrsetView& rrset);
  void add_soa(NameView owner, std::uint32_t ttl, Bytes rdata);

  /// Where an image's body may be copied to while no record has been added; then adopt_body().
  MutableBytes body_room() { return writer_.room(); }
  bool adopt_body(const ImageHead& head);
  /// The records of an image, one by one, whole RRsets as far as they fit. `body` may stand in
  /// body_room(). With `chain_end` (255 bytes): the target of the last CNAME goes there, and its
  /// size is returned.
  std::size_t add_image(const LookupName& name, const ImageHead& head, Bytes body,
                        std::array<std::uint8_t, kNameBytesMax>* chain_end);

  std::size_t answer_count() const { return writer_.count(Section::kAnswer); }
  /// Size of the finished message.
  std::size_t finish();

 private:
  void put_opt();

  const Query& query_;
  MessageWriter writer_;
  MessageWriter::Mark empty_;
  std::uint16_t payload_;
  std::uint16_t flags_;
  Rcode rcode_ = Rcode::kNoError;
  std::uint16_t ede_ = kNoEde;
  std::string_view ede_text_;
};

}  // namespace postern::dns
