// Initial packets of a QUIC client, sealed as RFC 9001 section 5 has it: so that frames which a
// fuzzer invents are read as frames.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace postern::fuzz {

struct InitialSettings {
  bool version_2 = false;  ///< RFC 9369
  Bytes destination;       ///< 20 bytes at most
  std::uint32_t number = 0;
  unsigned number_size = 4;  ///< 1 to 4 bytes of it are written
};

std::vector<std::uint8_t> seal_initial(const InitialSettings& settings, Bytes frames);

}  // namespace postern::fuzz
