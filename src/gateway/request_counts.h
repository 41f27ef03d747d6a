// Requests that ended, by listener, route and backend, and how long they took, by route. All of
// these names are from the configuration; what a client chooses is in none of them. Numbers outlive
// a reload as long as the names stay. Loop thread only; counting is a look-up in a hash table, and
// allocates only for what is counted the first time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/histogram.h"
#include "http/route.h"

namespace postern::gateway {

struct RequestSeries {
  std::string listener;
  std::string route;    ///< "none": no route was found, or it did not come so far
  std::string backend;  ///< the one asked last; "none": answered by the gateway itself
  std::array<std::uint64_t, 6> by_class{};  ///< 0: no response was sent; else the first digit
};

struct RouteTimes {
  std::string route;
  RequestHistogram duration;    ///< to the end of the response; not of what was upgraded
  RequestHistogram first_byte;  ///< to the head of the response
};

/// A name for each route that stays the same when lines move in the file: its first host and path,
/// "a.example/api" (prefix), "a.example=/api" (exact), "*~/v[0-9]" (any host, regular expression).
/// Where these are equal, "#2" and so on follows.
std::vector<std::string> route_names(std::span<const http::RouteSettings> routes);

class RequestCounts {
 public:
  /// Names that came and went with reloads: beyond so many it is "other".
  static constexpr std::size_t kNamesMax = 4096;
  static constexpr std::size_t kSeriesMax = 16'384;
  using NameId = std::uint32_t;
  static constexpr NameId kNone = 0, kOther = 1;

  RequestCounts();

  /// The same for the same text.
  NameId name_id(std::string_view text);

  struct End {
    NameId listener = kNone, route = kNone, backend = kNone;
    unsigned status = 0;  ///< 0: none was sent
    std::uint64_t duration_us = 0;
    std::uint64_t first_byte_us = 0;  ///< 0: none was sent
    bool upgraded = false;
  };
  void count(const End& end);

  std::vector<RequestSeries> series() const;
  std::vector<RouteTimes> times() const;

 private:
  struct Ids {
    NameId listener, route, backend;
  };
  static std::uint64_t key(const Ids& ids);
  std::size_t slot_of(const Ids& ids);
  std::size_t slot(Ids ids);

  std::vector<std::string> names_;
  std::unordered_map<std::string, NameId> ids_;
  std::vector<RequestSeries> series_;
  std::unordered_map<std::uint64_t, std::size_t> slots_;
  std::uint64_t last_key_ = 0;
  std::size_t last_slot_ = 0;  // of the series of last_key_, when there are any
  std::vector<std::unique_ptr<RouteTimes>> times_;  // by name id
};

}  // namespace postern::gateway
