#include "nameserver/random.h"

#include <cerrno>
#include <cstdlib>

#include <sys/random.h>

#include "base/log.h"

namespace postern::nameserver {

void Random::refill() {
  std::size_t filled = 0;
  while (filled < bytes_.size()) {
    const ssize_t got = ::getrandom(bytes_.data() + filled, bytes_.size() - filled, 0);
    if (got > 0) {
      filled += static_cast<std::size_t>(got);
    } else if (errno != EINTR) {
      // To go on with numbers that can be guessed would be worse than to stop.
      log_error("random", "getrandom failed with error {}", errno);
      std::abort();
    }
  }
  at_ = 0;
}

}  // namespace postern::nameserver
