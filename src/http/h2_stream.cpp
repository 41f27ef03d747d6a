#include "http/h2_stream.h"

#include <algorithm>
#include <cassert>

namespace postern::http::h2 {

std::size_t StreamTable::position(std::int32_t id) const {
  const auto found = std::lower_bound(streams_.begin(), streams_.end(), id,
                                      [](const std::unique_ptr<Stream>& stream,
                                         std::int32_t wanted) { return stream->id < wanted; });
  return static_cast<std::size_t>(found - streams_.begin());
}

Stream* StreamTable::find(std::int32_t id) const {
  const std::size_t at = position(id);
  return at < streams_.size() && streams_[at]->id == id ? streams_[at].get() : nullptr;
}

Stream& StreamTable::add(std::int32_t id) {
  assert(streams_.empty() || streams_.back()->id < id);
  return *streams_.emplace_back(std::make_unique<Stream>(id));
}

std::unique_ptr<Stream> StreamTable::remove(std::int32_t id) {
  const std::size_t at = position(id);
  if (at == streams_.size() || streams_[at]->id != id) return nullptr;
  std::unique_ptr<Stream> stream = std::move(streams_[at]);
  streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(at));
  return stream;
}

std::unique_ptr<Stream> StreamTable::remove_last() {
  std::unique_ptr<Stream> stream = std::move(streams_.back());
  streams_.pop_back();
  return stream;
}

}  // namespace postern::http::h2
