#include "nameserver/tcp_connection.h"

#include <algorithm>
#include <utility>

namespace postern::nameserver {
namespace {

constexpr std::size_t kLengthBytes = 2;
constexpr std::size_t kFrameBytesMax = kLengthBytes + 65535;
constexpr std::size_t kAnswersBytes = 2 * kFrameBytesMax;
constexpr std::uint64_t kFirstQueryMs = 1000;
constexpr std::size_t kBufferKeptBytes = 4096;  // memory that a quiet connection may keep

void clear_buffer(std::vector<std::uint8_t>& buffer) {
  buffer.clear();
  if (buffer.capacity() > kBufferKeptBytes) buffer.shrink_to_fit();
}

}  // namespace

TcpShared::TcpShared(net::Loop& event_loop, QueryHandler& query_handler,
                     const TcpServiceSettings& limits)
    : loop(event_loop),
      handler(query_handler),
      settings(limits),
      answers(kAnswersBytes),
      serve_late(event_loop, [this] {
        for (std::size_t i = 0; i < late.size(); ++i) {
          if (late[i] != nullptr) late[i]->serve_late();
        }
        late.clear();
      }) {}

TcpConnection::TcpConnection(TcpShared& shared, const Endpoint& peer, const Endpoint& listener)
    : shared_(shared),
      client_{peer, Transport::kTcp},
      listener_(listener),
      last_active_ms_(shared.loop.now_ms()),
      sent_mark_ms_(last_active_ms_) {}

TcpConnection::~TcpConnection() {
  if (!marked_late_) return;
  TcpConnection* const nobody = nullptr;
  std::replace(shared_.late.begin(), shared_.late.end(), this, nobody);
}

void TcpConnection::start(Place place, std::unique_ptr<net::Stream> stream) {
  place_ = place;
  stream_ = std::move(stream);
}

bool TcpConnection::stalled(std::uint64_t now_ms) {
  if (stream_->unsent() == 0 || stream_->sent_total() != sent_mark_) {
    sent_mark_ = stream_->sent_total();
    sent_mark_ms_ = now_ms;
  }
  return now_ms - sent_mark_ms_ >= shared_.settings.stall_timeout_ms;
}

bool TcpConnection::awaits_first_query(std::uint64_t now_ms) const {
  return !asked_ && !ended_ && now_ms - last_active_ms_ < kFirstQueryMs;
}

void TcpConnection::serve_late() {
  marked_late_ = false;
  if (!late_answers_.empty()) {
    write(late_answers_);
    clear_buffer(late_answers_);
    touch();
  }
  take_held_back();
  settle();
}

void TcpConnection::drain() {
  draining_ = true;
  settle();
}

void TcpConnection::received(Bytes chunk) {
  if (lingering_) return;
  if (input_.empty()) {
    chunk = chunk.subspan(take_queries(chunk));
    input_.assign(chunk.begin(), chunk.end());
  } else {
    input_.insert(input_.end(), chunk.begin(), chunk.end());
    take_held_back();
  }
  settle();
}

void TcpConnection::ended() {
  ended_ = true;
  settle();
}

void TcpConnection::drained() {
  touch();
  take_held_back();
  settle();
}

void TcpConnection::failed(const Error&) { shared_.close(*this); }

std::unique_ptr<ReplyPath> TcpConnection::keep() {
  current_kept_ = true;
  return kept_.keep(NoAddress{});
}

void TcpConnection::late_reply(const NoAddress&, Bytes reply) {
  if (reply.empty() || reply.size() > kFrameBytesMax - kLengthBytes) {
    late_nothing();
    return;
  }
  ++shared_.counts.replied;
  const std::size_t at = late_answers_.size();
  late_answers_.resize(at + kLengthBytes);
  store_u16(&late_answers_[at], static_cast<std::uint16_t>(reply.size()));
  late_answers_.insert(late_answers_.end(), reply.begin(), reply.end());
  mark_late();
}

void TcpConnection::late_nothing() {
  ++shared_.counts.dropped;
  mark_late();
}

bool TcpConnection::may_take_query() const {
  const TcpServiceSettings& limits = shared_.settings;
  return !(draining_ && asked_) && !malformed_ && !broken_ &&
         kept_.size() < limits.outstanding_max && stream_->unsent() <= limits.unsent_bytes_max;
}

// Returns how many bytes were used: whole frames, as many as the limits allow.
std::size_t TcpConnection::take_queries(Bytes data) {
  std::size_t at = 0;
  while (data.size() - at >= kLengthBytes && may_take_query()) {
    const std::size_t size = load_u16(&data[at]);
    if (size == 0) {
      malformed_ = true;
      break;
    }
    if (data.size() - at - kLengthBytes < size) break;
    take_query(data.subspan(at + kLengthBytes, size));
    at += kLengthBytes + size;
  }
  write_answers();
  if (at > 0) touch();
  return at;
}

void TcpConnection::take_query(Bytes query) {
  if (shared_.answers.size() - answers_size_ < kFrameBytesMax) write_answers();
  std::uint8_t* const frame = &shared_.answers[answers_size_];
  current_kept_ = false;
  asked_ = true;
  ++shared_.counts.received;
  const std::size_t size = shared_.handler.handle(
      query, client_, {frame + kLengthBytes, kFrameBytesMax - kLengthBytes}, *this);
  if (size > 0) {
    store_u16(frame, static_cast<std::uint16_t>(size));
    answers_size_ += kLengthBytes + size;
    ++shared_.counts.replied;
  } else if (!current_kept_) {
    ++shared_.counts.dropped;
  }
}

void TcpConnection::write_answers() {
  if (answers_size_ > 0) write(Bytes(shared_.answers).first(answers_size_));
  answers_size_ = 0;
}

void TcpConnection::write(Bytes frames) {
  if (broken_ || stream_->write(frames)) return;
  broken_ = true;
  if (stream_->unsent() > shared_.settings.unsent_bytes_max) ++shared_.counts.closed_stalled;
}

void TcpConnection::take_held_back() {
  const std::size_t used = take_queries(input_);
  if (used == input_.size()) {
    clear_buffer(input_);
  } else {
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
  }
}

// Last in every event: decides whether to read on, and whether this is the end. May destroy this.
void TcpConnection::settle() {
  if (malformed_ || broken_) {
    if (malformed_) ++shared_.counts.closed_malformed;
    shared_.close(*this);
    return;
  }
  if (ended_ && (!busy() || lingering_)) {
    shared_.close(*this);
    return;
  }
  if (draining_ && !lingering_ && !busy() && !awaits_first_query(shared_.loop.now_ms())) {
    // Closing with unread queries would reset the connection and could lose the last answers.
    lingering_ = true;
    stream_->finish();
  }
  const bool pause = !lingering_ && !may_take_query();
  if (pause == paused_) return;
  paused_ = pause;
  if (pause) {
    ++shared_.counts.held_back;
    stream_->pause();
  } else {
    stream_->resume();
  }
}

void TcpConnection::touch() {
  last_active_ms_ = shared_.loop.now_ms();
  shared_.connections.splice(shared_.connections.end(), shared_.connections, place_);
}

void TcpConnection::mark_late() {
  if (marked_late_) return;
  marked_late_ = true;
  shared_.late.push_back(this);
  shared_.serve_late.schedule();
}

}  // namespace postern::nameserver
