// The lines of the log that name single clients: one per client, event and day, whichever worker
// saw it. And which host the client wanted, for the API. Main thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/client_notes.h"
#include "base/daily_clients.h"

namespace postern::server {

class ClientLog {
 public:
  static constexpr std::size_t kHostsMax = 1024;  ///< of an event; then they begin anew

  void write(const ClientNote& note, std::uint64_t now_ms);
  /// Of the last note of this client, whose address is 4 or 16 bytes; "" when it is not known.
  std::string_view host(ClientEvent event, std::string_view client) const;

 private:
  using Hosts = std::map<std::string, std::string, std::less<>>;

  void keep_host(const ClientNote& note);

  std::array<DailyClients, kClientEvents> named_;
  std::array<Hosts, kClientEvents> hosts_;
};

}  // namespace postern::server
