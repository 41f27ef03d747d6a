#include "nameserver/svcb_note.h"

#include <utility>

#include "dns/svcb.h"

namespace postern::nameserver {

std::size_t svcb_why(std::uint16_t changes) {
  if ((changes & dns::kSvcbDenied) != 0) return 0;
  if ((changes & dns::kSvcbMade) != 0) return 1;
  if ((changes & dns::kSvcbForOverride) != 0) return 2;
  const bool rebind = (changes & dns::kSvcbForRebind) != 0;
  const auto others =
      static_cast<std::uint16_t>(changes & ~(dns::kSvcbForRebind | dns::kSvcbHintsRemoved));
  return rebind && others == 0 ? 4 : 3;
}

std::string svcb_removed(std::uint16_t changes) {
  constexpr std::array<std::pair<std::uint16_t, std::string_view>, 6> kNames{
      {{dns::kSvcbRecordRemoved, "record"},
       {dns::kSvcbH3Removed, "h3"},
       {dns::kSvcbAlpnRemoved, "alpn"},
       {dns::kSvcbEchRemoved, "ech"},
       {dns::kSvcbHintsRemoved, "hints"},
       {dns::kSvcbKeyRemoved, "keys"}}};
  std::string text;
  for (const auto& [bit, name] : kNames) {
    if ((changes & bit) == 0) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text;
}

}  // namespace postern::nameserver
