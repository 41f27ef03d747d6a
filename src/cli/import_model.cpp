#include "cli/import_model.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include "dns/name.h"
#include "server/config_values.h"
#include "server/fingerprint.h"

namespace postern::cli {
namespace {

constexpr std::size_t kNamesInTableMax = 500;
constexpr std::size_t kColumns = 100;

std::string quoted_list(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  quoted.reserve(texts.size());
  for (const std::string& text : texts) quoted.push_back(toml_quoted(text));
  std::string line = fmt::format("[{}]", fmt::join(quoted, ", "));
  if (line.size() < kColumns) return line;
  line = "[\n ";
  std::size_t column = 1;
  for (const std::string& text : quoted) {
    if (column + text.size() + 2 > kColumns) {
      line += "\n ";
      column = 1;
    }
    line += " " + text + ",";
    column += text.size() + 2;
  }
  return line + "\n]";
}

}  // namespace

std::string ImportPlace::to_string() const {
  return line == 0 ? file : fmt::format("{}:{}", file, line);
}

void ImportModel::note(const ImportPlace& place, std::string text) {
  if (notes_.size() >= kImportNotesMax) {
    ++notes_left_out_;
    return;
  }
  notes_.push_back({place, std::move(text)});
}

ImportModel::Override* ImportModel::entry(const std::string& name, const ImportPlace& place) {
  if (const auto parsed = server::parse_override_name(name); !parsed) {
    note(place, fmt::format("'{}': {}", name, parsed.error().detail));
    return nullptr;
  }
  const auto [at, added] = by_name_.try_emplace(name, overrides_.size());
  if (!added) return &overrides_[at->second];
  if (overrides_.size() >= kImportNamesMax) {
    by_name_.erase(at);
    note(place, fmt::format("'{}': too many names; allowed: {} at most", name, kImportNamesMax));
    return nullptr;
  }
  overrides_.push_back({name, {}, "", false, ImportRank::kDomain, place, ttl_s_});
  return &overrides_.back();
}

void ImportModel::add_address(const std::string& name, const IpAddress& address, ImportRank rank,
                              const ImportPlace& place) {
  Override* one = entry(name, place);
  if (one == nullptr) return;
  if (!one->cname.empty()) {
    note(place, fmt::format("'{}' has a CNAME already, from {}; an address cannot stand beside it",
                            name, one->place.to_string()));
    return;
  }
  if (!one->addresses.empty() && rank < one->rank) return;
  if (one->forward || rank > one->rank) {
    *one = Override{name, {}, "", false, rank, place, ttl_s_};
  }
  const auto& known = one->addresses;
  if (known.empty()) {
    one->ttl_s = ttl_s_;
  } else if (one->ttl_s != ttl_s_) {
    note(place, fmt::format("'{}' has another time to live already, from {}", name,
                            one->place.to_string()));
  }
  if (std::find(known.begin(), known.end(), address) == known.end()) {
    one->addresses.push_back(address);
  }
}

void ImportModel::add_cname(const std::string& name, const std::string& target,
                            const ImportPlace& place) {
  Override* one = entry(name, place);
  if (one == nullptr) return;
  if (!one->addresses.empty() && one->rank == ImportRank::kHost) {
    note(place, fmt::format("'{}' has an address already, from {}; a CNAME cannot stand beside it",
                            name, one->place.to_string()));
  } else if (!one->cname.empty() && one->cname != target) {
    note(place, fmt::format("'{}' has a CNAME already, from {}", name, one->place.to_string()));
  } else {
    *one = Override{name, {}, target, false, ImportRank::kHost, place, ttl_s_};
  }
}

void ImportModel::add_exception(const std::string& name, const ImportPlace& place) {
  if (by_name_.count(name) != 0) return;
  if (Override* one = entry(name, place)) one->forward = true;
}

ImportModel::Forward& ImportModel::forward_of(const std::string& zone, const ImportPlace& place) {
  for (Forward& forward : forwards_) {
    if (forward.zone == zone) return forward;
  }
  return forwards_.emplace_back(Forward{zone, {}, "", place});
}

void ImportModel::add_upstream(const std::string& zone, const std::string& upstream,
                               const ImportPlace& place) {
  if (const auto names = server::parse_forward_names(zone); !names) {
    return note(place, names.error().detail);
  }
  if (const auto parsed = server::parse_upstream(upstream); !parsed) {
    return note(place, parsed.error().detail);
  }
  auto& known = forward_of(zone, place).upstreams;
  if (std::find(known.begin(), known.end(), upstream) != known.end()) return;
  if (known.size() >= kImportUpstreamsMax) {
    return note(place, fmt::format("{}: a forward has at most {} upstreams", upstream,
                                   kImportUpstreamsMax));
  }
  known.push_back(upstream);
}

void ImportModel::set_policy(const std::string& zone, const std::string& policy) {
  for (Forward& forward : forwards_) {
    if (zone.empty() || forward.zone == zone) forward.policy = policy;
  }
}

void ImportModel::add_zone(const std::string& name, const std::string& file, bool fallthrough,
                           const ImportPlace& place) {
  const auto known = std::find_if(zones_.begin(), zones_.end(),
                                  [&](const Zone& zone) { return zone.name == name; });
  if (known == zones_.end()) {
    zones_.push_back({name, file, fallthrough, place});
  } else if (known->file != file) {
    note(place, fmt::format("zone '{}' is there already, from {}", name, known->place.to_string()));
  }
}

void ImportModel::add_empty_zone(const std::string& name, const ImportPlace& place) {
  const bool known = std::any_of(zones_.begin(), zones_.end(),
                                 [&](const Zone& zone) { return zone.name == name; });
  if (!known) zones_.push_back({name, "", false, place});
}

void ImportModel::listen(const std::string& endpoint) {
  if (std::find(listen_.begin(), listen_.end(), endpoint) == listen_.end()) {
    listen_.push_back(endpoint);
  }
}

void ImportModel::set(std::string_view table, const std::string& key, const std::string& value) {
  settings_[std::string(table)][key] = value;
}

void ImportModel::set_ttl_of_all(std::uint32_t seconds) {
  for (Override& one : overrides_) one.ttl_s = seconds;
}

std::vector<std::string> ImportModel::forward_domains() const {
  std::vector<std::string> names;
  for (const Forward& forward : forwards_) names.push_back(forward.zone);
  return names;
}

std::vector<std::string> ImportModel::upstreams_of(const std::string& zone) const {
  for (const Forward& forward : forwards_) {
    if (forward.zone == zone) return forward.upstreams;
  }
  return {};
}

bool ImportModel::needs_empty_zone() const {
  return std::any_of(zones_.begin(), zones_.end(),
                     [](const Zone& zone) { return zone.file.empty(); });
}

bool ImportModel::same_content(const Override& a, const Override& b) {
  return a.addresses == b.addresses && a.cname == b.cname && a.forward == b.forward &&
         a.ttl_s == b.ttl_s && a.place.file == b.place.file;
}

void ImportModel::write_settings(std::string* out) const {
  const auto lines = [&](std::string_view table) {
    std::string text;
    const auto found = settings_.find(table);
    if (found == settings_.end()) return text;
    for (const auto& [key, value] : found->second) text += fmt::format("{} = {}\n", key, value);
    return text;
  };
  if (const std::string text = lines("server"); !text.empty()) *out += "\n[server]\n" + text;
  std::string dns = lines("dns");
  if (!listen_.empty()) dns = fmt::format("listen = {}\n", quoted_list(listen_)) + dns;
  if (!dns.empty()) *out += "\n[dns]\n" + dns;
  for (const std::string_view table : {"dns.cache", "dns.limits"}) {
    if (const std::string text = lines(table); !text.empty()) {
      *out += fmt::format("\n[{}]\n{}", table, text);
    }
  }
}

void ImportModel::write_overrides(std::string* out) const {
  for (std::size_t i = 0; i < overrides_.size();) {
    const Override& one = overrides_[i];
    std::vector<std::string> names;
    std::size_t last = i;
    while (i < overrides_.size() && same_content(one, overrides_[i]) &&
           names.size() < kNamesInTableMax) {
      names.push_back(overrides_[last = i++].name);
    }
    const std::size_t last_line = std::max(one.place.line, overrides_[last].place.line);
    *out += fmt::format(
        "\n# {}{}\n[[dns.override]]\nnames = {}\n", comment_text(one.place.to_string()),
        last_line == one.place.line ? "" : fmt::format("-{}", last_line), quoted_list(names));
    if (one.forward) *out += "forward = true\n";
    if (!one.cname.empty()) *out += fmt::format("cname = {}\n", toml_quoted(one.cname));
    std::vector<std::string> addresses;
    for (const IpAddress& address : one.addresses) addresses.push_back(address.to_string());
    if (!addresses.empty()) *out += fmt::format("address = {}\n", quoted_list(addresses));
    if (one.ttl_s && !one.forward) *out += fmt::format("ttl = \"{}s\"\n", *one.ttl_s);
  }
}

void ImportModel::write_forwards(std::string* out) const {
  for (const Forward& forward : forwards_) {
    if (forward.upstreams.empty()) continue;
    *out += fmt::format("\n# {}\n[[dns.forward]]\nname = {}\nupstreams = {}\n",
                        comment_text(forward.place.to_string()), toml_quoted(forward.zone),
                        quoted_list(forward.upstreams));
    if (!forward.policy.empty()) *out += fmt::format("policy = \"{}\"\n", forward.policy);
  }
}

void ImportModel::write_zones(const std::string& empty_zone, std::string* out) const {
  for (const Zone& zone : zones_) {
    const std::string& file = zone.file.empty() ? empty_zone : zone.file;
    if (file.empty()) continue;
    *out += fmt::format("\n# {}\n[[dns.zone]]\nname = {}\nfile = {}\n",
                        comment_text(zone.place.to_string()), toml_quoted(zone.name),
                        toml_quoted(file));
    if (zone.fallthrough) *out += "fallthrough = true\n";
  }
}

std::string ImportModel::to_toml(const std::string& title, const std::string& empty_zone) {
  if (empty_zone.empty()) {
    for (const Zone& zone : zones_) {
      if (!zone.file.empty()) continue;
      note(zone.place, fmt::format("'{}' is to have no names but those given otherwise; with "
                                   "--zones DIRECTORY an empty zone file is written for that",
                                   zone.name));
    }
  }
  std::string out = fmt::format("# {}\n", comment_text(title));
  if (!notes_.empty()) out += "#\n# Not carried over:\n";
  for (const ImportNote& one : notes_) {
    out += fmt::format("# {}: {}\n", comment_text(one.place.to_string()), comment_text(one.text));
  }
  if (notes_left_out_ != 0) out += fmt::format("# and {} more\n", notes_left_out_);
  write_settings(&out);
  write_overrides(&out);
  write_zones(empty_zone, &out);
  write_forwards(&out);
  return out;
}

Result<std::string> read_import_file(const std::string& path) {
  const auto bad = [&](Code code, std::string_view what) {
    return fail(code, fmt::format("{}: {}", path, what));
  };
  const net::Fd fd = server::open_to_read(path);
  if (!fd) {
    return bad(errno == ENOENT ? Code::kNotFound : Code::kIo,
               std::generic_category().message(errno));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return bad(Code::kInvalid, "is not a regular file");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > kImportFileBytesMax) {
    return bad(Code::kLimit,
               fmt::format("has {} bytes; allowed: {} at most", size, kImportFileBytesMax));
  }
  std::vector<std::uint8_t> bytes(size);
  bytes.resize(server::read_some(fd, bytes));
  std::string text(bytes.begin(), bytes.end());
  if (const std::size_t zero = text.find('\0'); zero != std::string::npos) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(zero), '\n');
    return fail(Code::kInvalid,
                fmt::format("{}:{}: is not a text file (it has a zero byte)", path, line));
  }
  return text;
}

Result<std::string> import_name(std::string_view text) {
  const auto name = server::parse_override_name(text);
  if (!name) return tl::unexpected(name.error());
  std::string out = name->text();
  for (char& c : out) c = static_cast<char>(dns::lower_byte(static_cast<std::uint8_t>(c)));
  if (out.size() > 1) out.pop_back();
  return out;
}

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Bytes that are no text (a file in another encoding) would make the TOML invalid.
std::string comment_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte >= 0x7f ? '?' : c;
  }
  return out;
}

}  // namespace postern::cli
