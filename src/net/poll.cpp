#include "net/poll.h"

#include <cassert>

#include <fmt/format.h>
#include <uv.h>

namespace postern::net {

static_assert(kReadable == UV_READABLE && kWritable == UV_WRITABLE);

Result<Handle<uv_poll_s>> make_poll(Loop& loop, int fd, void* owner) {
  auto memory = std::make_unique<uv_poll_t>();
  const int status = uv_poll_init(loop.raw(), memory.get(), fd);
  if (status != 0) {
    return fail(Code::kIo, fmt::format("cannot watch a socket: {}", uv_strerror(status)));
  }
  memory->data = owner;
  return Handle<uv_poll_s>(memory.release());
}

void set_poll(uv_poll_s* handle, int events, PollCallback callback) {
  const int status = events == 0 ? uv_poll_stop(handle) : uv_poll_start(handle, events, callback);
  assert(status == 0);  // fails only for a handle that is closing
  static_cast<void>(status);
}

void* poll_owner(const uv_poll_s* handle) { return handle->data; }

}  // namespace postern::net
