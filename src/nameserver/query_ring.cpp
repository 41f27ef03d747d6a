#include "nameserver/query_ring.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace postern::nameserver {
namespace {

static_assert(std::is_trivially_copyable_v<QueryRecord>);

// Records stand at multiples of 8 and never wrap: what is left at the end of the ring is skipped.
constexpr std::size_t kAlign = 8;
constexpr std::uint64_t kSkip = 1ULL << 63U;  // in place of a size: the rest of the ring is unused
constexpr std::size_t kSizeBytes = sizeof(std::uint64_t);

std::size_t aligned(std::size_t size) { return (size + kAlign - 1) & ~(kAlign - 1); }

std::uint8_t* put(std::uint8_t* to, const void* from, std::size_t size) {
  if (size != 0) std::memcpy(to, from, size);
  return to + size;
}

}  // namespace

void QueryRing::want(std::uint8_t wanted) {
  if (memory_ == nullptr && wanted != kNothing) {
    memory_ = std::make_unique<std::uint8_t[]>(kBytes);
  }
  wanted_.store(wanted, std::memory_order_release);
}

void QueryRing::write(QueryRecord record, std::string_view view, Bytes query, Bytes reply) {
  view = view.substr(0, kViewBytesMax);
  record.view_bytes = static_cast<std::uint8_t>(view.size());
  record.query_bytes = static_cast<std::uint16_t>(std::min<std::size_t>(query.size(), 0xffff));
  record.reply_bytes = static_cast<std::uint32_t>(reply.size());
  const std::size_t size = aligned(kSizeBytes + sizeof(record) + record.view_bytes +
                                   record.query_bytes + record.reply_bytes);
  std::uint64_t end = end_.load(std::memory_order_relaxed);
  const std::size_t at = end % kBytes;
  const std::size_t skipped = at + size > kBytes ? kBytes - at : 0;
  if (end + skipped + size - begin_.load(std::memory_order_acquire) > kBytes) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (skipped != 0) put(&memory_[at], &kSkip, kSizeBytes);
  end += skipped;
  const std::uint64_t stored = size;
  std::uint8_t* to = put(&memory_[end % kBytes], &stored, kSizeBytes);
  to = put(to, &record, sizeof(record));
  to = put(to, view.data(), record.view_bytes);
  to = put(to, query.data(), record.query_bytes);
  put(to, reply.data(), record.reply_bytes);
  end_.store(end + size, std::memory_order_release);
}

bool QueryRing::front(Entry* entry) const {
  std::uint64_t begin = begin_.load(std::memory_order_relaxed);
  if (begin == end_.load(std::memory_order_acquire)) return false;
  std::uint64_t size = 0;
  std::memcpy(&size, &memory_[begin % kBytes], kSizeBytes);
  if (size == kSkip) {  // a record follows, written together with it
    begin += kBytes - begin % kBytes;
    begin_.store(begin, std::memory_order_release);
  }
  const std::uint8_t* from = &memory_[begin % kBytes] + kSizeBytes;
  std::memcpy(&entry->record, from, sizeof(entry->record));
  from += sizeof(entry->record);
  entry->view = as_text(Bytes(from, entry->record.view_bytes));
  from += entry->record.view_bytes;
  entry->query = Bytes(from, entry->record.query_bytes);
  from += entry->record.query_bytes;
  entry->reply = Bytes(from, entry->record.reply_bytes);
  return true;
}

void QueryRing::pop() {
  const std::uint64_t begin = begin_.load(std::memory_order_relaxed);
  std::uint64_t size = 0;
  std::memcpy(&size, &memory_[begin % kBytes], kSizeBytes);
  begin_.store(begin + size, std::memory_order_release);
}

}  // namespace postern::nameserver
