#include "server/follow.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "dns/message.h"

namespace postern::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned kBeatsMissedMax = 3;
constexpr std::size_t kTextMax = 256;

constexpr std::array<std::string_view, 4> kTransports{"udp", "tcp", "tls", "https"};
constexpr std::array<std::string_view, 9> kSources{
    "none", "override", "zone", "cache", "stale", "upstream", "special", "refused", "error"};

std::string with_case(std::string_view text, char from, char to) {
  std::string result(text);
  for (char& c : result) {
    if (c >= from && c < from + 26) c = static_cast<char>(c - from + to);
  }
  return result;
}

std::string lower(std::string_view text) { return with_case(text, 'A', 'a'); }
std::string upper(std::string_view text) { return with_case(text, 'a', 'A'); }

std::uint64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

double in_ms(std::uint64_t us) { return static_cast<double>(us) / 1000; }

// What strangers send may be no UTF-8.
std::string one_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool read_question(Bytes query, FollowEvent* event) {
  if (query.size() < dns::kHeaderBytes) return false;
  std::size_t position = dns::kHeaderBytes;
  std::array<std::uint8_t, dns::kNameBytesMax> name;
  const std::size_t size = dns::read_name(query, &position, name);
  if (size == 0 || position + 4 > query.size()) return false;
  event->subject = dns::name_text(dns::NameView(Bytes(name.data(), size)));
  if (event->subject.size() > 1) event->subject.pop_back();
  event->type = dns::type_text(static_cast<dns::RrType>(load_u16(query.data() + position)));
  return true;
}

bool status_matches(const std::string& wanted, const std::string& status) {
  if (wanted.size() == 3 && wanted.ends_with("XX")) {
    return status.size() == 3 && status[0] == wanted[0] && status[1] >= '0' && status[1] <= '9';
  }
  return wanted == upper(status);
}

}  // namespace

bool FollowFilter::matches(const FollowEvent& event) const {
  if (!kind.empty() && (kind == "request") != event.request) return false;
  if (!type.empty() && type != event.type) return false;
  if (!status.empty() && !status_matches(status, event.status)) return false;
  if (client && (!event.client || !client->contains(*event.client))) return false;
  return text.empty() || event.subject.find(text) != std::string::npos;
}

Result<FollowFilter> parse_follow_filter(const AdminRequest& request) {
  FollowFilter filter;
  filter.kind = request.parameter("kind").value_or("");
  filter.text = lower(request.parameter("text").value_or(""));
  filter.type = upper(request.parameter("type").value_or(""));
  filter.status = upper(request.parameter("status").value_or(""));
  if (!filter.kind.empty() && filter.kind != "query" && filter.kind != "request") {
    return fail(Code::kInvalid, "kind: allowed are \"query\" and \"request\"");
  }
  for (const std::string* text : {&filter.text, &filter.type, &filter.status}) {
    if (text->size() > kTextMax) return fail(Code::kLimit, "a filter has 256 bytes at most");
  }
  const std::string client = request.parameter("client").value_or("");
  if (client.empty()) return filter;
  const auto network = Network::parse(client);
  if (!network) return fail(Code::kInvalid, "client: " + network.error().detail);
  filter.client = *network;
  return filter;
}

FollowSource::FollowSource(net::Loop& loop, std::shared_ptr<const FollowFilters> filters,
                           Deliver deliver)
    : loop_(loop),
      filters_(std::move(filters)),
      deliver_(std::move(deliver)),
      end_of_turn_(loop, [this] { deliver_(std::exchange(batch_, {})); }) {}

bool FollowSource::wants(const FollowEvent& event) const {
  return std::any_of(filters_->begin(), filters_->end(),
                     [&](const FollowFilter& filter) { return filter.matches(event); });
}

bool FollowSource::has_room() {
  if (loop_.now_ms() >= second_ms_ + 1000) {
    second_ms_ = loop_.now_ms();
    this_second_ = 0;
  }
  if (++this_second_ <= kEventsPerSecond) return true;
  ++batch_.held_back;
  end_of_turn_.schedule();
  return false;
}

void FollowSource::keep(FollowEvent event) {
  batch_.events.push_back(std::move(event));
  end_of_turn_.schedule();
}

void FollowSource::seen(const nameserver::SeenQuery& query) {
  FollowEvent event;
  if (query.client.internal || !read_question(query.query, &event)) return;
  const std::string name = event.subject;
  event.subject = lower(name);
  const bool replied = query.decision.verdict == dns::Decision::Verdict::kReply;
  event.status = replied ? dns::rcode_text(query.decision.rcode) : "dropped";
  event.client = query.client.peer.ip;
  if (!wants(event) || !has_room()) return;
  event.json =
      one_line({{"kind", "query"},
                {"time", unix_ms()},
                {"client", event.client->to_string()},
                {"name", name},
                {"type", event.type},
                {"transport", kTransports[static_cast<std::size_t>(query.client.transport)]},
                {"source", kSources[static_cast<std::size_t>(query.decision.source)]},
                {"status", event.status},
                {"ms", in_ms(query.took_us)}});
  keep(std::move(event));
}

void FollowSource::seen(const gateway::AccessRecord& record) {
  FollowEvent event;
  event.request = true;
  event.subject = lower(fmt::format("{}{}", record.host, record.path));
  event.type = record.method;
  event.status = record.status == 0 ? "none" : fmt::format("{}", record.status);
  if (const auto client = IpAddress::parse(record.client)) event.client = *client;
  if (!wants(event) || !has_room()) return;
  event.json = one_line({{"kind", "request"},
                         {"time", unix_ms()},
                         {"client", record.client},
                         {"listener", record.listener},
                         {"protocol", record.protocol},
                         {"method", record.method},
                         {"host", record.host},
                         {"path", record.path},
                         {"status", event.status},
                         {"bytes_sent", record.bytes_sent},
                         {"bytes_received", record.bytes_received},
                         {"ms", in_ms(record.duration_us)},
                         {"route", record.route},
                         {"backend", record.backend},
                         {"failure", record.failure}});
  keep(std::move(event));
}

AdminReply FollowHub::follow(FollowFilter filter) {
  if (subscribers_.size() >= kSubscribersMax) {
    return {503,
            "text/plain; charset=utf-8",
            fmt::format("{} follow already, the limit\n", kSubscribersMax),
            {},
            {},
            {}};
  }
  const std::uint64_t id = next_id_++;
  AdminReply reply;
  reply.content_type = "text/event-stream";
  reply.body = "retry: 3000\n\n";
  reply.opened = [this, id, filter = std::move(filter)](const AdminStream& stream) {
    add(id, filter, stream);
  };
  reply.closed = [this, id, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) remove(id);
  };
  return reply;
}

void FollowHub::add(std::uint64_t id, const FollowFilter& filter, const AdminStream& stream) {
  subscribers_.push_back({id, filter, stream, 0, 0});
  tell_changed();
}

void FollowHub::remove(std::uint64_t id) {
  std::erase_if(subscribers_, [&](const Subscriber& one) { return one.id == id; });
  tell_changed();
}

void FollowHub::tell_changed() {
  if (subscribers_.empty()) return changed_(nullptr);
  auto filters = std::make_shared<FollowFilters>();
  for (const Subscriber& one : subscribers_) filters->push_back(one.filter);
  changed_(std::move(filters));
}

void FollowHub::tell_missed(Subscriber& one) {
  if (one.missed == 0) return;
  if (one.stream.send(fmt::format("event: missed\ndata: {}\n\n", one.missed))) one.missed = 0;
}

void FollowHub::deliver(const FollowBatch& batch) {
  dropped_ += batch.held_back;
  for (Subscriber& one : subscribers_) {
    one.missed += batch.held_back;
    for (const FollowEvent& event : batch.events) {
      if (!one.filter.matches(event)) continue;
      if (one.stream.send(fmt::format("data: {}\n\n", event.json))) continue;
      ++one.missed;
      ++dropped_;
    }
  }
}

void FollowHub::beat() {
  for (Subscriber& one : subscribers_) {
    tell_missed(one);
    one.beats_missed = one.stream.send(": alive\n\n") ? 0 : one.beats_missed + 1;
    if (one.beats_missed >= kBeatsMissedMax) one.stream.close();
  }
}

}  // namespace postern::server
