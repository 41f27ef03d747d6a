// What both sides of HTTP/2 do the same way around one nghttp2 session: feeding it, filling the
// caller's buffer, the bodies of streams in both directions, counting what may be abuse. The sides
// say what heads mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "http/h2.h"
#include "http/h2_abuse.h"
#include "http/h2_fields.h"
#include "http/h2_queue.h"
#include "http/h2_session_memory.h"
#include "http/h2_stream.h"

namespace postern::http::h2 {

class Endpoint {
 public:
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  bool receive(Bytes input, std::uint64_t now_ms);
  std::size_t collect(MutableBytes out);
  bool wants_write() const;
  void rest();
  bool dead() const { return dead_; }
  Abuse abuse() const { return abuse_; }
  std::string_view fault() const { return fault_; }

  void body(std::int32_t id, Bytes chunk);
  void lend(std::int32_t id, Bytes chunk);
  void keep(std::int32_t id);
  void body_end(std::int32_t id, const Fields& trailers);
  std::size_t unsent(std::int32_t id) const;
  bool has_window(std::int32_t id) const;
  void consumed(std::int32_t id, std::size_t bytes);
  void reset(Stream& stream, std::uint32_t error);
  /// Not from inside a call of nghttp2: the connection may be over.
  void reset_stalled(Stream& stream);

 protected:
  enum class Side : std::uint8_t { kServer, kClient };
  Endpoint(Side side, const Settings& settings);
  virtual ~Endpoint();

  /// The header section that is arriving; there is one at a time (RFC 9113 section 4.3).
  struct Section {
    Stream* stream = nullptr;
    bool is_trailers = false;
    bool is_malformed = false;
    bool is_too_large = false;
    std::size_t bytes = 0;   // as SETTINGS_MAX_HEADER_LIST_SIZE counts (section 6.5.2)
    std::size_t fields = 0;  // cookie lines are one
  };
  struct Text {
    std::string_view text;
    bool lasts = false;  // as long as the program
  };

  /// A header section begins: section() is to be set up; `opens`: the first one of its stream.
  /// False: it is read, but of no interest.
  virtual bool section_begins(std::int32_t id, bool opens) = 0;
  /// A field of a head within the limits.
  virtual void field(Text name, Text value) = 0;
  virtual void head_ends(Stream& stream, bool ends_stream) = 0;
  virtual void ping_answered(Bytes opaque) = 0;
  virtual void tell_body(Stream& stream, Bytes chunk) = 0;
  virtual void tell_end(Stream& stream, const Fields& trailers) = 0;
  virtual void tell_drained(Stream& stream) = 0;
  virtual void tell_closed(Stream& stream, std::uint32_t error) = 0;
  virtual void tell_refused() {}

  static std::string_view copy_to(TextArena& arena, Text text);

  nghttp2_session* session() const {
    if (memory_ && memory_->is_packed()) memory_->unpack();
    return session_;
  }
  const Settings& settings() const { return settings_; }
  StreamTable& streams() { return streams_; }
  const StreamTable& streams() const { return streams_; }
  Section& section() { return section_; }
  std::uint64_t now_ms() const { return now_ms_; }

  /// Too much of that: the connection ends as soon as nghttp2 has returned.
  void note(Abuse kind);
  void condemn(Abuse kind, std::uint32_t code, std::string_view fault);
  /// The transport is gone.
  void abandon() {
    if (!dead_) die();
  }
  /// RST_STREAM because of what the peer did.
  void refuse(Stream& stream, std::uint32_t error);

  void submit_interim(std::int32_t id, const NameValues& list);
  void submit_response(std::int32_t id, const NameValues& list, bool has_body);
  /// The stream's id, negative when there are none left.
  std::int32_t submit_request(const NameValues& list, bool has_body);
  void submit_trailers(Stream& stream);

 private:
  struct Calls;  // nghttp2's callbacks: its types stay out of this header

  void field_came(Text name, Text value);
  void section_ended(bool ends_stream);
  bool is_answered(std::int32_t id) const;
  void data_came(std::int32_t id, Bytes chunk);
  void end_came(Stream& stream, const Fields& trailers);
  void end_left(Stream& stream);
  void stream_closed(std::int32_t id, std::uint32_t error);
  void give_back(std::size_t bytes);
  void widen(Stream& stream);
  void resume(Stream& stream);
  bool send_frames();
  void judge(std::ptrdiff_t result);
  void die();

  Settings settings_;
  // A server's. Mutable: that it is packed is seen by nobody.
  mutable std::optional<SessionMemory> memory_;
  nghttp2_session* session_ = nullptr;
  StreamTable streams_;
  Section section_;
  std::unique_ptr<OwnedFields> trailers_;  // those of section_
  AbuseMeter meter_;
  unsigned refused_ = 0;  // streams
  std::uint64_t now_ms_ = 0;

  ByteQueue rest_;    // of a frame that did not fit
  MutableBytes out_;  // what is left of the caller's buffer during collect()

  bool condemned_ = false;
  bool dead_ = false;
  Abuse abuse_ = Abuse::kNone;
  std::uint32_t code_ = 0;
  std::string fault_;
};

}  // namespace postern::http::h2
