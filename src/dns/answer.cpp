#include "dns/answer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <string_view>
#include <system_error>

#include "dns/answer_zone.h"
#include "dns/rebind.h"
#include "dns/reply.h"

namespace postern::dns {
namespace {

constexpr std::size_t kChainMax = 16;  // names in one CNAME chain
constexpr std::uint32_t kSpecialTtl = 600;
constexpr std::uint32_t kMinimalAnyTtl = 3600;
constexpr std::string_view kMinimalAnyHinfo("\7RFC8482\0", 9);  // RFC 8482 section 4.2
constexpr std::array<std::uint8_t, 4> kLoopback4{127, 0, 0, 1};
constexpr std::array<std::uint8_t, 16> kLoopback6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

// localhost. nobody.invalid. 1 3600 1200 604800 600 (RFC 6303 section 3)
constexpr std::string_view kSpecialSoa(
    "\x09localhost\0\6nobody\7invalid\0\0\0\0\1\0\0\x0e\x10\0\0\4\xb0\0\x09\x3a\x80\0\0\2\x58", 47);

enum class Step : std::uint8_t {
  kDone,   ///< the reply, or the question for upstream, stands
  kChain,  ///< a CNAME led to another name
  kNext,   ///< not mine
};

bool is_svcb(RrType type) { return type == RrType::kHttps || type == RrType::kSvcb; }

/// The port of "_8443._https.HOST" (RFC 9460 section 9.1); 0: `name` is none.
std::uint16_t https_service_port(const LookupName& name) {
  if (name.label_count() < 3) return 0;
  const std::string_view number = as_text(name.name().first_label());
  std::uint16_t asked = 0;
  const auto [end, error] =
      std::from_chars(number.data() + 1, number.data() + number.size(), asked);
  const bool is_service = error == std::errc() && end == number.data() + number.size() &&
                          number[1] != '0' && as_text(name.suffix(1).first_label()) == "_https" &&
                          name.suffix(2).first_label()[0] != '_';
  return is_service ? asked : std::uint16_t{0};
}

/// Answers one query: the sources in their order for each name of the CNAME chain.
class Resolution {
 public:
  Resolution(const AnswerInput& input, const ViewPolicy& view, Reply* reply, Decision* out)
      : in_(input),
        view_(view),
        reply_(*reply),
        query_(reply->query()),
        out_(*out),
        name_(&query_.name) {}

  void run() {
    for (;;) {
      match_ = view_.overrides.find(*name_, query_.type);
      Step step = by_override();
      if (step == Step::kNext) step = by_zone();
      if (step == Step::kNext) step = by_special();
      if (step == Step::kNext) step = by_upstream();
      if (step == Step::kDone) return;
    }
  }

 private:
  Step by_override();
  Step override_address(const OverrideTable::Match& match, RrType type);
  Step override_any(const OverrideTable::Match& match);
  Step override_service(const OverrideTable::Match& match);
  Step by_zone();
  Step by_special();
  Step by_upstream();
  Step serve_fetched();
  Step serve_hit(const CacheHit& hit, Bytes body);
  Step serve_image(const ImageHead& head, Bytes body, bool in_place);
  Step fail_with(const ImageHead& head, std::string_view text);
  Step forward(bool stale_at_hand);
  Step minimal_any(Source source);
  bool falls_through(ZoneMatch::Kind kind) const;
  bool asks_for_delegation() const;
  bool is_there() const;
  bool is_private(const RrsetView& rrset) const;

  Step done(Source source);
  Step chain_to(NameView target, Source source);
  Step negative(const OverrideTable::Match& match);
  void note_source(Source source);
  void fill_question();
  CacheKey key() const;
  bool is_fetched(const CacheKey& key) const;

  const AnswerInput& in_;
  const ViewPolicy& view_;
  Reply& reply_;
  const Query& query_;
  Decision& out_;
  const LookupName* name_;      // where the chain stands
  OverrideTable::Match match_;  // of this name
  LookupName chain_name_;       // storage for it behind the first CNAME
  std::array<std::uint64_t, kChainMax> seen_;
  std::size_t hops_ = 0;
  bool owned_ = false;    // see ForwardQuestion
  bool guarded_ = false;  // a public name led here
  std::uint16_t forward_ = 0;
  CacheHit hit_;
};

Step Resolution::done(Source source) {
  note_source(source);
  out_.verdict = Decision::Verdict::kReply;
  out_.rcode = reply_.rcode();
  out_.reply_size = reply_.finish();
  return Step::kDone;
}

// The first name decides what AA says (RFC 1035 section 4.1.1) and what is counted.
void Resolution::note_source(Source source) {
  if (out_.source != Source::kNone) return;
  out_.source = source;
  if (source == Source::kOverride || source == Source::kZone || source == Source::kSpecial) {
    reply_.set_flag(kFlagAa);
  }
}

Step Resolution::chain_to(NameView target, Source source) {
  note_source(source);
  if (reply_.truncated() || query_.type == RrType::kCname) return done(source);
  seen_[hops_] = name_->hash();
  LookupName next(target);
  const bool loop =
      std::find(seen_.begin(), seen_.begin() + static_cast<std::ptrdiff_t>(hops_) + 1,
                next.hash()) != seen_.begin() + static_cast<std::ptrdiff_t>(hops_) + 1;
  if (loop) {
    reply_.set_ede(Ede::kOther, "the CNAME chain is a loop");
    return done(source);
  }
  if (++hops_ == kChainMax) {
    reply_.clear();
    reply_.set_rcode(Rcode::kServFail);
    reply_.set_ede(Ede::kOther, "the CNAME chain has more than 16 names");
    return done(Source::kError);
  }
  chain_name_ = next;
  name_ = &chain_name_;
  owned_ = false;
  return Step::kChain;
}

Step Resolution::negative(const OverrideTable::Match& match) {
  reply_.set_ede(Ede::kForgedAnswer, "dns.override");
  reply_.add_soa(match.owner, match.rule->ttl_s, match.rule->soa);
  return done(Source::kOverride);
}

Step Resolution::override_address(const OverrideTable::Match& match, RrType type) {
  const Override& rule = *match.rule;
  const Bytes addresses = (type == RrType::kA ? rule.a : rule.aaaa).bytes();
  if (addresses.empty()) return negative(match);
  const std::size_t size = type == RrType::kA ? 4 : 16;
  reply_.set_ede(Ede::kForgedAnswer, "dns.override");
  for (std::size_t at = 0; at < addresses.size(); at += size) {
    const bool fits =
        reply_.add(Section::kAnswer, name_->name(), type, rule.ttl_s, addresses.subspan(at, size));
    if (!fits) break;
  }
  return done(Source::kOverride);
}

Step Resolution::override_any(const OverrideTable::Match& match) {
  if (!match.rule->a.empty()) return override_address(match, RrType::kA);
  if (!match.rule->aaaa.empty()) return override_address(match, RrType::kAaaa);
  return minimal_any(Source::kOverride);
}

// "." stands for the owner's own name (RFC 9460 section 2.5.2), which for _8443._https.x would be
// one without addresses: there the host is written out.
Step Resolution::override_service(const OverrideTable::Match& match) {
  const Override& rule = *match.rule;
  out_.svcb_changes |= kSvcbDenied;
  if (query_.type != RrType::kHttps || rule.services.empty()) return negative(match);
  NameView target;
  std::uint16_t port = 0;
  if (!name_->name().is_root() && name_->name().first_label()[0] == '_') {
    port = https_service_port(*name_);
    if (port == 0) return negative(match);
    target = name_->suffix(2);
    // The override has to be about the host: "*.x" is not about x.
    const std::size_t least = match.owner.size() + (match.wildcard ? 1 : 0);
    if (target.size() < least) return negative(match);
  }
  const OverrideService* service = rule.service_for(port == 0 ? name_->name() : target, port);
  if (service == nullptr) return negative(match);
  std::array<std::uint8_t, 2 + kNameBytesMax + kServiceBytesMax> rdata;
  store_u16(rdata.data(), 1);  // SvcPriority
  std::uint8_t* end = std::copy(target.wire().begin(), target.wire().end(), rdata.data() + 2);
  end = std::copy(service->params.begin(), service->params.end(), end);
  out_.svcb_changes ^= kSvcbDenied | kSvcbMade;
  reply_.set_ede(Ede::kForgedAnswer, "dns.override");
  reply_.add(Section::kAnswer, name_->name(), RrType::kHttps, rule.ttl_s,
             Bytes(rdata.data(), static_cast<std::size_t>(end - rdata.data())));
  return done(Source::kOverride);
}

Step Resolution::by_override() {
  const OverrideTable::Match& match = match_;
  if (!match || match.rule->forward) return Step::kNext;
  const Override& rule = *match.rule;
  if (is_svcb(query_.type)) {
    if (rule.https != OverrideHttps::kEdit || rule.cname) return override_service(match);
    owned_ = true;
    return Step::kNext;
  }
  const bool address = query_.type == RrType::kA || query_.type == RrType::kAaaa;
  // _acme-challenge and its like are no hosts: they may be CNAMEs to where the records are kept,
  // and those who write the records ask for the CNAME.
  const bool is_no_host = match.wildcard && name_->name().first_label()[0] == '_' &&
                          rule.other == OverrideOther::kForward;
  const bool alias = query_.type == RrType::kCname && !is_no_host;
  if (rule.cname && (address || alias || query_.type == RrType::kAny)) {
    reply_.set_ede(Ede::kForgedAnswer, "dns.override");
    reply_.add(Section::kAnswer, name_->name(), RrType::kCname, rule.ttl_s,
               rule.cname->view().wire());
    return query_.type == RrType::kAny ? done(Source::kOverride)
                                       : chain_to(rule.cname->view(), Source::kOverride);
  }
  if (address) return override_address(match, query_.type);
  if (query_.type == RrType::kAny) return override_any(match);
  if (rule.other == OverrideOther::kNone) return negative(match);
  if (is_no_host) return Step::kNext;
  if (query_.type == RrType::kCname) return negative(match);
  owned_ = true;
  return Step::kNext;
}

bool Resolution::falls_through(ZoneMatch::Kind kind) const {
  // A client that asks to have the name resolved can do nothing with a referral.
  return kind == ZoneMatch::Kind::kNoData || kind == ZoneMatch::Kind::kNxDomain ||
         (kind == ZoneMatch::Kind::kReferral && query_.recursion_desired());
}

// Whoever validates needs the proof from the parent that our zone is not signed (RFC 8375 section
// 4): the one question about such a zone that upstream is asked.
bool Resolution::asks_for_delegation() const {
  return query_.type == RrType::kDs && query_.dnssec_ok && query_.recursion_desired();
}

// NXDOMAIN would deny the override at the name, or what is served below it.
bool Resolution::is_there() const { return owned_ || view_.ancestors.contains(name_->hash()); }

bool Resolution::is_private(const RrsetView& rrset) const {
  if (rrset.type != RrType::kA && rrset.type != RrType::kAaaa) return false;
  return !rrset.for_each([](Bytes address) { return !is_private_address(address); });
}

Step Resolution::by_zone() {
  const auto served = view_.zones.find(*name_);
  if (served.value == nullptr || view_.is_exception(match_, served.labels) ||
      view_.forwards->find(*name_).labels > served.labels) {
    return Step::kNext;
  }
  const ServedZone* source = served.value;
  if (query_.type == RrType::kDs && served.labels == name_->label_count() && served.labels > 0) {
    // The DS of a zone stands in its parent (RFC 4035 section 3.1.4.1).
    const LookupName parent(name_->suffix(1));
    if (const auto above = view_.zones.find(parent); above.value != nullptr) {
      source = above.value;
    } else if (asks_for_delegation()) {
      return by_upstream();
    }
  }
  const Zone& zone = *source->zone;
  ZoneMatch match = zone.find(*name_, query_.type);
  using Kind = ZoneMatch::Kind;
  if (source->fallthrough && falls_through(match.kind)) {
    owned_ = owned_ || match.kind == Kind::kNoData;
    return Step::kNext;
  }
  if (match.kind == Kind::kNxDomain && is_there()) match.kind = Kind::kNoData;
  // What an override leaves of a name does not lead away from it.
  if (match.kind == Kind::kCname && owned_) match.kind = Kind::kNoData;
  if (match.kind == Kind::kAnswer && guarded_ && is_private(match.rrset)) {
    reply_.set_ede(Ede::kBlocked, "a public name leads here (dns.limits.rebind_protection)");
    match.kind = Kind::kNoData;
  }
  std::array<std::uint8_t, kNameBytesMax> target;
  const std::size_t target_size =
      answer_from_zone(zone, view_.overrides, *name_, match, &reply_, &target);
  if (target_size != 0) return chain_to(NameView(Bytes(target.data(), target_size)), Source::kZone);
  if (match.kind == ZoneMatch::Kind::kReferral && out_.source == Source::kNone) {
    out_.source = Source::kZone;  // not authoritative: AA stays clear
  }
  return done(Source::kZone);
}

Step Resolution::by_special() {
  const auto special = view_.special.table.find(*name_);
  if (special.value == nullptr) return Step::kNext;
  if (view_.forwards->find(*name_).labels > 0) return Step::kNext;
  if (view_.is_exception(match_, special.labels)) return Step::kNext;
  const bool apex = special.labels == name_->label_count();
  const bool empty_zone = *special.value == SpecialAnswer::kEmptyZone;
  if (empty_zone && apex && asks_for_delegation()) return Step::kNext;
  reply_.set_ede(Ede::kFiltered, "special-use name, not sent upstream");
  if (*special.value == SpecialAnswer::kLoopback) {
    if (query_.type == RrType::kA) {
      reply_.add(Section::kAnswer, name_->name(), RrType::kA, kSpecialTtl, kLoopback4);
      return done(Source::kSpecial);
    }
    if (query_.type == RrType::kAaaa) {
      reply_.add(Section::kAnswer, name_->name(), RrType::kAaaa, kSpecialTtl, kLoopback6);
      return done(Source::kSpecial);
    }
  }
  if (empty_zone && apex && query_.type == RrType::kSoa) {
    reply_.add(Section::kAnswer, name_->name(), RrType::kSoa, kSpecialTtl, as_bytes(kSpecialSoa));
    return done(Source::kSpecial);
  }
  const bool denied = *special.value == SpecialAnswer::kNxDomain || (empty_zone && !apex);
  if (denied && !is_there()) reply_.set_rcode(Rcode::kNxDomain);
  const std::size_t skipped = name_->label_count() - special.labels;
  reply_.add_soa(name_->suffix(skipped), kSpecialTtl, as_bytes(kSpecialSoa));
  return done(Source::kSpecial);
}

Step Resolution::minimal_any(Source source) {
  reply_.add(Section::kAnswer, name_->name(), RrType::kHinfo, kMinimalAnyTtl,
             as_bytes(kMinimalAnyHinfo));
  return done(source);
}

CacheKey Resolution::key() const {
  return {name_,
          query_.type,
          query_.klass,
          view_.id,
          query_.dnssec_ok,
          query_.checking_disabled(),
          owned_,
          guarded_ && !view_.guards(*name_)};
}

bool Resolution::is_fetched(const CacheKey& key) const {
  if (in_.fetched == nullptr) return false;
  const CacheKey fetched = in_.fetched_question->key();
  return key.name->hash() == fetched.name->hash() && key.type == fetched.type &&
         key.klass == fetched.klass && key.policy_id == fetched.policy_id &&
         key.dnssec_ok == fetched.dnssec_ok && key.checking_disabled == fetched.checking_disabled &&
         key.owned == fetched.owned && key.guarded == fetched.guarded &&
         equal_bytes(key.name->name().wire(), fetched.name->name().wire());
}

Step Resolution::by_upstream() {
  if (query_.type == RrType::kAny) return minimal_any(Source::kUpstream);
  const auto found = view_.forwards->find(*name_);
  if (found.value == nullptr) {
    if (hops_ > 0) return done(out_.source);
    reply_.clear();
    reply_.set_rcode(Rcode::kRefused);
    reply_.set_ede(Ede::kNotAuthoritative, "no dns.forward covers this name");
    return done(Source::kRefused);
  }
  forward_ = *found.value;
  const CacheKey wanted = key();
  const bool fetched = is_fetched(wanted);
  if (fetched && !in_.fetched->head.failure) return serve_fetched();
  in_.cache->find(wanted, in_.now_s, reply_.body_room(), &hit_);
  const bool fresh = hit_.state == CacheHit::State::kFresh;
  const bool stale = hit_.state == CacheHit::State::kStale;
  if ((fresh && !(fetched && hit_.head.failure)) ||
      (stale && (in_.allow_stale || !hit_.retry_now))) {
    if (!hit_.too_large) return serve_hit(hit_, reply_.body_room().first(hit_.head.body_size));
    thread_local const auto large = std::make_unique<std::array<std::uint8_t, kMessageBytesMax>>();
    const bool refresh = hit_.refresh;  // told once
    in_.cache->find(wanted, in_.now_s, *large, &hit_);
    hit_.refresh = hit_.refresh || refresh;
    if (hit_.state != CacheHit::State::kMiss)
      return serve_hit(hit_, Bytes(*large).first(hit_.head.body_size));
  }
  if (fetched) return fail_with(in_.fetched->head, in_.fetched->ede_text);
  return forward(stale);
}

Step Resolution::serve_fetched() {
  const ImageView& image = *in_.fetched;
  const MutableBytes room = reply_.body_room();
  if (!image.ede_text.empty() || image.head.ede != kNoEde) {
    reply_.set_ede(static_cast<Ede>(image.head.ede), image.ede_text);
  }
  note_source(Source::kUpstream);
  const bool in_place = hops_ == 0 && image.body.size() <= room.size();
  if (in_place) std::copy(image.body.begin(), image.body.end(), room.begin());
  return serve_image(image.head, image.body, in_place);
}

Step Resolution::serve_hit(const CacheHit& hit, Bytes body) {
  const std::string_view ede_text(hit.ede_text.data(), hit.head.ede_text_size);
  if (hit.head.failure) return fail_with(hit.head, ede_text);
  const bool stale = hit.state == CacheHit::State::kStale;
  if (stale) {
    const bool negative = hit.head.rcode() == Rcode::kNxDomain;
    reply_.set_ede(negative ? Ede::kStaleNxDomain : Ede::kStaleAnswer, "upstream does not answer");
  } else if (hit.head.ede != kNoEde) {
    reply_.set_ede(static_cast<Ede>(hit.head.ede), ede_text);
  }
  note_source(stale ? Source::kStale : Source::kCache);
  if (hit.refresh) {
    out_.refresh = true;
    fill_question();
  }
  return serve_image(hit.head, body, hops_ == 0 && body.data() == reply_.body_room().data());
}

// `in_place`: the body stands right behind the question already.
Step Resolution::serve_image(const ImageHead& head, Bytes body, bool in_place) {
  if (is_svcb(query_.type)) out_.svcb_changes |= head.svcb_changes;
  const bool denied =
      head.rcode() == Rcode::kNxDomain && head.answers == 0 && !head.continues && is_there();
  const bool vouched = (head.flags & kFlagAd) != 0 && hops_ == 0 && !denied;
  if (vouched && ((query_.flags & kFlagAd) != 0 || query_.dnssec_ok)) reply_.set_flag(kFlagAd);
  if (!head.continues) {
    reply_.set_rcode(denied ? Rcode::kNoError : head.rcode());
    if (!in_place || !reply_.adopt_body(head)) reply_.add_image(*name_, head, body, nullptr);
    return done(out_.source);
  }
  std::array<std::uint8_t, kNameBytesMax> target;
  const std::size_t size = reply_.add_image(*name_, head, body, &target);
  if (size == 0) return done(out_.source);
  guarded_ = guarded_ || view_.guards(*name_);
  return chain_to(NameView(Bytes(target.data(), size)), out_.source);
}

Step Resolution::fail_with(const ImageHead& head, std::string_view text) {
  reply_.clear();
  reply_.set_rcode(Rcode::kServFail);
  if (head.ede != kNoEde) reply_.set_ede(static_cast<Ede>(head.ede), text);
  out_.source = Source::kError;
  return done(Source::kError);
}

Step Resolution::forward(bool stale_at_hand) {
  if (!query_.recursion_desired()) {
    if (hops_ > 0) return done(out_.source);  // RFC 1034 section 4.3.2: the chain so far
    reply_.clear();
    reply_.set_rcode(Rcode::kRefused);
    reply_.set_ede(Ede::kNotAuthoritative, "not asked to resolve (RD=0) and not known here");
    return done(Source::kRefused);
  }
  out_.verdict = Decision::Verdict::kForward;
  out_.stale_at_hand = stale_at_hand;
  fill_question();
  return Step::kDone;
}

void Resolution::fill_question() {
  ForwardQuestion& q = out_.question;
  q.name = *name_;
  q.type = query_.type;
  q.klass = query_.klass;
  q.dnssec_ok = query_.dnssec_ok;
  q.checking_disabled = query_.checking_disabled();
  q.owned = owned_;
  q.guarded = guarded_ && !view_.guards(*name_);
  q.forward = forward_;
  q.view = &view_;
}

void refuse(Reply* reply, Rcode rcode, Decision* out) {
  reply->set_rcode(rcode);
  out->verdict = Decision::Verdict::kReply;
  out->source = rcode == Rcode::kRefused ? Source::kRefused : Source::kError;
  out->rcode = rcode;
  out->reply_size = reply->finish();
}

bool name_is(const LookupName& name, std::string_view wire) {
  return equal_bytes(name.name().wire(), as_bytes(wire));
}

// Class CH: who are you? (RFC 4892 and custom)
void answer_chaos(const IdentitySettings& identity, Reply* reply, Decision* out) {
  using namespace std::string_view_literals;
  const LookupName& name = reply->query().name;
  const std::optional<std::string>* text = nullptr;
  if (name_is(name, "\7version\4bind\0"sv) || name_is(name, "\7version\6server\0"sv))
    text = &identity.version;
  if (name_is(name, "\x08hostname\4bind\0"sv) || name_is(name, "\2id\6server\0"sv))
    text = &identity.id;
  const bool txt = reply->query().type == RrType::kTxt || reply->query().type == RrType::kAny;
  if (text == nullptr || !text->has_value() || !txt) return refuse(reply, Rcode::kRefused, out);
  std::array<std::uint8_t, 256> rdata;
  const std::size_t size = std::min<std::size_t>((*text)->size(), 255);
  rdata[0] = static_cast<std::uint8_t>(size);
  std::copy_n((*text)->data(), size, rdata.data() + 1);
  reply->set_flag(kFlagAa);
  reply->add(Section::kAnswer, name.name(), RrType::kTxt, 0, Bytes(rdata).first(size + 1),
             RrClass::kCh);
  out->verdict = Decision::Verdict::kReply;
  out->source = Source::kSpecial;
  out->reply_size = reply->finish();
}

/// The rcode for types that are no data (RFC 6895 section 3.1) and not answered here.
std::optional<Rcode> meta_type_rcode(RrType type) {
  switch (type) {
    case RrType::kOpt:
    case RrType::kTsig:
      return Rcode::kFormErr;
    case RrType::kAxfr:
    case RrType::kIxfr:
    case RrType::kTkey:
      return Rcode::kRefused;
    case RrType::kMaila:
    case RrType::kMailb:
      return Rcode::kNotImp;
    default:
      return std::nullopt;
  }
}

std::size_t reply_limit(const Query& query, const Policy& policy, bool stream) {
  if (stream) return kMessageBytesMax;
  return std::max<std::size_t>(std::min(query.payload, policy.udp_payload), kUdpPayloadMin);
}

Rcode fault_rcode(QueryFault fault) {
  switch (fault) {
    case QueryFault::kNotImp:
      return Rcode::kNotImp;
    case QueryFault::kRefused:
      return Rcode::kRefused;
    case QueryFault::kBadVers:
      return Rcode::kBadVers;
    default:
      return Rcode::kFormErr;
  }
}

}  // namespace

void answer(const AnswerInput& input, Bytes message, MutableBytes buffer, Decision* out) {
  out->verdict = Decision::Verdict::kDrop;
  out->reply_size = 0;
  out->source = Source::kNone;
  out->rcode = Rcode::kNoError;
  out->stale_at_hand = false;
  out->refresh = false;
  out->svcb_changes = 0;
  out->type = RrType{};
  out->view = nullptr;
  const Policy& policy = *input.policy;
  Query query;
  const QueryFault fault = parse_query(message, &query);
  if (fault == QueryFault::kSilence) return;
  out->type = query.type;
  Reply reply(query, message, buffer, reply_limit(query, policy, input.stream), policy.udp_payload);
  if (!input.internal && !policy.allows(input.client)) {
    reply.set_ede(Ede::kProhibited, "this client is not in dns.allow");
    return refuse(&reply, Rcode::kRefused, out);
  }
  reply.set_flag(kFlagRa);
  if (fault != QueryFault::kNone) return refuse(&reply, fault_rcode(fault), out);
  if (query.klass == RrClass::kCh) return answer_chaos(policy.identity, &reply, out);
  if (query.klass != RrClass::kIn) {
    reply.set_ede(Ede::kNotSupported, "class");
    return refuse(&reply, Rcode::kRefused, out);
  }
  if (const auto rcode = meta_type_rcode(query.type)) {
    reply.set_ede(Ede::kNotSupported, "query type");
    return refuse(&reply, *rcode, out);
  }
  out->view = &policy.view_of(input.client);
  Resolution(input, *out->view, &reply, out).run();
}

std::size_t truncated_reply(Bytes message, MutableBytes buffer) {
  Query query;
  if (parse_query(message, &query) == QueryFault::kSilence) return 0;
  Reply reply(query, message, buffer, kUdpPayloadMin, kUdpPayloadMin);
  reply.set_flag(kFlagTc | kFlagRa);
  return reply.finish();
}

}  // namespace postern::dns
