// How the gateway learns the addresses of a backend's name. The gateway does not know the
// nameserver: the worker hands this over. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace postern::gateway {

struct ResolvedHost {
  std::vector<IpAddress> addresses;  ///< not empty
  std::uint32_t ttl_s = 30;          ///< how long they may be used
};

class HostResolver {
 public:
  using Done = std::function<void(Result<ResolvedHost>)>;
  /// Its destructor cancels: `done` is not called any more.
  class Ticket {
   public:
    virtual ~Ticket() = default;
  };

  virtual ~HostResolver() = default;
  /// `done` is called from the loop, never from inside resolve(). kNotFound: the name has no
  /// address (any more); other errors: nobody can say.
  [[nodiscard]] virtual std::unique_ptr<Ticket> resolve(const std::string& host, Done done) = 0;
};

}  // namespace postern::gateway
