#include "server/client_log.h"

#include <cstddef>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/log_fields.h"

namespace postern::server {
namespace {

void write_fields(std::string_view event, const ClientNote& note, bool last) {
  if (!log_enabled(LogLevel::kInfo)) return;
  LogFields fields(log_is_json());
  fields.text("client", note.client.to_string());
  fields.text("name", note.name);
  fields.text("type", note.type);
  fields.text("backend", note.where);
  fields.text("why", note.why);
  fields.text("removed", note.removed);
  if (last) fields.text("note", "no more clients are named today");
  fmt::memory_buffer line;
  append_log_line(line, LogLevel::kInfo, event, fields.view());
  write_log_lines({line.data(), line.size()});
}

}  // namespace

void ClientLog::keep_host(const ClientNote& note) {
  if (note.name.empty()) return;
  Hosts& hosts = hosts_[static_cast<std::size_t>(note.event)];
  const std::string client(reinterpret_cast<const char*>(note.client.data()), note.client.size());
  if (hosts.size() >= kHostsMax && !hosts.contains(client)) hosts.clear();
  hosts[client] = note.name;
}

std::string_view ClientLog::host(ClientEvent event, std::string_view client) const {
  const Hosts& hosts = hosts_[static_cast<std::size_t>(event)];
  const auto found = hosts.find(client);
  return found == hosts.end() ? std::string_view() : found->second;
}

void ClientLog::write(const ClientNote& note, std::uint64_t now_ms) {
  keep_host(note);
  DailyClients& named = named_[static_cast<std::size_t>(note.event)];
  if (!named.first_today(note.client, now_ms)) return;
  const bool is_last = named.full();
  const std::string_view last = is_last ? "; no more clients are named today" : "";
  switch (note.event) {
    case ClientEvent::kHttpsRecordEdited:
      return write_fields("https_record_edited", note, is_last);
    case ClientEvent::kAltSvcRemoved:
      return write_fields("alt_svc_removed", note, is_last);
    case ClientEvent::kEchSeen:
      return log_warning("ech_seen",
                         "client {} uses Encrypted Client Hello (SNI {}): it has an HTTPS record "
                         "from outside; does it ask another resolver?{}",
                         note.client.to_string(), note.name, last);
    case ClientEvent::kQuicRefused:
      return log_info("quic_refused", "client {} still tries QUIC on {}{}{}; refused{}",
                      note.client.to_string(), note.where, note.name.empty() ? "" : " for ",
                      note.name, last);
  }
}

}  // namespace postern::server
