// A signal as an event of the main thread's loop.
#pragma once

#include <functional>

#include "net/loop.h"

struct uv_signal_s;

namespace postern::server {

class Signal {
 public:
  Signal(net::Loop& loop, int number, std::function<void()> received);
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

 private:
  uv_signal_s* handle_;  // owned, freed in its close callback
  std::function<void()> received_;
};

}  // namespace postern::server
