#include "dns/override.h"

#include <algorithm>
#include <array>

#include "dns/svcb.h"

namespace postern::dns {
namespace {

constexpr std::uint32_t kSoaRefresh = 3600;
constexpr std::uint32_t kSoaRetry = 600;
constexpr std::uint32_t kSoaExpire = 86400;
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::size_t kParamHeadBytes = 4;

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

void append_u16(std::vector<std::uint8_t>& out, std::size_t v) {
  out.resize(out.size() + 2);
  store_u16(out.data() + out.size() - 2, static_cast<std::uint16_t>(v));
}

void append_param(std::vector<std::uint8_t>& out, std::uint16_t key, Bytes value) {
  append_u16(out, key);
  append_u16(out, value.size());
  append(out, value);
}

std::vector<std::uint8_t> alpn_value(const std::vector<std::string>& ids) {
  std::vector<std::uint8_t> value;
  for (const std::string& id : ids) {
    value.push_back(static_cast<std::uint8_t>(id.size()));
    append(value, as_bytes(id));
  }
  return value;
}

/// In the order of the keys (RFC 9460 section 2.2).
std::vector<std::uint8_t> service_params(const ServiceBinding& service, const Override& rule) {
  std::vector<std::uint8_t> params;
  append_param(params, kSvcAlpn, alpn_value(service.alpn));
  // "http/1.1" is understood unless it is denied (section 7.1.2).
  if (std::find(service.alpn.begin(), service.alpn.end(), "http/1.1") == service.alpn.end()) {
    append_param(params, kSvcNoDefaultAlpn, {});
  }
  if (service.port != kHttpsPort) {
    std::array<std::uint8_t, 2> port;
    store_u16(port.data(), service.port);
    append_param(params, kSvcPort, port);
  }
  const Bytes a = rule.a.bytes();
  const Bytes aaaa = rule.aaaa.bytes();
  if (params.size() + a.size() + aaaa.size() + 2 * kParamHeadBytes > kServiceBytesMax)
    return params;
  if (!a.empty()) append_param(params, kSvcIpv4Hint, a);
  if (!aaaa.empty()) append_param(params, kSvcIpv6Hint, aaaa);
  return params;
}

Override compile_rule(const OverrideSettings& settings) {
  Override rule;
  for (const IpAddress& address : settings.addresses) {
    (address.is_v4() ? rule.a : rule.aaaa).add(address);
  }
  rule.cname = settings.cname;
  rule.soa = negative_soa(settings.ttl_s);
  rule.ttl_s = settings.ttl_s;
  rule.forward = settings.forward;
  rule.https = settings.https;
  rule.other = settings.other;
  rule.source = settings.source;
  if (settings.https != OverrideHttps::kGateway) return rule;
  for (const ServiceBinding& service : settings.services) {
    rule.services.push_back({service.port, service_params(service, rule), service.hosts});
  }
  return rule;
}

bool is_service_type(RrType type) { return type == RrType::kHttps || type == RrType::kSvcb; }

std::size_t leading_underscore_labels(const LookupName& name) {
  std::size_t skip = 0;
  while (skip < name.label_count() && name.suffix(skip).first_label()[0] == '_') ++skip;
  return skip;
}

}  // namespace

const OverrideService* Override::service_for(NameView host, std::uint16_t port) const {
  for (const OverrideService& service : services) {
    if (port != 0 && service.port != port) continue;
    if (service.hosts != nullptr && service.hosts->covers(host)) return &service;
  }
  return nullptr;
}

void OverrideAddresses::add(const IpAddress& address) {
  const Bytes fresh(address.data(), address.size());
  if (large_.empty() && size_ + fresh.size() <= small_.size()) {
    std::copy(fresh.begin(), fresh.end(), small_.begin() + size_);
    size_ = static_cast<std::uint8_t>(size_ + fresh.size());
    return;
  }
  if (large_.empty()) large_.assign(small_.begin(), small_.begin() + size_);
  large_.insert(large_.end(), fresh.begin(), fresh.end());
}

OverrideTable OverrideTable::compile(const std::vector<const OverrideSettings*>& settings) {
  OverrideTable table;
  std::size_t names = 0;
  for (const OverrideSettings* s : settings) names += s->names.size();
  std::size_t slots = 8;
  while (slots < names * 2) slots *= 2;
  table.slots_.resize(slots);
  for (std::size_t i = 0; i < settings.size(); ++i) {
    table.rules_.push_back(compile_rule(*settings[i]));
    for (const Name& name : settings[i]->names) {
      table.insert(name.view(), static_cast<std::uint32_t>(i));
    }
  }
  return table;
}

std::size_t OverrideTable::slot_of(NameView name, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  std::size_t at = hash & mask;
  while (slots_[at].name_size != 0 &&
         !(slots_[at].tag == tag && equal_bytes(name_of(slots_[at]), name.wire()))) {
    at = (at + 1) & mask;
  }
  return at;
}

void OverrideTable::insert(NameView name, std::uint32_t rule) {
  const bool below = name.is_wildcard();
  const LookupName key(below ? name.parent() : name);
  Slot& slot = slots_[slot_of(key.name(), key.hash())];
  if (slot.name_size == 0) {
    slot.tag = static_cast<std::uint32_t>(key.hash() >> 32);
    slot.name_at = static_cast<std::uint32_t>(names_.size());
    slot.name_size = static_cast<std::uint8_t>(key.name().size());
    names_ += as_text(key.name().wire());
    depths_.set(key.label_count());
    ++size_;
  }
  std::uint32_t& place = below ? slot.below : slot.exact;
  if (place == kNoRule) place = rule;
}

OverrideTable::Match OverrideTable::find_name(const LookupName& name, std::size_t skip) const {
  for (std::size_t at = skip; at <= name.label_count(); ++at) {
    if (!depths_.test(name.label_count() - at)) continue;
    const Slot& slot = slots_[slot_of(name.suffix(at), name.hash(at))];
    if (slot.name_size == 0) continue;
    const std::uint32_t rule = at == skip ? slot.exact : slot.below;
    if (rule != kNoRule) return {&rules_[rule], at != skip, false, NameView(name_of(slot))};
  }
  return {};
}

OverrideTable::Match OverrideTable::find(const LookupName& name, RrType type) const {
  if (empty()) return {};
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
