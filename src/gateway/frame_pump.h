// Moves what an HTTP/2 codec has to say to its stream, once at the end of the loop's turn, so that
// the frames of many streams leave together. No more is collected than the socket takes.
#pragma once

#include <cstddef>

#include "gateway/context.h"
#include "net/loop.h"
#include "net/stream.h"

namespace postern::gateway {

template <class Codec>
class FramePump {
 public:
  FramePump(Context& context, net::Stream& stream, Codec& codec)
      : context_(context),
        stream_(stream),
        codec_(codec),
        end_of_turn_(context.loop, [this] { pump(); }) {}

  void schedule() { end_of_turn_.schedule(); }

  /// Not from inside a call of the codec.
  void pump() {
    const MutableBytes room(context_.frames);
    while (stream_.unsent() == 0) {
      std::size_t size = 0;
      while (room.size() - size > kRoomLeftMax) {
        const std::size_t more = codec_.collect(room.subspan(size));
        if (more == 0) break;
        size += more;
      }
      if (size == 0) return;
      stream_.write(Bytes(room.first(size)));
      if (room.size() - size > kRoomLeftMax) return;
    }
  }

 private:
  static constexpr std::size_t kRoomLeftMax = 9 + 1024;  // what no frame of a body is made for

  Context& context_;
  net::Stream& stream_;
  Codec& codec_;
  net::Deferred end_of_turn_;
};

}  // namespace postern::gateway
