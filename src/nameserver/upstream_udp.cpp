#include "nameserver/upstream_udp.h"

#include <cerrno>

#include "base/clock.h"
#include "dns/accept.h"
#include "net/socket.h"

namespace postern::nameserver {
namespace {

std::uint64_t exchange_key(std::uint32_t port_serial, std::uint16_t id) {
  return (std::uint64_t{port_serial} << 16) | id;
}

AttemptEnd end_for(int error_number) {
  return error_number == ECONNREFUSED ? AttemptEnd::kRefused : AttemptEnd::kUnreachable;
}

}  // namespace

class UdpPorts::Port final : public net::UdpReader, public ExchangePort {
 public:
  Port(UdpPorts& ports, std::uint32_t serial)
      : ports_(ports), serial_(serial), opened_ms_(ports.loop_.now_ms()) {}
  ~Port() override {
    while (Exchange* exchange = waiting_.front()) forget(*exchange);
    ports_.counts_.send_dropped += send_dropped();
  }

  AttemptEnd open() {
    auto fd = net::connect_udp(ports_.peer_);
    if (!fd) return end_for(fd.error());
    auto socket = net::UdpSocket::open(ports_.loop_, std::move(*fd), *this);
    if (!socket) return AttemptEnd::kNoSocket;
    socket_ = std::move(*socket);
    ++ports_.counts_.sockets_opened;
    return AttemptEnd::kWaiting;
  }

  void send(Exchange& exchange) {
    do {
      exchange.id = ports_.random_.u16();
      exchange.key = exchange_key(serial_, exchange.id);
    } while (find(exchange.key) != nullptr);
    ports_.exchanges_.insert(exchange.key, &exchange);
    exchange.port = this;
    exchange.sent_us = monotonic_us();
    waiting_.push_back(exchange);
    ++waiting_count_;
    ++sent_count_;
    std::array<std::uint8_t, kUpstreamQueryMax> query;
    const std::size_t size = write_upstream_query(exchange.id, exchange.question, query);
    socket_->queue(Bytes(query.data(), size));
  }

  void forget(Exchange& exchange) override {
    ports_.exchanges_.erase(exchange.key, &exchange);
    exchange.unlink();
    exchange.port = nullptr;
    // A retired port goes with its last exchange, but not while it is on the call stack.
    if (--waiting_count_ == 0 && retired_) ports_.turn_end_.schedule();
  }

  bool timed_out(Exchange&) override { return true; }

  std::size_t received(const net::UdpDatagram& datagram, MutableBytes) override {
    const Bytes message = datagram.data;
    Exchange* exchange = message.size() < dns::kHeaderBytes || datagram.truncated
                             ? nullptr
                             : find(exchange_key(serial_, load_u16(message.data())));
    if (exchange != nullptr && matches(*exchange, message, exchange->match_case)) {
      forget(*exchange);
      exchange->owner->replied(*exchange, message);
      return 0;
    }
    ++ports_.counts_.mismatched;
    if (exchange != nullptr) take_hint(*exchange, message);
    return 0;
  }

  // The kernel does not say which of the queries met the error; all of them share the fate.
  void failed(int error_number) override {
    Ring<Exchange> broken;
    broken.take(waiting_);
    while (Exchange* exchange = broken.front()) {
      forget(*exchange);
      exchange->owner->broke(*exchange, end_for(error_number));
    }
  }

  std::size_t waiting() const { return waiting_count_; }
  std::uint64_t send_dropped() const {
    return socket_ == nullptr ? 0 : socket_->counts().send_dropped;
  }
  std::uint32_t sent() const { return sent_count_; }
  std::uint64_t opened_ms() const { return opened_ms_; }
  void set_retired() { retired_ = true; }

 private:
  // Not the answer, but of the right id.
  static void take_hint(Exchange& exchange, Bytes message) {
    if (exchange.match_case && matches(exchange, message, false)) {
      exchange.owner->case_lost(exchange);
    } else if (exchange.question.edns && dns::is_bare_refusal(message, exchange.id)) {
      exchange.owner->edns_refused(exchange);
    }
  }

  Exchange* find(std::uint64_t key) const {
    return ports_.exchanges_.find(key, [](const Exchange&) { return true; });
  }

  static bool matches(const Exchange& exchange, Bytes message, bool match_case) {
    const UpstreamQuestion& question = exchange.question;
    return dns::matches_question(message, exchange.id, question.name, question.type, question.klass,
                                 match_case);
  }

  UdpPorts& ports_;
  std::uint32_t serial_;
  std::uint64_t opened_ms_;
  std::uint32_t sent_count_ = 0;
  std::size_t waiting_count_ = 0;
  bool retired_ = false;
  Ring<Exchange> waiting_;
  std::unique_ptr<net::UdpSocket> socket_;
};

UdpPorts::UdpPorts(net::Loop& loop, Random& random, const Endpoint& peer,
                   const UdpPortSettings& settings)
    : loop_(loop), random_(random), peer_(peer), settings_(settings), turn_end_(loop, [this] {
        end_turn();
      }) {}

UdpPorts::~UdpPorts() = default;

AttemptEnd UdpPorts::send(Exchange& exchange) {
  Port* port = current_port();
  if (port == nullptr) return open_end_;
  if (port->waiting() >= kPortQueriesMax) {
    ++counts_.queries_refused;
    return AttemptEnd::kFull;
  }
  port->send(exchange);
  turn_end_.schedule();
  return AttemptEnd::kWaiting;
}

ExchangeCounts UdpPorts::counts() const {
  ExchangeCounts counts = counts_;
  for (const std::unique_ptr<Port>& port : ports_) {
    if (port != nullptr) counts.send_dropped += port->send_dropped();
  }
  for (const std::unique_ptr<Port>& port : retiring_) counts.send_dropped += port->send_dropped();
  return counts;
}

bool UdpPorts::must_retire(const Port& port) const {
  const bool worn = port.sent() >= settings_.queries_max ||
                    loop_.now_ms() - port.opened_ms() >= settings_.age_max_ms;
  return worn && retiring_.size() < kRetiringMax;
}

void UdpPorts::retire(std::unique_ptr<Port>& port) {
  port->set_retired();
  retiring_.push_back(std::move(port));
  turn_end_.schedule();
}

UdpPorts::Port* UdpPorts::current_port() {
  if (current_ == nullptr || must_retire(*current_)) current_ = draw_port();
  return current_;
}

UdpPorts::Port* UdpPorts::draw_port() {
  std::unique_ptr<Port>& port = ports_[random_.below(kPorts)];
  if (port != nullptr && !must_retire(*port)) return port.get();
  auto fresh = std::make_unique<Port>(*this, next_serial_++);
  open_end_ = fresh->open();
  if (open_end_ != AttemptEnd::kWaiting) {
    if (open_end_ == AttemptEnd::kNoSocket) ++counts_.sockets_failed;
    return open_port();
  }
  if (port != nullptr) retire(port);
  port = std::move(fresh);
  return port.get();
}

// One of those that are open, worn or not; nullptr: there is none.
UdpPorts::Port* UdpPorts::open_port() {
  const std::size_t first = random_.below(kPorts);
  for (std::size_t i = 0; i < kPorts; ++i) {
    if (Port* port = ports_[(first + i) % kPorts].get()) return port;
  }
  return nullptr;
}

void UdpPorts::end_turn() {
  current_ = nullptr;
  std::erase_if(retiring_, [](const std::unique_ptr<Port>& port) { return port->waiting() == 0; });
}

}  // namespace postern::nameserver
