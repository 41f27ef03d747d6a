// What every fuzzer needs: a property that ends the run when it does not hold, and an input that is
// taken apart piece by piece.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/bytes.h"

namespace postern::fuzz {

inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "DOES NOT HOLD: %s\n", property);
  std::abort();
}

/// Bytes from the front; an input that is too short gives zeros and short pieces.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t take_u8() {
    const Bytes one = take(1);
    return one.empty() ? std::uint8_t{0} : one[0];
  }
  std::uint16_t take_u16() {
    const unsigned high = take_u8();
    return static_cast<std::uint16_t>((high << 8) | take_u8());
  }
  Bytes take(std::size_t size) {
    const Bytes piece = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(piece.size());
    return piece;
  }
  /// A piece behind a 16-bit length, as in DNS over TCP.
  Bytes take_block() { return take(take_u16()); }
  Bytes rest() { return take(rest_.size()); }

 private:
  Bytes rest_;
};

/// Bytes in memory of their own, so that the sanitizer sees a step past their end.
class ExactCopy {
 public:
  explicit ExactCopy(Bytes bytes)
      : size_(bytes.size()), bytes_(std::make_unique<std::uint8_t[]>(size_)) {
    std::copy(bytes.begin(), bytes.end(), bytes_.get());
  }
  Bytes bytes() const { return {bytes_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::uint8_t[]> bytes_;
};

}  // namespace postern::fuzz
