// The gateway's part of `postern explain`: where a URL leads, from the configuration alone.
#pragma once

#include <string>

#include "base/address.h"
#include "server/explanation.h"
#include "server/snapshot.h"

namespace postern::cli {

struct UrlQuestion {
  std::string url;
  std::string method;
  IpAddress client;
};

/// Invalid: no URL that a browser could ask for.
Result<server::Explanation> explain_url(const UrlQuestion& question,
                                        const server::Snapshot& snapshot);

}  // namespace postern::cli
