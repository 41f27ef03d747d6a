// Names by way of the system (getaddrinfo: /etc/hosts, search domains, whatever nsswitch.conf
// says), on threads of its own, since that call may take many seconds and cannot be interrupted.
// Loop thread only.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "net/mailbox.h"

namespace postern::server {

class SystemLookup {
 public:
  using Addresses = std::vector<IpAddress>;  ///< in the order of getaddrinfo (RFC 6724)
  using Done = std::function<void(Result<Addresses>)>;
  using LookUp = std::function<Result<Addresses>(const std::string& host)>;
  static constexpr std::size_t kThreadsMax = 4;  ///< look-ups at a time; the others wait
  static constexpr std::size_t kWaitingMax = 256;

  /// getaddrinfo; any thread, waits.
  static Result<Addresses> look_up_now(const std::string& host);

  explicit SystemLookup(net::Loop& loop, LookUp look_up = look_up_now);
  /// Never waits: a thread that is still in getaddrinfo ends by itself, its result is dropped.
  ~SystemLookup();
  SystemLookup(const SystemLookup&) = delete;
  SystemLookup& operator=(const SystemLookup&) = delete;

  /// `done` is called from the loop, never from inside ask(). False: kWaitingMax was reached.
  bool ask(const std::string& host, Done done);

 private:
  /// What a thread may still use when the SystemLookup is gone.
  struct Link {
    std::mutex mutex;
    net::Mailbox* mailbox = nullptr;  // guarded by mutex
  };
  struct Waiting {
    std::string host;
    Done done;
  };

  void start();
  void run(Waiting waiting);
  void finish(const Done& done, Result<Addresses> result);

  net::Mailbox mailbox_;
  LookUp look_up_;
  std::shared_ptr<Link> link_;
  std::deque<Waiting> waiting_;
  std::size_t threads_ = 0;
  bool closing_ = false;
};

}  // namespace postern::server
