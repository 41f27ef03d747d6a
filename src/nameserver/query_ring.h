// Where a worker leaves what it answered, for the query log and dnstap: a ring of bytes with one
// writer, the worker, and one reader, the thread that writes files and sockets. Nobody waits, locks
// or allocates: a record that does not fit is dropped and counted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"

namespace postern::nameserver {

/// What a record is about; the bytes follow it.
struct QueryRecord {
  enum class Kind : std::uint8_t {
    kClient,     ///< a query of a client and its reply
    kForwarder,  ///< a query to an upstream, or a reply from it
  };
  std::uint64_t begun_us = 0;  ///< since 1970
  std::uint32_t took_us = 0;
  std::uint32_t reply_size = 0;  ///< as sent; 0: there was none
  std::uint16_t rcode = 0;
  Kind kind = Kind::kClient;
  std::uint8_t transport = 0;  ///< Transport
  std::uint8_t source = 0;     ///< dns::Source
  std::uint8_t view_bytes = 0;
  std::uint16_t query_bytes = 0;  ///< that follow
  std::uint32_t reply_bytes = 0;
  Endpoint peer;   ///< the client, or the upstream
  Endpoint local;  ///< unspecified when not known
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what two threads write stands apart
class QueryRing {
 public:
  static constexpr std::size_t kBytes = 2U << 20;
  static constexpr std::size_t kViewBytesMax = 64;  ///< of a view's name

  enum Wanted : std::uint8_t { kNothing = 0, kLines = 1, kMessages = 2, kForwarder = 4 };

  /// The reader's side: what is to be left here, as bits of Wanted. The first time makes the ring.
  void want(std::uint8_t wanted);

  // The writer's side.
  std::uint8_t wanted() const { return wanted_.load(std::memory_order_acquire); }
  bool wants(std::uint8_t what) const { return (wanted() & what) != 0; }
  /// The sizes in `record` are set here. REQUIRES: wanted() was not 0.
  void write(QueryRecord record, std::string_view view, Bytes query, Bytes reply);

  // The reader's side.
  struct Entry {
    QueryRecord record;
    std::string_view view;
    Bytes query, reply;
  };
  /// The oldest record, valid until pop(). False: the ring is empty.
  bool front(Entry* entry) const;
  void pop();

  std::uint64_t dropped() const {
    return dropped_.load(std::memory_order_relaxed);
  }  ///< any thread

 private:
  std::atomic<std::uint8_t> wanted_{kNothing};
  std::unique_ptr<std::uint8_t[]> memory_;
  std::atomic<std::uint64_t> dropped_{0};
  // Bytes written and read since the beginning; in lines of the cache of their own.
  alignas(64) std::atomic<std::uint64_t> end_{0};
  alignas(64) mutable std::atomic<std::uint64_t> begin_{0};
};

}  // namespace postern::nameserver
