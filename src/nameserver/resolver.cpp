#include "nameserver/resolver.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "dns/name.h"
#include "nameserver/deadlines.h"
#include "nameserver/pool.h"
#include "nameserver/rate_limit.h"

namespace postern::nameserver {
namespace {

constexpr std::size_t kUdpReplyMax = 4096;
constexpr std::size_t kQueryBytesMax = 4096;  // of a query that has to wait

constexpr std::array<std::string_view, 4> kTransportNames{"udp", "tcp", "tls", "https"};
constexpr std::array<std::string_view, 9> kSourceNames{
    "none", "override", "zone", "cache", "stale", "upstream", "special", "refused", "error"};

// As people write a host: small letters, no dot at the end.
std::string host_text(std::string name) {
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name;
}

std::string question_text(Bytes query) {
  std::size_t position = dns::kHeaderBytes;
  std::array<std::uint8_t, dns::kNameBytesMax> name;
  const std::size_t size =
      query.size() < dns::kHeaderBytes ? 0 : dns::read_name(query, &position, name);
  if (size == 0 || position + 4 > query.size()) return "- -";
  const auto type = static_cast<dns::RrType>(load_u16(query.data() + position));
  return fmt::format("{} {}", dns::name_text(dns::NameView(Bytes(name.data(), size))),
                     dns::type_text(type));
}

// The question of a query that was answered: its name and type.
ClientNote note_of(Bytes query, const IpAddress& client) {
  std::size_t position = dns::kHeaderBytes;
  std::array<std::uint8_t, dns::kNameBytesMax> name;
  const std::size_t size = dns::read_name(query, &position, name);
  ClientNote note;
  note.event = ClientEvent::kHttpsRecordEdited;
  note.client = client;
  if (size == 0 || position + 2 > query.size()) return note;
  note.name = host_text(dns::name_text(dns::NameView(Bytes(name.data(), size))));
  note.type = dns::type_text(static_cast<dns::RrType>(load_u16(query.data() + position)));
  return note;
}

void log_query(Bytes query, const Client& client, const dns::Decision& decision,
               std::uint64_t began_us) {
  const bool replied = decision.verdict == dns::Decision::Verdict::kReply;
  log_info("query", "{} {} {} {} {} {} us", question_text(query), client.peer.ip.to_string(),
           kTransportNames[static_cast<std::size_t>(client.transport)],
           kSourceNames[static_cast<std::size_t>(decision.source)],
           replied ? dns::rcode_text(decision.rcode) : "dropped", monotonic_us() - began_us);
}

}  // namespace

struct Resolver::Impl {
  // A query that waits for upstream; pooled, so that its buffers are used again.
  struct Pending final : Deadline, FetchListener {
    explicit Pending(Impl& the_resolver) : resolver(the_resolver) {}
    ~Pending() override = default;
    void fetched(const dns::ForwardQuestion&, const dns::ImageView& image) override {
      resolver.go_on(*this, &image, false);
    }

    Impl& resolver;
    std::vector<std::uint8_t> query;
    Client client;
    std::unique_ptr<ReplyPath> path;
    std::shared_ptr<const ResolverSnapshot> snapshot;
    dns::ForwardQuestion question;
    Forwarder::Ticket ticket;
    unsigned hops = 0;
    std::uint64_t began_ms = 0;
    std::uint64_t began_us = 0;  // only for the log
  };

  /// A failure that is always at hand.
  struct Failure {
    Failure(dns::Ede ede, std::string_view text) { dns::failure_image(ede, text, 1, image.get()); }
    const std::unique_ptr<dns::ImageBuffer> image = std::make_unique<dns::ImageBuffer>();
  };

  Impl(net::Loop& the_loop, dns::Cache& the_cache, Forwarder& the_forwarder)
      : loop(the_loop),
        cache(&the_cache),
        forwarder(the_forwarder),
        deadlines(the_loop,
                  [this](Deadline& item) { go_on(static_cast<Pending&>(item), nullptr, true); }) {}

  std::size_t handle(Bytes query, const Client& client, MutableBytes reply, ReplyLater& later);
  std::size_t over_limit(Bytes query, MutableBytes reply, RateLimit::Verdict verdict);
  dns::AnswerInput input_for(const Client& client, const ResolverSnapshot& from) const;
  void refresh(const dns::Decision& decision, const std::shared_ptr<const ResolverSnapshot>& from);
  void count(Bytes query, const Client& client, const dns::Decision& decision,
             std::uint64_t began_us);
  void note_svcb(Bytes query, const Client& client, std::uint16_t changes);

  bool wait(Bytes query, const Client& client, ReplyLater& later, const dns::Decision& decision,
            std::uint64_t began_us, dns::ImageView* failure);
  bool ask(Pending& pending, const dns::Decision& decision);
  void go_on(Pending& pending, const dns::ImageView* fetched, bool allow_stale);
  bool next_hop(Pending& pending, MutableBytes reply, dns::AnswerInput input,
                dns::Decision* decision);
  void finish(Pending& pending, const dns::Decision& decision);

  net::Loop& loop;
  dns::Cache* cache;
  Forwarder& forwarder;
  ResolverSettings settings;
  std::shared_ptr<const ResolverSnapshot> snapshot;
  RateLimit rate_limit{0, 0};
  ResolverCounts counts;
  ClientNotes* notes = nullptr;
  Deadlines deadlines;
  Pool<Pending> pool;
  const Failure chain_too_long{dns::Ede::kOther, "a chain of names asked upstream too often"};
  const Failure too_many{dns::Ede::kNotReady,
                         "too many queries are waiting (dns.limits.outstanding)"};
  const Failure oversize{dns::Ede::kOther,
                         "queries over 4096 bytes are answered only from what is known here"};
  std::vector<std::uint8_t> late_reply = std::vector<std::uint8_t>(dns::kMessageBytesMax);
};

dns::AnswerInput Resolver::Impl::input_for(const Client& client,
                                           const ResolverSnapshot& from) const {
  dns::AnswerInput input;
  input.policy = from.policy.get();
  input.cache = cache;
  input.now_s = static_cast<std::uint32_t>(loop.now_ms() / 1000);
  input.client = client.peer.ip;
  input.internal = client.internal;
  input.stream = client.is_stream();
  return input;
}

std::size_t Resolver::Impl::over_limit(Bytes query, MutableBytes reply,
                                       RateLimit::Verdict verdict) {
  const std::size_t size =
      verdict == RateLimit::Verdict::kTruncate ? dns::truncated_reply(query, reply) : 0;
  ++(size > 0 ? counts.limited_truncated : counts.limited_dropped);
  return size;
}

void Resolver::Impl::refresh(const dns::Decision& decision,
                             const std::shared_ptr<const ResolverSnapshot>& from) {
  // After a reload the question may name a forward that is not there any more.
  if (!decision.refresh || from != snapshot) return;
  ++counts.refreshed;
  forwarder.refresh(decision.question, from);
}

void Resolver::Impl::count(Bytes query, const Client& client, const dns::Decision& decision,
                           std::uint64_t began_us) {
  if (decision.verdict == dns::Decision::Verdict::kReply) {
    const auto rcode = static_cast<std::size_t>(decision.rcode);
    ++counts.by_rcode[std::min(rcode, counts.by_rcode.size() - 1)];
    ++counts.by_source[static_cast<std::size_t>(decision.source)];
    if (decision.svcb_changes != 0) note_svcb(query, client, decision.svcb_changes);
  } else {
    ++counts.dropped;
  }
  if (settings.log_queries) log_query(query, client, decision, began_us);
}

void Resolver::Impl::note_svcb(Bytes query, const Client& client, std::uint16_t changes) {
  const std::size_t why = svcb_why(changes);
  ++counts.svcb_changed[why];
  const bool first = notes != nullptr && notes->is_first(ClientEvent::kHttpsRecordEdited,
                                                         client.peer.ip, loop.now_ms());
  if (!first) return;
  ClientNote note = note_of(query, client.peer.ip);
  note.why = kSvcbWhy[why];
  note.removed = svcb_removed(changes);
  notes->tell(std::move(note));
}

std::size_t Resolver::Impl::handle(Bytes query, const Client& client, MutableBytes reply,
                                   ReplyLater& later) {
  const std::uint64_t began_us = settings.log_queries ? monotonic_us() : 0;
  ++counts.by_transport[static_cast<std::size_t>(client.transport)];
  if (!client.is_stream()) {
    const auto verdict = rate_limit.take(client.peer.ip, loop.now_ms());
    if (verdict != RateLimit::Verdict::kPass) return over_limit(query, reply, verdict);
  }
  dns::AnswerInput input = input_for(client, *snapshot);
  dns::Decision decision;
  dns::answer(input, query, reply, &decision);
  if (decision.verdict == dns::Decision::Verdict::kForward) {
    dns::ImageView failure;
    if (wait(query, client, later, decision, began_us, &failure)) return 0;
    const dns::ForwardQuestion question = decision.question;
    input.fetched_question = &question;
    input.fetched = &failure;
    input.allow_stale = true;
    dns::answer(input, query, reply, &decision);
  }
  refresh(decision, snapshot);
  count(query, client, decision, began_us);
  return decision.verdict == dns::Decision::Verdict::kReply ? decision.reply_size : 0;
}

// False when a limit was hit: `*failure` says which.
bool Resolver::Impl::wait(Bytes query, const Client& client, ReplyLater& later,
                          const dns::Decision& decision, std::uint64_t began_us,
                          dns::ImageView* failure) {
  const bool is_oversize = query.size() > kQueryBytesMax;
  if (is_oversize || pool.in_use() >= settings.pending_max) {
    ++(is_oversize ? counts.oversize_refused : counts.pending_refused);
    *failure = (is_oversize ? oversize : too_many).image->view();
    return false;
  }
  Pending& pending = pool.acquire(*this);
  pending.query.assign(query.begin(), query.end());
  pending.client = client;
  pending.snapshot = snapshot;
  pending.hops = 0;
  pending.began_ms = loop.now_ms();
  pending.began_us = began_us;
  if (!ask(pending, decision)) {
    *failure = forwarder.refusal();
    pending.snapshot.reset();
    pool.release(pending);
    return false;
  }
  ++counts.forwarded;
  pending.path = later.keep();
  return true;
}

bool Resolver::Impl::ask(Pending& pending, const dns::Decision& decision) {
  ++pending.hops;
  pending.question = decision.question;
  pending.ticket = forwarder.ask(pending.question, pending.snapshot, pending);
  if (!pending.ticket) return false;
  if (decision.stale_at_hand) {
    deadlines.set(pending, pending.began_ms + settings.stale_wait_ms);
  } else {
    pending.clear();
  }
  return true;
}

// Something came, or the client response timer ran out.
void Resolver::Impl::go_on(Pending& pending, const dns::ImageView* fetched, bool allow_stale) {
  const std::size_t room = pending.client.is_stream() ? late_reply.size() : kUdpReplyMax;
  const MutableBytes reply(late_reply.data(), room);
  dns::AnswerInput input = input_for(pending.client, *pending.snapshot);
  input.fetched = fetched;
  input.fetched_question = fetched == nullptr ? nullptr : &pending.question;
  input.allow_stale = allow_stale || (fetched != nullptr && fetched->head.failure);
  dns::Decision decision;
  dns::answer(input, pending.query, reply, &decision);
  if (decision.verdict == dns::Decision::Verdict::kForward) {
    // The timer ran out and what was stale is gone meanwhile: the fetch is still under way.
    if (fetched == nullptr) return;
    if (next_hop(pending, reply, input, &decision)) return;
  }
  finish(pending, decision);
}

// Asks upstream for where the chain goes on. False when `decision` is a reply instead.
bool Resolver::Impl::next_hop(Pending& pending, MutableBytes reply, dns::AnswerInput input,
                              dns::Decision* decision) {
  if (pending.snapshot != snapshot) {
    // A reload in between: forwards are numbered anew, so the question is, too.
    pending.snapshot = snapshot;
    input = input_for(pending.client, *snapshot);
    dns::answer(input, pending.query, reply, decision);
    if (decision->verdict != dns::Decision::Verdict::kForward) return false;
  }
  const bool may_ask = pending.hops < kHopsMax;
  if (!may_ask) ++counts.hops_refused;
  if (may_ask && ask(pending, *decision)) return true;
  const dns::ForwardQuestion question = decision->question;
  const dns::ImageView failure = may_ask ? forwarder.refusal() : chain_too_long.image->view();
  input.fetched_question = &question;
  input.fetched = &failure;
  input.allow_stale = true;
  dns::answer(input, pending.query, reply, decision);
  return false;
}

void Resolver::Impl::finish(Pending& pending, const dns::Decision& decision) {
  pending.clear();
  pending.ticket.drop();
  if (decision.verdict == dns::Decision::Verdict::kReply) {
    pending.path->send(Bytes(late_reply.data(), decision.reply_size));
  }
  pending.path.reset();
  refresh(decision, pending.snapshot);
  count(pending.query, pending.client, decision, pending.began_us);
  pending.snapshot.reset();
  pool.release(pending);
}

Resolver::Resolver(net::Loop& loop, dns::Cache& cache, Forwarder& forwarder,
                   const ResolverSettings& settings,
                   std::shared_ptr<const ResolverSnapshot> snapshot)
    : impl_(std::make_unique<Impl>(loop, cache, forwarder)) {
  impl_->snapshot = std::move(snapshot);
  reconfigure(cache, settings);
}

Resolver::~Resolver() = default;

std::size_t Resolver::handle(Bytes query, const Client& client, MutableBytes reply,
                             ReplyLater& later) {
  return impl_->handle(query, client, reply, later);
}

void Resolver::swap_snapshot(std::shared_ptr<const ResolverSnapshot> snapshot) {
  impl_->snapshot = std::move(snapshot);
}

void Resolver::reconfigure(dns::Cache& cache, const ResolverSettings& settings) {
  impl_->cache = &cache;
  const std::uint32_t rate = settings.qps_per_client;
  const bool new_limit = rate != impl_->settings.qps_per_client;
  impl_->settings = settings;
  if (new_limit) impl_->rate_limit = {rate, rate};
}

void Resolver::tell_notes(ClientNotes& notes) { impl_->notes = &notes; }

const ResolverCounts& Resolver::counts() const { return impl_->counts; }

std::size_t Resolver::pending() const { return impl_->pool.in_use(); }

}  // namespace postern::nameserver
