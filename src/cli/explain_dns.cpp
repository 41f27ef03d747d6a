#include "cli/explain_dns.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "cli/record_text.h"
#include "dns/answer.h"
#include "dns/cache.h"
#include "dns/message.h"
#include "server/config_values.h"

namespace postern::cli {
namespace {

std::vector<std::uint8_t> query_bytes(const Question& question) {
  std::vector<std::uint8_t> bytes(dns::kUdpPayloadMin);
  dns::MessageWriter writer(bytes, bytes.size());
  writer.start(0, dns::kFlagRd);
  writer.question(question.name.name(), question.type, dns::RrClass::kIn);
  bytes.resize(writer.finish().size());
  return bytes;
}

void say_view(Lines& lines, const Question& question) {
  const std::string& name = question.view->name;
  lines.say("view", name.empty() ? "none; what holds everywhere" : name);
}

void say_override(Lines& lines, const Question& question) {
  const auto match = question.view->overrides.find(question.name, question.type);
  if (!match) return;
  const std::string name =
      (match.wildcard && !match.service_name ? "*." : "") + dns::name_text(match.owner);
  const std::string what = match.rule->forward ? "exception" : "override";
  lines.say(what, fmt::format("{} ({})", name, match.rule->source));
}

void say_zone(Lines& lines, const Question& question) {
  const auto& settings = question.config->policy.zones;
  const auto served = question.view->zones.find(question.name);
  if (served.value == nullptr) return;
  for (const dns::ZoneSettings& zone : settings) {
    if (!dns::equal_names(zone.name.view(), served.value->zone->apex())) continue;
    lines.say("zone", fmt::format("{} ({}), {}{}", zone.name.text(), zone.source, zone.file,
                                  zone.fallthrough ? ", falls through" : ""));
    return;
  }
}

void say_special(Lines& lines, const Question& question) {
  const auto special = question.view->special.table.find(question.name);
  if (special.value == nullptr) return;
  const auto skipped = question.name.label_count() - special.labels;
  lines.say("special", fmt::format("{} is not for the public DNS (RFC 6761 and others)",
                                   dns::name_text(question.name.suffix(skipped))));
}

std::string_view policy_text(nameserver::UpstreamPolicy policy) {
  switch (policy) {
    case nameserver::UpstreamPolicy::kSequential:
      return "sequential";
    case nameserver::UpstreamPolicy::kRoundRobin:
      return "round_robin";
    default:
      return "fastest";
  }
}

void say_forward(Lines& lines, const Question& question, const dns::ForwardQuestion& asked) {
  const nameserver::ForwardSettings& forward = question.config->forwards[asked.forward];
  if (!dns::equal_names(asked.name.name(), question.name.name())) {
    lines.say("asks for", dns::name_text(asked.name.name()));
  }
  lines.say("forward", fmt::format("{} ({})", forward.name.text(), forward.source));
  std::vector<std::string> upstreams;
  for (const auto& upstream : forward.upstreams) upstreams.push_back(upstream.text);
  lines.say("upstreams",
            fmt::format("{}; {}, {} for all attempts", fmt::join(upstreams, " "),
                        policy_text(forward.policy), server::duration_text(forward.timeout_ms)));
}

bool is_svcb(dns::RrType type) { return type == dns::RrType::kHttps || type == dns::RrType::kSvcb; }

// What the resolver does with such a record (dns/accept_edit.h), in words.
std::string svcb_text(const dns::ViewPolicy& view, const dns::ForwardQuestion& asked) {
  const bool excepted = !asked.owned && view.svcb_except->contains(asked.name);
  std::vector<std::string> parts;
  if (!excepted) {
    const auto& strip = view.svcb->strip_alpn;
    if (!strip.empty()) parts.push_back(fmt::format("without alpn {}", fmt::join(strip, ", ")));
    std::vector<std::string> keys;
    for (const std::uint16_t key : view.svcb->drop_keys) keys.push_back(dns::svc_key_text(key));
    for (const char* key : {"ech", "ipv4hint", "ipv6hint"}) {
      if (asked.owned && std::find(keys.begin(), keys.end(), key) == keys.end()) {
        keys.emplace_back(key);
      }
    }
    if (!keys.empty()) parts.push_back(fmt::format("without {}", fmt::join(keys, ", ")));
  }
  if (parts.empty()) parts.emplace_back(excepted ? "as it is (dns.svcb.except)" : "as it is");
  if (asked.owned) {
    parts.emplace_back("withheld if it leads to a name that is not overridden");
  } else if (view.guards(asked.name)) {
    parts.emplace_back("without private address hints (dns.limits.rebind_protection)");
  }
  return fmt::format("upstream's record {}", fmt::join(parts, "; "));
}

void say_edits(Lines& lines, const Question& question, const dns::ForwardQuestion& asked) {
  const bool address = question.type == dns::RrType::kA || question.type == dns::RrType::kAaaa;
  if (is_svcb(question.type)) lines.say("edits", svcb_text(*question.view, asked));
  if (address && question.view->guards(asked.name)) {
    lines.say("edits", "private addresses are taken out (dns.limits.rebind_protection)");
  }
}

void say_reply(Lines& lines, Bytes reply, const dns::Decision& decision) {
  constexpr std::array<std::string_view, 9> kSources{
      "nobody",   "the override",     "the zone",         "the cache", "the cache, stale",
      "upstream", "the special name", "the access rules", "an error"};
  const dns::Header header = dns::read_header(reply);
  const std::uint16_t answers = header.count(dns::Section::kAnswer);
  const bool no_data = decision.rcode == dns::Rcode::kNoError && answers == 0;
  lines.say("answer", fmt::format("{}{} from {}", dns::rcode_text(decision.rcode),
                                  no_data ? ", no data," : "",
                                  kSources[static_cast<std::size_t>(decision.source)]));
  for (const std::string& line : answer_lines(reply)) lines.say("", line);
}

/// The reply, when that is what was decided, in its size.
std::vector<std::uint8_t> decide(const Question& question, dns::Decision* decision) {
  dns::CacheSettings small;
  small.size_bytes = 1U << 20;
  dns::Cache cache(small);
  const std::vector<std::uint8_t> query = query_bytes(question);
  std::vector<std::uint8_t> reply(dns::kMessageBytesMax);
  dns::AnswerInput input;
  input.policy = question.policy;
  input.cache = &cache;
  input.client = question.client;
  input.stream = true;
  dns::answer(input, query, reply, decision);
  reply.resize(decision->reply_size);
  return reply;
}

void say_outcome(Lines& lines, const Question& question) {
  dns::Decision decision;
  const std::vector<std::uint8_t> reply = decide(question, &decision);
  if (decision.verdict == dns::Decision::Verdict::kReply) {
    say_reply(lines, reply, decision);
  } else if (decision.verdict == dns::Decision::Verdict::kForward) {
    say_forward(lines, question, decision.question);
    say_edits(lines, question, decision.question);
  } else {
    lines.say("answer", "none: such a question is dropped");
  }
}

}  // namespace

Question make_question(const server::Snapshot& snapshot, dns::NameView name, dns::RrType type,
                       const IpAddress& client) {
  Question question;
  question.name.assign(name);
  question.type = type;
  question.client = client;
  question.config = &snapshot.config;
  question.policy = snapshot.resolver->policy.get();
  question.view = &question.policy->view_of(client);
  return question;
}

Lines::Lines(std::string_view title) { explanation_.title = one_line(title); }

void Lines::say(std::string_view what, std::string_view text) {
  explanation_.lines.push_back({std::string(what), one_line(text)});
}

void say_dns(Lines& lines, const Question& question) {
  lines.say("client",
            fmt::format("{}{}", question.client.to_string(),
                        question.policy->allows(question.client) ? "" : ", not in dns.allow"));
  say_view(lines, question);
  say_override(lines, question);
  say_zone(lines, question);
  say_special(lines, question);
  say_outcome(lines, question);
}

std::vector<std::uint8_t> reply_from_here(const Question& question) {
  dns::Decision decision;
  std::vector<std::uint8_t> reply = decide(question, &decision);
  if (decision.verdict != dns::Decision::Verdict::kReply) reply.clear();
  return reply;
}

std::string edits_of_https(const Question& question) {
  dns::Decision decision;
  decide(question, &decision);
  if (decision.verdict != dns::Decision::Verdict::kForward) return {};
  return svcb_text(*question.view, decision.question);
}

}  // namespace postern::cli
