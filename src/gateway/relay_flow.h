// One direction of a relayed TCP connection: bytes from one socket to another. Small messages are
// copied through scratch memory; bulk data move through a pipe with splice(2), which does not copy
// them (about half the CPU of copying). What the sink does not take is kept, 256 KiB at most, and
// nothing more is read meanwhile: back-pressure. A flow without data in it owns no memory and no
// pipe. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "net/socket.h"

namespace postern::gateway {

struct Pipe {
  net::Fd read, write;

  explicit operator bool() const { return static_cast<bool>(read); }
};

/// Empty pipes to be used again.
class PipePool {
 public:
  static constexpr std::size_t kPipeBytes = 256U << 10;
  static constexpr std::size_t kKeptMax = 16;  ///< pipes that wait to be used

  /// See net::start_connect_tcp().
  void stay_below(int fd_end) { fd_end_ = fd_end; }
  Pipe take();  ///< an empty one when no descriptors are left
  void give(Pipe pipe);

 private:
  int fd_end_ = net::kNoFdEnd;
  std::vector<Pipe> kept_;
};

/// What the flows of one relay share.
struct FlowTools {
  MutableBytes scratch;
  PipePool& pipes;
};

class RelayFlow {
 public:
  enum class State : std::uint8_t {
    kOpen,          ///< goes on when the source is readable
    kBlocked,       ///< goes on when the sink is writable
    kEnded,         ///< the source has ended, the sink was told by FIN
    kSourceBroken,  ///< a reset or another error of the source
    kSinkBroken,
  };

  /// Moves what there is, up to kRoundsMax pipes full. REQUIRES: SIGPIPE is ignored or blocked.
  State pump(int source, int sink, const FlowTools& tools);
  State state() const { return state_; }
  /// Its source was reset, which reading will not tell any more: an end is none.
  void source_was_reset() { source_reset_ = true; }
  /// errno of kSinkBroken.
  int sink_error() const { return sink_error_; }
  std::uint64_t bytes() const { return bytes_; }  ///< read so far
  std::size_t kept() const { return piped_ + unsent_.size() - unsent_at_; }

 private:
  static constexpr int kRoundsMax = 4;
  enum class Step : std::uint8_t { kMore, kStop };

  Step flush(int sink, PipePool& pipes);
  Step flush_pipe(int sink, PipePool& pipes);
  Step read(int source, int sink, const FlowTools& tools);
  Step copy(int source, int sink, MutableBytes scratch);
  Step fill_pipe(int source, PipePool& pipes);
  Step no_bytes(long result, int error_number);
  Step stop(State state);
  Step not_sent(int error_number);

  State state_ = State::kOpen;
  bool bulk_ = false;  // much came the last time
  bool source_ended_ = false, source_reset_ = false;
  int sink_error_ = 0;
  Pipe pipe_;
  std::size_t piped_ = 0;             // bytes in pipe_
  std::vector<std::uint8_t> unsent_;  // what a copy left over
  std::size_t unsent_at_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace postern::gateway
