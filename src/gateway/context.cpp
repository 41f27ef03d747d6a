#include "gateway/context.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <sys/random.h>

#include "base/log.h"
#include "gateway/exchange.h"

namespace postern::gateway {
namespace {

constexpr std::size_t kExchangesKeptMax = 256;
constexpr std::uint64_t kFilesShortMs = 2000;

std::uint64_t rotated(std::uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

}  // namespace

Output::Output(net::Loop& loop) : end_of_turn_(loop, [this] { flush_all(); }), memory_(kBytes) {
  parts_.reserve(kPartsMax);
}

void Output::use(net::Stream& stream) {
  if (!parts_.empty() && parts_.back().stream == &stream) return;
  if (parts_.size() == kPartsMax) flush_all();
  parts_.push_back({&stream, used_});
  end_of_turn_.schedule();
}

MutableBytes Output::room(net::Stream& stream, std::size_t size) {
  use(stream);
  if (memory_.size() - used_ < size) {
    flush_all();
    use(stream);
  }
  if (memory_.size() < size) memory_.resize(size);
  return MutableBytes(memory_).subspan(used_);
}

void Output::add(net::Stream& stream, Bytes data) {
  if (data.empty()) return;
  const bool fits = data.size() <= memory_.size() - used_;
  if (!fits || (data.size() >= kDirectBytes && !waits(stream))) {
    if (!fits) flush_all();
    if (!stream.write(data)) stream.break_off();
    return;
  }
  use(stream);
  std::memcpy(memory_.data() + used_, data.data(), data.size());
  used_ += data.size();
}

bool Output::waits(const net::Stream& stream) const {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].stream == &stream && parts_[i].begin != end_of(i)) return true;
  }
  return false;
}

std::size_t Output::end_of(std::size_t part) const {
  return part + 1 < parts_.size() ? parts_[part + 1].begin : used_;
}

void Output::flush(const net::Stream& stream) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].stream == &stream) send(i);
  }
}

void Output::drop(const net::Stream& stream) {
  for (Part& part : parts_) {
    if (part.stream == &stream) part.stream = nullptr;
  }
}

void Output::send(std::size_t part) {
  net::Stream* const stream = std::exchange(parts_[part].stream, nullptr);
  const std::size_t begin = parts_[part].begin, end = end_of(part);
  if (stream == nullptr || begin == end) return;
  // Who gives more than the stream's limit was not stopped in time: better no connection than one
  // with a gap.
  if (!stream->write(Bytes(memory_).subspan(begin, end - begin))) stream->break_off();
}

void Output::flush_all() {
  for (std::size_t i = 0; i < parts_.size(); ++i) send(i);
  parts_.clear();
  used_ = 0;
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

Context::Context(net::Loop& the_loop, HostResolver& the_resolver, SharedByWorkers& the_shared)
    : loop(the_loop),
      resolver(the_resolver),
      shared(the_shared),
      relieve_memory(the_loop,
                     [this] {
                       if (const std::size_t gone = memory.relieve(); gone != 0) {
                         note_memory_short(gone);
                       }
                     }),
      memory(the_shared.memory, [this] { relieve_memory.schedule(); }),
      access_log(the_loop),
      output(the_loop),
      graveyard(the_loop),
      collect_exchanges(the_loop, [this] { collect_ended(); }),
      frames(net::Loop::kChunkBytes) {}

Context::~Context() = default;

void Context::note_memory_short(std::size_t times) {
  counts.memory_short += times;
  std::uint64_t held_back = 0;
  if (!memory_log.allow(loop.now_ms(), &held_back)) return;
  log_warning(
      "memory_short",
      "requests under way hold {} MiB in this worker, of {} in all that are planned: those are "
      "given up on which nothing moves, and too many new ones refused; look for clients that "
      "open many and do not read or finish them{}",
      memory.used() >> 20, site->site->memory_max >> 20, LogLimit::text(held_back));
}

void Context::note_no_file(std::string_view backend) {
  shared.files_short_until_ms.store(loop.now_ms() + kFilesShortMs, std::memory_order_relaxed);
  std::uint64_t held_back = 0;
  if (!files_log.allow(loop.now_ms(), &held_back)) return;
  log_warning("files_short",
              "{}: no file descriptor was left for a connection; LimitNOFILE of the service, or "
              "ulimit -Hn, gives more{}",
              backend, LogLimit::text(held_back));
}

std::string_view Context::date() {
  constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (date_s_ >= 0 && loop.now_ms() == date_read_ms_) return {date_.data(), date_.size()};
  date_read_ms_ = loop.now_ms();
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

void Context::collect_ended(std::size_t first) {
  for (std::size_t i = first; i < ended_exchanges.size(); ++i) {
    if (idle_exchanges.size() == kExchangesKeptMax) break;
    idle_exchanges.push_back(std::move(ended_exchanges[i]));
  }
  ended_exchanges.resize(std::min(first, ended_exchanges.size()));
}

}  // namespace postern::gateway
