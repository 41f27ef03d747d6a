#include "server/query_line.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/log_fields.h"
#include "dns/message.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::server {
namespace {

using nameserver::QueryRing;

constexpr std::array<std::string_view, 4> kTransports{"udp", "tcp", "tls", "https"};
constexpr std::array<std::string_view, 9> kSources{
    "none", "override", "zone", "cache", "stale", "upstream", "special", "refused", "error"};

std::string flags_text(std::uint16_t flags) {
  constexpr std::array<std::pair<std::uint16_t, std::string_view>, 3> kNames{
      {{dns::kFlagRd, "rd"}, {dns::kFlagAd, "ad"}, {dns::kFlagCd, "cd"}}};
  std::string text;
  for (const auto& [flag, name] : kNames) {
    if ((flags & flag) == 0) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text;
}

std::string class_text(std::uint16_t klass) {
  if (klass == 1) return "IN";
  return klass == 3 ? "CH" : fmt::format("CLASS{}", klass);
}

// What could be read of the question; of a malformed query, less.
void add_question(LogFields* fields, Bytes query) {
  std::array<std::uint8_t, dns::kNameBytesMax> name;
  std::size_t at = dns::kHeaderBytes;
  const bool has_header = query.size() >= dns::kHeaderBytes;
  const std::size_t size = has_header ? dns::read_name(query, &at, name) : 0;
  if (size == 0 || at + 4 > query.size()) return fields->text("name", "-");
  fields->text("name", dns::name_text(dns::NameView(Bytes(name.data(), size))));
  fields->text("type", dns::type_text(static_cast<dns::RrType>(load_u16(query.data() + at))));
  fields->text("class", class_text(load_u16(query.data() + at + 2)));
  fields->text("flags", flags_text(load_u16(query.data() + 2)));
}

LogFields fields_of(const QueryRing::Entry& entry, bool json) {
  const nameserver::QueryRecord& record = entry.record;
  LogFields fields(json);
  fields.text("client", record.peer.ip.to_string());
  fields.text("proto", kTransports[record.transport % kTransports.size()]);
  fields.text("view", entry.view);
  add_question(&fields, entry.query);
  fields.text("rcode", record.reply_size == 0
                           ? "dropped"
                           : dns::rcode_text(static_cast<dns::Rcode>(record.rcode)));
  fields.text("source", kSources[record.source % kSources.size()]);
  fields.milliseconds("ms", record.took_us);
  fields.number("bytes", record.reply_size);
  return fields;
}

}  // namespace

void append_query_line(fmt::memory_buffer& out, LogFormat format, const QueryRing::Entry& entry) {
  const bool json = format == LogFormat::kJson;
  const LogFields fields = fields_of(entry, json);
  const std::string time = utc_text(entry.record.begun_us);
  if (json) {
    fmt::format_to(fmt::appender(out), "{{\"time\":\"{}\",{}}}\n", time, fields.view());
  } else {
    fmt::format_to(fmt::appender(out), "{} {}\n", time, fields.view());
  }
}

void append_query_event(fmt::memory_buffer& out, const QueryRing::Entry& entry) {
  append_log_line(out, LogLevel::kInfo, "query", fields_of(entry, log_is_json()).view());
}

}  // namespace postern::server
