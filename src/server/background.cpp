#include "server/background.h"

#include <csignal>
#include <utility>

namespace postern::server {

Background::~Background() {
  closing_ = true;
  if (thread_.joinable()) thread_.join();
}

void Background::run(Work work) {
  thread_ = std::thread([this, work = std::move(work)] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    mailbox_.post([this, finish = work()] {
      if (closing_) return;
      thread_.join();
      finish();
    });
  });
}

}  // namespace postern::server
