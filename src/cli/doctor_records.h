// Records of a reply that `postern doctor` judges. Cold path.
#pragma once

#include <cstddef>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"

namespace postern::cli {

/// All HTTPS records of the answer section together (RFC 9460).
struct HttpsRecords {
  bool any = false;
  bool h3 = false;  ///< some alpn begins with "h3"
  bool ech = false;
  std::vector<IpAddress> hints;  ///< ipv4hint and ipv6hint
};

/// Where the first record stands. REQUIRES: a reply with one question.
std::size_t behind_question(Bytes reply);

/// REQUIRES: the same.
HttpsRecords https_records(Bytes reply);

}  // namespace postern::cli
