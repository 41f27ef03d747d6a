// Where the order of the file decides between routes: the last rule of the precedence in
// http/route.h. Cold path: time grows with the square of the matches that are alike on one host.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "http/route.h"

namespace postern::http {

/// A match that gives way to others by the order alone. Of two configurations with the same routes
/// and the same ranks, each request takes the same route in both.
struct RouteRank {
  std::size_t route = 0;
  std::size_t match = 0;  ///< in the route's `matches`; 0 when it has none
  std::string host;       ///< "a.example", "*.example", "*" for any
  std::size_t rank = 2;   ///< 1 + the matches of routes before it that could take its requests
};

/// Only ranks above 1, in the order of the routes.
std::vector<RouteRank> route_ranks(std::span<const RouteSettings> routes);

}  // namespace postern::http
