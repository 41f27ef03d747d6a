#include "gateway/relay_backends.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kNeverMs = ~std::uint64_t{0};

std::string text_of(const TcpBackend& backend) {
  const bool v6 = backend.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", backend.host, backend.port)
            : fmt::format("{}:{}", backend.host, backend.port);
}

}  // namespace

RelayBackend::RelayBackend(net::Loop& loop, HostResolver& resolver, TcpBackend settings)
    : loop_(loop), resolver_(resolver), settings_(std::move(settings)) {
  counts_.backend = text_of(settings_);
  if (const auto address = IpAddress::parse(settings_.host)) {
    addresses_ = {*address};
    expires_ms_ = kNeverMs;
  }
}

std::vector<Endpoint> RelayBackend::addresses() const {
  std::vector<Endpoint> endpoints;
  if (loop_.now_ms() >= expires_ms_) return endpoints;
  for (const IpAddress& address : addresses_) endpoints.push_back({address, settings_.port});
  return endpoints;
}

void RelayBackend::wait(AddressWaiter& waiter) {
  waiters_.push_back(&waiter);
  if (ticket_ != nullptr) return;
  ticket_ = resolver_.resolve(settings_.host,
                              [this](Result<ResolvedHost> result) { resolved(std::move(result)); });
}

void RelayBackend::forget(AddressWaiter& waiter) {
  std::erase(waiters_, &waiter);
  std::replace(telling_.begin(), telling_.end(), &waiter, static_cast<AddressWaiter*>(nullptr));
}

// When the name cannot be resolved now, its former addresses are better than nothing; not when it
// is gone (RFC 8767 section 4).
void RelayBackend::resolved(Result<ResolvedHost> result) {
  const auto keep = shared_from_this();  // the last one who waits may be the last owner
  ticket_.reset();
  lookup_error_.clear();
  std::uint64_t ttl_ms = kFailedLookupMs;
  if (result) {
    addresses_ = std::move(result->addresses);
    ttl_ms = std::max<std::uint64_t>(1, result->ttl_s) * 1000;
  } else if (addresses_.empty() || result.error().code == Code::kNotFound) {
    addresses_.clear();
    lookup_error_ = result.error().detail;
    ttl_ms = 0;
  }
  expires_ms_ = loop_.now_ms() + ttl_ms;
  telling_.swap(waiters_);
  for (std::size_t i = 0; i < telling_.size(); ++i) {
    if (telling_[i] != nullptr) telling_[i]->addresses_ready();
  }
  telling_.clear();
}

bool RelayBackend::is_down() const { return loop_.now_ms() < rest_until_ms_; }

void RelayBackend::connected() {
  ++counts_.connects;
  ++counts_.requests;
  if (rest_ms_ != 0) log_info("backend_up", "{} takes connections again", text());
  rest_ms_ = rest_until_ms_ = 0;
  counts_.connected_ms = loop_.now_ms();
}

void RelayBackend::failed(const std::string& why) {
  ++counts_.failures;
  counts_.failed_ms = loop_.now_ms();
  if (is_down()) return;  // many that began together count as one
  rest_ms_ = rest_ms_ == 0 ? kFirstRestMs : std::min(rest_ms_ * 2, kRestMaxMs);
  rest_until_ms_ = loop_.now_ms() + rest_ms_;
  log_warning("backend_down", "{}: {}; left out for {} s", text(), why, rest_ms_ / 1000);
}

void RelayTarget::configure(const ListenerSettings& settings) {
  std::vector<std::shared_ptr<RelayBackend>> backends;
  for (const TcpBackend& wanted : settings.backends) {
    const auto known = std::find_if(backends_.begin(), backends_.end(), [&](const auto& backend) {
      return backend->settings() == wanted;
    });
    backends.push_back(known != backends_.end()
                           ? *known
                           : std::make_shared<RelayBackend>(loop_, resolver_, wanted));
  }
  backends_ = std::move(backends);
  settings_ = settings;
}

std::shared_ptr<RelayBackend> RelayTarget::choose(const Tried& tried) {
  const auto is_better = [](const RelayBackend& a, const RelayBackend& b) {
    if (a.is_down() != b.is_down()) return b.is_down();
    return a.is_down() ? a.rest_until_ms() < b.rest_until_ms() : a.connections() < b.connections();
  };
  std::shared_ptr<RelayBackend> best;
  const std::size_t first = turn_++;
  for (std::size_t i = 0; i < backends_.size(); ++i) {
    const auto& backend = backends_[(first + i) % backends_.size()];
    if (std::find(tried.begin(), tried.end(), backend) != tried.end()) continue;
    if (best == nullptr || is_better(*backend, *best)) best = backend;
  }
  return best;
}

}  // namespace postern::gateway
