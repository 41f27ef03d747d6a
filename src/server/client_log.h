// The lines of the log that name single clients: one per client, event and day, whichever worker
// saw it. Main thread.
#pragma once

#include <array>
#include <cstdint>

#include "base/client_notes.h"
#include "base/daily_clients.h"

namespace postern::server {

class ClientLog {
 public:
  void write(const ClientNote& note, std::uint64_t now_ms);

 private:
  std::array<DailyClients, kClientEvents> named_;
};

}  // namespace postern::server
