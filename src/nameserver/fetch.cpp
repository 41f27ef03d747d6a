#include "nameserver/fetch.h"

#include <algorithm>

#include "base/clock.h"
#include "dns/message.h"
#include "dns/response.h"

namespace postern::nameserver {
namespace {

dns::Rcode header_rcode(Bytes message) {
  return static_cast<dns::Rcode>(dns::read_header(message).flags & dns::kRcodeMask);
}

// With the bits that only EDNS has. Rare, so the room for it is not kept.
dns::Rcode full_rcode(Bytes message, const dns::LookupName& question) {
  const dns::Rcode rcode = header_rcode(message);
  if (rcode != dns::Rcode::kNoError && rcode != dns::Rcode::kNxDomain) return rcode;
  const auto response = std::make_unique<dns::Response>();
  const bool readable = response->parse(message, question);
  return readable ? static_cast<dns::Rcode>(response->rcode()) : rcode;
}

}  // namespace

void Fetch::begin(std::uint64_t now_ms) {
  now_ms_ = now_ms;
  give_up_ms_ = now_ms + group->timeout_ms;
  attempt_count_ = 0;
  current_ = nullptr;
  turn_of_ = nullptr;
  round_due_ms_ = 0;
  rounds_ = 0;
  done_ = false;
  ++group->turn;
  mixed_name_ = mix_case(question.name.name(), host_.random, mixed_bytes_);
  // When nothing can be sent, the failure comes with the next turn of the loop.
  while (try_next()) {
  }
  set_due();
}

void Fetch::cancel() {
  for (std::size_t i = 0; i < attempt_count_; ++i) attempts_[i].forget();
  attempt_count_ = 0;
  current_ = nullptr;
  clear();
}

void Fetch::due(std::uint64_t now_ms) {
  now_ms_ = now_ms;
  if (now_ms >= give_up_ms_) {
    give_up();
    return;
  }
  if (round_due_ms_ != 0) begin_round_after_refusal();
  if (current_ != nullptr && now_ms >= attempt_due_ms_) attempt_timed_out(*current_);
  go_on();
}

// What goes is told when it goes: an answer may never come.
void Fetch::record_query(const Attempt& attempt) {
  std::array<std::uint8_t, kUpstreamQueryMax> query;
  const std::size_t size = write_upstream_query(attempt.id, attempt.question, query);
  record(attempt, 0, Bytes(query).first(size), {});
}

void Fetch::record(const Attempt& attempt, std::uint64_t took_us, Bytes query, Bytes reply) {
  QueryRecord record;
  record.kind = QueryRecord::Kind::kForwarder;
  record.took_us = static_cast<std::uint32_t>(took_us);
  record.begun_us = utc_us() - record.took_us;
  record.transport = attempt.by_tcp ? 1 : 0;
  record.reply_size = static_cast<std::uint32_t>(reply.size());
  record.peer = attempt.upstream->settings().endpoint;
  host_.queries->write(record, "", query, reply);
}

bool Fetch::is_recorded() const {
  return host_.queries != nullptr && host_.queries->wants(QueryRing::kForwarder);
}

void Fetch::replied(Exchange& exchange, Bytes message) {
  auto& attempt = static_cast<Attempt&>(exchange);
  const std::uint64_t now_us = monotonic_us();
  now_ms_ = now_us / 1000;
  attempt.heard = true;
  if (is_recorded()) record(attempt, now_us - std::min(now_us, attempt.sent_us), {}, message);
  attempt.upstream->heard(attempt, attempt.by_tcp, now_us);
  if (attempt.match_case) attempt.upstream->keeps_case.confirmed();
  if (done_) {
    late_reply(attempt, message);
  } else {
    accept_reply(attempt, message);
  }
}

void Fetch::broke(Exchange& exchange, AttemptEnd end) {
  auto& attempt = static_cast<Attempt&>(exchange);
  const std::uint64_t now_us = monotonic_us();
  now_ms_ = now_us / 1000;
  const bool was_current = &attempt == current_;
  attempt.end = end;
  if (was_current) current_ = nullptr;
  if (done_) {
    end_if_idle();
    return;
  }
  if (end == AttemptEnd::kClosed && !attempt.reconnected && ask_again(attempt, Again::kReconnect)) {
    return;
  }
  if (attempt.case_doubt && attempt.by_tcp && ask_again(attempt, Again::kPlainCase)) return;
  if (rounds_ == 0 || end != AttemptEnd::kRefused) attempt.upstream->failed(attempt, now_us);
  go_on();
}

void Fetch::case_lost(Exchange& exchange) {
  auto& attempt = static_cast<Attempt&>(exchange);
  if (done_ || attempt.end == AttemptEnd::kReplaced) return;
  now_ms_ = monotonic_ms();
  // TCP can't be forged by somebody who does not see the packets.
  ask_again(attempt, Again::kTcpForCase);
}

void Fetch::edns_refused(Exchange& exchange) {
  auto& attempt = static_cast<Attempt&>(exchange);
  if (done_ || attempt.end == AttemptEnd::kReplaced) return;
  now_ms_ = monotonic_ms();
  ask_again(attempt, Again::kPlainDnsHint);
}

// The answer's names point into its question, so they would show the random case to clients.
Bytes Fetch::with_plain_case(Bytes message) {
  host_.plain_case.assign(message.begin(), message.end());
  const Bytes name = question.name.name().wire();
  std::copy(name.begin(), name.end(), host_.plain_case.begin() + dns::kHeaderBytes);
  return host_.plain_case;
}

void Fetch::accept_reply(Attempt& attempt, Bytes message) {
  if (&attempt == current_) current_ = nullptr;
  if (attempt.match_case) message = with_plain_case(message);
  const dns::AcceptOutcome outcome =
      dns::accept(message, question, *host_.cache_settings, host_.image, &host_.counts.accept);
  if (outcome == dns::AcceptOutcome::kAnswer) {
    attempt.end = AttemptEnd::kReplaced;
    ++host_.counts.answered;
    learn_from_answer(attempt);
    finish();
    return;
  }
  reply_of_no_use(attempt, message, outcome);
}

void Fetch::reply_of_no_use(Attempt& attempt, Bytes message, dns::AcceptOutcome outcome) {
  const std::size_t attempts_before = attempt_count_;
  const bool truncated = outcome == dns::AcceptOutcome::kTruncated && !attempt.by_tcp;
  if (truncated && ask_again(attempt, Again::kTcp)) return;
  attempt.rcode = header_rcode(message);
  const bool no_edns =
      attempt.rcode == dns::Rcode::kFormErr || attempt.rcode == dns::Rcode::kNotImp;
  if (no_edns && attempt.question.edns && ask_again(attempt, Again::kPlainDns)) return;
  // When TCP could not even be tried that attempt tells why.
  const bool replaced = truncated && attempt_count_ > attempts_before;
  attempt.end = replaced ? AttemptEnd::kReplaced : AttemptEnd::kMalformed;
  if (outcome == dns::AcceptOutcome::kFailed) {
    attempt.rcode = full_rcode(message, question.name);
    const bool lame = attempt.rcode == dns::Rcode::kNoError;
    attempt.end = lame ? AttemptEnd::kLame : AttemptEnd::kRcode;
  }
  go_on();
}

// The fetch is over; what still comes tells how the upstream is.
void Fetch::late_reply(Attempt& attempt, Bytes message) {
  attempt.end = AttemptEnd::kReplaced;
  const dns::Rcode rcode = header_rcode(message);
  if (rcode == dns::Rcode::kNoError || rcode == dns::Rcode::kNxDomain) attempt.upstream->answered();
  end_if_idle();
}

void Fetch::learn_from_answer(const Attempt& winner) {
  Upstream& upstream = *winner.upstream;
  upstream.answered();
  if (winner.case_doubt) upstream.keeps_case.contradicted(now_ms_);
  if (winner.edns_doubt) upstream.takes_edns.contradicted(now_ms_);
  if (winner.edns_hint) upstream.takes_edns_silently.contradicted(now_ms_);
  if (winner.question.edns) upstream.takes_edns_silently.confirmed();
  // Who said SERVFAIL where another one had the answer is not well, however fast it says so.
  for (std::size_t i = 0; i < attempt_count_; ++i) {
    const Attempt& other = attempts_[i];
    if (other.spoke() && other.upstream != &upstream) other.upstream->failed(other, now_ms_ * 1000);
  }
}

// Keeps one attempt in waiting for, as long as there is somebody left to ask.
void Fetch::go_on() {
  if (!done_) {
    while (current_ == nullptr && try_next()) {
    }
    if (!anything_under_way() && !plan_round_after_refusal()) {
      give_up();
      return;
    }
  }
  set_due();
}

// False when that would be too late, or when something else than refusal came from everybody.
bool Fetch::plan_round_after_refusal() {
  const std::uint64_t due_ms = now_ms_ + (kRefusedAgainMs << rounds_);
  const auto end = attempts_.begin() + static_cast<long>(attempt_count_);
  const bool refused = std::any_of(attempts_.begin(), end, [](const Attempt& attempt) {
    return attempt.end == AttemptEnd::kRefused && attempt.by_tcp == attempt.upstream->tcp_only();
  });
  if (!refused || attempt_count_ == kAttemptsMax || due_ms >= give_up_ms_) return false;
  ++rounds_;
  round_due_ms_ = due_ms;
  return true;
}

void Fetch::begin_round_after_refusal() {
  round_due_ms_ = 0;
  for (std::size_t i = 0; i < attempt_count_; ++i) {
    if (attempts_[i].end == AttemptEnd::kRefused) attempts_[i].end = AttemptEnd::kReplaced;
  }
}

// False when an attempt is under way or nobody is left; true: could not be sent, try another one.
bool Fetch::try_next() {
  Candidates known;
  const std::span<const Candidate> all(known.data(), candidates(known));
  const int chosen = next_upstream(all);
  if (chosen == kNobody || now_ms_ >= give_up_ms_) return false;
  Attempt* attempt = make_attempt(static_cast<std::size_t>(chosen));
  if (attempt == nullptr) return false;
  Upstream& upstream = *attempt->upstream;
  if (all[static_cast<std::size_t>(chosen)].health == HealthState::kProbeDue) {
    upstream.health.probe_sent(now_ms_);
  }
  const bool first = attempt_count_ == 1;
  const bool mixed_case = upstream.keeps_case.holds(now_ms_);
  if (!start(*attempt, upstream.tcp_only(), mixed_case, upstream.edns(now_ms_))) {
    return true;
  }
  ++known[attempt->index].times_asked;
  wait_for(*attempt, all);
  if (first && all.size() > 1) send_probe(all, chosen);
  return false;
}

void Fetch::send_probe(std::span<const Candidate> candidates, int chosen) {
  const int index = choose_probe(group->policy, candidates, chosen, host_.random.u32());
  if (index == kNobody) return;
  Attempt* attempt = make_attempt(static_cast<std::size_t>(index));
  if (attempt == nullptr) return;
  Upstream& upstream = *attempt->upstream;
  if (candidates[static_cast<std::size_t>(index)].health == HealthState::kProbeDue) {
    upstream.health.probe_sent(now_ms_);
  }
  attempt->probe = true;
  start(*attempt, upstream.tcp_only(), upstream.keeps_case.holds(now_ms_), upstream.edns(now_ms_));
}

// The same question to the same upstream, in another way. The former attempt may go on waiting.
bool Fetch::ask_again(Attempt& former, Again how) {
  Attempt* attempt = now_ms_ < give_up_ms_ ? make_attempt(former.index) : nullptr;
  if (attempt == nullptr) return false;
  const bool plain_dns = how == Again::kPlainDns || how == Again::kPlainDnsHint;
  const bool by_tcp = how == Again::kTcp || how == Again::kTcpForCase || how == Again::kReconnect ||
                      (plain_dns && former.by_tcp) || former.upstream->tcp_only();
  attempt->probe = former.probe;
  attempt->case_doubt = former.case_doubt || how == Again::kTcpForCase;
  attempt->edns_doubt = former.edns_doubt || how == Again::kPlainDns;
  attempt->edns_hint = former.edns_hint || how == Again::kPlainDnsHint;
  attempt->reconnected = former.reconnected || how == Again::kReconnect;
  const bool edns = former.question.edns && !plain_dns;
  const bool mixed_case = former.match_case && plain_dns;
  if (!start(*attempt, by_tcp, mixed_case, edns)) return false;
  former.end = AttemptEnd::kReplaced;
  if (current_ == nullptr || current_ == &former) wait_for(*attempt);
  set_due();
  return true;
}

Fetch::Attempt* Fetch::make_attempt(std::size_t index) {
  if (attempt_count_ == kAttemptsMax) {
    ++host_.counts.attempts_full;
    return nullptr;
  }
  Attempt& attempt = attempts_[attempt_count_++];
  attempt.upstream = group->upstreams[index].get();
  attempt.index = index;
  attempt.end = AttemptEnd::kFull;  // until it was sent
  attempt.probe = attempt.case_doubt = attempt.edns_doubt = attempt.reconnected = false;
  attempt.heard = attempt.edns_hint = false;
  return &attempt;
}

bool Fetch::start(Attempt& attempt, bool by_tcp, bool mixed_case, bool edns) {
  attempt.owner = this;
  attempt.by_tcp = by_tcp;
  // A query that went by TCP only because of its case goes by UDP in plain case next.
  attempt.repeat_helps = !by_tcp || attempt.case_doubt;
  attempt.match_case = mixed_case && !by_tcp;
  attempt.question = {attempt.match_case ? mixed_name_ : question.name.name(),
                      question.type,
                      question.klass,
                      question.dnssec_ok,
                      question.checking_disabled,
                      edns};
  attempt.sent_us = now_ms_ * 1000;
  attempt.end = attempt.upstream->send(attempt, by_tcp);
  if (attempt.end != AttemptEnd::kWaiting) return false;
  ++host_.counts.queries;
  if (by_tcp) ++host_.counts.tcp;
  if (attempt_count_ > 1) ++host_.counts.retries;
  if (is_recorded()) record_query(attempt);
  return true;
}

void Fetch::attempt_timed_out(Attempt& attempt) {
  current_ = nullptr;
  ++host_.counts.timeouts;
  attempt.end = AttemptEnd::kTimedOut;
  attempt.upstream->timed_out();
  attempt.repeat_helps = attempt.port->timed_out(attempt) || attempt.repeat_helps;
  if (attempt.case_doubt && attempt.by_tcp) ask_again(attempt, Again::kPlainCase);
}

std::size_t Fetch::candidates(Candidates& out) const {
  const std::size_t count = std::min(group->upstreams.size(), out.size());
  for (std::size_t i = 0; i < count; ++i) out[i] = group->upstreams[i]->candidate(now_ms_);
  for (std::size_t i = 0; i < attempt_count_; ++i) {
    const Attempt& attempt = attempts_[i];
    Candidate& candidate = out[attempt.index];
    ++candidate.times_asked;
    if (attempt.under_way() && !attempt.repeat_helps) candidate.spoken = true;
    // Asking again helps against loss only: not who has spoken, nor where nobody is.
    if (attempt.end != AttemptEnd::kTimedOut && attempt.end != AttemptEnd::kWaiting &&
        attempt.end != AttemptEnd::kReplaced) {
      candidate.spoken = true;
    }
  }
  return count;
}

// The one whose turn it is, or else by policy.
int Fetch::next_upstream(std::span<const Candidate> candidates) const {
  if (turn_of_ != nullptr && now_ms_ < turn_end_ms_) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (group->upstreams[i].get() == turn_of_ && !candidates[i].spoken)
        return static_cast<int>(i);
    }
  }
  return choose_upstream(group->policy, candidates, group->turn);
}

void Fetch::wait_for(Attempt& attempt) {
  Candidates known;
  wait_for(attempt, std::span(known).first(candidates(known)));
}

// REQUIRES: this attempt is counted in `candidates`.
void Fetch::wait_for(Attempt& attempt, std::span<const Candidate> candidates) {
  AttemptTime time;
  time.rtt_timeout_ms = attempt.upstream->round_trip.timeout_ms();
  time.timeout_ms = group->timeout_ms;
  time.remaining_ms = static_cast<std::uint32_t>(give_up_ms_ - now_ms_);
  time.times_asked = candidates[attempt.index].times_asked - 1U;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (i != attempt.index && candidates[i].times_asked == 0) ++time.others_left;
  }
  const bool resting = candidates[attempt.index].health != HealthState::kGood;
  if (group->policy == UpstreamPolicy::kSequential && !resting) {
    if (turn_of_ != attempt.upstream) turn_end_ms_ = now_ms_ + turn_ms(time);
    turn_of_ = attempt.upstream;
    time.turn_left_ms =
        turn_end_ms_ > now_ms_ ? static_cast<std::uint32_t>(turn_end_ms_ - now_ms_) : 0;
  }
  time.by_stream = !attempt.repeat_helps;
  current_ = &attempt;
  attempt_due_ms_ = now_ms_ + attempt_timeout_ms(time);
}

bool Fetch::anything_under_way() const {
  return std::any_of(attempts_.begin(), attempts_.begin() + static_cast<long>(attempt_count_),
                     [](const Attempt& attempt) { return attempt.under_way(); });
}

void Fetch::set_due() {
  std::uint64_t due_ms = give_up_ms_;
  if (current_ != nullptr) due_ms = std::min(due_ms, attempt_due_ms_);
  if (!done_ && !anything_under_way()) due_ms = round_due_ms_ == 0 ? now_ms_ : round_due_ms_;
  host_.deadlines->set(*this, due_ms);
}

// Each upstream that was asked and never said anything has failed, once.
void Fetch::judge_the_silent() {
  for (std::size_t i = 0; i < attempt_count_; ++i) {
    const Attempt& attempt = attempts_[i];
    bool judged = !attempt.under_way();
    for (std::size_t k = 0; k < attempt_count_; ++k) {
      const Attempt& other = attempts_[k];
      if (other.upstream != attempt.upstream) continue;
      judged = judged || other.heard || (k < i && other.under_way());
    }
    if (!judged) attempt.upstream->given_up(attempt, now_ms_ * 1000);
  }
}

void Fetch::give_up() {
  judge_the_silent();
  for (std::size_t i = 0; i < attempt_count_; ++i) {
    Attempt& attempt = attempts_[i];
    if (!attempt.under_way()) continue;
    if (attempt.end == AttemptEnd::kWaiting) {
      attempt_timed_out(attempt);
    } else {
      attempt.port->timed_out(attempt);
    }
    attempt.forget();
  }
  current_ = nullptr;
  if (!done_) {
    std::array<AttemptReport, kAttemptsMax> reports;
    for (std::size_t i = 0; i < attempt_count_; ++i) {
      const Attempt& attempt = attempts_[i];
      reports[i] = {attempt.upstream->settings().text, attempt.by_tcp, attempt.end, attempt.rcode};
    }
    const FailureReport report = report_failure(std::span(reports).first(attempt_count_));
    dns::failure_image(report.ede, report.text, kFailureTtlS, host_.image);
    ++host_.counts.failed;
  }
  done_ ? end_if_idle() : finish();
}

void Fetch::finish() {
  done_ = true;
  current_ = nullptr;
  host_.finished(*this);
  snapshot.reset();
  if (anything_under_way() && !host_.may_linger()) {
    ++host_.counts.lingering_full;
    for (std::size_t i = 0; i < attempt_count_; ++i) attempts_[i].forget();
  }
  if (anything_under_way()) {
    set_due();
  } else {
    end_if_idle();
  }
}

void Fetch::end_if_idle() {
  if (anything_under_way()) return;
  clear();
  host_.idle(*this);
}

}  // namespace postern::nameserver
