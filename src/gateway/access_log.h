// One line a request: as text for people and journald, or JSON. Lines of one turn of the loop leave
// in one write. Loop thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "base/log.h"
#include "net/loop.h"

namespace postern::gateway {

/// Text is borrowed during the call.
struct AccessRecord {
  std::string_view listener;
  std::string_view client;    ///< address, of the client that a trusted proxy names
  std::string_view sni;       ///< "": none, or no TLS
  std::string_view protocol;  ///< "h2", "http/1.1", "http/1.0", "tcp"
  std::string_view method;
  std::string_view host;
  std::string_view path;                             ///< with its query
  unsigned status = 0;                               ///< 0: none was sent
  std::uint64_t bytes_received = 0, bytes_sent = 0;  ///< bodies
  std::uint64_t duration_us = 0;
  std::uint64_t first_byte_us = 0;  ///< from the head of the request to the head of the response
  std::string_view route;           ///< "FILE:LINE"; "": none matched
  std::string_view backend;         ///< URL; "": answered by the gateway
  std::string_view request_id;
  std::string_view failure;  ///< why it failed; "": it did not
};

/// Who looks at every request besides the log.
class RequestFollower {
 public:
  virtual ~RequestFollower() = default;
  virtual void seen(const AccessRecord& record) = 0;
};

class AccessLog {
 public:
  explicit AccessLog(net::Loop& loop) : end_of_turn_(loop, [this] { flush(); }) {}
  ~AccessLog() { flush(); }

  void write(const AccessRecord& record);
  /// nullptr: nobody follows. It outlives the log, or is taken back.
  void follow(RequestFollower* follower) { follower_ = follower; }
  /// Is a record wanted at all? `logged`: by the configuration.
  bool wants(bool logged) const { return logged || follower_ != nullptr; }
  /// What write() does, but to the log only when it is `logged`.
  void note(const AccessRecord& record, bool logged) {
    if (follower_ != nullptr) follower_->seen(record);
    if (logged) write(record);
  }

 private:
  void flush();

  net::Deferred end_of_turn_;
  fmt::memory_buffer lines_;
  RequestFollower* follower_ = nullptr;
};

}  // namespace postern::gateway
