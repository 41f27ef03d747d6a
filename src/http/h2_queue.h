// Bytes that wait to be sent on one stream: in at the end, out at the front. No memory while empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/recycler.h"

namespace postern::http::h2 {

class ByteQueue {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void append(Bytes bytes);
  /// Copies the first out.size() bytes and removes them. REQUIRES: there are so many.
  void take(MutableBytes out);
  void clear();

  /// From now on what is taken stays as well, until forget() or more than kKeptBytes came in all.
  static constexpr std::size_t kKeptBytes = 16U << 10;
  void keep() { keeps_ = true; }
  void forget();
  /// All that ever came; nothing when some of it is gone.
  std::optional<Bytes> all() const;

 private:
  void make_room(std::size_t bytes);

  std::unique_ptr<std::uint8_t[], GiveMemory> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
  bool keeps_ = false;
  bool whole_ = true;  // data_ begins with the first byte that came
};

}  // namespace postern::http::h2
