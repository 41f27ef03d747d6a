#include "gateway/backend_addresses.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "gateway/health_probe.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kLookUpAgainMs = 5000;  // after a failure

}  // namespace

BackendAddress::BackendAddress(const Endpoint& the_endpoint, std::uint64_t the_bit)
    : endpoint(the_endpoint), bit(the_bit) {}
BackendAddress::~BackendAddress() = default;
BackendAddress::BackendAddress(BackendAddress&&) noexcept = default;
BackendAddress& BackendAddress::operator=(BackendAddress&&) noexcept = default;

bool BackendAddress::is_sick() const { return probe != nullptr && !probe->healthy(); }

BackendAddresses::BackendAddresses(Context& context, const http::BackendUrl& url,
                                   std::function<void()> settled)
    : context_(context), url_(url), settled_(std::move(settled)) {
  if (!url.is_address) return;
  addresses_.emplace_back(Endpoint{*IpAddress::parse(url.host), url.port}, last_bit_);
  until_ms_ = ~std::uint64_t{0};
}

BackendAddress* BackendAddresses::find(const Endpoint& endpoint) {
  const auto found = std::find_if(addresses_.begin(), addresses_.end(),
                                  [&](const auto& one) { return one.endpoint == endpoint; });
  return found == addresses_.end() ? nullptr : &*found;
}

BackendAddress* BackendAddresses::choose(std::uint64_t tried) {
  const std::uint64_t now = now_ms();
  const auto rests_until = [&](const BackendAddress& one) {
    return one.is_resting(now) ? std::max(one.refuses_until_ms, one.silent_until_ms) : 0;
  };
  const auto is_better = [&](const BackendAddress& a, const BackendAddress& b) {
    return std::pair(rests_until(a), a.connections) < std::pair(rests_until(b), b.connections);
  };
  BackendAddress* best = nullptr;
  for (BackendAddress& one : addresses_) {
    if ((tried & one.bit) != 0 || one.is_sick()) continue;
    if (best == nullptr || is_better(one, *best)) best = &one;
  }
  return best;
}

bool BackendAddresses::any_well() const {
  const std::uint64_t now = now_ms();
  return std::any_of(addresses_.begin(), addresses_.end(),
                     [&](const auto& one) { return one.is_well(now); });
}

bool BackendAddresses::all_sick() const {
  return !addresses_.empty() && std::all_of(addresses_.begin(), addresses_.end(),
                                            [](const auto& one) { return one.is_sick(); });
}

bool BackendAddresses::are_old() const {
  return addresses_.empty() || (!lookup_failed_ && is_due());
}

void BackendAddresses::look_up() {
  if (looking_up_ != nullptr) return;
  looking_up_ = context_.resolver.resolve(
      url_.host, [this](Result<ResolvedHost> result) { looked_up(std::move(result)); });
}

void BackendAddresses::looked_up(Result<ResolvedHost> result) {
  context_.graveyard.bury(std::move(looking_up_));
  until_ms_ = now_ms() + (result ? std::uint64_t{result->ttl_s} * 1000 : kLookUpAgainMs);
  looked_up_ = true;
  lookup_failed_ = !result;
  lookup_error_ = result ? std::string() : result.error().detail;
  if (result) {
    take(*result);
  } else if (result.error().code == Code::kNotFound) {  // RFC 8767 section 4
    take({});
  }
  settled_();
}

// Not that of one which has just left: somebody may still have tried it.
std::uint64_t BackendAddresses::new_bit(std::uint64_t used) {
  do {
    last_bit_ = std::rotl(last_bit_, 1);
  } while ((used & last_bit_) != 0);
  return last_bit_;
}

void BackendAddresses::take(const ResolvedHost& host) {
  std::uint64_t used = 0;
  for (const BackendAddress& one : addresses_) used |= one.bit;
  std::vector<BackendAddress> next;
  for (const IpAddress& ip : host.addresses) {
    const Endpoint endpoint{ip, url_.port};
    if (next.size() == kAddressesMax) break;
    const bool again = std::any_of(next.begin(), next.end(),
                                   [&](const auto& one) { return one.endpoint == endpoint; });
    if (again) continue;
    BackendAddress* const known = find(endpoint);
    next.push_back(known != nullptr ? std::move(*known) : BackendAddress(endpoint, new_bit(used)));
    used |= next.back().bit;
  }
  addresses_ = std::move(next);
}

}  // namespace postern::gateway
