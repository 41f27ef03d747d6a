#include "dns/accept.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "dns/accept_edit.h"
#include "dns/message.h"
#include "dns/response.h"
#include "dns/svcb.h"

namespace postern::dns {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kChainHopsMax = 16;    // CNAMEs followed
constexpr std::size_t kTargetsMax = 32;      // names looked for in the additional section
constexpr std::size_t kProofRrsetsMax = 32;  // NSEC and NSEC3 RRsets kept
constexpr std::size_t kAnyRrsetsMax = 64;    // RRsets kept of an answer to ANY
constexpr std::size_t kDnamesMax = 16;       // DNAMEs looked at in one answer
constexpr std::size_t kSvcbComparedMax =
    32;  // records of one RRset among which equal ones are found
constexpr std::size_t kSoaBytesMin = 22;
constexpr std::uint32_t kTtlMax = 0x7fffffff;  // RFC 2181 section 8
constexpr std::uint32_t kNoSoaTtl = 1;
constexpr std::uint32_t kMadeSoaTtl = 60;
constexpr std::uint32_t kFailureTtlMax = 300;
constexpr std::uint32_t kNoCap = 0xffffffff;

// "localhost. nobody.invalid. 1 3600 600 86400 60": the names say that nobody outside is meant
// (RFC 6303 section 3).
constexpr std::string_view kMadeSoa =
    "\x09localhost\0\6nobody\7invalid\0\0\0\0\1\0\0\x0e\x10\0\0\2\x58\0\1\x51\x80\0\0\0\x3c"sv;

struct StoredName {
  std::uint64_t hash;
  std::uint8_t size;
  std::array<std::uint8_t, kNameBytesMax> wire;
};

// Room for one acceptance: one per thread, made once.
struct Scratch {
  Response response;
  RecordEditorRoom editor;
  LookupName chain_name;
  LookupName next;
  LookupName target;
  std::array<std::uint64_t, kChainHopsMax + 1> seen;
  std::array<StoredName, kTargetsMax> targets;
  std::array<std::uint16_t, kSvcbComparedMax> svcb_written;
  std::array<std::uint16_t, kImageTtlsMax> picked;
  std::array<std::uint8_t, kNameBytesMax> owner;
  std::array<std::uint8_t, kMessageBytesMax> rdata;
  std::array<std::uint8_t, kMessageBytesMax> message;
};

thread_local const std::unique_ptr<Scratch> scratch_room = std::make_unique<Scratch>();

bool is_svcb(RrType type) { return type == RrType::kHttps || type == RrType::kSvcb; }
bool is_proof(RrType type) { return type == RrType::kNsec || type == RrType::kNsec3; }

// Types of which a name has one record only; more of them are not kept.
bool is_singleton(RrType type) {
  return type == RrType::kCname || type == RrType::kDname || type == RrType::kSoa;
}

// RFC 8767 section 4: a TTL with the top bit set is long, not 0.
std::uint32_t sane_ttl(std::uint32_t ttl) { return std::min(ttl, kTtlMax); }

// YXDOMAIN: a DNAME makes the name too long (RFC 6672 section 2.2).
bool is_answer(std::uint16_t rcode) {
  return rcode == static_cast<std::uint16_t>(Rcode::kNoError) ||
         rcode == static_cast<std::uint16_t>(Rcode::kNxDomain) ||
         rcode == static_cast<std::uint16_t>(Rcode::kYxDomain);
}

// What makes an RRset.
struct Wanted {
  OwnerName owner;
  RrType type{};
  Section section = Section::kAnswer;  // kAdditional: the answer section will do as well
};

class Acceptance {
 public:
  Acceptance(const ForwardQuestion& question, const CacheSettings& cache, Scratch* room,
             ImageBuffer* image, AcceptCounts* counts)
      : room_(*room),
        response_(room->response),
        question_(question),
        cache_(cache),
        image_(*image),
        counts_(*counts),
        editor_(question, &room->editor, counts),
        writer_(room->message, room->message.size()),
        chain_end_(&question.name) {}

  AcceptOutcome run(Bytes message);

 private:
  void follow_chain();
  bool follow_link();
  const ResponseRecord* write_dname();
  bool read_target(const ResponseRecord& cname);
  bool write_synthesized(const ResponseRecord& dname);
  bool go_on();

  void write_answer();
  bool is_referral();
  bool write_negative();
  const ResponseRecord* find_soa(OwnerName* owner);
  void write_made_soa();
  void write_override_soa();
  void write_proofs(std::uint32_t ttl_cap);
  void write_additional();

  bool belongs(const ResponseRecord& record, const Wanted& wanted) const;
  const ResponseRecord* find(const Wanted& wanted);
  std::size_t pick(const Wanted& wanted, std::size_t* signatures, std::uint32_t* ttl);
  std::size_t write_rrset(const Wanted& wanted, std::uint32_t ttl_cap = kNoCap);
  bool write_record(const ResponseRecord& record, Section to, std::uint32_t ttl, bool preserve,
                    bool* changed);
  bool put(Section to, NameView owner, RrType type, std::uint32_t ttl, Bytes rdata);
  void note_targets(RrType type, NameView owner, Bytes rdata);
  void note_target(NameView name);
  bool is_written(Bytes rdata) const;
  /// Where the rdata of the record written last stands.
  std::uint16_t rdata_at() const {
    return static_cast<std::uint16_t>(writer_.last_ttl_offset() + 6);
  }

  std::uint32_t clamp_ttl(std::uint32_t ttl) const {
    return std::clamp(ttl, cache_.min_ttl_s, std::max(cache_.min_ttl_s, cache_.max_ttl_s));
  }
  bool edits_for_override() const { return question_.owned && is_svcb(question_.type); }
  /// The answer stands at another name than it does upstream, or is to be edited.
  bool hoists() const { return edits_for_override() || (question_.owned && hops_ > 0); }
  /// Upstream says that a name of ours does not exist.
  bool denies_ours() const {
    return question_.owned && response_.rcode() == static_cast<std::uint16_t>(Rcode::kNxDomain);
  }
  /// Where a negative answer stands.
  const LookupName& denied_name() const { return question_.owned ? question_.name : *chain_end_; }
  void finish();
  void count_strays();

  Scratch& room_;
  Response& response_;
  const ForwardQuestion& question_;
  const CacheSettings& cache_;
  ImageBuffer& image_;
  AcceptCounts& counts_;
  RecordEditor editor_;
  MessageWriter writer_;
  const LookupName* chain_end_;
  std::size_t body_start_ = 0;
  std::size_t hops_ = 0;
  std::size_t targets_ = 0;
  std::size_t svcb_written_ = 0;  // of the RRset at hand
  std::uint16_t ttl_count_ = 0;
  std::uint32_t least_ttl_ = kNoCap;
  bool found_ = false;      // upstream has the type asked for at the end of the chain
  bool negative_ = false;   // nothing of it is in the image
  bool continues_ = false;  // the chain goes on elsewhere, at a name of ours for example
  bool too_long_ = false;   // the chain has too many names
  bool circle_ = false;     // the chain comes back to one of its names
  bool overflow_ = false;
  bool malformed_ = false;
};

bool Acceptance::belongs(const ResponseRecord& record, const Wanted& wanted) const {
  const bool here = record.section == wanted.section ||
                    (wanted.section == Section::kAdditional && record.section == Section::kAnswer);
  return here && record.at.klass == static_cast<std::uint16_t>(question_.klass) &&
         response_.owner_is(record, wanted.owner);
}

const ResponseRecord* Acceptance::find(const Wanted& wanted) {
  for (const ResponseRecord& record : response_.records()) {
    const bool type_fits = record.at.type == wanted.type || wanted.type == RrType::kAny;
    if (type_fits && belongs(record, wanted)) return &record;
  }
  return nullptr;
}

// Finds the records of an RRset and the signatures that cover it and puts their numbers into
// room_.picked: data from the front, signatures from the back. Returns how many are data.
std::size_t Acceptance::pick(const Wanted& wanted, std::size_t* signatures, std::uint32_t* ttl) {
  const std::span<ResponseRecord> records = response_.records();
  std::size_t data = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    ResponseRecord& record = records[i];
    const bool covers = record.at.type == RrType::kRrsig && wanted.type != RrType::kRrsig &&
                        record.covered == wanted.type;
    if (record.used || !(covers || record.at.type == wanted.type)) continue;
    if (!covers && data == 1 && is_singleton(wanted.type)) continue;
    if (!belongs(record, wanted)) continue;
    record.used = true;
    if (covers && !question_.dnssec_ok) continue;
    *ttl = std::min(*ttl, sane_ttl(record.at.ttl));
    const std::size_t slot = covers ? room_.picked.size() - ++*signatures : data++;
    room_.picked[slot] = static_cast<std::uint16_t>(i);
  }
  return data;
}

void Acceptance::note_target(NameView name) {
  if (name.is_root() || targets_ == kTargetsMax) return;
  const std::uint64_t hash = hash_name(name);
  for (std::size_t i = 0; i < targets_; ++i) {
    if (room_.targets[i].hash == hash) return;
  }
  StoredName& stored = room_.targets[targets_++];
  stored.hash = hash;
  stored.size = static_cast<std::uint8_t>(name.size());
  std::copy(name.wire().begin(), name.wire().end(), stored.wire.begin());
}

// Names whose addresses a client will want next (RFC 9460 section 4.1, RFC 1035 section 3.3.9, RFC
// 2782).
void Acceptance::note_targets(RrType type, NameView owner, Bytes rdata) {
  if (is_svcb(type)) {
    if (!svcb_well_formed(rdata)) return;
    const NameView target = svcb_target(rdata);
    note_target(target.is_root() && !svcb_is_alias(rdata) ? owner : target);
  } else if (type == RrType::kMx || type == RrType::kSrv) {
    // expand_rdata() has checked the name, and that nothing stands behind it.
    note_target(NameView(rdata.subspan(type == RrType::kMx ? 2 : 6)));
  }
}

bool Acceptance::put(Section to, NameView owner, RrType type, std::uint32_t ttl, Bytes rdata) {
  if (ttl_count_ == kImageTtlsMax ||
      !writer_.record(to, owner, type, question_.klass, ttl, rdata)) {
    overflow_ = overflow_ || to != Section::kAdditional;
    return false;
  }
  const std::size_t offset = writer_.last_ttl_offset() - body_start_;
  image_.ttl_offsets[ttl_count_++] = static_cast<std::uint16_t>(offset);
  least_ttl_ = std::min(least_ttl_, ttl);
  return true;
}

// Two records that differed in what was taken out are one (RFC 2181 section 5).
bool Acceptance::is_written(Bytes rdata) const {
  const auto* const begin = room_.svcb_written.data();
  return std::any_of(begin, begin + svcb_written_, [&](std::uint16_t at) {
    const std::uint8_t* const there = room_.message.data() + at;
    return equal_bytes(rdata, Bytes(there, load_u16(there - 2)));
  });
}

// Returns whether the record was written; `*changed`: not as upstream gave it.
bool Acceptance::write_record(const ResponseRecord& record, Section to, std::uint32_t ttl,
                              bool preserve, bool* changed) {
  const int size = expand_rdata(response_.message(), record.at, room_.rdata);
  if (size < 0) {
    malformed_ = true;
    return false;
  }
  const bool at_question = question_.owned && to == Section::kAnswer;
  const NameView owner =
      at_question ? question_.name.name() : response_.read_owner(record, room_.owner);
  Bytes rdata = Bytes(room_.rdata).first(static_cast<std::size_t>(size));
  if (to == Section::kAuthority) return put(to, owner, record.at.type, ttl, rdata);
  const RecordFate fate = editor_.judge(record.at.type, owner, preserve, &rdata);
  *changed = *changed || fate != RecordFate::kKept;
  malformed_ = malformed_ || fate == RecordFate::kMalformed;
  if (fate == RecordFate::kGone || fate == RecordFate::kMalformed) return false;
  if (is_svcb(record.at.type) && is_written(rdata)) return true;
  if (!put(to, owner, record.at.type, ttl, rdata)) return false;
  if (is_svcb(record.at.type) && svcb_written_ < room_.svcb_written.size()) {
    room_.svcb_written[svcb_written_++] = rdata_at();
  }
  note_targets(record.at.type, owner, rdata);
  return true;
}

// Returns how many data records were written. All records of an RRset get the least of its TTLs
// (RFC 2181 section 5.2); its signatures go when it is not what was signed any more.
std::size_t Acceptance::write_rrset(const Wanted& wanted, std::uint32_t ttl_cap) {
  std::size_t signatures = 0;
  std::uint32_t ttl = kNoCap;
  const std::size_t data = pick(wanted, &signatures, &ttl);
  ttl = std::min(clamp_ttl(ttl), ttl_cap);
  const bool preserve = signatures != 0 && !hoists() &&
                        question_.view->svcb->signed_answers == SignedAnswers::kPreserve;
  const std::span<ResponseRecord> records = response_.records();
  svcb_written_ = 0;
  bool changed = hoists();
  std::size_t written = 0;
  for (std::size_t i = 0; i < data && !overflow_ && !malformed_; ++i) {
    const ResponseRecord& record = records[room_.picked[i]];
    if (write_record(record, wanted.section, ttl, preserve, &changed)) ++written;
  }
  if (changed || written == 0) return written;
  for (std::size_t i = 1; i <= signatures; ++i) {
    const ResponseRecord& record = records[room_.picked[room_.picked.size() - i]];
    write_record(record, wanted.section, ttl, preserve, &changed);
  }
  return written;
}

bool Acceptance::read_target(const ResponseRecord& cname) {
  std::size_t at = cname.at.rdata;
  const std::size_t size = read_name(response_.message().first(cname.at.end), &at, room_.owner);
  malformed_ = malformed_ || size == 0 || at != cname.at.end;
  if (malformed_) return false;
  room_.next.assign(NameView(Bytes(room_.owner.data(), size)));
  return true;
}

// The DNAME above the end of the chain, if any (RFC 6672); it is written.
const ResponseRecord* Acceptance::write_dname() {
  std::size_t dnames = 0;
  for (const ResponseRecord& record : response_.records()) {
    if (record.at.type != RrType::kDname || record.section != Section::kAnswer) continue;
    if (++dnames > kDnamesMax) break;
    for (std::size_t skip = 1; skip <= chain_end_->label_count(); ++skip) {
      const Wanted wanted{owner_at(*chain_end_, skip), RrType::kDname};
      if (record.used || !belongs(record, wanted)) continue;
      if (!question_.owned) write_rrset(wanted);
      return &record;
    }
  }
  return nullptr;
}

// RFC 6672 section 3.1: a DNAME that came without its CNAME is as good as with it.
bool Acceptance::write_synthesized(const ResponseRecord& dname) {
  if (!read_target(dname)) return false;
  std::array<std::uint8_t, kNameBytesMax> owner;
  std::size_t at = dname.at.owner;
  const std::size_t cut = chain_end_->name().size() - read_name(response_.message(), &at, owner);
  const NameView target = room_.next.name();
  if (cut + target.size() > kNameBytesMax) return false;  // YXDOMAIN: the chain ends
  std::array<std::uint8_t, kNameBytesMax> name;
  std::copy_n(chain_end_->name().wire().begin(), cut, name.begin());
  std::copy(target.wire().begin(), target.wire().end(),
            name.begin() + static_cast<std::ptrdiff_t>(cut));
  const Bytes whole(name.data(), cut + target.size());
  room_.next.assign(NameView(whole));
  if (question_.owned) return true;
  return put(Section::kAnswer, chain_end_->name(), RrType::kCname,
             clamp_ttl(sane_ttl(dname.at.ttl)), whole);
}

// Moves the end of the chain to room_.next. False when it stops where it is: at a name that this
// upstream is not the one to ask about, in a loop, or at its longest. What an override leaves to
// upstream (TXT, MX, ...) is taken from the end of upstream's chain, wherever that leads.
bool Acceptance::go_on() {
  const ViewPolicy& view = *question_.view;
  if (edits_for_override()) {
    if (view.owns(room_.next, question_.type)) return false;
  } else if (!question_.owned) {
    continues_ = view.is_answered_elsewhere(room_.next, question_.type, question_.forward);
  }
  if (continues_) return false;
  too_long_ = hops_ == kChainHopsMax;
  if (too_long_) return false;
  const auto end = room_.seen.begin() + static_cast<std::ptrdiff_t>(++hops_);
  circle_ = std::find(room_.seen.begin(), end, room_.next.hash()) != end;
  if (circle_) return false;
  *end = room_.next.hash();
  room_.chain_name = room_.next;
  chain_end_ = &room_.chain_name;
  return true;
}

bool Acceptance::follow_link() {
  const ResponseRecord* const dname = write_dname();
  const Wanted wanted{owner_at(*chain_end_), RrType::kCname};
  const ResponseRecord* const cname = find(wanted);
  if (dname != nullptr) {
    // Upstream's CNAME has the random case of the question in its target; ours is as good.
    std::size_t signatures = 0;
    std::uint32_t ttl = 0;
    pick(wanted, &signatures, &ttl);
    return write_synthesized(*dname) && go_on();
  }
  if (cname == nullptr || !read_target(*cname)) return false;
  if (!question_.owned) write_rrset(wanted);
  return go_on();
}

void Acceptance::follow_chain() {
  room_.seen[0] = question_.name.hash();
  do {
    found_ = find({owner_at(*chain_end_), question_.type}) != nullptr;
  } while (!found_ && question_.type != RrType::kCname && follow_link());
  // A server that does not follow chains: nothing is said about the last name, so it is asked for.
  const bool bare = !found_ && !continues_ && !circle_ && hops_ > 0 && !question_.owned &&
                    response_.rcode() == static_cast<std::uint16_t>(Rcode::kNoError);
  if (!bare) return;
  const std::span<ResponseRecord> records = response_.records();
  continues_ = std::none_of(records.begin(), records.end(), [](const ResponseRecord& record) {
    return record.section == Section::kAuthority && record.at.type == RrType::kSoa;
  });
}

void Acceptance::write_answer() {
  std::size_t written = 0;
  if (question_.type != RrType::kAny) {
    written = write_rrset({owner_at(*chain_end_), question_.type});
  } else {
    std::size_t rrsets = 0;
    for (const ResponseRecord& record : response_.records()) {
      const Wanted wanted{owner_at(*chain_end_), record.at.type};
      if (record.used || record.at.type == RrType::kRrsig || !belongs(record, wanted)) continue;
      if (++rrsets > kAnyRrsetsMax) break;
      written += write_rrset(wanted);
    }
  }
  negative_ = written == 0;
}

// The SOA in the authority section that stands at or above the name denied.
const ResponseRecord* Acceptance::find_soa(OwnerName* owner) {
  const LookupName& name = denied_name();
  for (const ResponseRecord& record : response_.records()) {
    if (record.at.type != RrType::kSoa || record.at.rdata_size < kSoaBytesMin) continue;
    for (std::size_t skip = 0; skip <= name.label_count(); ++skip) {
      *owner = owner_at(name, skip);
      if (belongs(record, {*owner, RrType::kSoa, Section::kAuthority})) return &record;
    }
  }
  return nullptr;
}

void Acceptance::write_made_soa() {
  const std::uint32_t ttl = std::min(kMadeSoaTtl, cache_.negative_ttl_s);
  put(Section::kAuthority, denied_name().name(), RrType::kSoa, ttl, as_bytes(kMadeSoa));
}

void Acceptance::write_proofs(std::uint32_t ttl_cap) {
  if (!question_.dnssec_ok || hoists() || denies_ours() || editor_.changed_anything()) return;
  std::size_t rrsets = 0;
  for (const ResponseRecord& record : response_.records()) {
    if (record.section != Section::kAuthority || record.used || !is_proof(record.at.type)) continue;
    if (++rrsets > kProofRrsetsMax) return;
    room_.target.assign(response_.read_owner(record, room_.owner));
    write_rrset({owner_at(room_.target), record.at.type, Section::kAuthority}, ttl_cap);
  }
}

// What an override says is negative lasts as long as it says (RFC 2308 section 5).
void Acceptance::write_override_soa() {
  const OverrideTable::Match match = question_.view->overrides.find(question_.name, question_.type);
  if (!match) return write_made_soa();
  put(Section::kAuthority, match.owner, RrType::kSoa, match.rule->ttl_s, match.rule->soa);
}

// Upstream did not answer but pointed elsewhere.
bool Acceptance::is_referral() {
  if (writer_.count(Section::kAnswer) != 0 || found_ || response_.rcode() != 0) return false;
  const std::span<ResponseRecord> records = response_.records();
  return std::any_of(records.begin(), records.end(), [](const ResponseRecord& record) {
    return record.section == Section::kAuthority && record.at.type == RrType::kNs;
  });
}

// False when upstream did not answer.
bool Acceptance::write_negative() {
  OwnerName owner;
  if (edits_for_override() && !is_referral()) {
    write_override_soa();
    return true;
  }
  if (const ResponseRecord* const soa = find_soa(&owner); soa != nullptr) {
    // RFC 2308 section 5: the lesser of the SOA's TTL and its last number.
    const std::uint32_t minimum = load_u32(response_.message().data() + soa->at.end - 4);
    const std::uint32_t ttl =
        std::min(std::max(std::min(sane_ttl(soa->at.ttl), sane_ttl(minimum)), cache_.min_ttl_s),
                 cache_.negative_ttl_s);
    write_rrset({owner, RrType::kSoa, Section::kAuthority}, ttl);
    write_proofs(ttl);
    return true;
  }
  if (is_referral()) return false;
  if (found_ || question_.owned) {
    write_made_soa();
    return true;
  }
  least_ttl_ = std::min(least_ttl_, kNoSoaTtl);
  image_.head.no_stale = true;
  return true;
}

void Acceptance::write_additional() {
  for (std::size_t i = 0; i < targets_; ++i) {  // grows when an alias leads to further ones
    const StoredName& name = room_.targets[i];
    room_.target.assign(NameView(Bytes(name.wire).first(name.size)));
    for (const RrType type : {RrType::kHttps, RrType::kSvcb, RrType::kA, RrType::kAaaa}) {
      if (question_.view->owns(room_.target, type)) continue;
      write_rrset({owner_at(room_.target), type, Section::kAdditional});
    }
  }
}

void Acceptance::count_strays() {
  if (continues_) return;  // what stands behind a name of ours is not a stray
  for (const ResponseRecord& record : response_.records()) {
    const bool link =
        question_.owned && (record.at.type == RrType::kCname || record.at.type == RrType::kDname);
    const bool data = record.at.type != RrType::kRrsig && !link;
    if (data && !record.used && record.section == Section::kAnswer) ++counts_.out_of_bailiwick;
  }
}

void Acceptance::finish() {
  const Bytes body = writer_.finish().subspan(body_start_);
  std::copy(body.begin(), body.end(), image_.body.begin());
  ImageHead& head = image_.head;
  const bool as_upstream_says = negative_ && !found_ && !question_.owned;
  const bool vouched = (response_.header().flags & kFlagAd) != 0 && !continues_ && !hoists() &&
                       !denies_ours() && !editor_.changed_anything();
  head.flags = static_cast<std::uint16_t>((as_upstream_says ? response_.rcode() : 0) |
                                          (vouched ? kFlagAd : 0));
  head.ttl_s = least_ttl_;
  head.no_stale = head.no_stale || least_ttl_ == 0;
  head.answers = writer_.count(Section::kAnswer);
  head.authorities = writer_.count(Section::kAuthority);
  head.additionals = writer_.count(Section::kAdditional);
  head.body_size = static_cast<std::uint16_t>(body.size());
  head.ttl_count = ttl_count_;
  head.continues = continues_;
  head.svcb_changes = editor_.svcb_changes();
  if (denies_ours()) image_.set_ede(Ede::kForgedAnswer, "not NXDOMAIN: dns.override has the name");
  editor_.explain(found_ && negative_, &image_);
}

AcceptOutcome Acceptance::run(Bytes message) {
  image_.head = ImageHead{};
  const Header header = read_header(message);
  if (!is_answer(header.flags & kRcodeMask)) return AcceptOutcome::kFailed;
  if ((header.flags & kFlagTc) != 0) return AcceptOutcome::kTruncated;
  if (!response_.parse(message, question_.name)) return AcceptOutcome::kMalformed;
  if (!is_answer(response_.rcode())) return AcceptOutcome::kFailed;
  writer_.start(0, 0);
  writer_.question(question_.name.name(), question_.type, question_.klass);
  body_start_ = writer_.size();
  follow_chain();
  if (too_long_) return AcceptOutcome::kFailed;
  if (!continues_) {
    write_answer();
    if (negative_) {
      if (!write_negative()) return AcceptOutcome::kFailed;
    } else {
      write_proofs(kNoCap);
      if (!hoists()) write_additional();
    }
  }
  if (malformed_ || overflow_) return AcceptOutcome::kMalformed;
  count_strays();
  finish();
  return AcceptOutcome::kAnswer;
}

}  // namespace

bool matches_question(Bytes message, std::uint16_t id, NameView sent_name, RrType type,
                      RrClass klass, bool match_case) {
  if (message.size() < kHeaderBytes) return false;
  const Header header = read_header(message);
  if (header.id != id || (header.flags & kFlagQr) == 0 || header.opcode() != Opcode::kQuery ||
      header.count(Section::kQuestion) != 1) {
    return false;
  }
  const std::size_t end = kHeaderBytes + sent_name.size();
  if (message.size() < end + 4) return false;
  // The first name of a message has nothing that it could point at: equal bytes or another name.
  const Bytes name = message.subspan(kHeaderBytes, sent_name.size());
  const auto same = [match_case](std::uint8_t a, std::uint8_t b) {
    return match_case ? a == b : lower_byte(a) == lower_byte(b);
  };
  return std::equal(name.begin(), name.end(), sent_name.wire().begin(), same) &&
         load_u16(message.data() + end) == static_cast<std::uint16_t>(type) &&
         load_u16(message.data() + end + 2) == static_cast<std::uint16_t>(klass);
}

bool is_bare_refusal(Bytes message, std::uint16_t id) {
  if (message.size() < kHeaderBytes) return false;
  const Header header = read_header(message);
  const auto rcode = static_cast<Rcode>(header.flags & kRcodeMask);
  return header.id == id && (header.flags & kFlagQr) != 0 && header.opcode() == Opcode::kQuery &&
         header.count(Section::kQuestion) == 0 &&
         (rcode == Rcode::kFormErr || rcode == Rcode::kNotImp);
}

AcceptOutcome accept(Bytes message, const ForwardQuestion& question, const CacheSettings& cache,
                     ImageBuffer* image, AcceptCounts* counts) {
  return Acceptance(question, cache, scratch_room.get(), image, counts).run(message);
}

void failure_image(Ede ede, std::string_view text, std::uint32_t ttl_s, ImageBuffer* image) {
  image->head = ImageHead{};
  image->head.flags = static_cast<std::uint16_t>(Rcode::kServFail);
  image->head.ttl_s = std::clamp<std::uint32_t>(ttl_s, 1, kFailureTtlMax);
  image->head.failure = true;
  image->set_ede(ede, text);
}

}  // namespace postern::dns
