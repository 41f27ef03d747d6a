// What an nghttp2 session of a server costs while nothing happens on it.
//
// It keeps a buffer of 16 KiB for the frame that leaves. What is in it matters only inside
// nghttp2_session_mem_send() and until its caller has copied what it returned; so the sessions of a
// thread use one and the same. (A client's holds the preface from the start.)
//
// Its tables are 9 KiB, of which hardly 1 KiB is not zero when no stream is open: pack().
//
// Made, used and destroyed on one thread, or on another one after that thread has ended.
#pragma once

#include <cstddef>
#include <memory>

#include "base/sparse_block.h"

struct nghttp2_option;
struct nghttp2_session;
struct nghttp2_session_callbacks;

namespace postern::http::h2 {

class SessionMemory {
 public:
  /// To be destroyed after the session.
  SessionMemory();
  ~SessionMemory();
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;

  /// The server's session that uses this memory; once. nullptr: out of memory.
  nghttp2_session* make_session(const nghttp2_session_callbacks* calls, void* user,
                                const nghttp2_option* options);

  /// Nobody reads any more what nghttp2_session_mem_send() returned. Debug builds make sure of it.
  void frame_was_copied();

  /// At any time between two calls of nghttp2; the next one has to come after unpack().
  void pack() { tables_.pack(used_); }
  void unpack() { tables_.unpack(); }
  bool is_packed() const { return tables_.is_packed(); }

 private:
  struct Frame;

  static void* allocate(std::size_t size, void* user);
  static void release(void* memory, void* user);
  static void* allocate_zeroed(std::size_t count, std::size_t size, void* user);
  static void* resize(void* memory, std::size_t size, void* user);

  void* take_of_tables(std::size_t size);
  bool is_lent(const void* memory) const;
  std::size_t bytes_behind(const void* memory) const;

  std::shared_ptr<Frame> frame_;
  SparseBlock tables_;    // what is allocated with the session, and lasts as long
  std::size_t used_ = 0;  // of them
  bool is_making_ = false;
  bool frame_lent_ = false;
};

}  // namespace postern::http::h2
