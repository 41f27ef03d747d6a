// The whole life of a query: one byte that chooses the policy, then pieces of one byte of flags, a
// 16-bit length and that many bytes. A piece is what an upstream sends when a question is waiting
// for it, else a query.
//
// flags of a query:     bits 0-1 the client · 2 by TCP · 3 stale answers are wanted · 4-5 time goes
// on flags of a response:  bit 0 as it stands, not made to fit the question · 1 none: upstream
// failed
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "dns/accept.h"
#include "dns/answer.h"
#include "dns/message.h"
#include "server.h"
#include "wire.h"

namespace postern::fuzz {
namespace {

using dns::Decision;
using Verdict = Decision::Verdict;

constexpr std::size_t kUpstreamAskedMax = 8;  // as in nameserver/resolver
constexpr std::size_t kUdpReplyMax = 4096;
constexpr std::size_t kPiecesMax = 24;
constexpr std::uint32_t kTtlMax = 86400;  // [dns.cache] max_ttl

bool is_no_query(Bytes message) {
  return message.size() < dns::kHeaderBytes || (message[2] & 0x80) != 0;
}

/// Rooms as the server has them.
struct Rooms {
  std::array<std::uint8_t, dns::kMessageBytesMax> reply;
  std::array<std::uint8_t, dns::kMessageBytesMax> other;
  dns::ImageBuffer image;
};

Rooms& rooms() {
  static const auto made = std::make_unique<Rooms>();
  return *made;
}

MutableBytes room_for(bool stream, std::array<std::uint8_t, dns::kMessageBytesMax>& room) {
  return MutableBytes(room).first(stream ? room.size() : kUdpReplyMax);
}

class Scenario {
 public:
  explicit Scenario(Input input) : input_(input), world_(world(input_.take_u8())) {
    world_.cache->flush();
  }

  void run() {
    for (std::size_t i = 0; i < kPiecesMax && !input_.empty(); ++i) take_query();
  }

 private:
  void take_query();
  void answer_query(Bytes query, const dns::AnswerInput& in);
  bool take_response(const dns::ForwardQuestion& question);
  bool offer(Bytes response, const dns::ForwardQuestion& question, bool match_case);
  void answer_twice(Bytes query, const dns::AnswerInput& in, Decision* out);
  void check(Bytes query, const dns::AnswerInput& in, const Decision& decision);

  Input input_;
  World& world_;
  std::uint32_t now_s_ = 1000;
  bool upstream_came_ = false;
  bool ldns_reads_upstream_ = true;
};

void Scenario::answer_twice(Bytes query, const dns::AnswerInput& in, Decision* out) {
  Decision again;
  dns::answer(in, query, room_for(in.stream, rooms().other), &again);
  dns::answer(in, query, room_for(in.stream, rooms().reply), out);
  require(again.verdict == out->verdict && again.reply_size == out->reply_size,
          "the same question gets the same answer");
  if (out->verdict != Verdict::kReply) return;
  require(equal_bytes(Bytes(rooms().other).first(again.reply_size),
                      Bytes(rooms().reply).first(out->reply_size)),
          "the same question gets the same bytes");
}

// True when an image came of the response.
bool Scenario::offer(Bytes response, const dns::ForwardQuestion& question, bool match_case) {
  const dns::NameView name = question.name.name();
  const std::uint16_t id = response.size() < 2 ? std::uint16_t{0} : load_u16(response.data());
  if (!dns::matches_question(response, id, name, question.type, question.klass, match_case)) {
    return false;
  }
  std::size_t at = dns::kHeaderBytes;
  std::string walked_name;
  require(walk_name(response, &at, &walked_name) && walked_name == as_text(name.wire()),
          "a response that matches has the question's name");
  dns::AcceptCounts counts;
  dns::ImageBuffer& image = rooms().image;
  if (dns::accept(response, question, world_.cache->settings(), &image, &counts) !=
      dns::AcceptOutcome::kAnswer) {
    return false;
  }
  WireMessage walked;
  require(walk_message(response, &walked), "a response that is accepted can be read");
  require(image.head.ttl_s <= kTtlMax, "a stored answer has a TTL within the limit");
  upstream_came_ = true;
  ldns_reads_upstream_ = ldns_reads_upstream_ && ldns_reads(response);
  return true;
}

// The next piece is what upstream says. False when nothing came of it.
bool Scenario::take_response(const dns::ForwardQuestion& question) {
  const std::uint8_t flags = input_.take_u8();
  const Bytes piece = input_.take_block();
  const bool as_it_stands = (flags & 1) != 0;
  if ((flags & 2) != 0) return false;
  std::vector<std::uint8_t> response(piece.begin(), piece.end());
  if (!as_it_stands && response.size() >= dns::kHeaderBytes) fit_to_question(question, &response);
  const ExactCopy copy(response);
  return offer(copy.bytes(), question, !as_it_stands);
}

// ldns reads names past the end of their record, so of what it takes from an upstream it may not
// take a part. Records of these types are checked here: their names, their sizes.
bool has_checked_types_only(Bytes reply) {
  constexpr std::array<std::uint16_t, 9> kChecked{1, 2, 5, 6, 12, 15, 28, 33, 41};
  WireMessage walked;
  return walk_message(reply, &walked) &&
         std::all_of(walked.records.begin(), walked.records.end(), [&](const WireRecord& record) {
           return std::find(kChecked.begin(), kChecked.end(), record.type) != kChecked.end();
         });
}

void Scenario::check(Bytes query, const dns::AnswerInput& in, const Decision& decision) {
  const Bytes reply = Bytes(rooms().reply).first(decision.reply_size);
  ReplyCheck(world_, query, reply, decision, in.stream, in.client).run();
  if (!upstream_came_ || (ldns_reads_upstream_ && has_checked_types_only(reply))) {
    require(ldns_reads(reply), "ldns reads a reply");
  }
}

std::size_t answers_in(Bytes reply) {
  WireMessage message;
  require(walk_message(reply, &message), "a reply can be read");
  return static_cast<std::size_t>(
      std::count_if(message.records.begin(), message.records.end(),
                    [](const WireRecord& record) { return record.section == 1; }));
}

// What fits into a datagram is what TCP brings.
void compare_with_stream(Bytes query, dns::AnswerInput in, const Decision& by_udp) {
  const Bytes reply = Bytes(rooms().reply).first(by_udp.reply_size);
  if (in.stream || (load_u16(reply.data() + 2) & dns::kFlagTc) != 0) return;
  in.stream = true;
  Decision by_tcp;
  dns::answer(in, query, rooms().other, &by_tcp);
  require(by_tcp.verdict == Verdict::kReply, "what is answered by UDP is answered by TCP");
  require(answers_in(reply) == answers_in(Bytes(rooms().other).first(by_tcp.reply_size)),
          "a reply without TC has the whole answer");
}

// What was fetched is served from the cache as it was served at once.
void compare_with_cache(Bytes query, const dns::AnswerInput& in, const Decision& at_once) {
  Decision cached;
  dns::answer(in, query, room_for(in.stream, rooms().other), &cached);
  require(cached.verdict == Verdict::kReply, "what was fetched is in the cache");
  require(equal_bytes(Bytes(rooms().reply).first(at_once.reply_size),
                      Bytes(rooms().other).first(cached.reply_size)),
          "a cached answer is the answer that was fetched");
}

void Scenario::answer_query(Bytes query, const dns::AnswerInput& in) {
  Decision decision;
  answer_twice(query, in, &decision);
  if (decision.verdict == Verdict::kDrop) {
    require(is_no_query(query), "only what is no query is dropped");
    return;
  }
  if (decision.verdict == Verdict::kReply) {
    check(query, in, decision);
    compare_with_stream(query, in, decision);
    return;
  }
  for (std::size_t hops = 0; decision.verdict == Verdict::kForward; ++hops) {
    require(hops <= 2 * kUpstreamAskedMax, "a chain ends");
    const dns::ForwardQuestion question = decision.question;
    const bool good = hops < kUpstreamAskedMax && take_response(question);
    if (!good) dns::failure_image(dns::Ede::kNetworkError, "no upstream", 5, &rooms().image);
    const dns::ImageView image = rooms().image.view();
    world_.cache->put(question.key(), now_s_, image);
    dns::AnswerInput with = in;
    with.fetched_question = &question;
    with.fetched = &image;
    with.allow_stale = !good;
    answer_twice(query, with, &decision);
    if (decision.verdict != Verdict::kReply) continue;
    check(query, with, decision);
    if (good) compare_with_cache(query, in, decision);
  }
}

void Scenario::take_query() {
  constexpr std::array<std::uint32_t, 4> kSteps{0, 1, 100, 90'000};
  const std::uint8_t flags = input_.take_u8();
  const ExactCopy copy(input_.take_block());
  const Bytes query = copy.bytes();
  now_s_ += kSteps[(flags >> 4) & 3];
  dns::AnswerInput in;
  in.policy = world_.policy.get();
  in.cache = world_.cache.get();
  in.now_s = now_s_;
  in.client = client(flags & 3);
  in.stream = (flags & 4) != 0;
  in.allow_stale = (flags & 8) != 0;
  const std::size_t limited = dns::truncated_reply(query, rooms().reply);
  require(limited <= dns::kUdpPayloadMin && (limited == 0) == is_no_query(query),
          "a client over its limit hears TC=1 in 512 bytes at most");
  answer_query(query, in);
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::Scenario({data, size}).run();
  return 0;
}
