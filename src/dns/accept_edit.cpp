#include "dns/accept_edit.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "dns/rebind.h"
#include "dns/svcb.h"

namespace postern::dns {
namespace {

bool is_svcb(RrType type) { return type == RrType::kHttps || type == RrType::kSvcb; }

// The owner of a record is not asked: a public name could point at an excepted one.
bool guards_against_rebinding(const ForwardQuestion& question) {
  return question.view->guards(question.name) ||
         (question.guarded && question.view->rebind_protection);
}

}  // namespace

RecordEditor::RecordEditor(const ForwardQuestion& question, RecordEditorRoom* room,
                           AcceptCounts* counts)
    : question_(question),
      view_(*question.view),
      room_(*room),
      counts_(*counts),
      owned_(question.owned && is_svcb(question.type)),
      rebind_guard_(guards_against_rebinding(question)) {}

bool RecordEditor::left_untouched(NameView owner) {
  const SuffixTable<bool>& except = *view_.svcb_except;
  if (owned_ || except.empty()) return false;
  if (except.contains(question_.name)) return true;
  room_.lookup.assign(owner);
  return except.contains(room_.lookup);
}

// For an override: would a browser that obeys the record connect to another name than the one
// asked for, and not one of ours?
bool RecordEditor::leads_away(Bytes rdata) {
  const NameView target = svcb_target(rdata);
  if (target.is_root() && svcb_is_alias(rdata)) return true;  // "no such service", section 2.5.1
  // The root stands for the owner, which as a service name need not be ours as a host.
  room_.lookup.assign(target.is_root() ? question_.name.name() : target);
  return !view_.owns(room_.lookup, RrType::kA);
}

// Hints are addresses of the target (section 7.3), and we say where that is.
bool RecordEditor::leads_inside(Bytes rdata) {
  const NameView target = svcb_target(rdata);
  if (target.is_root() || svcb_is_alias(rdata)) return false;
  room_.lookup.assign(target);
  return view_.owns(room_.lookup, RrType::kA);
}

RecordFate RecordEditor::judge_svcb(NameView owner, bool preserve, Bytes* rdata) {
  const bool untouched = preserve || left_untouched(owner);
  SvcbEdits edits;
  if (!untouched) {
    edits.strip_alpn = &view_.svcb->strip_alpn;
    edits.drop_keys = &view_.svcb->drop_keys;
  }
  if (svcb_well_formed(*rdata)) {
    edits.drop_hints = rebind_guard_ && has_private_hint(*rdata);
    const bool inside = leads_inside(*rdata);
    edits.drop_ech_and_hints = owned_ || inside;
    inside_ = inside_ || inside;
  } else if (untouched) {
    return RecordFate::kKept;
  }
  std::size_t size = 0;
  SvcbOutcome outcome = edit_svcb(*rdata, edits, room_.rdata, &size);
  if (owned_ && outcome != SvcbOutcome::kMalformed && leads_away(*rdata)) {
    outcome = SvcbOutcome::kWithheld;
  }
  if (outcome == SvcbOutcome::kUnchanged) return RecordFate::kKept;
  if (outcome == SvcbOutcome::kMalformed) {
    ++counts_.svcb_malformed;
    malformed_ = true;
    return RecordFate::kGone;
  }
  if (edits.drop_hints) {
    ++counts_.rebind_removed;
    rebind_ = true;
  }
  svcb_ = true;
  if (edits.drop_ech_and_hints) svcb_changes_ |= kSvcbForOverride;
  if (outcome == SvcbOutcome::kWithheld) {
    ++counts_.svcb_withheld;
    svcb_changes_ |= kSvcbRecordRemoved;
    return RecordFate::kGone;
  }
  ++counts_.svcb_edited;
  const std::uint16_t removed = svcb_difference(*rdata, Bytes(room_.rdata).first(size));
  if (edits.drop_hints && removed == kSvcbHintsRemoved) svcb_changes_ |= kSvcbForRebind;
  svcb_changes_ |= removed;
  *rdata = Bytes(room_.rdata).first(size);
  return RecordFate::kReplaced;
}

RecordFate RecordEditor::judge(RrType type, NameView owner, bool preserve, Bytes* rdata) {
  if (question_.klass != RrClass::kIn) return RecordFate::kKept;
  if (is_svcb(type)) return judge_svcb(owner, preserve, rdata);
  if (type != RrType::kA && type != RrType::kAaaa) return RecordFate::kKept;
  if (rdata->size() != (type == RrType::kA ? 4U : 16U)) return RecordFate::kMalformed;
  if (!rebind_guard_ || !is_private_address(*rdata)) return RecordFate::kKept;
  ++counts_.rebind_removed;
  rebind_ = true;
  return RecordFate::kGone;
}

void RecordEditor::explain(bool none_left, ImageBuffer* image) const {
  if (!changed_anything()) return;
  if (rebind_) {
    return image->set_ede(Ede::kBlocked, "private address removed (dns.limits.rebind_protection)");
  }
  const Ede code = none_left ? Ede::kFiltered : Ede::kForgedAnswer;
  if (!svcb_) {
    return image->set_ede(code, "malformed HTTPS or SVCB record removed (RFC 9460 section 2.2)");
  }
  if (owned_) {
    return image->set_ede(code, "HTTPS edited by dns.override https = \"edit\"");
  }
  if (inside_) {
    return image->set_ede(code, "HTTPS edited: its target is the name of a dns.override or zone");
  }
  const SvcbSettings& settings = *view_.svcb;
  if (!settings.drop_keys.empty() || settings.strip_alpn.empty()) {
    return image->set_ede(code, "HTTPS edited by dns.svcb (strip_alpn, drop_keys)");
  }
  std::array<char, kEdeTextMax> text;
  const auto written =
      fmt::format_to_n(text.data(), text.size(), "{} withdrawn from HTTPS by dns.svcb.strip_alpn",
                       settings.strip_alpn.front());
  const std::size_t size = std::min(written.size, text.size());
  image->set_ede(code, std::string_view(text.data(), size));
}

}  // namespace postern::dns
