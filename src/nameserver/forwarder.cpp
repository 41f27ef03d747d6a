#include "nameserver/forwarder.h"

#include <algorithm>
#include <cassert>

#include "base/log.h"
#include "nameserver/fetch.h"
#include "nameserver/flat_table.h"
#include "nameserver/pool.h"
#include "net/loop.h"

namespace postern::nameserver {
namespace {

constexpr std::uint32_t kWaitersPerFetchMax = 2000;  // listeners that join one fetch
constexpr std::size_t kLingeringMax = 2000;          // fetches that only wait for late answers
constexpr std::uint64_t kLogIntervalMs = 10'000;
constexpr std::string_view kFullText = "too many queries are waiting (dns.limits.outstanding)";
constexpr std::string_view kJoinsText = "too many clients are waiting for this answer";

// The group takes the place of the index, which means something else after a reload.
std::uint64_t join_hash(const dns::CacheKey& key, const ForwardGroup* group) {
  return key.hash() ^ (reinterpret_cast<std::uintptr_t>(group) * 0x9e3779b97f4a7c15ULL);
}

bool same_question(const dns::ForwardQuestion& a, const dns::ForwardQuestion& b) {
  return a.type == b.type && a.klass == b.klass && a.dnssec_ok == b.dnssec_ok &&
         a.checking_disabled == b.checking_disabled && a.owned == b.owned &&
         a.guarded == b.guarded && a.view->id == b.view->id &&
         equal_bytes(a.name.name().wire(), b.name.name().wire());
}

bool same_server(const Upstream& upstream, const UpstreamSettings& settings) {
  return upstream.settings().scheme == settings.scheme &&
         upstream.settings().endpoint == settings.endpoint;
}

}  // namespace

struct Forwarder::Waiter : Linked {
  Impl* impl = nullptr;
  Fetch* fetch = nullptr;  // nullptr: was told
  FetchListener* listener = nullptr;
};

struct Forwarder::Impl final : FetchHost {
  Impl(net::Loop& the_loop, dns::Cache& the_cache);
  ~Impl() override;

  void configure(const Settings& new_settings);
  std::shared_ptr<Upstream> upstream_for(const UpstreamSettings& wanted);
  void drop_unused_upstreams();

  Fetch* find(const dns::ForwardQuestion& question, const ForwardGroup& group,
              std::uint64_t hash) const;
  Fetch* join_or_begin(const dns::ForwardQuestion& question,
                       const std::shared_ptr<const void>& snapshot);
  void drop(Waiter& waiter);
  void refuse(const dns::ImageBuffer& failure, std::uint64_t* count);

  void finished(Fetch& fetch) override;
  void idle(Fetch& fetch) override;
  bool may_linger() const override { return fetches.in_use() - table.size() <= kLingeringMax; }
  void store(const Fetch& fetch, const dns::ImageView& answer);

  // In this order: what stands below uses what stands above.
  net::Loop& loop;
  dns::Cache* cache = nullptr;
  const std::unique_ptr<dns::ImageBuffer> image_buffer = std::make_unique<dns::ImageBuffer>();
  const std::unique_ptr<dns::ImageBuffer> full = std::make_unique<dns::ImageBuffer>();
  const std::unique_ptr<dns::ImageBuffer> joins_full = std::make_unique<dns::ImageBuffer>();
  const dns::ImageBuffer* refusal = full.get();  // of the last question that was refused
  Deadlines all_deadlines;
  std::vector<std::shared_ptr<Upstream>> upstreams;  // of this configuration and of fetches
  ExchangeCounts exchanges_before;                   // of upstreams that are gone
  net::Deferred cleaning;
  std::uint32_t outstanding_max = 0;
  std::vector<std::shared_ptr<ForwardGroup>> groups;
  LogLimit full_log{kLogIntervalMs};
  LogLimit failure_log{kLogIntervalMs};
  Pool<Fetch> fetches;
  FlatTable<Fetch> table;  // under way: can be joined
  Pool<Waiter> waiters;
};

Forwarder::Impl::Impl(net::Loop& the_loop, dns::Cache& the_cache)
    : loop(the_loop),
      all_deadlines(the_loop,
                    [this](Deadline& item) { static_cast<Fetch&>(item).due(loop.now_ms()); }),
      cleaning(the_loop, [this] { drop_unused_upstreams(); }) {
  cache = &the_cache;
  deadlines = &all_deadlines;
  image = image_buffer.get();
  dns::failure_image(dns::Ede::kNotReady, kFullText, 1, full.get());
  dns::failure_image(dns::Ede::kNotReady, kJoinsText, 1, joins_full.get());
}

Forwarder::Impl::~Impl() {
  fetches.for_all([](Fetch& fetch) { fetch.cancel(); });
}

void Forwarder::Impl::configure(const Settings& new_settings) {
  cache_settings = &cache->settings();
  outstanding_max = new_settings.outstanding_max;
  groups.clear();
  for (const ForwardSettings& forward : new_settings.forwards) {
    auto group = std::make_shared<ForwardGroup>();
    group->policy = forward.policy;
    group->timeout_ms = forward.timeout_ms;
    assert(forward.upstreams.size() <= kUpstreamsMax);
    for (const UpstreamSettings& upstream : forward.upstreams) {
      group->upstreams.push_back(upstream_for(upstream));
    }
    groups.push_back(std::move(group));
  }
  cleaning.schedule();
}

std::shared_ptr<Upstream> Forwarder::Impl::upstream_for(const UpstreamSettings& wanted) {
  for (const auto& upstream : upstreams) {
    if (same_server(*upstream, wanted)) return upstream;
  }
  return upstreams.emplace_back(std::make_shared<Upstream>(loop, random, wanted));
}

void Forwarder::Impl::drop_unused_upstreams() {
  std::erase_if(upstreams, [this](const std::shared_ptr<Upstream>& upstream) {
    if (upstream.use_count() > 1) return false;
    exchanges_before += upstream->counts();
    return true;
  });
}

Fetch* Forwarder::Impl::find(const dns::ForwardQuestion& question, const ForwardGroup& group,
                             std::uint64_t hash) const {
  return table.find(hash, [&](const Fetch& fetch) {
    return fetch.group.get() == &group && same_question(fetch.question, question);
  });
}

// nullptr: a limit was hit.
Fetch* Forwarder::Impl::join_or_begin(const dns::ForwardQuestion& question,
                                      const std::shared_ptr<const void>& snapshot) {
  assert(question.forward < groups.size());
  if (question.forward >= groups.size()) return nullptr;
  const std::shared_ptr<ForwardGroup>& group = groups[question.forward];
  const std::uint64_t hash = join_hash(question.key(), group.get());
  if (Fetch* fetch = find(question, *group, hash)) {
    if (fetch->waiter_count >= kWaitersPerFetchMax) {
      refuse(*joins_full, &counts.joins_refused);
      return nullptr;
    }
    ++counts.joined;
    return fetch;
  }
  if (table.size() >= outstanding_max) {
    refuse(*full, &counts.refused_full);
    return nullptr;
  }
  ++counts.asked;
  Fetch& fetch = fetches.acquire(*this);
  fetch.question = question;
  fetch.snapshot = snapshot;
  fetch.group = group;
  fetch.hash = hash;
  fetch.waiter_count = 0;
  table.insert(hash, &fetch);
  fetch.begin(loop.now_ms());
  return &fetch;
}

void Forwarder::Impl::drop(Waiter& waiter) {
  if (waiter.is_linked()) --waiter.fetch->waiter_count;
  waiter.unlink();
  waiters.release(waiter);
}

void Forwarder::Impl::refuse(const dns::ImageBuffer& failure, std::uint64_t* count) {
  ++*count;
  refusal = &failure;
  std::uint64_t held_back = 0;
  if (!full_log.allow(loop.now_ms(), &held_back)) return;
  log_warning("forward_full", "{}{}", failure.view().ede_text, LogLimit::text(held_back));
}

void Forwarder::Impl::store(const Fetch& fetch, const dns::ImageView& answer) {
  cache->put(fetch.question.key(), static_cast<std::uint32_t>(loop.now_ms() / 1000), answer);
  std::uint64_t held_back = 0;
  if (!answer.head.failure || !failure_log.allow(loop.now_ms(), &held_back)) return;
  log_warning("forward_failed", "{} {}: {}{}", dns::name_text(fetch.question.name.name()),
              dns::type_text(fetch.question.type), answer.ede_text, LogLimit::text(held_back));
}

void Forwarder::Impl::finished(Fetch& fetch) {
  table.erase(fetch.hash, &fetch);
  const dns::ImageView answer = image_buffer->view();
  store(fetch, answer);
  Ring<Linked> told;
  told.take(fetch.waiters);
  while (Linked* link = told.front()) {
    link->unlink();
    static_cast<Waiter*>(link)->listener->fetched(fetch.question, answer);
  }
}

void Forwarder::Impl::idle(Fetch& fetch) {
  const bool is_current = fetch.group.use_count() > 1;
  fetch.group.reset();
  if (!is_current) cleaning.schedule();
  fetches.release(fetch);
}

Forwarder::Ticket& Forwarder::Ticket::operator=(Ticket&& other) noexcept {
  if (this == &other) return *this;
  drop();
  waiter_ = std::exchange(other.waiter_, nullptr);
  return *this;
}

void Forwarder::Ticket::drop() {
  if (waiter_ != nullptr) waiter_->impl->drop(*std::exchange(waiter_, nullptr));
}

Forwarder::Forwarder(net::Loop& loop, dns::Cache& cache, const Settings& settings)
    : impl_(std::make_unique<Impl>(loop, cache)) {
  impl_->configure(settings);
}

Forwarder::~Forwarder() = default;

Forwarder::Ticket Forwarder::ask(const dns::ForwardQuestion& question,
                                 const std::shared_ptr<const void>& snapshot,
                                 FetchListener& listener) {
  Fetch* fetch = impl_->join_or_begin(question, snapshot);
  if (fetch == nullptr) return {};
  Waiter& waiter = impl_->waiters.acquire();
  waiter.impl = impl_.get();
  waiter.fetch = fetch;
  waiter.listener = &listener;
  fetch->waiters.push_back(waiter);
  ++fetch->waiter_count;
  return Ticket(&waiter);
}

void Forwarder::refresh(const dns::ForwardQuestion& question,
                        const std::shared_ptr<const void>& snapshot) {
  impl_->join_or_begin(question, snapshot);
}

dns::ImageView Forwarder::refusal() const { return impl_->refusal->view(); }

void Forwarder::reconfigure(dns::Cache& cache, const Settings& settings) {
  impl_->cache = &cache;
  impl_->configure(settings);
}

void Forwarder::record_to(QueryRing& ring) { impl_->queries = &ring; }

const ForwarderCounts& Forwarder::counts() const {
  impl_->counts.exchanges = impl_->exchanges_before;
  for (const auto& upstream : impl_->upstreams) impl_->counts.exchanges += upstream->counts();
  return impl_->counts;
}

std::size_t Forwarder::outstanding() const { return impl_->table.size(); }

std::vector<UpstreamStatus> Forwarder::upstreams() const {
  std::vector<UpstreamStatus> all;
  all.reserve(impl_->upstreams.size());
  for (const auto& upstream : impl_->upstreams) {
    all.push_back(upstream->status(impl_->loop.now_ms()));
  }
  return all;
}

}  // namespace postern::nameserver
