// What becomes of one record from upstream: HTTPS and SVCB are edited ([dns.svcb], RFC 9460),
// private addresses go ([dns.limits] rebind_protection). Keeps in mind what was done, for AD and
// the extended error. No allocation.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "dns/accept.h"
#include "dns/answer.h"
#include "dns/image.h"
#include "dns/name.h"

namespace postern::dns {

enum class RecordFate : std::uint8_t { kKept, kReplaced, kGone, kMalformed };

/// Room that outlives an edit; one per thread.
struct RecordEditorRoom {
  LookupName lookup;
  std::array<std::uint8_t, kMessageBytesMax> rdata;
};

class RecordEditor {
 public:
  RecordEditor(const ForwardQuestion& question, RecordEditorRoom* room, AcceptCounts* counts);

  /// A record of the answer or additional section, its rdata uncompressed. `preserve`: signed, and
  /// to be left as it is ([dns.svcb] signed). kReplaced: `*rdata` is the new one, in the room.
  /// kMalformed: the message should not be trusted at all.
  RecordFate judge(RrType type, NameView owner, bool preserve, Bytes* rdata);

  bool changed_anything() const { return svcb_ || malformed_ || rebind_; }
  /// For ImageHead::svcb_changes.
  std::uint8_t svcb_changes() const { return static_cast<std::uint8_t>(svcb_changes_); }
  /// Sets the extended error that tells what was changed, if anything. `none_left`: no record of
  /// the type asked for was kept.
  void explain(bool none_left, ImageBuffer* image) const;

 private:
  RecordFate judge_svcb(NameView owner, bool preserve, Bytes* rdata);
  bool left_untouched(NameView owner);
  bool leads_away(Bytes rdata);
  bool leads_inside(Bytes rdata);

  const ForwardQuestion& question_;
  const ViewPolicy& view_;
  RecordEditorRoom& room_;
  AcceptCounts& counts_;
  bool owned_;  // a question for HTTPS or SVCB of an overridden name
  bool rebind_guard_;
  bool svcb_ = false;       // a record was edited or withheld
  bool malformed_ = false;  // a record was malformed and went
  bool rebind_ = false;     // a private address went
  std::uint16_t svcb_changes_ = 0;
  bool inside_ = false;  // a record had a name of ours as target
};

}  // namespace postern::dns
