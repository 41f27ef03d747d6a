#include "dns/accept.h"

#include <memory>

#include "bench.h"
#include "dns/policy.h"
#include "packets.h"

namespace postern::bench {

void bench_accept(Bench& bench) {
  dns::PolicySettings settings;
  settings.forward_names.emplace_back();
  const auto policy = dns::compile_policy(settings, {});
  const dns::CacheSettings cache;
  const auto image = std::make_unique<dns::ImageBuffer>();
  dns::AcceptCounts counts;
  const auto run = [&](const char* what, const char* name, dns::RrType type,
                       const std::vector<Answered>& answers) {
    const Packet response = make_response(name, type, answers);
    dns::ForwardQuestion question;
    question.name.assign(name_of(name).view());
    question.type = type;
    question.klass = dns::RrClass::kIn;
    question.view = &policy->everyone;
    bench.run(what, [&](std::uint64_t) {
      keep(dns::accept(response, question, cache, image.get(), &counts));
      keep(*image);
    });
  };
  constexpr auto kA = dns::RrType::kA;
  constexpr auto kCname = dns::RrType::kCname;
  constexpr auto kHttps = dns::RrType::kHttps;
  run("accept: one address", "www.example.com.", kA, {{"www.example.com.", kA, {203, 0, 113, 1}}});
  run("accept: an HTTPS record that is edited", "www.example.com.", kHttps,
      {{"www.example.com.", kHttps, https_rdata()}});
  run("accept: two CNAMEs and four addresses", "www.example.com.", kA,
      {{"www.example.com.", kCname, name_rdata("www.example.com.cdn.example.net.")},
       {"www.example.com.cdn.example.net.", kCname, name_rdata("a7.g.cdn.example.org.")},
       {"a7.g.cdn.example.org.", kA, {203, 0, 113, 1}},
       {"a7.g.cdn.example.org.", kA, {203, 0, 113, 2}},
       {"a7.g.cdn.example.org.", kA, {203, 0, 113, 3}},
       {"a7.g.cdn.example.org.", kA, {203, 0, 113, 4}}});
}

}  // namespace postern::bench
