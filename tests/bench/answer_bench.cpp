#include "dns/answer.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include <fmt/format.h>

#include "bench.h"
#include "dns/accept.h"
#include "packets.h"

namespace postern::bench {

namespace {

constexpr auto kA = dns::RrType::kA;

/// A policy, a cache, and what is asked of them.
struct Subject {
  std::unique_ptr<const dns::Policy> policy;
  std::unique_ptr<dns::Cache> cache = std::make_unique<dns::Cache>(dns::CacheSettings{});
  std::vector<Packet> queries;

  /// The i-th query of a walk that no prefetcher guesses.
  void ask(std::uint64_t i, MutableBytes reply, dns::Decision* decision) const {
    dns::AnswerInput input;
    input.policy = policy.get();
    input.cache = cache.get();
    input.now_s = 10;
    const std::size_t at = ((i * 0x9e3779b97f4a7c15ULL) >> 20) % queries.size();
    dns::answer(input, queries[at], reply, decision);
    if (decision->verdict != dns::Decision::Verdict::kReply) std::abort();
  }
};

dns::PolicySettings open_settings() {
  dns::PolicySettings settings;
  settings.allow.push_back(Network::parse("0.0.0.0/0").value());
  settings.forward_names.emplace_back();
  return settings;
}

Subject with_overrides(unsigned count) {
  dns::PolicySettings settings = open_settings();
  Subject subject;
  for (unsigned i = 0; i < count; ++i) {
    dns::OverrideSettings rule;
    rule.names.push_back(name_of(fmt::format("*.domain{}.example.", i)));
    rule.addresses.push_back(IpAddress::parse("192.168.10.50").value());
    settings.overrides.push_back(std::move(rule));
  }
  for (unsigned i = 0; i < 10'000; ++i) {
    subject.queries.push_back(
        make_query(fmt::format("host{}.domain{}.example.", i, i % count), kA));
  }
  subject.policy = dns::compile_policy(settings, {});
  return subject;
}

Subject with_cached(unsigned count) {
  Subject subject;
  subject.policy = dns::compile_policy(open_settings(), {});
  const auto image = std::make_unique<dns::ImageBuffer>();
  for (unsigned i = 0; i < count; ++i) {
    const std::string name = fmt::format("host{:08}.name.example.", i);
    const Packet response = make_response(name, kA, {{name.c_str(), kA, {203, 0, 113, 1}}});
    dns::ForwardQuestion question;
    question.name.assign(name_of(name).view());
    question.type = kA;
    question.klass = dns::RrClass::kIn;
    question.view = &subject.policy->everyone;
    dns::AcceptCounts counts;
    dns::accept(response, question, subject.cache->settings(), image.get(), &counts);
    subject.cache->put(question.key(), 0, image->view());
    subject.queries.push_back(make_query(name, kA));
  }
  return subject;
}

Subject with_zone(unsigned hosts) {
  const std::string path = write_zone(hosts);
  dns::PolicySettings settings = open_settings();
  dns::ZoneSettings zone;
  zone.name = name_of("example.");
  settings.zones.push_back(zone);
  Subject subject;
  subject.policy = dns::compile_policy(settings, {dns::load_zone(path, zone.name.view()).zone});
  std::filesystem::remove(path);
  for (unsigned i = 0; i < hosts; ++i) {
    subject.queries.push_back(make_query(fmt::format("host{:08}.example.", i), kA));
  }
  return subject;
}

/// Answers per second of wall time of so many threads on one subject.
double throughput(const Subject& subject, unsigned threads) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kFor = std::chrono::milliseconds(400);
  std::atomic<std::uint64_t> total{0};
  const auto until = Clock::now() + kFor;
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      std::array<std::uint8_t, 4096> reply{};
      dns::Decision decision;
      std::uint64_t i = t * 1'000'003ULL;
      const std::uint64_t first = i;
      while (Clock::now() < until) {
        for (int k = 0; k < 256; ++k) subject.ask(i++, reply, &decision);
      }
      total += i - first;
    });
  }
  for (std::thread& thread : running) thread.join();
  return static_cast<double>(total) / std::chrono::duration<double>(kFor).count();
}

void report_scaling(Bench& bench, const char* name, const Subject& subject) {
  if (!bench.wanted(name)) return;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double one = throughput(subject, 1);
    best = std::max(best, throughput(subject, 2) / one);
  }
  std::printf("%-58s %12.2f times one\n", name, best);
}

}  // namespace

void bench_answer(Bench& bench) {
  std::array<std::uint8_t, 4096> reply{};
  dns::Decision decision;
  const auto run = [&](const std::string& name, const std::function<Subject()>& make) {
    if (!bench.wanted(name)) return;
    const Subject subject = make();
    bench.run(name, [&](std::uint64_t i) {
      subject.ask(i, reply, &decision);
      keep(reply);
    });
  };
  for (const unsigned count : {1U, 100U, 10'000U}) {
    run(fmt::format("answer: an override of {}", count), [=] { return with_overrides(count); });
  }
  for (const unsigned count : {1U, 1000U, 200'000U}) {
    run(fmt::format("answer: a cached name of {}", count), [=] { return with_cached(count); });
  }
  run("answer: a zone of 100000 addresses", [] { return with_zone(100'000); });
  report_scaling(bench, "answer: overrides, two threads", with_overrides(100));
  report_scaling(bench, "answer: 10000 cached names, two threads", with_cached(10'000));
}

}  // namespace postern::bench
