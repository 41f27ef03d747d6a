// Frames of HTTP/2 written and read byte by byte (RFC 9113 section 4); header blocks are written as
// literals without indexing (RFC 7541 section 6.2.2) and read with nghttp2's inflater.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace postern::test {

enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr std::uint8_t kEndStream = 1;
constexpr std::uint8_t kAck = 1;
constexpr std::uint8_t kEndHeaders = 4;
constexpr std::uint8_t kPadded = 8;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

using Lines = std::vector<std::pair<std::string, std::string>>;

inline std::string u32(std::uint32_t value) {
  std::string text(4, '\0');
  store_u32(reinterpret_cast<std::uint8_t*>(text.data()), value);
  return text;
}

inline std::string frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream,
                         std::string_view payload = {}) {
  std::string text = u32(static_cast<std::uint32_t>(payload.size())).substr(1);
  text += static_cast<char>(type);
  text += static_cast<char>(flags);
  text += u32(static_cast<std::uint32_t>(stream));
  return text.append(payload);
}

/// An integer with a prefix of 7 bits (RFC 7541 section 5.1), and the text without Huffman code.
inline std::string hpack_text(std::string_view text) {
  std::string out;
  std::size_t size = text.size();
  if (size < 127) {
    out += static_cast<char>(size);
  } else {
    out += '\x7f';
    for (size -= 127; size >= 128; size /= 128) out += static_cast<char>(128 + size % 128);
    out += static_cast<char>(size);
  }
  return out.append(text);
}

inline std::string hpack(const Lines& lines) {
  std::string out;
  for (const auto& [name, value] : lines) {
    out += '\0';
    out += hpack_text(name) + hpack_text(value);
  }
  return out;
}

inline std::string headers(std::int32_t stream, const Lines& lines, std::uint8_t flags = 0) {
  return frame(kHeaders, kEndHeaders | flags, stream, hpack(lines));
}
inline std::string data(std::int32_t stream, std::string_view payload, std::uint8_t flags = 0) {
  return frame(kData, flags, stream, payload);
}
inline std::string rst_stream(std::int32_t stream, std::uint32_t error) {
  return frame(kRstStream, 0, stream, u32(error));
}
inline std::string window_update(std::int32_t stream, std::uint32_t increment) {
  return frame(kWindowUpdate, 0, stream, u32(increment));
}
inline std::string setting(std::uint16_t id, std::uint32_t value) {
  return u32(id).substr(2) + u32(value);
}
inline std::string settings(std::string_view payload = {}) {
  return frame(kSettings, 0, 0, payload);
}
inline std::string ping(std::string_view opaque = "12345678", std::uint8_t flags = 0) {
  return frame(kPing, flags, 0, opaque);
}

inline Lines get(std::string_view path = "/", const Lines& more = {}) {
  Lines lines{{":method", "GET"},
              {":scheme", "https"},
              {":path", std::string(path)},
              {":authority", "a.example"}};
  lines.insert(lines.end(), more.begin(), more.end());
  return lines;
}
inline Lines post(const Lines& more = {}) {
  Lines lines = get("/", more);
  lines[0].second = "POST";
  return lines;
}

struct Frame {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::int32_t stream = 0;
  std::string payload;
  Lines lines;  ///< of HEADERS

  bool ends_stream() const { return (flags & kEndStream) != 0; }
  std::uint32_t word(std::size_t at = 0) const {
    return load_u32(reinterpret_cast<const std::uint8_t*>(payload.data()) + at);
  }
  std::string line(std::string_view name) const {
    for (const auto& [key, value] : lines) {
      if (key == name) return value;
    }
    return "(none)";
  }
};

/// Reads one connection's frames; keeps what is incomplete.
class FrameReader {
 public:
  FrameReader() { nghttp2_hd_inflate_new(&inflater_); }
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;
  ~FrameReader() { nghttp2_hd_inflate_del(inflater_); }

  std::vector<Frame> read(Bytes bytes) {
    rest_.append(as_text(bytes));
    std::vector<Frame> frames;
    while (rest_.size() >= 9) {
      const auto* const head = reinterpret_cast<const std::uint8_t*>(rest_.data());
      const std::size_t size = load_u32(head) >> 8;
      if (rest_.size() < 9 + size) break;
      Frame frame;
      frame.type = head[3];
      frame.flags = head[4];
      frame.stream = static_cast<std::int32_t>(load_u32(head + 5));
      frame.payload = rest_.substr(9, size);
      rest_.erase(0, 9 + size);
      if (frame.type == kHeaders) inflate(&frame);
      frames.push_back(std::move(frame));
    }
    return frames;
  }
  bool has_rest() const { return !rest_.empty(); }

 private:
  void inflate(Frame* frame) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(frame->payload.data());
    std::size_t left = frame->payload.size();
    while (true) {
      nghttp2_nv field;
      int flags = 0;
      const auto used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, left, 1);
      if (used < 0) return frame->lines.emplace_back("(broken)", ""), void();
      at += used;
      left -= static_cast<std::size_t>(used);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        frame->lines.emplace_back(
            std::string(reinterpret_cast<char*>(field.name), field.namelen),
            std::string(reinterpret_cast<char*>(field.value), field.valuelen));
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
  }

  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string rest_;
};

}  // namespace postern::test
