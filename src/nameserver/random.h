// Random numbers that a stranger cannot predict (RFC 5452 section 9.2): bytes of getrandom(2),
// fetched a kilobyte at a time, so that a query pays for a few bytes and no system call of its own.
// One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace postern::nameserver {

class Random {
 public:
  std::uint16_t u16() { return take<std::uint16_t>(); }
  std::uint32_t u32() { return take<std::uint32_t>(); }
  /// 0 to bound - 1; the bias for small bounds is below 2^-24. REQUIRES: 0 < bound <= 256
  std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>((std::uint64_t{u32()} * bound) >> 32);
  }

 private:
  template <class T>
  T take() {
    if (at_ + sizeof(T) > bytes_.size()) refill();
    T value{};
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  void refill();

  std::array<std::uint8_t, 1024> bytes_{};
  std::size_t at_ = sizeof bytes_;
};

}  // namespace postern::nameserver
