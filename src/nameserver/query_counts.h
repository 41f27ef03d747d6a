// How many queries there were, by transport, view, type, response code and source: an array for
// each view, so that counting one is an index and an increment. What a client chooses (the type,
// and with it the response code) is counted under a fixed list of names and "other". One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dns/answer.h"
#include "dns/policy.h"
#include "nameserver/transport.h"

namespace postern::nameserver {

inline constexpr std::array<std::string_view, 4> kTransportLabels{"udp", "tcp", "tls", "https"};
inline constexpr std::array<std::string_view, 9> kSourceLabels{
    "none", "override", "zone", "cache", "stale", "upstream", "special", "refused", "error"};
inline constexpr std::array<std::string_view, 17> kTypeLabels{
    "A",   "AAAA", "HTTPS", "SVCB", "PTR", "CNAME",  "NS",  "SOA",  "MX",
    "TXT", "SRV",  "NAPTR", "DS",   "ANY", "DNSKEY", "CAA", "other"};
/// The last one: no reply was sent.
inline constexpr std::array<std::string_view, 9> kRcodeLabels{
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS", "other", "none"};

/// The queries of one view.
struct ViewQueries {
  static constexpr std::size_t kCells =
      kTransportLabels.size() * kSourceLabels.size() * kTypeLabels.size() * kRcodeLabels.size();

  /// Where a query is counted that was answered (or not) like this.
  static std::size_t cell(Transport transport, const dns::Decision& decision);

  struct Labels {
    std::string_view transport, source, type, rcode;
  };
  static Labels labels(std::size_t cell);

  std::string view;  ///< its name; "default": of clients that no view has; "none": not looked up
  std::vector<std::uint64_t> cells = std::vector<std::uint64_t>(kCells);
};

class QueryCounts {
 public:
  /// Views that came and went with reloads keep their numbers, up to so many; then "other".
  static constexpr std::size_t kViewsMax = 64;

  QueryCounts();

  /// From here on these are the views that count() finds by their index.
  void use(const dns::Policy& policy);
  /// REQUIRES: decision.view, when there is one, is of the policy given to use() last.
  void count(Transport transport, const dns::Decision& decision);
  /// For a view of a former policy: found by its name.
  void count_former(Transport transport, const dns::Decision& decision);

  const std::vector<ViewQueries>& views() const { return views_; }
  QueryCounts& operator+=(const QueryCounts& more);

 private:
  std::size_t slot(std::string_view view);

  std::vector<ViewQueries> views_;       // the first one: "none"
  std::vector<std::uint32_t> by_index_;  // ViewPolicy::index to a place in views_
};

}  // namespace postern::nameserver
