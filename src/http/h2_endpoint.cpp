#include "http/h2_endpoint.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "http/h1_chunked.h"
#include "http/h2_options.h"

namespace postern::http::h2 {
namespace {

constexpr std::size_t kFrameHeaderBytes = 9;
// Less room than this is not worth a DATA frame that is not the last one.
constexpr std::size_t kDataBytesMin = 1024;
constexpr std::size_t kFieldOverhead = 32;  // RFC 9113 section 6.5.2
// Frames without content that a DATA or HEADERS frame gives reason for: WINDOW_UPDATE of stream
// and connection, and one to spare.
constexpr unsigned kFramesAllowed = 3;
// Streams opened before the peer knows how many it may have. A page with more than that is none.
constexpr unsigned kRefusedMax = 1000;
constexpr std::size_t kStreamShare = 4;  // a stream has at most this part of the window

// NGHTTP2_HD_MAX_NV, which nghttp2 does not tell apart.
std::string_view reason_of(std::uint32_t code) {
  return code == NGHTTP2_COMPRESSION_ERROR
             ? "COMPRESSION_ERROR: not HPACK, or a field of more than 64 KiB"
             : nghttp2_http2_strerror(code);
}

Abuse abuse_of(std::ptrdiff_t result) {
  switch (result) {
    case NGHTTP2_ERR_FLOODED:
      return Abuse::kOutput;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
      return Abuse::kContinuation;
    default:
      return Abuse::kProtocol;
  }
}

// nghttp2 takes text that it does not change as mutable, and copies it.
const std::vector<nghttp2_nv>& pairs_of(const NameValues& list) {
  thread_local std::vector<nghttp2_nv> pairs;
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  pairs.clear();
  for (const Field& pair : list.pairs()) {
    pairs.push_back({bytes(pair.name), bytes(pair.value), pair.name.size(), pair.value.size(),
                     NGHTTP2_NV_FLAG_NONE});
  }
  return pairs;
}

}  // namespace

// The user data of a session is its Endpoint.
struct Endpoint::Calls {
  static Endpoint& of(void* user) { return *static_cast<Endpoint*>(user); }
  static int verdict(const Endpoint& self) {
    return self.condemned_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int frame_begins(nghttp2_session*, const nghttp2_frame_hd* hd, void* user);
  static int section_begins(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int field(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                   nghttp2_rcbuf* value, std::uint8_t, void* user);
  static int invalid_field(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*,
                           std::uint8_t, void*);
  static int frame_came(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int data_came(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                       std::size_t length, void* user);
  static ssize_t body_wanted(nghttp2_session*, std::int32_t id, std::uint8_t*, std::size_t length,
                             std::uint32_t* flags, nghttp2_data_source*, void* user);
  static int data_leaves(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                         std::size_t length, nghttp2_data_source*, void* user);
  static int frame_leaves(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int frame_left(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static void reset_left(Endpoint& self, const nghttp2_rst_stream& frame);
  static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user) {
    of(user).stream_closed(id, error);
    return 0;
  }
  static const nghttp2_session_callbacks* table();
};

int Endpoint::Calls::frame_begins(nghttp2_session* session, const nghttp2_frame_hd* hd,
                                  void* user) {
  Endpoint& self = of(user);
  const bool acknowledges = (hd->flags & NGHTTP2_FLAG_ACK) != 0;
  const bool ends = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (hd->type) {
    case NGHTTP2_HEADERS:
      self.meter_.allow(Abuse::kEmptyFrames, kFramesAllowed);
      break;
    case NGHTTP2_DATA:
      if (hd->length == 0 && !ends) self.note(Abuse::kEmptyFrames);
      break;
    case NGHTTP2_RST_STREAM:
      if (!self.is_answered(hd->stream_id)) self.note(Abuse::kRapidReset);
      break;
    case NGHTTP2_SETTINGS:
      if (!acknowledges) self.note(Abuse::kSettings);
      break;
    case NGHTTP2_PING:
      self.note(Abuse::kPing);
      break;
    case NGHTTP2_CONTINUATION:  // nghttp2 counts these
      break;
    default:
      self.note(Abuse::kEmptyFrames);
      break;
  }
  // Each stream may have its response there as well, however many the owner allows.
  if (nghttp2_session_get_outbound_queue_size(session) >
      kFramesQueuedMax + self.settings_.streams_max) {
    self.condemn(Abuse::kOutput, NGHTTP2_ENHANCE_YOUR_CALM, "frames that nobody reads");
  }
  return verdict(self);
}

int Endpoint::Calls::section_begins(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  Endpoint& self = of(user);
  self.section_ = {};
  const bool opens = frame->headers.cat != NGHTTP2_HCAT_HEADERS;
  return self.section_begins(frame->hd.stream_id, opens) ? 0
                                                         : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Endpoint::Calls::field(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                           nghttp2_rcbuf* value, std::uint8_t, void* user) {
  const auto text_of = [](nghttp2_rcbuf* buffer) {
    const nghttp2_vec view = nghttp2_rcbuf_get_buf(buffer);
    return Text{as_text({view.base, view.len}), nghttp2_rcbuf_is_static(buffer) != 0};
  };
  Endpoint& self = of(user);
  const Stream* const stream = self.section_.stream;
  if (stream == nullptr || stream->id != frame->hd.stream_id || stream->over()) return 0;
  self.field_came(text_of(name), text_of(value));
  return verdict(self);
}

// Malformed, not just odd (RFC 9113 section 8.2.1): nghttp2 would leave the field out.
int Endpoint::Calls::invalid_field(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*,
                                   nghttp2_rcbuf*, std::uint8_t, void*) {
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Endpoint::Calls::frame_came(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  Endpoint& self = of(user);
  const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_HEADERS) {
    const Stream* const stream = self.section_.stream;
    if (stream != nullptr && stream->id == frame->hd.stream_id) self.section_ended(ends);
  } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
    Stream* const stream = self.streams_.find(frame->hd.stream_id);
    if (stream != nullptr) stream->peer_reset = true;
  } else if (frame->hd.type == NGHTTP2_DATA) {
    Stream* const stream = self.streams_.find(frame->hd.stream_id);
    if (ends && stream != nullptr) self.end_came(*stream, Fields());
    const bool only_padding = frame->hd.length != 0 && frame->hd.length == frame->data.padlen;
    if (only_padding && !ends) self.note(Abuse::kEmptyFrames);
  } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
    self.ping_answered(Bytes(frame->ping.opaque_data, sizeof frame->ping.opaque_data));
  }
  return verdict(self);
}

int Endpoint::Calls::data_came(nghttp2_session*, std::uint8_t, std::int32_t id,
                               const std::uint8_t* data, std::size_t length, void* user) {
  of(user).data_came(id, {data, length});
  return verdict(of(user));
}

// A window and the queue allow a DATA frame.
ssize_t Endpoint::Calls::body_wanted(nghttp2_session*, std::int32_t id, std::uint8_t*,
                                     std::size_t length, std::uint32_t* flags, nghttp2_data_source*,
                                     void* user) {
  Endpoint& self = of(user);
  Stream* const stream = self.streams_.find(id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const std::size_t available = stream->unsent();
  if (available == 0 && !stream->ended) {
    stream->waiting = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  // What little is left of a chunk leaves with the next one, or once there is none for now.
  if (!stream->lent.empty() && available < kDataBytesMin) return NGHTTP2_ERR_PAUSE;
  const std::size_t least = std::min({available, length, kDataBytesMin});
  if (self.out_.size() < kFrameHeaderBytes + least) return NGHTTP2_ERR_PAUSE;
  const std::size_t size = std::min({available, length, self.out_.size() - kFrameHeaderBytes});
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (size == available && stream->ended) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      self.submit_trailers(*stream);
    }
  }
  return static_cast<ssize_t>(size);
}

int Endpoint::Calls::data_leaves(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                                 std::size_t length, nghttp2_data_source*, void* user) {
  Endpoint& self = of(user);
  Stream* const stream = self.streams_.find(frame->hd.stream_id);
  if (stream == nullptr || stream->unsent() < length) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  // body_wanted() saw to it that there is room. To be asked again would need the header that is in
  // the frame buffer.
  if (self.out_.size() < kFrameHeaderBytes + length) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  std::memcpy(self.out_.data(), header, kFrameHeaderBytes);
  stream->take(self.out_.subspan(kFrameHeaderBytes, length));
  self.out_ = self.out_.subspan(kFrameHeaderBytes + length);
  self.meter_.allow(Abuse::kEmptyFrames, kFramesAllowed);
  if (length != 0 && stream->unsent() == 0 && !stream->ended && !stream->over()) {
    self.tell_drained(*stream);
  }
  return 0;
}

int Endpoint::Calls::frame_leaves(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  Stream* const stream = of(user).streams_.find(frame->hd.stream_id);
  if (stream != nullptr) stream->head_sent = true;
  return 0;
}

int Endpoint::Calls::frame_left(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  Endpoint& self = of(user);
  const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  Stream* stream = nullptr;
  switch (frame->hd.type) {
    case NGHTTP2_GOAWAY:
      // Unless this is our own doing, nghttp2 found a fault.
      if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        const std::string_view reason =
            as_text({frame->goaway.opaque_data, frame->goaway.opaque_data_len});
        self.condemn(Abuse::kProtocol, frame->goaway.error_code,
                     reason.empty() ? reason_of(frame->goaway.error_code) : reason);
      }
      break;
    case NGHTTP2_RST_STREAM:
      reset_left(self, frame->rst_stream);
      break;
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
      stream = self.streams_.find(frame->hd.stream_id);
      if (stream == nullptr) break;
      if (stream->interims != 0 && --stream->interims == 0) stream->interim_bytes = 0;
      if (ends) self.end_left(*stream);
      break;
    default:
      break;
  }
  return 0;
}

void Endpoint::Calls::reset_left(Endpoint& self, const nghttp2_rst_stream& frame) {
  const Stream* const stream = self.streams_.find(frame.hd.stream_id);
  const bool by_owner = stream != nullptr && stream->reset;
  if (by_owner || frame.error_code == NGHTTP2_NO_ERROR) return;
  // Too many streams at a time, from a peer that has not acknowledged our SETTINGS.
  const bool refused = frame.error_code == NGHTTP2_REFUSED_STREAM;
  if (refused) self.tell_refused();
  if (!refused || ++self.refused_ > kRefusedMax) self.note(Abuse::kMadeYouReset);
}

const nghttp2_session_callbacks* Endpoint::Calls::table() {
  static const nghttp2_session_callbacks* const made = [] {
    nghttp2_session_callbacks* calls = nullptr;
    nghttp2_session_callbacks_new(&calls);
    nghttp2_session_callbacks_set_on_begin_frame_callback(calls, frame_begins);
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, section_begins);
    nghttp2_session_callbacks_set_on_header_callback2(calls, field);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(calls, invalid_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, frame_came);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, data_came);
    nghttp2_session_callbacks_set_send_data_callback(calls, data_leaves);
    nghttp2_session_callbacks_set_before_frame_send_callback(calls, frame_leaves);
    nghttp2_session_callbacks_set_on_frame_send_callback(calls, frame_left);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, stream_closed);
    return calls;
  }();
  return made;
}

Endpoint::Endpoint(Side side, const Settings& settings) : settings_(settings) {
  const Options options = make_options(settings.header_bytes_max);
  if (side == Side::kClient) {
    nghttp2_session_client_new2(&session_, Calls::table(), this, options.get());
    return;
  }
  memory_.emplace();
  session_ = memory_->make_session(Calls::table(), this, options.get());
}

Endpoint::~Endpoint() { nghttp2_session_del(session()); }

std::string_view Endpoint::copy_to(TextArena& arena, Text text) {
  return text.lasts ? text.text : arena.copy(text.text);
}

bool Endpoint::receive(Bytes input, std::uint64_t now_ms) {
  if (dead_) return false;
  now_ms_ = now_ms;
  judge(nghttp2_session_mem_recv(session(), input.data(), input.size()));
  return !dead_;
}

// Nothing that nghttp2 returned, or is to read again, is left in its frame buffer afterwards:
// others use it next.
std::size_t Endpoint::collect(MutableBytes out) {
  const std::size_t from_rest = std::min(rest_.size(), out.size());
  if (from_rest != 0) rest_.take(out.first(from_rest));
  out_ = out.subspan(from_rest);
  while (rest_.empty() && send_frames()) continue;
  if (memory_) memory_->frame_was_copied();
  const std::size_t used = out.size() - out_.size();
  out_ = {};
  return used;
}

void Endpoint::rest() {
  if (memory_ && !wants_write()) memory_->pack();
}

bool Endpoint::wants_write() const {
  if (memory_ && memory_->is_packed()) return false;
  return !rest_.empty() || nghttp2_session_want_write(session()) != 0;
}

void Endpoint::body(std::int32_t id, Bytes chunk) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr || stream->over() || stream->ended || chunk.empty()) return;
  stream->out.append(chunk);
  resume(*stream);
}

void Endpoint::lend(std::int32_t id, Bytes chunk) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr || stream->over() || stream->ended || chunk.empty()) return;
  stream->lent = chunk;
  resume(*stream);
}

void Endpoint::keep(std::int32_t id) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr) return;
  stream->out.append(stream->lent);
  stream->lent = {};
}

void Endpoint::body_end(std::int32_t id, const Fields& trailers) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr || stream->over() || stream->ended) return;
  stream->ended = true;
  if (trailers.size() != 0) stream->trailers = std::make_unique<OwnedFields>(trailers);
  resume(*stream);
}

std::size_t Endpoint::unsent(std::int32_t id) const {
  const Stream* const stream = streams_.find(id);
  return stream == nullptr ? 0 : stream->unsent();
}

bool Endpoint::has_window(std::int32_t id) const {
  return nghttp2_session_get_remote_window_size(session_) > 0 &&
         nghttp2_session_get_stream_remote_window_size(session_, id) > 0;
}

void Endpoint::consumed(std::int32_t id, std::size_t bytes) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr) return;
  const std::size_t size = std::min(bytes, stream->unconsumed);
  if (size == 0) return;
  stream->unconsumed -= size;
  if (stream->got_end || stream->over() || stream->dropping) {
    give_back(size);
  } else {
    nghttp2_session_consume(session(), id, size);
    stream->passed_on += size;
    widen(*stream);
  }
}

void Endpoint::reset(Stream& stream, std::uint32_t error) {
  if (stream.over()) return;
  stream.reset = true;
  stream.drop_unsent();
  nghttp2_submit_rst_stream(session(), NGHTTP2_FLAG_NONE, stream.id, error);
}

void Endpoint::reset_stalled(Stream& stream) {
  if (stream.over()) return;
  reset(stream, NGHTTP2_CANCEL);
  note(Abuse::kStalled);
  judge(0);
}

void Endpoint::note(Abuse kind) {
  if (meter_.note(kind, now_ms_)) condemn(kind, NGHTTP2_ENHANCE_YOUR_CALM, abuse_name(kind));
}

void Endpoint::condemn(Abuse kind, std::uint32_t code, std::string_view fault) {
  if (condemned_) return;
  condemned_ = true;
  abuse_ = kind;
  code_ = code;
  fault_ = fault;
}

void Endpoint::refuse(Stream& stream, std::uint32_t error) {
  if (stream.over()) return;
  stream.refused = true;
  stream.drop_unsent();
  nghttp2_submit_rst_stream(session(), NGHTTP2_FLAG_NONE, stream.id, error);
}

void Endpoint::submit_interim(std::int32_t id, const NameValues& list) {
  const std::vector<nghttp2_nv>& pairs = pairs_of(list);
  nghttp2_submit_headers(session(), NGHTTP2_FLAG_NONE, id, nullptr, pairs.data(), pairs.size(),
                         nullptr);
}

void Endpoint::submit_response(std::int32_t id, const NameValues& list, bool has_body) {
  const std::vector<nghttp2_nv>& pairs = pairs_of(list);
  nghttp2_data_provider provider{};
  provider.read_callback = Calls::body_wanted;
  nghttp2_submit_response(session(), id, pairs.data(), pairs.size(),
                          has_body ? &provider : nullptr);
}

std::int32_t Endpoint::submit_request(const NameValues& list, bool has_body) {
  const std::vector<nghttp2_nv>& pairs = pairs_of(list);
  nghttp2_data_provider provider{};
  provider.read_callback = Calls::body_wanted;
  return nghttp2_submit_request(session(), nullptr, pairs.data(), pairs.size(),
                                has_body ? &provider : nullptr, nullptr);
}

void Endpoint::submit_trailers(Stream& stream) {
  NameValues& list = NameValues::fresh();
  list.add_trailers(stream.trailers->fields);
  const std::vector<nghttp2_nv>& pairs = pairs_of(list);
  nghttp2_submit_trailer(session(), stream.id, pairs.data(), pairs.size());
}

void Endpoint::field_came(Text name, Text value) {
  section_.bytes += name.text.size() + value.text.size() + kFieldOverhead;
  const bool counts = !name.text.starts_with(':') && name.text != "cookie";
  if (counts) ++section_.fields;
  if (section_.bytes > settings_.header_bytes_max || section_.fields > settings_.fields_max) {
    section_.is_too_large = true;
    if (section_.bytes > settings_.header_bytes_max * kHeaderBombFactor) {
      condemn(Abuse::kHeaderBomb, NGHTTP2_ENHANCE_YOUR_CALM, "head far beyond the limit");
    }
    return;
  }
  if (!section_.is_trailers) {
    field(name, value);
  } else if (!h1::is_forbidden_trailer(name.text)) {
    if (!trailers_) trailers_ = std::make_unique<OwnedFields>();
    const std::string_view copied = copy_to(trailers_->arena, name);
    trailers_->fields.add(copied, copy_to(trailers_->arena, value));
  }
}

void Endpoint::section_ended(bool ends_stream) {
  Stream& stream = *section_.stream;
  if (section_.is_too_large) note(Abuse::kHeaderBomb);
  if (condemned_) return;
  if (!section_.is_trailers) {
    head_ends(stream, ends_stream);
  } else if (section_.is_too_large) {
    refuse(stream, NGHTTP2_ENHANCE_YOUR_CALM);
  } else {
    end_came(stream, trailers_ ? trailers_->fields : Fields());
  }
  section_ = {};
  trailers_.reset();
}

// A client that has its whole answer may give up the rest of its request.
bool Endpoint::is_answered(std::int32_t id) const {
  const Stream* const stream = streams_.find(id);
  return stream != nullptr && stream->server != nullptr && stream->sent_end;
}

void Endpoint::data_came(std::int32_t id, Bytes chunk) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr || stream->over() || stream->dropping) {
    give_back(chunk.size());
    return;
  }
  stream->unconsumed += chunk.size();
  tell_body(*stream, chunk);
}

void Endpoint::end_came(Stream& stream, const Fields& trailers) {
  stream.got_end = true;
  if (!stream.over() && !stream.dropping) tell_end(stream, trailers);
}

void Endpoint::end_left(Stream& stream) {
  stream.sent_end = true;
  if (stream.stop_behind && !stream.got_end) reset(stream, NGHTTP2_NO_ERROR);
}

void Endpoint::stream_closed(std::int32_t id, std::uint32_t error) {
  const std::unique_ptr<Stream> stream = streams_.remove(id);
  if (!stream) return;
  if (section_.stream == stream.get()) section_ = {};
  give_back(stream->unconsumed);
  tell_closed(*stream, error);
}

void Endpoint::give_back(std::size_t bytes) {
  if (bytes != 0) nghttp2_session_consume_connection(session(), bytes);
}

// A large body whose owner keeps up gets a larger window, but never so much of the connection's
// that a few such streams could hold up all others once their owners stop.
void Endpoint::widen(Stream& stream) {
  if (stream.window == 0) stream.window = settings_.stream_window_bytes;
  const std::size_t window = 2 * stream.window;
  if (stream.passed_on < window || stream.unconsumed > stream.window / 2) return;
  if (window > settings_.connection_window_bytes / kStreamShare) return;
  if (window > settings_.stream_window_bytes_max) return;
  stream.window = window;
  stream.passed_on = 0;
  nghttp2_session_set_local_window_size(session(), NGHTTP2_FLAG_NONE, stream.id,
                                        static_cast<std::int32_t>(window));
}

void Endpoint::resume(Stream& stream) {
  if (!stream.waiting) return;
  stream.waiting = false;
  nghttp2_session_resume_data(session(), stream.id);
}

// False: nothing more to send, or the rest of it has to wait.
bool Endpoint::send_frames() {
  const std::uint8_t* data = nullptr;
  const ssize_t length = nghttp2_session_mem_send(session(), &data);
  if (length <= 0) {
    judge(length);
    return false;
  }
  const Bytes frame(data, static_cast<std::size_t>(length));
  const std::size_t fits = std::min(frame.size(), out_.size());
  if (fits != 0) std::memcpy(out_.data(), frame.data(), fits);
  out_ = out_.subspan(fits);
  rest_.append(frame.subspan(fits));
  return true;
}

void Endpoint::judge(std::ptrdiff_t result) {
  if (result < 0) {
    const Abuse kind = abuse_of(result);
    condemn(kind, kind == Abuse::kProtocol ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM,
            nghttp2_strerror(static_cast<int>(result)));
  }
  if (condemned_ && !dead_) die();
}

// Nothing more is read, GOAWAY is the last frame; all streams are gone.
void Endpoint::die() {
  dead_ = true;
  section_ = {};
  nghttp2_session_terminate_session(session(), code_);
  while (!streams_.empty()) {
    const std::unique_ptr<Stream> stream = streams_.remove_last();
    tell_closed(*stream, code_);
  }
}

}  // namespace postern::http::h2
