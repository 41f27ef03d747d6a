// Watching a descriptor, for the sockets of this folder.
#pragma once

#include "base/result.h"
#include "net/handle.h"
#include "net/loop.h"

namespace postern::net {

inline constexpr int kReadable = 1;  // as UV_READABLE
inline constexpr int kWritable = 2;  // as UV_WRITABLE
/// Nothing but errors, such as a reset: as UV_PRIORITIZED, since urgent data are never sent here.
inline constexpr int kErrorsOnly = 8;

using PollCallback = void (*)(uv_poll_s* handle, int status, int events);

/// A handle that watches nothing yet; its `data` is `owner`.
Result<Handle<uv_poll_s>> make_poll(Loop& loop, int fd, void* owner);

/// Replaces what is watched; 0 = nothing. A status below zero means an error of the socket, after
/// which libuv has stopped watching.
void set_poll(uv_poll_s* handle, int events, PollCallback callback);

/// What was given to make_poll().
void* poll_owner(const uv_poll_s* handle);

}  // namespace postern::net
