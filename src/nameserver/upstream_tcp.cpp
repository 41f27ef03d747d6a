#include "nameserver/upstream_tcp.h"

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "dns/accept.h"
#include "nameserver/flat_table.h"

namespace postern::nameserver {

class TcpConnections::Connection final : public net::StreamReader, public ExchangePort {
 public:
  explicit Connection(TcpConnections& all) : all_(all), idle_from_ms_(all.loop_.now_ms()) {}
  ~Connection() override {
    while (Exchange* exchange = waiting_.front()) forget(*exchange);
  }

  AttemptEnd open() {
    auto stream = net::TcpStream::connect(all_.loop_, all_.peer_, *this);
    if (!stream) return end_for(stream.error());
    stream_ = std::move(*stream);
    ++all_.counts_.sockets_opened;
    return AttemptEnd::kWaiting;
  }

  bool send(Exchange& exchange) {
    do {
      exchange.id = all_.random_.u16();
    } while (find(exchange.id) != nullptr);
    std::array<std::uint8_t, kUpstreamQueryMax + 2> frame;
    const std::size_t size =
        write_upstream_query(exchange.id, exchange.question, MutableBytes(frame).subspan(2));
    store_u16(frame.data(), static_cast<std::uint16_t>(size));
    if (!stream_->write(Bytes(frame.data(), size + 2))) return false;
    exchange.key = exchange.id;
    exchange.port = this;
    exchange.sent_us = monotonic_us();
    if (silent_since_us_ == 0) silent_since_us_ = exchange.sent_us;
    exchanges_.insert(exchange.key, &exchange);
    waiting_.push_back(exchange);
    return true;
  }

  void forget(Exchange& exchange) override {
    exchanges_.erase(exchange.key, &exchange);
    exchange.unlink();
    exchange.port = nullptr;
    idle_from_ms_ = all_.loop_.now_ms();
    if (ending_ && waiting() == 0) all_.sweep_.schedule();
  }

  // TCP sends again by itself; another query helps only on another connection.
  bool timed_out(Exchange&) override {
    const std::uint64_t silent_us = monotonic_us() - silent_since_us_;
    if (silent_since_us_ != 0 && silent_us >= all_.settings_.silence_ms * 1000) end();
    return ending_;
  }

  void received(Bytes chunk) override {
    if (!partial_.empty()) {
      partial_.insert(partial_.end(), chunk.begin(), chunk.end());
      chunk = partial_;
    }
    std::size_t at = 0;
    while (chunk.size() - at >= 2) {
      const std::size_t size = load_u16(chunk.data() + at);
      if (chunk.size() - at - 2 < size) break;
      message(chunk.subspan(at + 2, size));
      at += 2 + size;
    }
    const auto rest = static_cast<std::ptrdiff_t>(at);
    if (partial_.empty()) {
      partial_.assign(chunk.begin() + rest, chunk.end());
    } else {
      partial_.erase(partial_.begin(), partial_.begin() + rest);
    }
    note_heard();
  }

  void ended() override { lose(AttemptEnd::kClosed); }

  void connected() override {
    connected_ = true;
    note_heard();
  }

  void failed(const Error& error) override {
    lose(connected_ ? AttemptEnd::kClosed : end_for(error));
  }

  std::size_t waiting() const { return exchanges_.size(); }
  bool ending() const { return ending_; }
  bool finished(std::uint64_t now_ms) const {
    return waiting() == 0 && (ending_ || now_ms - idle_from_ms_ >= all_.settings_.idle_ms);
  }

 private:
  Exchange* find(std::uint16_t id) const {
    return exchanges_.find(id, [](const Exchange&) { return true; });
  }

  void message(Bytes message) {
    Exchange* exchange =
        message.size() < dns::kHeaderBytes ? nullptr : find(load_u16(message.data()));
    if (exchange == nullptr) {
      ++all_.counts_.mismatched;
      return;
    }
    const UpstreamQuestion& question = exchange->question;
    if (!dns::matches_question(message, exchange->id, question.name, question.type, question.klass,
                               false)) {
      ++all_.counts_.mismatched;
      const bool refused = question.edns && dns::is_bare_refusal(message, exchange->id);
      if (refused) exchange->owner->edns_refused(*exchange);
      return;
    }
    forget(*exchange);
    exchange->owner->replied(*exchange, message);
  }

  void note_heard() { silent_since_us_ = waiting() == 0 ? 0 : monotonic_us(); }

  void end() {
    ending_ = true;
    all_.sweep_.schedule();
  }

  void lose(AttemptEnd reason) {
    end();
    Ring<Exchange> lost;
    lost.take(waiting_);
    while (Exchange* exchange = lost.front()) {
      forget(*exchange);
      exchange->owner->broke(*exchange, reason);
    }
  }

  TcpConnections& all_;
  std::uint64_t silent_since_us_ = 0;  // a query was sent or something came; 0: none is waiting
  std::uint64_t idle_from_ms_;         // when nothing is under way
  bool connected_ = false;
  bool ending_ = false;  // takes no more queries, goes when the last one has left
  FlatTable<Exchange> exchanges_;
  Ring<Exchange> waiting_;
  std::vector<std::uint8_t>
      partial_;  // the beginning of a message, at most 65537 bytes and a chunk
  std::unique_ptr<net::TcpStream> stream_;
};

TcpConnections::TcpConnections(net::Loop& loop, Random& random, const Endpoint& peer,
                               const TcpConnectionSettings& settings)
    : loop_(loop),
      random_(random),
      peer_(peer),
      settings_(settings),
      sweep_(loop, [this] { sweep(); }),
      idle_timer_(loop, [this] { sweep(); }) {}

TcpConnections::~TcpConnections() = default;

AttemptEnd TcpConnections::send(Exchange& exchange) {
  AttemptEnd why_not = AttemptEnd::kFull;
  Connection* connection = pick(&why_not);
  if (connection != nullptr) {
    return connection->send(exchange) ? AttemptEnd::kWaiting : AttemptEnd::kClosed;
  }
  if (why_not == AttemptEnd::kFull) ++counts_.queries_refused;
  return why_not;
}

// nullptr: `*why_not` says why there is none.
TcpConnections::Connection* TcpConnections::pick(AttemptEnd* why_not) {
  Connection* best = nullptr;
  for (const auto& connection : connections_) {
    if (connection->ending()) continue;
    if (best == nullptr || connection->waiting() < best->waiting()) best = connection.get();
  }
  const bool want_more = best == nullptr || best->waiting() >= settings_.pipeline_min;
  // Connections that end do not count twice: one that never answers must not use up all places.
  if (want_more && connections_.size() < settings_.connections_max * (best == nullptr ? 2 : 1)) {
    if (Connection* fresh = connect(why_not)) return fresh;
  } else if (want_more) {
    ++counts_.connections_full;
  }
  return best != nullptr && best->waiting() < settings_.pipeline_max ? best : nullptr;
}

TcpConnections::Connection* TcpConnections::connect(AttemptEnd* why_not) {
  auto fresh = std::make_unique<Connection>(*this);
  const AttemptEnd end = fresh->open();
  if (end != AttemptEnd::kWaiting) {
    if (end == AttemptEnd::kNoSocket) ++counts_.sockets_failed;
    *why_not = end;
    return nullptr;
  }
  connections_.push_back(std::move(fresh));
  watch_idle();
  return connections_.back().get();
}

void TcpConnections::watch_idle() {
  constexpr std::uint64_t kLooks = 10;  // per idle time
  if (!idle_timer_.active())
    idle_timer_.start_every(std::max<std::uint64_t>(settings_.idle_ms / kLooks, 1));
}

void TcpConnections::sweep() {
  const std::uint64_t now = loop_.now_ms();
  std::erase_if(connections_, [now](const auto& connection) { return connection->finished(now); });
  if (connections_.empty()) idle_timer_.stop();
}

}  // namespace postern::nameserver
