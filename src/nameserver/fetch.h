// One question on its way: which upstreams were asked, what became of it, what to try next, until
// an answer is accepted or the time is over. Pooled; loop thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dns/accept.h"
#include "nameserver/deadlines.h"
#include "nameserver/exchange.h"
#include "nameserver/forwarder.h"
#include "nameserver/query_ring.h"
#include "nameserver/random.h"
#include "nameserver/upstream.h"

namespace postern::nameserver {

/// [[dns.forward]] in use. Fetches that began before a reload keep theirs.
struct ForwardGroup {
  UpstreamPolicy policy = UpstreamPolicy::kFastest;
  std::uint32_t timeout_ms = 2000;
  std::uint32_t turn = 0;  ///< for round_robin
  std::vector<std::shared_ptr<Upstream>> upstreams;
};

class Fetch;

/// What all fetches of a forwarder share.
class FetchHost {
 public:
  virtual ~FetchHost() = default;
  /// The image stands in `image`. The fetch may be begun anew during the call only by its pool.
  virtual void finished(Fetch& fetch) = 0;
  /// Nothing is awaited any more, not even late answers: the fetch may go back to the pool.
  virtual void idle(Fetch& fetch) = 0;
  /// May this fetch, which has just finished, go on listening for late answers? They tell how
  /// upstreams are.
  virtual bool may_linger() const = 0;

  Random random;
  Deadlines* deadlines = nullptr;
  const dns::CacheSettings* cache_settings = nullptr;
  dns::ImageBuffer* image = nullptr;
  QueryRing* queries = nullptr;          ///< for dnstap
  std::vector<std::uint8_t> plain_case;  ///< an answer whose question has its own case again
  ForwarderCounts counts;
};

class Fetch final : public Deadline, private ExchangeOwner {
 public:
  static constexpr std::size_t kAttemptsMax = 12;  ///< queries sent for one question
  static_assert(kUpstreamsMax <= kAttemptsMax, "each upstream can be asked once");
  static constexpr std::uint32_t kFailureTtlS = 5;  ///< RFC 9520 section 3.2
  /// Nobody listens at any upstream: one may be about to start again, so all are asked once more
  /// after this time, then after twice as long...
  static constexpr std::uint64_t kRefusedAgainMs = 200;

  explicit Fetch(FetchHost& host) : host_(host) {}
  ~Fetch() override { cancel(); }

  // Kept by the forwarder.
  dns::ForwardQuestion question;
  std::shared_ptr<const void> snapshot;
  std::shared_ptr<ForwardGroup> group;
  std::uint64_t hash = 0;
  Ring<Linked> waiters;  ///< Forwarder::Waiter
  std::uint32_t waiter_count = 0;

  /// REQUIRES: question and group are set. finished() never comes from inside this call.
  void begin(std::uint64_t now_ms);
  /// The deadline of this object is due.
  void due(std::uint64_t now_ms);
  /// No more events.
  void cancel();
  bool lingers() const { return done_; }

 private:
  struct Attempt : Exchange {
    Upstream* upstream = nullptr;
    std::size_t index = 0;  // of the upstream in its group
    AttemptEnd end = AttemptEnd::kWaiting;
    dns::Rcode rcode{};  // when it is kRcode

    bool spoke() const {  // and brought no answer
      return end == AttemptEnd::kRcode || end == AttemptEnd::kLame || end == AttemptEnd::kMalformed;
    }
    bool by_tcp = false;
    bool heard = false;         // a reply came, whatever it said
    bool repeat_helps = false;  // while it is under way
    bool probe = false;         // sent along; nobody waits for this one in particular
    bool case_doubt = false;    // sent because the case of the question was lost
    bool edns_doubt = false;    // sent because of a FORMERR to EDNS
    bool edns_hint = false;     // the same, but it came without the question
    bool reconnected = false;   // sent again after its connection closed
  };
  enum class Again : std::uint8_t {
    kTcp,
    kTcpForCase,
    kPlainCase,
    kPlainDns,
    kPlainDnsHint,
    kReconnect
  };

  void replied(Exchange& exchange, Bytes message) override;
  bool is_recorded() const;
  void record_query(const Attempt& attempt);
  void record(const Attempt& attempt, std::uint64_t took_us, Bytes query, Bytes reply);
  void broke(Exchange& exchange, AttemptEnd end) override;
  void case_lost(Exchange& exchange) override;
  void edns_refused(Exchange& exchange) override;

  Bytes with_plain_case(Bytes message);
  void accept_reply(Attempt& attempt, Bytes message);
  void reply_of_no_use(Attempt& attempt, Bytes message, dns::AcceptOutcome outcome);
  void late_reply(Attempt& attempt, Bytes message);
  void learn_from_answer(const Attempt& winner);

  void go_on();
  bool try_next();
  void send_probe(std::span<const Candidate> candidates, int chosen);
  bool ask_again(Attempt& former, Again how);
  Attempt* make_attempt(std::size_t index);
  bool start(Attempt& attempt, bool by_tcp, bool mixed_case, bool edns);
  void attempt_timed_out(Attempt& attempt);
  void judge_the_silent();
  bool plan_round_after_refusal();
  void begin_round_after_refusal();

  using Candidates = std::array<Candidate, kUpstreamsMax>;
  std::size_t candidates(Candidates& out) const;
  int next_upstream(std::span<const Candidate> candidates) const;
  void wait_for(Attempt& attempt);
  void wait_for(Attempt& attempt, std::span<const Candidate> candidates);
  bool anything_under_way() const;
  void set_due();
  void give_up();
  void finish();
  void end_if_idle();

  FetchHost& host_;
  std::uint64_t now_ms_ = 0;
  std::uint64_t give_up_ms_ = 0;
  std::uint64_t attempt_due_ms_ = 0;
  Upstream* turn_of_ = nullptr;  // `sequential`: nobody else is asked before turn_end_ms_
  std::uint64_t turn_end_ms_ = 0;
  Attempt* current_ = nullptr;      // the one whose time-out makes us try another
  std::uint64_t round_due_ms_ = 0;  // nothing is under way until then; 0: no such wait
  std::uint32_t rounds_ = 0;        // that ended with refusals only
  bool done_ = false;
  std::size_t attempt_count_ = 0;
  std::array<Attempt, kAttemptsMax> attempts_;
  dns::NameView mixed_name_;
  std::array<std::uint8_t, dns::kNameBytesMax> mixed_bytes_;
};

}  // namespace postern::nameserver
