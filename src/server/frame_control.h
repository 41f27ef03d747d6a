// The control frames of Frame Streams for dnstap, by libfstrm. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::server {

enum class FrameControl : std::uint8_t {
  kAccept = 1,
  kStart = 2,
  kStop = 3,
  kReady = 4,
  kFinish = 5
};

/// With its escape and length. All but STOP and FINISH name the content: protobuf:dnstap.Dnstap.
std::string control_frame(FrameControl control);

/// The control frame that `data` begins with; `*size` is 0 when it is not complete yet. False: it
/// is none, or one about other content.
bool read_control_frame(std::string_view data, FrameControl* control, std::size_t* size);

}  // namespace postern::server
