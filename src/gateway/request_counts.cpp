#include "gateway/request_counts.h"

#include <fmt/format.h>

namespace postern::gateway {
namespace {

std::string_view path_mark(http::PathMatch kind) {
  switch (kind) {
    case http::PathMatch::kExact:
      return "=";
    case http::PathMatch::kRegex:
      return "~";
    default:
      return "";
  }
}

std::string name_of(const http::RouteSettings& route) {
  const std::string_view host =
      route.hostnames.empty() ? std::string_view("*") : route.hostnames.front();
  const http::RouteMatchSettings every;
  const http::RouteMatchSettings& match = route.matches.empty() ? every : route.matches.front();
  return fmt::format("{}{}{}", host, path_mark(match.kind), match.path);
}

}  // namespace

std::vector<std::string> route_names(std::span<const http::RouteSettings> routes) {
  std::vector<std::string> names;
  std::unordered_map<std::string, unsigned> times;
  for (const http::RouteSettings& route : routes) {
    std::string name = name_of(route);
    const unsigned time = ++times[name];
    if (time > 1) name += fmt::format("#{}", time);
    names.push_back(std::move(name));
  }
  return names;
}

RequestCounts::RequestCounts() {
  name_id("none");
  name_id("other");
}

RequestCounts::NameId RequestCounts::name_id(std::string_view text) {
  const auto known = ids_.find(std::string(text));
  if (known != ids_.end()) return known->second;
  if (names_.size() == kNamesMax) return kOther;
  const auto id = static_cast<NameId>(names_.size());
  names_.emplace_back(text);
  ids_.emplace(text, id);
  times_.emplace_back();
  return id;
}

std::uint64_t RequestCounts::key(const Ids& ids) {
  constexpr unsigned kBits = 16;
  static_assert(kNamesMax <= 1U << kBits);
  return (std::uint64_t{ids.listener} << (2 * kBits)) | (ids.route << kBits) | ids.backend;
}

// Most likely that of the last one.
std::size_t RequestCounts::slot_of(const Ids& ids) {
  const std::uint64_t wanted = key(ids);
  if (series_.empty() || wanted != last_key_) {
    last_slot_ = slot(ids);
    last_key_ = wanted;
  }
  return last_slot_;
}

std::size_t RequestCounts::slot(Ids ids) {
  const auto known = slots_.find(key(ids));
  if (known != slots_.end()) return known->second;
  if (series_.size() >= kSeriesMax) ids = {kOther, kOther, kOther};
  const auto [at, is_new] = slots_.emplace(key(ids), series_.size());
  if (is_new) series_.push_back({names_[ids.listener], names_[ids.route], names_[ids.backend], {}});
  return at->second;
}

void RequestCounts::count(const End& end) {
  RequestSeries& series = series_[slot_of({end.listener, end.route, end.backend})];
  const unsigned first_digit = end.status / 100;
  ++series.by_class[first_digit < series.by_class.size() ? first_digit : 0];
  std::unique_ptr<RouteTimes>& times = times_[end.route];
  if (times == nullptr) times = std::make_unique<RouteTimes>(RouteTimes{names_[end.route], {}, {}});
  if (!end.upgraded) times->duration.observe(end.duration_us);
  if (end.first_byte_us != 0) times->first_byte.observe(end.first_byte_us);
}

std::vector<RequestSeries> RequestCounts::series() const { return series_; }

std::vector<RouteTimes> RequestCounts::times() const {
  std::vector<RouteTimes> all;
  for (const auto& times : times_) {
    if (times != nullptr) all.push_back(*times);
  }
  return all;
}

}  // namespace postern::gateway
