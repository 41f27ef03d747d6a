// What lies between a transport (UDP, TCP, later TLS and HTTPS) and the resolver: a query goes in,
// a reply comes out now or later. One worker thread; nothing here is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/bytes.h"

namespace postern::nameserver {

enum class Transport : std::uint8_t { kUdp, kTcp, kTls, kHttps };

struct Client {
  Endpoint peer;
  Transport transport = Transport::kUdp;
  bool internal = false;  ///< this process itself (names of backends): dns.allow is not asked
  Endpoint local;         ///< where it was asked; unspecified when not known

  bool is_stream() const { return transport != Transport::kUdp; }
};

/// The way back to a client whose reply comes later. Owned by the query that waits. When the client
/// has gone meanwhile, send() does nothing.
class ReplyPath {
 public:
  virtual ~ReplyPath() = default;
  virtual void send(Bytes reply) = 0;
};

/// Given by the transport along with each query; makes the way back only when it is needed.
class ReplyLater {
 public:
  virtual ~ReplyLater() = default;
  virtual std::unique_ptr<ReplyPath> keep() = 0;
};

/// The resolver, as transports see it.
class QueryHandler {
 public:
  virtual ~QueryHandler() = default;

  /// Returns the size of the reply in `reply`; 0 = nothing to send now (dropped, or kept by
  /// `later` for a reply that comes). UDP gives 4096 bytes of room, streams 65535.
  virtual std::size_t handle(Bytes query, const Client& client, MutableBytes reply,
                             ReplyLater& later) = 0;
};

}  // namespace postern::nameserver
