// What the log says of single clients, once per client and day: who still tries QUIC, who got an
// edited HTTPS record. A worker keeps in mind whom it has told of today and tells the main thread
// of the first time only; the main thread, which hears from all workers, writes the line. One per
// worker, its thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/address.h"
#include "base/daily_clients.h"

namespace postern {

enum class ClientEvent : std::uint8_t {
  kHttpsRecordEdited,
  kAltSvcRemoved,
  kEchSeen,
  kQuicRefused
};
inline constexpr std::size_t kClientEvents = 4;

/// What is empty is not said.
struct ClientNote {
  ClientEvent event{};
  IpAddress client;
  std::string name;     ///< the host, as the client asked for it
  std::string type;     ///< of the DNS question
  std::string why;      ///< a word
  std::string removed;  ///< what the client did not get
  std::string where;    ///< the backend, or the address of this server
};

class ClientNotes {
 public:
  using Tell = std::function<void(ClientNote)>;

  explicit ClientNotes(Tell tell) : tell_(std::move(tell)) {}

  /// True once per client and day: then tell(). Costs a look into a table.
  bool is_first(ClientEvent event, const IpAddress& client, std::uint64_t now_ms) {
    return told_[static_cast<std::size_t>(event)].first_today(client, now_ms);
  }
  void tell(ClientNote note) const { tell_(std::move(note)); }

 private:
  Tell tell_;
  std::array<DailyClients, kClientEvents> told_;
};

}  // namespace postern
