#include "server/system_lookup.h"

#include <algorithm>
#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <netdb.h>

namespace postern::server {
namespace {

constexpr std::size_t kAddressesMax = 64;

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

IpAddress address_of(const addrinfo& entry) {
  sockaddr_storage address{};
  std::memcpy(&address, entry.ai_addr, std::min<std::size_t>(entry.ai_addrlen, sizeof address));
  return Endpoint::from_sockaddr(address).ip;
}

}  // namespace

Result<SystemLookup::Addresses> SystemLookup::look_up_now(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int status = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (status != 0) {
    return fail(status == EAI_NONAME || status == EAI_NODATA ? Code::kNotFound : Code::kIo,
                gai_strerror(status));
  }
  SystemLookup::Addresses addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const IpAddress address = address_of(*entry);
    if (std::find(addresses.begin(), addresses.end(), address) != addresses.end()) continue;
    if (addresses.size() < kAddressesMax) addresses.push_back(address);
  }
  freeaddrinfo(list);
  if (addresses.empty()) return fail(Code::kNotFound, "no address");
  return addresses;
}

SystemLookup::SystemLookup(net::Loop& loop, LookUp look_up)
    : mailbox_(loop), look_up_(std::move(look_up)), link_(std::make_shared<Link>()) {
  link_->mailbox = &mailbox_;
}

SystemLookup::~SystemLookup() {
  closing_ = true;  // for messages that the mailbox still has
  const std::lock_guard lock(link_->mutex);
  link_->mailbox = nullptr;
}

bool SystemLookup::ask(const std::string& host, Done done) {
  if (waiting_.size() >= kWaitingMax) return false;
  waiting_.push_back({host, std::move(done)});
  start();
  return true;
}

void SystemLookup::start() {
  while (threads_ < kThreadsMax && !waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    ++threads_;
    run(std::move(next));
  }
}

void SystemLookup::run(Waiting waiting) {
  const auto look = [this, link = link_, look_up = look_up_, waiting] {
    block_signals();
    auto result = look_up(waiting.host);
    const std::lock_guard lock(link->mutex);
    if (link->mailbox == nullptr) return;
    link->mailbox->post([this, done = waiting.done, result = std::move(result)]() mutable {
      finish(done, std::move(result));
    });
  };
  try {
    std::thread(look).detach();
  } catch (const std::system_error& error) {
    mailbox_.post([this, done = std::move(waiting.done), text = std::string(error.what())] {
      finish(done, fail(Code::kIo, fmt::format("no thread for the look-up: {}", text)));
    });
  }
}

void SystemLookup::finish(const Done& done, Result<Addresses> result) {
  if (closing_) return;
  --threads_;
  start();
  done(std::move(result));
}

}  // namespace postern::server
