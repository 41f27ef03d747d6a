// The live log: what workers see, filtered there, sent on to those who follow it as server-sent
// events (WHATWG HTML, section 9.2). Bounded at every step: events per second of a worker, bytes
// that wait for a subscriber, subscribers. What is left out is counted and said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "gateway/access_log.h"
#include "nameserver/query_watch.h"
#include "net/loop.h"
#include "server/admin.h"

namespace postern::server {

/// One query or request.
struct FollowEvent {
  bool request = false;
  std::string subject;  ///< what stands in it for people, lower case: name, or host and path
  std::string type;     ///< record type, or method
  std::string status;   ///< "NXDOMAIN", "404", "dropped"
  std::optional<IpAddress> client;
  std::string json;  ///< one line
};

/// What a subscriber wants to see; an empty member does not matter.
struct FollowFilter {
  std::string kind;    ///< "query", "request"
  std::string text;    ///< lower case, anywhere in the subject
  std::string type;    ///< upper case
  std::string status;  ///< upper case; "5XX" is any of these
  std::optional<Network> client;

  bool matches(const FollowEvent& event) const;
};

/// From the parameters kind, text, type, status and client. The error says what is allowed.
Result<FollowFilter> parse_follow_filter(const AdminRequest& request);

using FollowFilters = std::vector<FollowFilter>;

struct FollowBatch {
  std::vector<FollowEvent> events;
  std::uint64_t held_back = 0;  ///< wanted, but beyond FollowSource::kEventsPerSecond
};

/// In each worker, while somebody follows. Loop thread only.
class FollowSource final : public nameserver::QueryFollower, public gateway::RequestFollower {
 public:
  static constexpr std::size_t kEventsPerSecond = 500;
  using Deliver = std::function<void(FollowBatch)>;

  FollowSource(net::Loop& loop, std::shared_ptr<const FollowFilters> filters, Deliver deliver);

  void seen(const nameserver::SeenQuery& query) override;
  void seen(const gateway::AccessRecord& record) override;

 private:
  bool wants(const FollowEvent& event) const;
  bool has_room();
  void keep(FollowEvent event);

  net::Loop& loop_;
  std::shared_ptr<const FollowFilters> filters_;
  Deliver deliver_;
  net::Deferred end_of_turn_;
  FollowBatch batch_;
  std::uint64_t second_ms_ = 0;
  std::size_t this_second_ = 0;
};

/// Those who follow. Main thread.
class FollowHub {
 public:
  static constexpr std::size_t kSubscribersMax = 8;
  /// Told whenever who follows changes; nullptr: nobody.
  using Changed = std::function<void(std::shared_ptr<const FollowFilters>)>;

  explicit FollowHub(Changed changed) : changed_(std::move(changed)) {}

  /// The reply that begins to follow, or 503 when there are too many.
  AdminReply follow(FollowFilter filter);
  void deliver(const FollowBatch& batch);
  /// Every ten seconds or so: shows that the connection lives, and ends those that take nothing.
  void beat();

  std::size_t subscribers() const { return subscribers_.size(); }
  std::uint64_t dropped() const { return dropped_; }  ///< events, for whatever limit

 private:
  struct Subscriber {
    std::uint64_t id = 0;
    FollowFilter filter;
    AdminStream stream;
    std::uint64_t missed = 0;  // since it was told last
    unsigned beats_missed = 0;
  };
  void add(std::uint64_t id, const FollowFilter& filter, const AdminStream& stream);
  void remove(std::uint64_t id);
  void tell_changed();
  static void tell_missed(Subscriber& one);

  Changed changed_;
  std::vector<Subscriber> subscribers_;
  std::uint64_t next_id_ = 1;
  std::uint64_t dropped_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for connections that end later
};

}  // namespace postern::server
