// What every nghttp2 session is told, and the limits that go with it. Private to h2_*.
#pragma once

#include <cstddef>
#include <memory>

struct nghttp2_option;

namespace postern::http::h2 {

// Control frames that wait for a peer which does not read; a frame is some 150 bytes of memory.
constexpr std::size_t kFramesQueuedMax = 1000;
// A head so many times larger than allowed is no accident.
constexpr std::size_t kHeaderBombFactor = 4;

struct OptionsFree {
  void operator()(nghttp2_option* options) const;
};
using Options = std::unique_ptr<nghttp2_option, OptionsFree>;

/// For a session whose heads, of either side, have so many bytes at most.
Options make_options(std::size_t header_bytes_max);

}  // namespace postern::http::h2
