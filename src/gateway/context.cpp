#include "gateway/context.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <sys/random.h>

#include "gateway/exchange.h"

namespace postern::gateway {
namespace {

constexpr std::size_t kExchangesKeptMax = 256;
constexpr std::size_t kFramesBytes = 128U << 10;

std::uint64_t rotated(std::uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

}  // namespace

Output::Output(net::Loop& loop) : end_of_turn_(loop, [this] { flush_now(); }), memory_(kBytes) {}

void Output::use(net::Stream& stream) {
  if (stream_ == &stream) return;
  flush_now();
  stream_ = &stream;
  end_of_turn_.schedule();
}

MutableBytes Output::room(net::Stream& stream, std::size_t size) {
  use(stream);
  if (memory_.size() - used_ < size) {
    flush_now();
    stream_ = &stream;
  }
  if (memory_.size() < size) memory_.resize(size);
  return MutableBytes(memory_).subspan(used_);
}

void Output::add(net::Stream& stream, Bytes data) {
  if (data.empty()) return;
  use(stream);
  const bool fits = data.size() <= memory_.size() - used_;
  if (!fits || (used_ == 0 && data.size() >= kDirectBytes)) {
    flush_now();
    if (!stream.write(data)) stream.break_off();
    return;
  }
  std::memcpy(memory_.data() + used_, data.data(), data.size());
  used_ += data.size();
}

void Output::flush(const net::Stream& stream) {
  if (stream_ == &stream) flush_now();
}

void Output::flush_now() {
  net::Stream* const stream = std::exchange(stream_, nullptr);
  const std::size_t size = std::exchange(used_, 0);
  if (stream == nullptr || size == 0) return;
  // Who gives more than the stream's limit was not stopped in time: better no connection than one
  // with a gap.
  if (!stream->write(Bytes(memory_).first(size))) stream->break_off();
}

void Graveyard::empty() {
  while (!objects_.empty()) {
    const std::vector<Buried> objects = std::exchange(objects_, {});
    for (const Buried& buried : objects) buried.destroy(buried.object);
  }
}

Random::Random() {
  if (getrandom(state_.data(), sizeof state_, 0) != sizeof state_) state_ = {1, 2};
}

// xoroshiro128+ (Blackman and Vigna).
std::uint64_t Random::next() {
  const std::uint64_t a = state_[0];
  std::uint64_t b = state_[1];
  const std::uint64_t result = a + b;
  b ^= a;
  state_[0] = rotated(a, 24) ^ b ^ (b << 16);
  state_[1] = rotated(b, 37);
  return result;
}

Context::Context(net::Loop& the_loop, HostResolver& the_resolver)
    : loop(the_loop),
      resolver(the_resolver),
      access_log(the_loop),
      output(the_loop),
      graveyard(the_loop),
      collect_exchanges(the_loop, [this] { collect_ended(); }),
      frames(kFramesBytes) {}

Context::~Context() = default;

std::string_view Context::date() {
  constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != date_s_) {
    date_s_ = now.tv_sec;
    std::tm tm{};
    gmtime_r(&now.tv_sec, &tm);
    fmt::format_to_n(date_.data(), date_.size(), "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     kDays[static_cast<std::size_t>(tm.tm_wday)], tm.tm_mday,
                     kMonths[static_cast<std::size_t>(tm.tm_mon)], tm.tm_year + 1900, tm.tm_hour,
                     tm.tm_min, tm.tm_sec);
  }
  return {date_.data(), date_.size()};
}

std::unique_ptr<Exchange> Context::take_exchange() {
  ++exchanges;
  if (idle_exchanges.empty()) return std::make_unique<Exchange>(*this);
  std::unique_ptr<Exchange> exchange = std::move(idle_exchanges.back());
  idle_exchanges.pop_back();
  return exchange;
}

void Context::give_back(std::unique_ptr<Exchange> exchange) {
  --exchanges;
  exchange->clear();
  ended_exchanges.push_back(std::move(exchange));
  collect_exchanges.schedule();
}

void Context::collect_ended() {
  for (std::unique_ptr<Exchange>& exchange : ended_exchanges) {
    if (idle_exchanges.size() == kExchangesKeptMax) break;
    idle_exchanges.push_back(std::move(exchange));
  }
  ended_exchanges.clear();
}

}  // namespace postern::gateway
