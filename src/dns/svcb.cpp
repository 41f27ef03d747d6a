#include "dns/svcb.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

namespace postern::dns {
namespace {

constexpr std::size_t kPriorityBytes = 2;
constexpr std::size_t kParamHeadBytes = 4;  // key, length
constexpr std::uint16_t kSvcInvalidKey = 65535;

// By number: RFC 9460 section 14.3.2, RFC 9461, RFC 9540 and the IANA registry.
constexpr std::array<std::string_view, 9> kKeyNames{"mandatory", "alpn",     "no-default-alpn",
                                                    "port",      "ipv4hint", "ech",
                                                    "ipv6hint",  "dohpath",  "ohttp"};

struct Param {
  std::uint16_t key = 0;
  Bytes value;
  Bytes whole;  // key, length and value
};

// Walks SvcParams; stops at the end or where the framing breaks.
class ParamReader {
 public:
  explicit ParamReader(Bytes params) : rest_(params) {}

  bool next(Param* out) {
    if (rest_.size() < kParamHeadBytes) return false;
    const std::size_t size = load_u16(rest_.data() + 2);
    if (size > rest_.size() - kParamHeadBytes) return false;
    out->key = load_u16(rest_.data());
    out->value = rest_.subspan(kParamHeadBytes, size);
    out->whole = rest_.first(kParamHeadBytes + size);
    rest_ = rest_.subspan(kParamHeadBytes + size);
    return true;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  Bytes rest_;
};

// Size of the uncompressed name at the start of `bytes`; 0 when it is malformed.
std::size_t name_size(Bytes bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && at < kNameBytesMax) {
    const std::size_t label = bytes[at];
    if (label == 0) return at + 1;
    if (label > kLabelBytesMax) return 0;
    at += label + 1;
  }
  return 0;
}

// REQUIRES: a valid name behind the priority.
Bytes params_of(Bytes rdata) {
  return rdata.subspan(kPriorityBytes + name_size(rdata.subspan(kPriorityBytes)));
}

bool find_param(Bytes params, std::uint16_t key, Param* out) {
  ParamReader reader(params);
  while (reader.next(out)) {
    if (out->key == key) return true;
    if (out->key > key) return false;
  }
  return false;
}

const char* alpn_fault(Bytes value) {
  if (value.empty()) return "alpn is empty";
  while (!value.empty()) {
    const std::size_t size = value[0];
    if (size == 0) return "alpn has an empty id";
    if (size >= value.size()) return "an alpn id runs past the end of its list";
    value = value.subspan(size + 1);
  }
  return nullptr;
}

// Follows a mandatory list and the parameters side by side: both are sorted, so a long list costs
// one pass and not one search per key.
class MandatoryReader {
 public:
  MandatoryReader(Bytes list, Bytes params) : list_(list), params_(params) {}

  // The next listed key; `*present`: its parameter is there, in `param()`.
  bool next(std::uint16_t* key, bool* present) {
    if (list_.size() < 2) return false;
    *key = load_u16(list_.data());
    list_ = list_.subspan(2);
    while (more_ && (!started_ || param_.key < *key)) {
      more_ = params_.next(&param_);
      started_ = true;
    }
    *present = more_ && param_.key == *key;
    return true;
  }
  const Param& param() const { return param_; }

 private:
  Bytes list_;
  ParamReader params_;
  Param param_;
  bool started_ = false;
  bool more_ = true;
};

const char* mandatory_fault(Bytes value, Bytes params) {
  if (value.empty() || value.size() % 2 != 0) return "mandatory is not a list of keys";
  MandatoryReader reader(value, params);
  std::uint16_t key = 0;
  bool present = false;
  for (std::uint16_t last = kSvcMandatory; reader.next(&key, &present); last = key) {
    if (key == kSvcMandatory) return "mandatory lists itself";
    if (key <= last) return "mandatory is not in strictly increasing order";
    if (!present) return "a mandatory key is missing";
  }
  return nullptr;
}

// RFC 9460 sections 7 and 8; nullptr when the value is as its key wants it.
const char* value_fault(const Param& param, Bytes params) {
  const std::size_t size = param.value.size();
  switch (param.key) {
    case kSvcMandatory:
      return mandatory_fault(param.value, params);
    case kSvcAlpn:
      return alpn_fault(param.value);
    case kSvcNoDefaultAlpn:
      if (size != 0) return "no-default-alpn has a value";
      if (Param alpn; !find_param(params, kSvcAlpn, &alpn)) return "no-default-alpn without alpn";
      return nullptr;
    case kSvcPort:
      return size == 2 ? nullptr : "port is not two bytes";
    case kSvcIpv4Hint:
      return size != 0 && size % 4 == 0 ? nullptr : "ipv4hint is not a list of IPv4 addresses";
    case kSvcEch:
      return size != 0 ? nullptr : "ech is empty";
    case kSvcIpv6Hint:
      return size != 0 && size % 16 == 0 ? nullptr : "ipv6hint is not a list of IPv6 addresses";
    default:
      return nullptr;
  }
}

// What is wrong with a record; nullptr: nothing.
const char* svcb_fault(Bytes rdata) {
  if (rdata.size() < kPriorityBytes) return "shorter than a priority";
  const std::size_t target_size = name_size(rdata.subspan(kPriorityBytes));
  if (target_size == 0) return "the target name is malformed or compressed";
  const Bytes params = rdata.subspan(kPriorityBytes + target_size);
  const bool alias = svcb_is_alias(rdata);
  ParamReader reader(params);
  Param param;
  for (int last = -1; reader.next(&param); last = param.key) {
    if (param.key == last) return "a key is there twice";
    if (param.key < last) return "keys are not in increasing order";
    if (alias) continue;
    if (const char* fault = value_fault(param, params); fault != nullptr) return fault;
  }
  return reader.at_end() ? nullptr : "a parameter runs past the end of the record";
}

bool is_hint(std::uint16_t key) { return key == kSvcIpv4Hint || key == kSvcIpv6Hint; }

bool matches_pattern(std::string_view id, std::string_view pattern) {
  if (!pattern.empty() && pattern.back() == '*') {
    return id.substr(0, pattern.size() - 1) == pattern.substr(0, pattern.size() - 1);
  }
  return id == pattern;
}

// One record under edit: first what goes is found out, then the rest is written.
class Edit {
 public:
  Edit(Bytes rdata, const SvcbEdits& edits)
      : rdata_(rdata), params_(params_of(rdata)), edits_(edits) {}

  bool changes_anything() const {
    ParamReader reader(params_);
    for (Param param; reader.next(&param);) {
      if (goes(param) || (param.key == kSvcAlpn && kept_ids_size(param) != param.value.size())) {
        return true;
      }
    }
    return false;
  }

  // Is what would be left no longer what its owner offers?
  bool leaves_nothing_usable() const {
    Param alpn;
    Param other;
    if (find_param(params_, kSvcAlpn, &alpn) && goes(alpn) &&
        (find_param(params_, kSvcNoDefaultAlpn, &other) ||
         find_param(params_, kSvcDohPath, &other))) {
      return true;
    }
    if (!find_param(params_, kSvcMandatory, &other) || goes(other)) return false;
    MandatoryReader reader(other.value, params_);
    std::uint16_t key = 0;
    for (bool present = false; reader.next(&key, &present);) {
      if (!is_hint(key) && present && goes(reader.param())) return true;
    }
    return false;
  }

  std::size_t write(MutableBytes out) {
    out_ = out;
    put(rdata_.first(rdata_.size() - params_.size()));
    ParamReader reader(params_);
    for (Param param; reader.next(&param);) {
      if (goes(param)) continue;
      if (param.key == kSvcMandatory) {
        put_mandatory(param);
      } else if (param.key == kSvcAlpn) {
        put_alpn(param);
      } else {
        put(param.whole);
      }
    }
    return size_;
  }

 private:
  bool strips(Bytes id) const {
    if (edits_.strip_alpn == nullptr) return false;
    return std::any_of(
        edits_.strip_alpn->begin(), edits_.strip_alpn->end(),
        [&](const std::string& pattern) { return matches_pattern(as_text(id), pattern); });
  }

  template <class Visitor>
  void for_each_kept_id(const Param& alpn, Visitor visit) const {
    for (Bytes list = alpn.value; !list.empty(); list = list.subspan(list[0] + 1U)) {
      if (!strips(list.subspan(1, list[0]))) visit(list.first(list[0] + 1U));
    }
  }

  std::size_t kept_ids_size(const Param& alpn) const {
    std::size_t size = 0;
    for_each_kept_id(alpn, [&](Bytes id) { size += id.size(); });
    return size;
  }

  bool goes(const Param& param) const {
    const std::uint16_t key = param.key;
    if (edits_.drop_ech_and_hints && (is_hint(key) || key == kSvcEch)) return true;
    if (edits_.drop_hints && is_hint(key)) return true;
    if (edits_.drop_keys != nullptr && std::find(edits_.drop_keys->begin(), edits_.drop_keys->end(),
                                                 key) != edits_.drop_keys->end()) {
      return true;
    }
    return key == kSvcAlpn && kept_ids_size(param) == 0;
  }

  void put(Bytes bytes) {
    std::copy(bytes.begin(), bytes.end(), out_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += bytes.size();
  }

  // Returns where the parameter starts, to be closed when its value is written.
  std::size_t open(std::uint16_t key) {
    const std::size_t start = size_;
    store_u16(out_.data() + start, key);
    size_ += kParamHeadBytes;
    return start;
  }
  void close(std::size_t start) {
    const std::size_t value_size = size_ - start - kParamHeadBytes;
    store_u16(out_.data() + start + 2, static_cast<std::uint16_t>(value_size));
  }

  void put_alpn(const Param& alpn) {
    const std::size_t start = open(kSvcAlpn);
    for_each_kept_id(alpn, [&](Bytes id) { put(id); });
    close(start);
  }

  void put_mandatory(const Param& mandatory) {
    const std::size_t start = open(kSvcMandatory);
    MandatoryReader reader(mandatory.value, params_);
    std::uint16_t key = 0;
    for (bool present = false; reader.next(&key, &present);) {
      if (present && goes(reader.param())) continue;
      store_u16(out_.data() + size_, key);
      size_ += 2;
    }
    close(start);
    if (size_ == start + kParamHeadBytes) size_ = start;  // an empty list is malformed
  }

  Bytes rdata_;
  Bytes params_;
  const SvcbEdits& edits_;
  MutableBytes out_;
  std::size_t size_ = 0;
};

// `after` is what is left of `before`, in the same order.
std::uint16_t alpn_difference(Bytes before, Bytes after) {
  std::uint16_t changes = 0;
  for (; !before.empty(); before = before.subspan(before[0] + 1U)) {
    const Bytes id = before.first(before[0] + 1U);
    if (after.size() >= id.size() && equal_bytes(after.first(id.size()), id)) {
      after = after.subspan(id.size());
    } else {
      const bool h3 = as_text(id.subspan(1)).substr(0, 2) == "h3";
      changes |= h3 ? kSvcbH3Removed : kSvcbAlpnRemoved;
    }
  }
  return changes;
}

std::uint16_t key_removed(std::uint16_t key) {
  if (key == kSvcEch) return kSvcbEchRemoved;
  return is_hint(key) ? kSvcbHintsRemoved : kSvcbKeyRemoved;
}

}  // namespace

Result<std::uint16_t> parse_svc_key(std::string_view text) {
  const auto* const known = std::find(kKeyNames.begin(), kKeyNames.end(), text);
  if (known != kKeyNames.end()) return static_cast<std::uint16_t>(known - kKeyNames.begin());
  std::uint16_t number = kSvcInvalidKey;
  const std::string_view digits = text.substr(0, 3) == "key" ? text.substr(3) : "";
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  const bool leading_zero = digits.size() > 1 && digits[0] == '0';
  if (!whole || leading_zero || number == kSvcInvalidKey) {
    return fail(Code::kMalformed,
                fmt::format("'{}' is not an SVCB key; known are {} and key0 to key65534", text,
                            fmt::join(kKeyNames, ", ")));
  }
  return number;
}

std::string svc_key_text(std::uint16_t key) {
  return key < kKeyNames.size() ? std::string(kKeyNames[key]) : fmt::format("key{}", key);
}

bool svcb_well_formed(Bytes rdata, std::string* why) {
  const char* const fault = svcb_fault(rdata);
  if (fault != nullptr && why != nullptr) *why = fault;
  return fault == nullptr;
}

SvcbOutcome edit_svcb(Bytes rdata, const SvcbEdits& edits, MutableBytes out,
                      std::size_t* out_size) {
  assert(out.size() >= rdata.size());
  if (svcb_fault(rdata) != nullptr) return SvcbOutcome::kMalformed;
  if (svcb_is_alias(rdata)) return SvcbOutcome::kUnchanged;
  Edit edit(rdata, edits);
  if (!edit.changes_anything()) return SvcbOutcome::kUnchanged;
  if (edit.leaves_nothing_usable()) return SvcbOutcome::kWithheld;
  *out_size = edit.write(out);
  return SvcbOutcome::kEdited;
}

std::uint16_t svcb_difference(Bytes before, Bytes after) {
  std::uint16_t changes = 0;
  ParamReader reader(params_of(before));
  Param left;
  for (Param param; reader.next(&param);) {
    const bool is_left = find_param(params_of(after), param.key, &left);
    if (param.key == kSvcAlpn) {
      changes |= alpn_difference(param.value, is_left ? left.value : Bytes{});
    } else if (!is_left && param.key != kSvcMandatory) {
      changes |= key_removed(param.key);
    }
  }
  return changes;
}

NameView svcb_target(Bytes rdata) {
  const Bytes rest = rdata.subspan(kPriorityBytes);
  return NameView(rest.first(name_size(rest)));
}

Bytes svcb_value(Bytes rdata, std::uint16_t key) {
  Param param;
  return find_param(params_of(rdata), key, &param) ? param.value : Bytes{};
}

}  // namespace postern::dns
