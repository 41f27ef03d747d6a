// What the parts of one worker's gateway share. Loop thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/client_notes.h"
#include "gateway/access_log.h"
#include "gateway/counts.h"
#include "gateway/host_resolver.h"
#include "gateway/memory_budget.h"
#include "gateway/request_counts.h"
#include "gateway/shared.h"
#include "gateway/site.h"
#include "gateway/stray_clients.h"
#include "net/loop.h"
#include "net/stream.h"

namespace postern::gateway {

class Backend;
class Exchange;

/// What waits for one socket is bounded by the windows of HTTP/2 and by pauses of what it comes
/// from. This is beyond all of that: 1 MiB of frames of one byte, each of which is a chunk.
constexpr std::size_t kUnsentBytesMax = 8U << 20;

/// Puts writes together: a head and the first bytes of its body leave in one system call and one
/// TLS record, and what one turn of the loop has for many streams leaves at its end, so that who
/// serves many of them is woken once.
class Output {
 public:
  explicit Output(net::Loop& loop);

  /// Room to write a message to; what was used is then given to commit(). At least `size` bytes.
  MutableBytes room(net::Stream& stream, std::size_t size);
  void commit(std::size_t size) { used_ += size; }
  void add(net::Stream& stream, Bytes data);
  void add(net::Stream& stream, std::string_view text) { add(stream, as_bytes(text)); }
  /// What waits for this stream leaves now.
  void flush(const net::Stream& stream);
  /// What waits for this stream leaves never: its peer is gone.
  void drop(const net::Stream& stream);
  /// The stream is about to go: what waits for it leaves if it can.
  void forget(const net::Stream& stream) { flush(stream); }

 private:
  static constexpr std::size_t kBytes = 96U << 10;
  static constexpr std::size_t kDirectBytes = 8U << 10;  // not worth a copy when nothing waits
  static constexpr std::size_t kPartsMax = 32;           // then the first has waited long enough

  // What one stream gets: up to where the next part begins.
  struct Part {
    net::Stream* stream;  // nullptr: has left
    std::size_t begin;
  };

  void use(net::Stream& stream);
  bool waits(const net::Stream& stream) const;
  std::size_t end_of(std::size_t part) const;
  void send(std::size_t part);
  void flush_all();

  net::Deferred end_of_turn_;
  std::vector<Part> parts_;
  std::size_t used_ = 0;
  std::vector<std::uint8_t> memory_;
};

/// Objects that are still on the call stack wait here for the end of the turn.
class Graveyard {
 public:
  explicit Graveyard(net::Loop& loop) : end_of_turn_(loop, [this] { empty(); }) {}
  ~Graveyard() { empty(); }

  template <class T>
  void bury(std::unique_ptr<T> object) {
    if (object == nullptr) return;
    objects_.push_back({object.release(), [](void* p) { delete static_cast<T*>(p); }});
    end_of_turn_.schedule();
  }
  void empty();

 private:
  struct Buried {
    void* object;
    void (*destroy)(void*);
  };
  net::Deferred end_of_turn_;
  std::vector<Buried> objects_;
};

/// Random numbers for choices and request ids; not for secrets.
class Random {
 public:
  Random();
  std::uint64_t next();

 private:
  std::array<std::uint64_t, 2> state_;
};

/// The site with what this worker made for it.
struct WorkerSite {
  std::shared_ptr<const Site> site;
  /// By http::Route::index, then as in RouteSettings::backends.
  std::vector<std::vector<std::shared_ptr<Backend>>> backends;
  std::vector<RequestCounts::NameId> listener_names, route_names;  ///< in the order of the site
};

struct Context {
  Context(net::Loop& the_loop, HostResolver& the_resolver, SharedByWorkers& the_shared);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// For the Date field (RFC 9110 section 5.6.7); holds until the next call.
  std::string_view date();

  /// An exchange from those that wait to be used again.
  std::unique_ptr<Exchange> take_exchange();
  void give_back(std::unique_ptr<Exchange> exchange);
  /// Those from `first` on can be used again: they are not on the call stack any more.
  void collect_ended(std::size_t first = 0);

  /// So many requests were refused or given up, since memory is short.
  void note_memory_short(std::size_t times);
  /// No file descriptor was left for a connection to this backend.
  void note_no_file(std::string_view backend);
  /// That was not long ago, in any worker.
  bool files_short() const {
    return loop.now_ms() < shared.files_short_until_ms.load(std::memory_order_relaxed);
  }

  /// See ClientNotes; true: `notes` is there.
  bool is_first_note(ClientEvent event, const IpAddress& client) {
    return notes != nullptr && notes->is_first(event, client, loop.now_ms());
  }

  net::Loop& loop;
  HostResolver& resolver;
  SharedByWorkers& shared;
  std::shared_ptr<const WorkerSite> site;
  net::Deferred relieve_memory;
  MemoryBudget memory;
  GatewayCounts counts;
  RequestCounts requests;
  AccessLog access_log;
  Output output;
  Random random;
  Graveyard graveyard;
  ClientNotes* notes = nullptr;
  StrayClients ech_tried;
  LogLimit abuse_log{10'000}, handshake_log{10'000}, claim_log{10'000}, loop_log{10'000};
  LogLimit files_log{10'000}, memory_log{10'000};
  std::vector<std::unique_ptr<Exchange>> idle_exchanges;
  /// Over, but maybe still on the call stack: idle from the next turn on.
  std::vector<std::unique_ptr<Exchange>> ended_exchanges;
  net::Deferred collect_exchanges;
  std::vector<std::uint8_t> frames;  ///< where HTTP/2 connections collect their output
  std::uint64_t exchanges = 0;       ///< under way
  bool draining = false;

 private:
  std::int64_t date_s_ = -1;
  std::uint64_t date_read_ms_ = 0;  // of the loop's clock
  std::array<char, 29> date_{};
};

}  // namespace postern::gateway
