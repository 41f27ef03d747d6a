// One query on its way to one upstream: what was sent, by which socket, under which id. It stands
// in that socket's table until an answer came, the socket broke, or its owner forgets it.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "nameserver/linked.h"
#include "nameserver/upstream_query.h"

namespace postern::nameserver {

class Exchange;

/// Told by the socket, from the loop, never from inside send(). The exchange stands in no table any
/// more when replied() or broke() is called, and may be sent again from there.
class ExchangeOwner {
 public:
  virtual ~ExchangeOwner() = default;
  /// A response to the question, from the right address, with the right id and case.
  virtual void replied(Exchange& exchange, Bytes message) = 0;
  virtual void broke(Exchange& exchange, AttemptEnd end) = 0;
  /// Right in all but the case of the name: an upstream that does not keep it, or a guess. The
  /// exchange goes on waiting.
  virtual void case_lost(Exchange& exchange) = 0;
  /// FORMERR or NOTIMP with the right id to a query with EDNS, but without the question: from an
  /// upstream that knows no EDNS, or a guess. The exchange goes on waiting.
  virtual void edns_refused(Exchange& exchange) = 0;
};

/// Where an exchange waits.
class ExchangePort {
 public:
  virtual ~ExchangePort() = default;
  virtual void forget(Exchange& exchange) = 0;
  /// Nothing came in time; the exchange goes on waiting. True: what was sent may be lost, so that
  /// sending it again helps.
  virtual bool timed_out(Exchange& exchange) = 0;
};

class Exchange : public Linked {
 public:
  ExchangeOwner* owner = nullptr;
  UpstreamQuestion question;
  bool match_case = false;
  std::uint64_t sent_us = 0;

  // Kept by the port.
  ExchangePort* port = nullptr;  ///< nullptr: not under way
  std::uint16_t id = 0;
  std::uint64_t key = 0;

  bool under_way() const { return port != nullptr; }
  void forget() {
    if (port != nullptr) port->forget(*this);
  }
};

}  // namespace postern::nameserver
