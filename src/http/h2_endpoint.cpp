#include "http/h2_endpoint.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "http/h1_chunked.h"

namespace postern::http::h2 {
namespace {

constexpr std::size_t kFrameHeaderBytes = 9;
// Less room than this is not worth a DATA frame that is not the last one.
constexpr std::size_t kDataBytesMin = 1024;
// Control frames that wait for a peer which does not read; a frame is some 150 bytes of memory.
constexpr std::size_t kFramesQueuedMax = 1000;
// A head so many times larger than allowed is no accident.
constexpr std::size_t kHeaderBombFactor = 4;
constexpr std::size_t kFieldOverhead = 32;  // RFC 9113 section 6.5.2
// Frames without content that a DATA or HEADERS frame gives reason for: WINDOW_UPDATE of stream
// and connection, and one to spare.
constexpr unsigned kFramesAllowed = 3;

struct OptionsFree {
  void operator()(nghttp2_option* options) const { nghttp2_option_del(options); }
};
using Options = std::unique_ptr<nghttp2_option, OptionsFree>;

Options make_options() {
  nghttp2_option* made = nullptr;
  nghttp2_option_new(&made);
  Options options(made);
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_max_outbound_ack(made, kFramesQueuedMax);
  nghttp2_option_set_max_settings(made, 32);
  nghttp2_option_set_max_deflate_dynamic_table_size(made, 4096);
  nghttp2_option_set_peer_max_concurrent_streams(made, 100);
  // AbuseMeter counts these by the caller's clock.
  nghttp2_option_set_stream_reset_rate_limit(made, UINT32_MAX, UINT32_MAX);
  nghttp2_option_set_builtin_recv_extension_type(made, NGHTTP2_PRIORITY_UPDATE);
  return options;
}

Abuse abuse_of(ssize_t result) {
  switch (result) {
    case NGHTTP2_ERR_FLOODED:
      return Abuse::kOutput;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
      return Abuse::kContinuation;
    default:
      return Abuse::kProtocol;
  }
}

}  // namespace

// The user data of a session is its Endpoint.
struct Endpoint::Calls {
  static Endpoint& of(void* user) { return *static_cast<Endpoint*>(user); }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* hd, void* user) {
    return of(user).begin_frame(*hd);
  }
  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Endpoint& self = of(user);
    self.section_ = {};
    if (self.section_begins(*frame)) return 0;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static Text text_of(nghttp2_rcbuf* buffer) {
    const nghttp2_vec view = nghttp2_rcbuf_get_buf(buffer);
    return {as_text({view.base, view.len}), nghttp2_rcbuf_is_static(buffer) != 0};
  }
  static int header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                    nghttp2_rcbuf* value, std::uint8_t, void* user) {
    return of(user).header(*frame, text_of(name), text_of(value));
  }
  // Malformed, not just odd (RFC 9113 section 8.2.1): nghttp2 would leave the field out.
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*,
                            std::uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static int frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return of(user).frame_came(*frame);
  }
  static int data_chunk(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                        std::size_t length, void* user) {
    Endpoint& self = of(user);
    self.data_came(id, {data, length});
    return self.condemned_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }
  static ssize_t read(nghttp2_session*, std::int32_t id, std::uint8_t*, std::size_t length,
                      std::uint32_t* flags, nghttp2_data_source*, void* user) {
    return of(user).body_wanted(id, length, flags);
  }
  static int send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                       std::size_t length, nghttp2_data_source*, void* user) {
    return of(user).data_leaves(*frame, header, length);
  }
  static int before_send(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_HEADERS) {
      Stream* const stream = of(user).streams_.find(frame->hd.stream_id);
      if (stream != nullptr) stream->head_sent = true;
    }
    return 0;
  }
  static int frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    of(user).frame_left(*frame);
    return 0;
  }
  static int stream_close(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user) {
    of(user).stream_closed(id, error);
    return 0;
  }

  static const nghttp2_session_callbacks* table() {
    static const nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* calls = nullptr;
      nghttp2_session_callbacks_new(&calls);
      nghttp2_session_callbacks_set_on_begin_frame_callback(calls, begin_frame);
      nghttp2_session_callbacks_set_on_begin_headers_callback(calls, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback2(calls, header);
      nghttp2_session_callbacks_set_on_invalid_header_callback2(calls, invalid_header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(calls, frame_recv);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, data_chunk);
      nghttp2_session_callbacks_set_send_data_callback(calls, send_data);
      nghttp2_session_callbacks_set_before_frame_send_callback(calls, before_send);
      nghttp2_session_callbacks_set_on_frame_send_callback(calls, frame_send);
      nghttp2_session_callbacks_set_on_stream_close_callback(calls, stream_close);
      return calls;
    }();
    return made;
  }
};

Endpoint::Endpoint(Side side, const Settings& settings) : settings_(settings) {
  static const Options options = make_options();
  const auto make =
      side == Side::kServer ? nghttp2_session_server_new2 : nghttp2_session_client_new2;
  make(&session_, Calls::table(), this, options.get());
}

Endpoint::~Endpoint() { nghttp2_session_del(session_); }

nghttp2_data_provider Endpoint::provider() {
  nghttp2_data_provider made{};
  made.read_callback = Calls::read;
  return made;
}

std::string_view Endpoint::copy_to(TextArena& arena, Text text) {
  return text.lasts ? text.text : arena.copy(text.text);
}

void Endpoint::condemn(Abuse kind, std::uint32_t code, std::string_view fault) {
  if (condemned_ || dead_) return;
  condemned_ = true;
  abuse_ = kind;
  code_ = code;
  fault_ = fault;
}

void Endpoint::note(Abuse kind) {
  if (meter_.note(kind, now_ms_)) condemn(kind, NGHTTP2_ENHANCE_YOUR_CALM, abuse_name(kind));
}

void Endpoint::refuse(Stream& stream, std::uint32_t error) {
  if (stream.over()) return;
  stream.out.clear();
  stream.refused = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error);
}

void Endpoint::judge(ssize_t result) {
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
  nghttp2_session_terminate_session(session_, code_);
  while (!streams_.empty()) {
    const std::unique_ptr<Stream> stream = streams_.remove_last();
    tell_closed(*stream, code_);
  }
}

bool Endpoint::receive(Bytes input, std::uint64_t now_ms) {
  if (dead_) return false;
  now_ms_ = now_ms;
  judge(nghttp2_session_mem_recv(session_, input.data(), input.size()));
  return !dead_;
}

std::size_t Endpoint::collect(MutableBytes out) {
  out_ = out;
  while (true) {
    const std::size_t size = std::min(pending_.size(), out_.size());
    if (size != 0) std::memcpy(out_.data(), pending_.data(), size);
    pending_ = pending_.subspan(size);
    out_ = out_.subspan(size);
    if (!pending_.empty()) break;
    const std::uint8_t* data = nullptr;
    const ssize_t length = nghttp2_session_mem_send(session_, &data);
    if (length <= 0) {
      judge(length);
      break;
    }
    pending_ = {data, static_cast<std::size_t>(length)};
  }
  const std::size_t used = out.size() - out_.size();
  out_ = {};
  return used;
}

bool Endpoint::wants_write() const {
  return !pending_.empty() || nghttp2_session_want_write(session_) != 0;
}

int Endpoint::begin_frame(const nghttp2_frame_hd& hd) {
  const bool acknowledges = (hd.flags & NGHTTP2_FLAG_ACK) != 0;
  switch (hd.type) {
    case NGHTTP2_HEADERS:
      meter_.allow(Abuse::kEmptyFrames, kFramesAllowed);
      break;
    case NGHTTP2_DATA:
      if (hd.length == 0 && (hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) note(Abuse::kEmptyFrames);
      break;
    case NGHTTP2_RST_STREAM:
      note(Abuse::kRapidReset);
      break;
    case NGHTTP2_SETTINGS:
      if (!acknowledges) note(Abuse::kSettings);
      break;
    case NGHTTP2_PING:
      note(Abuse::kPing);
      break;
    case NGHTTP2_CONTINUATION:
      break;
    default:
      note(Abuse::kEmptyFrames);
      break;
  }
  if (nghttp2_session_get_outbound_queue_size(session_) > kFramesQueuedMax) {
    condemn(Abuse::kOutput, NGHTTP2_ENHANCE_YOUR_CALM, "frames that nobody reads");
  }
  return condemned_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int Endpoint::header(const nghttp2_frame& frame, Text name, Text value) {
  Section& section = section_;
  if (section.stream == nullptr || section.stream->id != frame.hd.stream_id) return 0;
  section.bytes += name.text.size() + value.text.size() + kFieldOverhead;
  const bool counts = !name.text.starts_with(':') && name.text != "cookie";
  if (counts) ++section.fields;
  if (section.bytes > settings_.header_bytes_max || section.fields > settings_.fields_max) {
    section.is_too_large = true;
    if (section.bytes <= settings_.header_bytes_max * kHeaderBombFactor) return 0;
    condemn(Abuse::kHeaderBomb, NGHTTP2_ENHANCE_YOUR_CALM, "head far beyond the limit");
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  if (section.is_trailers) {
    trailer(name, value);
  } else {
    field(name, value);
  }
  return 0;
}

void Endpoint::trailer(Text name, Text value) {
  if (h1::is_forbidden_trailer(name.text)) return;
  if (!trailers_) trailers_ = std::make_unique<OwnedFields>();
  const std::string_view copied = copy_to(trailers_->arena, name);
  trailers_->fields.add(copied, copy_to(trailers_->arena, value));
}

void Endpoint::section_ends(const nghttp2_frame& frame) {
  Stream* const stream = section_.stream;
  if (stream == nullptr || stream->id != frame.hd.stream_id) return;
  if (section_.is_too_large) note(Abuse::kHeaderBomb);
  if (!condemned_) {
    if (section_.is_trailers) {
      end_of_trailers(*stream);
    } else {
      head_ends(*stream, (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    }
  }
  section_ = {};
  trailers_.reset();
}

void Endpoint::end_of_trailers(Stream& stream) {
  if (section_.is_too_large) {
    trailers_too_large(stream);
    return;
  }
  end_came(stream, trailers_ ? trailers_->fields : Fields());
}

int Endpoint::frame_came(const nghttp2_frame& frame) {
  const bool ends = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame.hd.type == NGHTTP2_HEADERS) {
    section_ends(frame);
  } else if (frame.hd.type == NGHTTP2_DATA) {
    Stream* const stream = streams_.find(frame.hd.stream_id);
    if (ends && stream != nullptr) end_came(*stream, Fields());
  } else {
    frame_received(frame);
  }
  return condemned_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
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

// Called by nghttp2 when a window and the queue allow a DATA frame.
ssize_t Endpoint::body_wanted(std::int32_t id, std::size_t length, std::uint32_t* flags) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const std::size_t available = stream->out.size();
  if (available == 0 && !stream->ended) {
    stream->waiting = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t least = std::min({available, length, kDataBytesMin});
  if (out_.size() < kFrameHeaderBytes + least) return NGHTTP2_ERR_PAUSE;
  const std::size_t size = std::min({available, length, out_.size() - kFrameHeaderBytes});
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (size == available && stream->ended) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      submit_trailers(*stream);
    }
  }
  return static_cast<ssize_t>(size);
}

void Endpoint::submit_trailers(Stream& stream) {
  NameValues& list = NameValues::fresh();
  list.add_trailers(stream.trailers->fields);
  nghttp2_submit_trailer(session_, stream.id, list.data(), list.size());
}

int Endpoint::data_leaves(const nghttp2_frame& frame, const std::uint8_t* header,
                          std::size_t length) {
  Stream* const stream = streams_.find(frame.hd.stream_id);
  if (stream == nullptr || stream->out.size() < length) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  if (out_.size() < kFrameHeaderBytes + length) return NGHTTP2_ERR_WOULDBLOCK;
  std::memcpy(out_.data(), header, kFrameHeaderBytes);
  stream->out.take(out_.subspan(kFrameHeaderBytes, length));
  out_ = out_.subspan(kFrameHeaderBytes + length);
  meter_.allow(Abuse::kEmptyFrames, kFramesAllowed);
  if (length != 0 && stream->out.empty() && !stream->ended && !stream->over()) {
    tell_drained(*stream);
  }
  return 0;
}

void Endpoint::frame_left(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY && frame.goaway.error_code != NGHTTP2_NO_ERROR) {
    // nghttp2 found a fault itself.
    const std::string_view reason =
        as_text({frame.goaway.opaque_data, frame.goaway.opaque_data_len});
    condemn(Abuse::kProtocol, frame.goaway.error_code,
            reason.empty() ? nghttp2_http2_strerror(frame.goaway.error_code) : reason);
    return;
  }
  Stream* const stream = streams_.find(frame.hd.stream_id);
  if (frame.hd.type == NGHTTP2_RST_STREAM) {
    const std::uint32_t error = frame.rst_stream.error_code;
    const bool ours = stream != nullptr && stream->reset;
    if (!ours && error != NGHTTP2_NO_ERROR && error != NGHTTP2_REFUSED_STREAM) {
      note(Abuse::kMadeYouReset);
    }
    return;
  }
  const bool ends = (frame.hd.type == NGHTTP2_DATA || frame.hd.type == NGHTTP2_HEADERS) &&
                    (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (ends && stream != nullptr) end_left(*stream);
}

void Endpoint::end_left(Stream& stream) {
  stream.sent_end = true;
  if (stream.stop_behind && !stream.got_end) {
    stream.reset = true;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_NO_ERROR);
  }
}

void Endpoint::stream_closed(std::int32_t id, std::uint32_t error) {
  const std::unique_ptr<Stream> stream = streams_.remove(id);
  if (!stream) return;
  if (section_.stream == stream.get()) section_ = {};
  give_back(stream->unconsumed);
  tell_closed(*stream, error);
}

void Endpoint::give_back(std::size_t bytes) {
  if (bytes != 0) nghttp2_session_consume_connection(session_, bytes);
}

void Endpoint::body(std::int32_t id, Bytes chunk) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr || stream->over() || stream->ended || chunk.empty()) return;
  stream->out.append(chunk);
  if (stream->waiting) {
    stream->waiting = false;
    nghttp2_session_resume_data(session_, id);
  }
}

void Endpoint::body_end(std::int32_t id, const Fields& trailers) {
  Stream* const stream = streams_.find(id);
  if (stream == nullptr || stream->over() || stream->ended) return;
  stream->ended = true;
  if (trailers.size() != 0) {
    stream->trailers = std::make_unique<OwnedFields>();
    TextArena& arena = stream->trailers->arena;
    for (const Field& field : trailers) {
      const std::string_view name = arena.copy(field.name);
      stream->trailers->fields.add(name, arena.copy(field.value));
    }
  }
  if (stream->waiting) {
    stream->waiting = false;
    nghttp2_session_resume_data(session_, id);
  }
}

std::size_t Endpoint::unsent(std::int32_t id) const {
  const Stream* const stream = streams_.find(id);
  return stream == nullptr ? 0 : stream->out.size();
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
    nghttp2_session_consume(session_, id, size);
  }
}

void Endpoint::reset(Stream& stream, std::uint32_t error) {
  if (stream.over()) return;
  stream.reset = true;
  stream.out.clear();
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, error);
}

}  // namespace postern::http::h2
