#include "dns/host_set.h"

#include <algorithm>
#include <functional>

namespace postern::dns {
namespace {

bool has(const std::vector<std::string>& sorted, NameView name) {
  return std::binary_search(sorted.begin(), sorted.end(), as_text(name.wire()), std::less<>());
}

}  // namespace

HostSet::HostSet(const std::vector<Name>& names) {
  for (const Name& name : names) {
    const bool wildcard = name.view().is_wildcard();
    (wildcard ? parents_ : exact_)
        .push_back(wildcard ? Name(name.view().parent()).lower_wire() : name.lower_wire());
  }
  std::sort(exact_.begin(), exact_.end());
  std::sort(parents_.begin(), parents_.end());
}

bool HostSet::covers(NameView host) const {
  return has(exact_, host) || (!host.is_root() && has(parents_, host.parent()));
}

}  // namespace postern::dns
