#include "http/h2_stream.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace postern::http::h2 {

void Stream::take(MutableBytes to) {
  const std::size_t queued = std::min(out.size(), to.size());
  out.take(to.first(queued));
  const MutableBytes rest = to.subspan(queued);
  if (rest.empty()) return;
  assert(rest.size() <= lent.size());
  std::memcpy(rest.data(), lent.data(), rest.size());
  lent = lent.subspan(rest.size());
}

void Stream::drop_unsent() {
  out.clear();
  lent = {};
}

std::size_t StreamTable::position(std::int32_t id) const {
  return static_cast<std::size_t>(std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
}

Stream* StreamTable::find(std::int32_t id) const {
  const std::size_t at = position(id);
  return at < ids_.size() && ids_[at] == id ? streams_[at].get() : nullptr;
}

Stream& StreamTable::add(std::int32_t id) {
  assert(ids_.empty() || ids_.back() < id);
  ids_.push_back(id);
  return *streams_.emplace_back(std::make_unique<Stream>(id));
}

std::unique_ptr<Stream> StreamTable::remove(std::int32_t id) {
  const std::size_t at = position(id);
  if (at == ids_.size() || ids_[at] != id) return nullptr;
  std::unique_ptr<Stream> stream = std::move(streams_[at]);
  streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(at));
  ids_.erase(ids_.begin() + static_cast<std::ptrdiff_t>(at));
  return stream;
}

std::unique_ptr<Stream> StreamTable::remove_last() {
  std::unique_ptr<Stream> stream = std::move(streams_.back());
  streams_.pop_back();
  ids_.pop_back();
  return stream;
}

}  // namespace postern::http::h2
