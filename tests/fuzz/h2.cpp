#include "h2.h"

#include <algorithm>

namespace postern::fuzz {
namespace {

constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::size_t kFrameBytesMax = 16384;

const std::uint8_t* bytes_of(const std::string& text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

}  // namespace

std::string h2_frames(Input input, bool raw) {
  if (raw) return std::string(as_text(input.rest()));
  std::string text;
  while (!input.empty()) {
    const std::uint8_t type = input.take_u8();
    const std::uint8_t flags = input.take_u8();
    const std::uint8_t stream = input.take_u8();
    const std::string payload(as_text(input.take(input.take_u8())));
    const auto size = static_cast<char>(payload.size());
    text.append({0, 0, size, static_cast<char>(type), static_cast<char>(flags), 0, 0, 0,
                 static_cast<char>(stream)});
    text += payload;
  }
  return text;
}

void FrameWatch::take(Bytes bytes) {
  const std::size_t skipped = std::min(skip_, bytes.size());
  skip_ -= skipped;
  rest_.append(as_text(bytes.subspan(skipped)));
  while (rest_.size() >= kFrameHeaderBytes) {
    const std::size_t size = load_u32(bytes_of(rest_)) >> 8;
    require(size <= kFrameBytesMax, "no frame is larger than every peer takes");
    if (rest_.size() < kFrameHeaderBytes + size) return;
    look();
    rest_.erase(0, kFrameHeaderBytes + size);
  }
}

void FrameWatch::look() {
  require(!over_, "GOAWAY with an error is the last frame");
  const std::uint8_t type = bytes_of(rest_)[3];
  require(type <= 9, "frames are of known types");
  if (type == 7) over_ = load_u32(bytes_of(rest_) + kFrameHeaderBytes + 4) != 0;
}

}  // namespace postern::fuzz
