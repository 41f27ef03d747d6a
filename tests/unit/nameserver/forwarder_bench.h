// A forwarder on a loop with a cache, fake upstreams and listeners that note what they are told.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "dns/policy.h"
#include "fake_upstream.h"
#include "nameserver/forwarder.h"

namespace postern::test {

struct Outcome final : nameserver::FetchListener {
  int times = 0;
  bool failure = false;
  dns::Rcode rcode{};
  std::uint16_t ede = dns::kNoEde;
  std::string ede_text;
  std::string body;
  nameserver::Forwarder::Ticket ticket;

  void fetched(const dns::ForwardQuestion&, const dns::ImageView& image) override {
    ++times;
    failure = image.head.failure;
    rcode = image.head.rcode();
    ede = image.head.ede;
    ede_text = image.ede_text;
    body = as_text(image.body);
  }
  /// The last byte of the last record: which address came.
  int last_byte() const { return body.empty() ? -1 : static_cast<unsigned char>(body.back()); }
};

/// No descriptor can be opened while this lives.
class OutOfDescriptors {
 public:
  OutOfDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~OutOfDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  OutOfDescriptors(const OutOfDescriptors&) = delete;
  OutOfDescriptors& operator=(const OutOfDescriptors&) = delete;

 private:
  rlimit before_{};
};

class ForwarderBench {
 public:
  net::Loop loop;
  dns::Cache cache{dns::CacheSettings{}};
  std::vector<std::unique_ptr<FakeUpstream>> upstreams;
  nameserver::ForwardSettings forward;
  std::uint32_t outstanding_max = 100;
  std::unique_ptr<nameserver::Forwarder> forwarder;

  ForwarderBench() {
    forward.timeout_ms = 1200;
    forward.policy = nameserver::UpstreamPolicy::kSequential;
    dns::PolicySettings settings;
    settings.forward_names.push_back(dns::Name());
    policy_ = dns::compile_policy(settings, {});
  }

  FakeUpstream& add_upstream(FakeUpstream::Answer answer, bool tcp_only = false) {
    auto& fake = *upstreams.emplace_back(std::make_unique<FakeUpstream>(std::move(answer)));
    add_address(fake.address(), tcp_only);
    return fake;
  }
  void add_address(const Endpoint& address, bool tcp_only = false) {
    using nameserver::UpstreamScheme;
    forward.upstreams.push_back({tcp_only ? UpstreamScheme::kTcp : UpstreamScheme::kUdp, address,
                                 (tcp_only ? "tcp://" : "udp://") + address.to_string()});
  }
  nameserver::Forwarder::Settings settings() const { return {{forward}, outstanding_max}; }
  void start() { forwarder = std::make_unique<nameserver::Forwarder>(loop, cache, settings()); }

  dns::ForwardQuestion question(const std::string& name, dns::RrType type = dns::RrType::kA) const {
    dns::ForwardQuestion q;
    q.name.assign(dns::Name::parse(name).value().view());
    q.type = type;
    q.klass = dns::RrClass::kIn;
    q.view = &policy_->everyone;
    return q;
  }
  std::unique_ptr<Outcome> ask(const dns::ForwardQuestion& q) {
    auto outcome = std::make_unique<Outcome>();
    outcome->ticket = forwarder->ask(q, policy_, *outcome);
    return outcome;
  }
  std::unique_ptr<Outcome> ask(const std::string& name) { return ask(question(name)); }

  void serve() {
    for (const auto& upstream : upstreams) upstream->serve();
  }
  bool wait_for(const std::function<bool()>& done, std::uint64_t limit_ms = 3000) {
    return run_until(
        loop,
        [&] {
          serve();
          return done();
        },
        limit_ms);
  }
  bool wait_for(const Outcome& outcome) {
    return wait_for([&] { return outcome.times > 0; });
  }
  void wait_ms(std::uint64_t ms) {
    wait_for([] { return false; }, ms);
  }
  /// Asks, waits, and gives the outcome and how long it took.
  std::unique_ptr<Outcome> fetch(const std::string& name, std::uint64_t* took_ms = nullptr) {
    const std::uint64_t begin = loop.now_ms();
    auto outcome = ask(name);
    REQUIRE(wait_for(*outcome));
    if (took_ms != nullptr) *took_ms = loop.now_ms() - begin;
    return outcome;
  }

 private:
  std::shared_ptr<const dns::Policy> policy_;
};

inline FakeUpstream::Answer silence() {
  return [](const Asked&) { return ""s; };
}
inline FakeUpstream::Answer address(std::uint8_t last) {
  return [last](const Asked& asked) { return a_reply(asked, last); };
}
inline FakeUpstream::Answer rcode(std::size_t code) {
  return [code](const Asked& asked) { return reply(asked, 0x8180 + code); };
}

}  // namespace postern::test
