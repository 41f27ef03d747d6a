// SVCB and HTTPS in presentation form (RFC 9460 section 2.1, appendix A).
#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "dns/svcb.h"
#include "dns/zone_rdata.h"

namespace postern::dns {
namespace {

constexpr std::uint16_t kSvcOhttp = 8;

// Appendix A.1: items of a list that was already decoded once; \, and \\ inside of an item.
bool split_list(std::string_view text, std::vector<std::string>* items, std::string* why) {
  std::string item;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    if (at < text.size() && text[at] == '\\' && at + 1 < text.size()) {
      item += text[++at];
    } else if (at < text.size() && text[at] != ',') {
      item += text[at];
    } else {
      if (item.empty()) {
        *why = "an empty item in a list";
        return false;
      }
      items->push_back(std::move(item));
      item.clear();
    }
  }
  return true;
}

void append_u16(std::string* out, std::uint16_t value) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value & 0xff));
}

bool alpn_value(const std::vector<std::string>& ids, std::string* out, std::string* why) {
  for (const std::string& id : ids) {
    if (id.size() > 255) {
      *why = "an ALPN id has at most 255 bytes";
      return false;
    }
    out->push_back(static_cast<char>(id.size()));
    *out += id;
  }
  return true;
}

bool mandatory_value(const std::vector<std::string>& names, std::string* out, std::string* why) {
  std::vector<std::uint16_t> keys;
  for (const std::string& name : names) {
    const auto key = parse_svc_key(name);
    if (!key) {
      *why = key.error().detail;
      return false;
    }
    keys.push_back(*key);
  }
  std::sort(keys.begin(), keys.end());
  if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) {
    *why = "mandatory names a key twice (RFC 9460 section 8)";
    return false;
  }
  for (const std::uint16_t key : keys) append_u16(out, key);
  return true;
}

bool hint_value(const std::vector<std::string>& addresses, bool ipv4, std::string* out,
                std::string* why) {
  for (const std::string& text : addresses) {
    std::array<std::uint8_t, 16> address;
    if (ipv4 ? !parse_ipv4(text, address.data()) : !parse_ipv6(text, address.data())) {
      *why = fmt::format("'{}' is not an {} address", text, ipv4 ? "IPv4" : "IPv6");
      return false;
    }
    out->append(as_text(Bytes(address.data(), ipv4 ? 4 : 16)));
  }
  return true;
}

// `text` was decoded as a character-string.
bool param_value(std::uint16_t key, const std::string& text, std::string* out, std::string* why) {
  std::vector<std::string> items;
  std::uint64_t port = 0;
  switch (key) {
    case kSvcMandatory:
      return split_list(text, &items, why) && mandatory_value(items, out, why);
    case kSvcAlpn:
      return split_list(text, &items, why) && alpn_value(items, out, why);
    case kSvcPort:
      if (!parse_number(text, 65535, &port, why)) return false;
      append_u16(out, static_cast<std::uint16_t>(port));
      return true;
    case kSvcIpv4Hint:
    case kSvcIpv6Hint:
      return split_list(text, &items, why) && hint_value(items, key == kSvcIpv4Hint, out, why);
    case kSvcEch:
      return decode_base64(text, out, why);
    case kSvcDohPath:
      if (!text.starts_with('/') || text.find("{?dns}") == std::string::npos) {
        *why = "a path from / on with {?dns} is expected (RFC 9461 section 5)";
        return false;
      }
      *out = text;
      return true;
    default:
      *out = text;
      return true;
  }
}

bool is_numbered(std::string_view key) {
  return key.size() > 3 && key.starts_with("key") && key[3] >= '0' && key[3] <= '9';
}

// Keys that `mandatory` names have to be there, whatever the mode says (RFC 9460 section 8).
bool mandatory_keys_there(const std::map<std::uint16_t, std::string>& params, std::string* why) {
  const auto mandatory = params.find(kSvcMandatory);
  if (mandatory == params.end()) return true;
  const Bytes keys = as_bytes(mandatory->second);
  for (std::size_t at = 0; at + 1 < keys.size(); at += 2) {
    const std::uint16_t key = load_u16(keys.data() + at);
    if (params.contains(key) && key != kSvcMandatory) continue;
    *why = fmt::format("mandatory names {}, which is not there (RFC 9460 section 8)",
                       svc_key_text(key));
    return false;
  }
  return true;
}

}  // namespace

bool RdataReader::read_svc_param(const ZoneToken& token, std::uint16_t* key, std::string* value) {
  const std::size_t equals = token.text.find('=');
  const std::string_view name = token.text.substr(0, equals);
  const auto number = parse_svc_key(name);
  if (!number) return fail_at(token, number.error().detail);
  *key = *number;
  std::string_view raw = equals == std::string_view::npos ? "" : token.text.substr(equals + 1);
  if (raw.size() >= 2 && raw.front() == '"' && raw.back() == '"')
    raw = raw.substr(1, raw.size() - 2);
  std::string text;
  if (!decode_text(raw, &text, &why_)) return fail_at(token, why_);
  const bool valueless = *key == kSvcNoDefaultAlpn || *key == kSvcOhttp;
  if (valueless && !text.empty()) {
    return fail_at(token, fmt::format("{} takes no value", svc_key_text(*key)));
  }
  if (text.empty() && *key <= kSvcDohPath && !valueless) {
    return fail_at(token, fmt::format("{} needs a value", name));
  }
  if (is_numbered(name)) {
    *value = text;
    return true;
  }
  return param_value(*key, text, value, &why_) || fail_at(token, fmt::format("{}: {}", name, why_));
}

bool RdataReader::read_svcb() {
  if (tokens_.size() < 2)
    return fail_at_end("the record ends where a priority and a target are expected");
  if (!read_field('2', tokens_[0]) || !read_field('n', tokens_[1])) return false;
  std::map<std::uint16_t, std::string> params;
  for (next_ = 2; next_ < tokens_.size(); ++next_) {
    std::uint16_t key = 0;
    std::string value;
    if (!read_svc_param(tokens_[next_], &key, &value)) return false;
    if (!params.emplace(key, std::move(value)).second) {
      return fail_at(tokens_[next_],
                     fmt::format("{} is there twice (RFC 9460 section 2.2)", svc_key_text(key)));
    }
  }
  for (const auto& [key, value] : params) {
    put_u16(key);
    put_u16(value.size());
    rdata_ += value;
  }
  if (params.contains(kSvcNoDefaultAlpn) && !params.contains(kSvcAlpn)) {
    return fail_at_end("no-default-alpn without alpn (RFC 9460 section 7.1.1)");
  }
  if (!mandatory_keys_there(params, &why_)) return fail_at_end(why_);
  return svcb_well_formed(rdata(), &why_) || fail_at_end(why_);
}

}  // namespace postern::dns
