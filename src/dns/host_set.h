// The hosts that a server has a certificate for, as it names them.
#pragma once

#include <string>
#include <vector>

#include "dns/name.h"

namespace postern::dns {

class HostSet {
 public:
  HostSet() = default;
  /// "*.x" stands for one label below x (RFC 9525 section 6.3).
  explicit HostSet(const std::vector<Name>& names);

  /// REQUIRES: `host` in lower case.
  bool covers(NameView host) const;

 private:
  std::vector<std::string> exact_, parents_;  // wire form, lower case, sorted; parents of "*.x"
};

}  // namespace postern::dns
