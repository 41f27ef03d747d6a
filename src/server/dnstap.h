// dnstap (dnstap.info): what was asked and answered as protocol buffers, in Frame Streams. The few
// fields that are needed are written here: by hand they are shorter than what a compiler makes of
// the schema, and nothing has to be linked. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "nameserver/query_ring.h"

namespace postern::server {

inline constexpr std::string_view kDnstapContent = "protobuf:dnstap.Dnstap";

/// Dnstap.Message.Type
enum class DnstapType : std::uint8_t {
  kClientQuery = 5,
  kClientResponse = 6,
  kForwarderQuery = 7,
  kForwarderResponse = 8,
};

/// Appends one data frame. The time of a response is that of the query and what it took.
void append_dnstap(std::string* out, DnstapType type, const nameserver::QueryRing::Entry& entry,
                   std::string_view identity, std::string_view version);

/// Frame Streams' control frames.
enum class FrameControl : std::uint8_t {
  kAccept = 1,
  kStart = 2,
  kStop = 3,
  kReady = 4,
  kFinish = 5
};
/// All but STOP and FINISH name the content.
std::string control_frame(FrameControl control);
/// The control frame that `data` begins with; `*size` is 0 when it is not complete yet. False: it
/// is none.
bool read_control_frame(std::string_view data, FrameControl* control, std::size_t* size);

}  // namespace postern::server
