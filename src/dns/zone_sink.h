// What a reader of zone text hands its records to.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "dns/name.h"
#include "dns/types.h"
#include "dns/zone_problems.h"

namespace postern::dns {

class ZoneSink {
 public:
  virtual ~ZoneSink() = default;
  /// `owner` is at or below the apex, with the case it was written in; `rdata` is uncompressed wire
  /// form, both valid during the call. False when nothing more can be taken.
  virtual bool record(NameView owner, RrType type, std::uint32_t ttl, Bytes rdata,
                      const ZonePlace& place) = 0;
};

}  // namespace postern::dns
