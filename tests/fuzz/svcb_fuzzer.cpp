// HTTPS and SVCB records as bytes: one byte that chooses the edits, then the rdata.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "dns/message.h"
#include "dns/svcb.h"
#include "wire.h"

namespace postern::fuzz {
namespace {

using dns::SvcbOutcome;

const std::array<std::vector<std::string>, 4> kStrips{{{}, {"h3", "h3-*"}, {"*"}, {"h2", ""}}};
const std::array<std::vector<std::uint16_t>, 4> kDrops{
    {{}, {dns::kSvcEch}, {dns::kSvcMandatory, 7}, {dns::kSvcAlpn, dns::kSvcPort, 65400}}};

struct Parsed {
  std::uint16_t priority = 0;
  std::string target;
  std::vector<WireParam> params;

  const WireParam* find(std::uint16_t key) const {
    const auto at = std::find_if(params.begin(), params.end(),
                                 [key](const WireParam& param) { return param.key == key; });
    return at == params.end() ? nullptr : &*at;
  }
};

bool is_stripped(const dns::SvcbEdits& edits, const std::string& id) {
  return edits.strip_alpn != nullptr &&
         std::any_of(edits.strip_alpn->begin(), edits.strip_alpn->end(),
                     [&](const std::string& pattern) {
                       if (pattern.empty() || pattern.back() != '*') return id == pattern;
                       const std::string start = pattern.substr(0, pattern.size() - 1);
                       return id.compare(0, start.size(), start) == 0;
                     });
}

bool is_dropped(const dns::SvcbEdits& edits, std::uint16_t key) {
  const bool hint = key == dns::kSvcIpv4Hint || key == dns::kSvcIpv6Hint;
  if (hint && (edits.drop_hints || edits.drop_ech_and_hints)) return true;
  if (key == dns::kSvcEch && edits.drop_ech_and_hints) return true;
  return edits.drop_keys != nullptr &&
         std::find(edits.drop_keys->begin(), edits.drop_keys->end(), key) != edits.drop_keys->end();
}

bool has_something_to_take(const Parsed& record, const dns::SvcbEdits& edits) {
  return std::any_of(record.params.begin(), record.params.end(), [&](const WireParam& param) {
    if (is_dropped(edits, param.key)) return true;
    if (param.key != dns::kSvcAlpn) return false;
    const std::vector<std::string> ids = alpn_ids(param.value);
    return std::any_of(ids.begin(), ids.end(),
                       [&](const std::string& id) { return is_stripped(edits, id); });
  });
}

void check_readers(Bytes rdata, const Parsed& record) {
  require(dns::svcb_is_alias(rdata) == (record.priority == 0), "priority 0 is an alias");
  require(as_text(dns::svcb_target(rdata).wire()).size() == record.target.size(),
          "the target is read as it stands");
  if (record.priority == 0) return;
  for (const WireParam& param : record.params) {
    require(equal_bytes(dns::svcb_value(rdata, param.key), param.value), "a value is found");
    if (param.key == 65535) continue;
    const auto key = dns::parse_svc_key(dns::svc_key_text(param.key));
    require(key.has_value() && *key == param.key, "a key's text stands for the key");
  }
}

void check_kept(const Parsed& before, const Parsed& after, const dns::SvcbEdits& edits) {
  require(after.priority == before.priority && after.target == before.target,
          "priority and target stay");
  for (const WireParam& param : after.params) {
    const WireParam* was = before.find(param.key);
    require(was != nullptr, "an edit adds no key");
    if (param.key == dns::kSvcAlpn) {
      std::vector<std::string> kept = alpn_ids(was->value);
      std::erase_if(kept, [&](const std::string& id) { return is_stripped(edits, id); });
      require(kept == alpn_ids(param.value), "the other ALPN ids stay, in their order");
    } else if (param.key != dns::kSvcMandatory) {
      require(equal_bytes(was->value, param.value), "a key that stays is the same byte for byte");
    }
  }
  for (const WireParam& param : before.params) {
    if (is_dropped(edits, param.key) || param.key == dns::kSvcAlpn ||
        param.key == dns::kSvcMandatory)
      continue;
    require(after.find(param.key) != nullptr, "a key that was not named stays");
  }
}

void check_edit(Bytes rdata, const Parsed& before, const dns::SvcbEdits& edits) {
  // Rooms of the exact size, so that a byte too many is seen.
  const auto out = std::make_unique<std::uint8_t[]>(rdata.size());
  std::size_t size = 0;
  const SvcbOutcome outcome =
      dns::edit_svcb(rdata, edits, MutableBytes(out.get(), rdata.size()), &size);
  const bool busy = before.priority != 0 && has_something_to_take(before, edits);
  require(outcome != SvcbOutcome::kMalformed, "a well-formed record is not called malformed");
  require((outcome == SvcbOutcome::kUnchanged) == !busy,
          "a record is left alone exactly when there is nothing to take from it");
  if (outcome != SvcbOutcome::kEdited) return;
  require(size < rdata.size(), "an edit makes a record shorter");
  const Bytes edited(out.get(), size);
  require(dns::svcb_well_formed(edited), "an edited record is well formed");
  Parsed after;
  require(walk_svcb(edited, &after.priority, &after.target, &after.params), "and can be read");
  require(!has_something_to_take(after, edits), "what was to be taken is gone");
  check_kept(before, after, edits);
  const auto again = std::make_unique<std::uint8_t[]>(size);
  require(dns::edit_svcb(edited, edits, MutableBytes(again.get(), size), &size) ==
              SvcbOutcome::kUnchanged,
          "an edit made twice changes nothing the second time");
}

void run(Input input) {
  const std::uint8_t choice = input.take_u8();
  const ExactCopy copy(input.rest());
  const Bytes rdata = copy.bytes();
  if (rdata.size() > 65535) return;
  dns::SvcbEdits edits;
  if ((choice & 0x0c) != 0) edits.strip_alpn = &kStrips[(choice >> 2) & 3];
  if ((choice & 0x30) != 0) edits.drop_keys = &kDrops[(choice >> 4) & 3];
  edits.drop_ech_and_hints = (choice & 1) != 0;
  edits.drop_hints = (choice & 2) != 0;
  std::string why;
  const bool good = dns::svcb_well_formed(rdata, &why);
  require(good == why.empty(), "a malformed record comes with a reason");
  Parsed record;
  const bool framed = walk_svcb(rdata, &record.priority, &record.target, &record.params);
  require(!good || framed, "a well-formed record can be read");
  if (!good) {
    const auto out = std::make_unique<std::uint8_t[]>(rdata.size());
    std::size_t size = 0;
    require(dns::edit_svcb(rdata, edits, MutableBytes(out.get(), rdata.size()), &size) ==
                SvcbOutcome::kMalformed,
            "a malformed record is not edited");
    return;
  }
  check_readers(rdata, record);
  check_edit(rdata, record, edits);
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
