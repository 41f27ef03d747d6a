#include "server/traffic_history.h"

#include <numeric>
#include <span>

#include "dns/answer.h"

namespace postern::server {
namespace {

TrafficPoint point_of(const WorkerCounts& totals) {
  const auto& resolver = totals.resolver;
  const auto from = [&](dns::Source source) {
    return resolver.by_source[static_cast<std::size_t>(source)];
  };
  TrafficPoint point;
  point.queries =
      std::accumulate(resolver.by_transport.begin(), resolver.by_transport.end(), std::uint64_t{0});
  point.cached = from(dns::Source::kCache) + from(dns::Source::kStale);
  point.local =
      from(dns::Source::kOverride) + from(dns::Source::kZone) + from(dns::Source::kSpecial);
  point.upstream = from(dns::Source::kUpstream);
  point.failed = resolver.by_rcode[static_cast<std::size_t>(dns::Rcode::kServFail)];
  point.requests = totals.gateway.requests_h1 + totals.gateway.requests_h2;
  point.errors = totals.gateway.by_class[5];
  point.bytes = totals.gateway.bytes_sent;
  return point;
}

// What a worker that did not answer lacks is no negative traffic.
std::uint64_t difference(std::uint64_t now, std::uint64_t before) {
  return now > before ? now - before : 0;
}

TrafficPoint since(const TrafficPoint& now, const TrafficPoint& before) {
  TrafficPoint point;
  point.queries = difference(now.queries, before.queries);
  point.cached = difference(now.cached, before.cached);
  point.local = difference(now.local, before.local);
  point.upstream = difference(now.upstream, before.upstream);
  point.failed = difference(now.failed, before.failed);
  point.requests = difference(now.requests, before.requests);
  point.errors = difference(now.errors, before.errors);
  point.bytes = difference(now.bytes, before.bytes);
  return point;
}

void add_to(std::span<TrafficPoint> ring, std::uint64_t time, const TrafficPoint& more) {
  TrafficPoint& point = ring[time % ring.size()];
  if (point.time != time) {
    point = {};
    point.time = time;
  }
  point += more;
}

std::vector<TrafficPoint> last_of(std::span<const TrafficPoint> ring, std::uint64_t now) {
  std::vector<TrafficPoint> points;
  points.reserve(ring.size());
  for (std::uint64_t time = now - (ring.size() - 1); time < now; ++time) {
    const TrafficPoint& point = ring[time % ring.size()];
    points.push_back(point.time == time ? point : TrafficPoint{});
    points.back().time = time;
  }
  return points;
}

}  // namespace

TrafficPoint& TrafficPoint::operator+=(const TrafficPoint& more) {
  queries += more.queries;
  cached += more.cached;
  local += more.local;
  upstream += more.upstream;
  failed += more.failed;
  requests += more.requests;
  errors += more.errors;
  bytes += more.bytes;
  return *this;
}

void TrafficHistory::add(std::uint64_t unix_s, const WorkerCounts& totals) {
  const TrafficPoint now = point_of(totals);
  const TrafficPoint more = since(now, totals_);
  add_to(seconds_, unix_s, more);
  add_to(minutes_, unix_s / 60, more);
  totals_ = now;
}

std::vector<TrafficPoint> TrafficHistory::seconds(std::uint64_t unix_s) const {
  return last_of(seconds_, unix_s);
}

// The minute that runs counts as the last one: what happens now is seen at once.
std::vector<TrafficPoint> TrafficHistory::minutes(std::uint64_t unix_s) const {
  return last_of(minutes_, unix_s / 60 + 1);
}

}  // namespace postern::server
