#include "dns/override.h"

#include <algorithm>

namespace postern::dns {
namespace {

constexpr std::uint32_t kSoaRefresh = 3600;
constexpr std::uint32_t kSoaRetry = 600;
constexpr std::uint32_t kSoaExpire = 86400;

void append_u32(std::vector<std::uint8_t>& out, std::uint32_t v) {
  out.resize(out.size() + 4);
  store_u32(out.data() + out.size() - 4, v);
}

void append(std::vector<std::uint8_t>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// "localhost. nobody.invalid. 1 3600 600 86400 <ttl>": the names of RFC 6303 section 3, which say
/// that nobody outside is meant.
std::vector<std::uint8_t> negative_soa(std::uint32_t ttl_s) {
  std::vector<std::uint8_t> rdata;
  append(rdata, as_bytes(std::string_view("\x09localhost\0", 11)));
  append(rdata, as_bytes(std::string_view("\6nobody\7invalid\0", 16)));
  append_u32(rdata, 1);
  append_u32(rdata, kSoaRefresh);
  append_u32(rdata, kSoaRetry);
  append_u32(rdata, kSoaExpire);
  append_u32(rdata, ttl_s);
  return rdata;
}

Override compile_rule(const OverrideSettings& settings) {
  Override rule;
  for (const IpAddress& address : settings.addresses) {
    append(address.is_v4() ? rule.a : rule.aaaa, Bytes(address.data(), address.size()));
  }
  rule.cname = settings.cname;
  rule.soa = negative_soa(settings.ttl_s);
  rule.ttl_s = settings.ttl_s;
  rule.forward = settings.forward;
  rule.https = settings.https;
  rule.other = settings.other;
  rule.source = settings.source;
  return rule;
}

bool is_service_type(RrType type) { return type == RrType::kHttps || type == RrType::kSvcb; }

std::size_t leading_underscore_labels(const LookupName& name) {
  std::size_t skip = 0;
  while (skip < name.label_count() && name.suffix(skip).first_label()[0] == '_') ++skip;
  return skip;
}

}  // namespace

OverrideTable OverrideTable::compile(const std::vector<const OverrideSettings*>& settings) {
  OverrideTable table;
  std::size_t names = 0;
  for (const OverrideSettings* s : settings) names += s->names.size();
  std::size_t slots = 8;
  while (slots < names * 2) slots *= 2;
  table.slots_.assign(names == 0 ? 0 : slots, 0);
  for (std::size_t i = 0; i < settings.size(); ++i) {
    table.rules_.push_back(compile_rule(*settings[i]));
    for (const Name& name : settings[i]->names) {
      table.insert(name.view(), static_cast<std::uint32_t>(i));
    }
  }
  return table;
}

void OverrideTable::insert(NameView name, std::uint32_t rule) {
  const bool below = name.is_wildcard();
  const LookupName key(below ? name.parent() : name);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = key.hash() & mask;
  while (slots_[slot] != 0 &&
         !equal_bytes(as_bytes(entries_[slots_[slot] - 1].first), key.name().wire())) {
    slot = (slot + 1) & mask;
  }
  if (slots_[slot] == 0) {
    entries_.emplace_back(std::string(as_text(key.name().wire())), Rules{});
    hashes_.push_back(key.hash());
    slots_[slot] = static_cast<std::uint32_t>(entries_.size());
    depths_.set(key.label_count());
  }
  Rules& rules = entries_[slots_[slot] - 1].second;
  std::uint32_t& place = below ? rules.below : rules.exact;
  if (place == kNoRule) place = rule;
}

OverrideTable::Match OverrideTable::find_name(const LookupName& name, std::size_t skip) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = skip; at <= name.label_count(); ++at) {
    if (!depths_.test(name.label_count() - at)) continue;
    const std::uint64_t hash = name.hash(at);
    for (std::size_t slot = hash & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
      const std::size_t index = slots_[slot] - 1;
      if (hashes_[index] != hash) continue;
      const auto& [wire, rules] = entries_[index];
      if (!equal_bytes(as_bytes(wire), name.suffix(at).wire())) continue;
      const std::uint32_t rule = at == skip ? rules.exact : rules.below;
      if (rule == kNoRule) break;
      return {&rules_[rule], at != skip, false, NameView(as_bytes(wire))};
    }
  }
  return {};
}

OverrideTable::Match OverrideTable::find(const LookupName& name, RrType type) const {
  if (entries_.empty()) return {};
  const Match match = find_name(name, 0);
  if (!is_service_type(type) || name.label_count() == 0 || name.name().first_label()[0] != '_') {
    return match;
  }
  // _8443._https.x is about x (RFC 9460 section 2.3): whoever owns x owns it, unless the service
  // name itself is configured or x is less specific than what matched.
  if (match && !match.wildcard) return match;
  const std::size_t labels = leading_underscore_labels(name);
  Match service;
  for (std::size_t skip = 1; skip <= labels && (!service || service.wildcard); ++skip) {
    service = find_name(name, skip);
  }
  if (!service || (match && service.owner.size() <= match.owner.size())) return match;
  service.service_name = true;
  return service;
}

}  // namespace postern::dns
