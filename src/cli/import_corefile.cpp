#include "cli/import_corefile.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>

#include <fmt/format.h>

#include "cli/corefile.h"
#include "cli/import_hosts.h"
#include "cli/import_text.h"
#include "dns/zone.h"
#include "server/config_values.h"

namespace postern::cli {
namespace {

namespace fs = std::filesystem;

// What Postern does anyway, or needs no line for.
constexpr std::string_view kNeedless[] = {"errors", "reload",  "loop", "loadbalance", "ready",
                                          "health", "minimal", "any",  "cancel",      "root"};

/// And what takes their place.
struct Elsewhere {
  std::string_view plugin, where;
};
constexpr Elsewhere kElsewhere[] = {
    {"prometheus", "metrics are at server.admin"},
    {"bufsize", "dns.udp_payload is the largest reply by UDP"},
    {"nsid", "dns.identity.id"},
    {"trace", "dns.query_log and dns.dnstap record queries"},
    {"pprof", "nothing here does this"},
};

/// A key of a server block: "example.org:1053", "dns://.:53", "10.0.0.0/24".
struct ServerKey {
  std::string zone;
  std::uint16_t port = 53;
};

std::optional<std::string> zone_name(std::string_view text) {
  if (text == ".") return ".";
  if (text.find('/') != std::string_view::npos) {
    const auto network = server::parse_network(text);
    if (!network) return std::nullopt;
    return network->to_string();
  }
  const auto name = import_name(text);
  if (!name || name->starts_with("*")) return std::nullopt;
  return *name;
}

Result<ServerKey> parse_key(std::string_view text) {
  ServerKey key;
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    if (text.substr(0, scheme) != "dns") {
      return fail(Code::kNotBuiltYet, fmt::format("'{}': only plain DNS is served", text));
    }
    text.remove_prefix(scheme + 3);
  }
  if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    const auto port = number_of(text.substr(colon + 1));
    if (!port || *port == 0 || *port > 65535) {
      return fail(Code::kMalformed, fmt::format("'{}': the port is from 1 to 65535", text));
    }
    key.port = static_cast<std::uint16_t>(*port);
    text = text.substr(0, colon);
  }
  const auto zone = zone_name(text.empty() ? "." : text);
  if (!zone) return fail(Code::kMalformed, fmt::format("'{}' is not a zone", text));
  key.zone = *zone;
  return key;
}

bool is_at_or_below(std::string_view name, std::string_view zone) {
  if (zone == "." || name == zone) return true;
  return name.size() > zone.size() && name.ends_with(zone) &&
         name[name.size() - zone.size() - 1] == '.';
}

struct TemplateAnswer {
  IpAddress address;
  std::uint32_t ttl_s = 0;  ///< 0: not given
};

/// "{{ .Name }} 60 IN A 192.0.2.1": the address and its TTL, when that is all.
std::optional<TemplateAnswer> address_of_answer(std::string_view text) {
  const std::vector<std::string_view> words = words_of(text);
  std::size_t at = 0;
  if (!words.empty() && words[0] == "{{") {
    if (words.size() < 3 || words[1] != ".Name" || words[2] != "}}") return std::nullopt;
    at = 3;
  } else if (!words.empty() && (words[0] == "{{.Name}}" || words[0] == "{{.Name }}")) {
    at = 1;
  } else {
    return std::nullopt;
  }
  TemplateAnswer answer;
  for (; at < words.size(); ++at) {
    const auto ttl = number_of(words[at]);
    if (!ttl && words[at] != "IN") break;
    if (ttl) answer.ttl_s = static_cast<std::uint32_t>(std::min<std::uint64_t>(*ttl, 86'400));
  }
  if (at + 2 != words.size() || (words[at] != "A" && words[at] != "AAAA")) return std::nullopt;
  const auto address = IpAddress::parse(words[at + 1]);
  if (!address || address->is_v4() != (words[at] == "A")) return std::nullopt;
  answer.address = *address;
  return answer;
}

class Importer {
 public:
  explicit Importer(ImportModel* model) : model_(model) {}
  Result<void> read(const std::string& path);

 private:
  struct Block {
    std::vector<std::string> zones;
    std::set<std::uint16_t> ports;
    std::string root;  ///< directory that paths are relative to
  };
  using Handler = void (Importer::*)(const Block&, const CorefilePlugin&);
  struct Plugin {
    std::string_view name;
    Handler handler;
  };
  static const std::span<const Plugin> plugins();

  template <class Line>
  void note(const Line& line, const std::string& text) {
    model_->note(line.place, text);
  }
  Result<void> read_block(const CorefileBlock& line);
  void note_duplicates(const CorefileBlock& line, const ServerKey& key);
  std::string path_in(const Block& block, const CorefilePlugin& line,
                      const std::string& path) const;
  std::vector<std::string> zones_from(const Block& block, const CorefilePlugin& line,
                                      std::size_t first) const;

  void bind(const Block& block, const CorefilePlugin& line);
  void cache(const Block& block, const CorefilePlugin& line);
  void cache_option(const CorefileOption& option);
  void forward(const Block& block, const CorefilePlugin& line);
  void forward_option(const Block& block, const std::vector<std::string>& zones,
                      const CorefileOption& option);
  void hosts(const Block& block, const CorefilePlugin& line);
  void file(const Block& block, const CorefilePlugin& line);
  void template_answer(const Block& block, const CorefilePlugin& line);
  void rewrite(const Block& block, const CorefilePlugin& line);
  void log(const Block& block, const CorefilePlugin& line);
  std::vector<std::string> upstreams(const CorefilePlugin& line);

  ImportModel* model_;
  std::vector<CorefilePlugin> by_system_;  // forward to the system's resolvers
  std::vector<std::pair<std::string, std::uint16_t>> served_;
};

const std::span<const Importer::Plugin> Importer::plugins() {
  static constexpr Plugin kPlugins[] = {
      {"bind", &Importer::bind},       {"cache", &Importer::cache},
      {"forward", &Importer::forward}, {"hosts", &Importer::hosts},
      {"file", &Importer::file},       {"template", &Importer::template_answer},
      {"rewrite", &Importer::rewrite}, {"log", &Importer::log},
  };
  return kPlugins;
}

std::string Importer::path_in(const Block& block, const CorefilePlugin& line,
                              const std::string& path) const {
  const fs::path base = fs::path(line.place.file).parent_path() / block.root;
  std::error_code error;
  const fs::path whole = fs::absolute(base / path, error);
  return (error ? base / path : whole).lexically_normal().string();
}

/// The zones named behind the other words, else those of the server block.
std::vector<std::string> Importer::zones_from(const Block& block, const CorefilePlugin& line,
                                              std::size_t first) const {
  std::vector<std::string> zones;
  for (std::size_t i = first; i < line.words.size(); ++i) {
    if (const auto zone = zone_name(line.words[i]))
      zones.push_back(*zone);
    else
      model_->note(line.place, fmt::format("'{}' is not a zone", line.words[i]));
  }
  return zones.empty() && line.words.size() <= first ? block.zones : zones;
}

void Importer::log(const Block&, const CorefilePlugin&) {
  model_->set("server", "log", "{ queries = true }");
}

void Importer::bind(const Block& block, const CorefilePlugin& line) {
  for (std::size_t i = 1; i < line.words.size(); ++i) {
    const auto ip = IpAddress::parse(line.words[i]);
    if (!ip) note(line, fmt::format("bind {}: name its addresses in dns.listen", line.words[i]));
    if (!ip) continue;
    for (const std::uint16_t port : block.ports) {
      model_->listen(Endpoint{*ip, port, 0}.to_string());
    }
  }
}

void Importer::cache_option(const CorefileOption& option) {
  const auto& words = option.words;
  const auto ttl = words.size() > 2 ? number_of(words[2]) : std::nullopt;
  if ((words[0] == "success" || words[0] == "denial") && ttl && *ttl > 0 && *ttl <= 86'400) {
    model_->set("dns.cache", words[0] == "success" ? "max_ttl" : "negative_ttl",
                fmt::format("\"{}s\"", *ttl));
  }
  if (words[0] == "success" || words[0] == "denial") {
    if (words.size() > 1) {
      note(option, fmt::format("cache {} {}: counts entries; dns.cache.size is in bytes", words[0],
                               words[1]));
    }
  } else if (words[0] == "serve_stale") {
    const auto time = server::parse_duration(words.size() > 1 ? words[1] : "1h");
    if (time && *time % 1000 == 0) {
      model_->set("dns.cache", "serve_stale", fmt::format("\"{}s\"", *time / 1000));
    } else {
      note(option, "cache serve_stale: not a time that can be set here");
    }
  } else if (words[0] != "prefetch") {  // on anyway
    note(option, fmt::format("cache {}: nothing here does this", words[0]));
  }
}

void Importer::cache(const Block& block, const CorefilePlugin& line) {
  const std::size_t first_zone = line.words.size() > 1 && number_of(line.words[1]) ? 2 : 1;
  const auto zones = zones_from(block, line, first_zone);
  if (zones != std::vector<std::string>{"."} && (!line.block.empty() || first_zone == 1)) {
    return note(
        line, fmt::format("cache of {}: there is one cache for all zones", fmt::join(zones, ", ")));
  }
  if (const auto ttl = line.words.size() > 1 ? number_of(line.words[1]) : std::nullopt) {
    if (zones != std::vector<std::string>{"."}) {
      note(line, fmt::format("cache {}: there is one cache for all zones", *ttl));
    } else if (*ttl > 0 && *ttl <= 86'400) {
      model_->set("dns.cache", "max_ttl", fmt::format("\"{}s\"", *ttl));
      if (*ttl < 300) model_->set("dns.cache", "negative_ttl", fmt::format("\"{}s\"", *ttl));
    }
  }
  for (const CorefileOption& option : line.block) cache_option(option);
}

std::vector<std::string> Importer::upstreams(const CorefilePlugin& line) {
  std::vector<std::string> found;
  for (std::size_t i = 2; i < line.words.size(); ++i) {
    std::string_view word = line.words[i];
    if (word.starts_with('/')) {
      if (word == "/etc/resolv.conf" && line.words.size() == 3) {
        by_system_.push_back(line);
      } else {
        model_->note(line.place, fmt::format("forward to the servers in {}: name them", word));
      }
      continue;
    }
    if (word.starts_with("dns://")) word.remove_prefix(6);
    if (word.find("://") != std::string_view::npos) {
      model_->note(line.place, fmt::format("forward to {}: only udp:// and tcp:// upstreams are "
                                           "built",
                                           word));
      continue;
    }
    const auto endpoint = Endpoint::parse(word, 53);
    if (!endpoint) {
      model_->note(line.place, fmt::format("forward to {}: {}", word, endpoint.error().detail));
      continue;
    }
    const bool tcp = std::any_of(line.block.begin(), line.block.end(),
                                 [](const auto& option) { return option.words[0] == "force_tcp"; });
    found.push_back(fmt::format("{}://{}", tcp ? "tcp" : "udp", endpoint->to_string()));
  }
  return found;
}

void Importer::forward_option(const Block&, const std::vector<std::string>& zones,
                              const CorefileOption& option) {
  const std::string& word = option.words[0];
  if (word == "policy" && option.words.size() > 1) {
    const std::string& policy = option.words[1];
    for (const std::string& zone : zones) {
      model_->set_policy(zone, policy == "sequential" ? "sequential" : "round_robin");
    }
    if (policy == "random") note(option, "forward policy random: round_robin is the nearest");
  } else if (word == "except") {
    note(option,
         "forward except: give these domains a [[dns.forward]] or [[dns.zone]] of their own");
  } else if (word != "force_tcp" && word != "prefer_udp" && word != "max_fails" &&
             word != "health_check" && word != "expire" && word != "max_concurrent") {
    note(option, fmt::format("forward {}: nothing here does this", word));
  }
}

void Importer::forward(const Block& block, const CorefilePlugin& line) {
  if (line.words.size() < 3) return note(line, "forward: 'forward FROM TO' is wanted");
  const auto from = zone_name(line.words[1]);
  if (!from) return note(line, fmt::format("forward: '{}' is not a domain", line.words[1]));
  std::vector<std::string> zones;
  for (const std::string& zone : block.zones) {
    if (is_at_or_below(zone, *from))
      zones.push_back(zone);
    else if (is_at_or_below(*from, zone))
      zones.push_back(*from);
    else
      note(line, fmt::format("forward {}: is not in the zone {}", *from, zone));
  }
  const std::vector<std::string> to = upstreams(line);
  for (const std::string& zone : zones) {
    for (const std::string& one : to) model_->add_upstream(zone, one, line.place);
    if (!to.empty()) model_->set_policy(zone, "round_robin");  // CoreDNS picks one at random
  }
  for (const CorefileOption& option : line.block) forward_option(block, zones, option);
}

void Importer::hosts(const Block& block, const CorefilePlugin& line) {
  bool falls_through = false;
  for (const CorefileOption& option : line.block) {
    const std::string& word = option.words[0];
    if (word == "fallthrough") {
      falls_through = true;
    } else if (word == "ttl" && option.words.size() > 1 && number_of(option.words[1])) {
      if (const auto ttl = *number_of(option.words[1]); ttl <= 86'400) model_->set_ttl(ttl);
    } else if (word != "reload" && word != "no_reverse" && !IpAddress::parse(word)) {
      note(option, fmt::format("hosts {}: nothing here does this", word));
    }
  }
  const bool has_file = line.words.size() > 1;
  const bool has_lines = std::any_of(line.block.begin(), line.block.end(), [](const auto& option) {
    return IpAddress::parse(option.words[0]).has_value();
  });
  if (has_file || !has_lines) {
    const std::string path =
        path_in(block, line, has_file ? line.words[1] : std::string("/etc/hosts"));
    const auto text = read_import_file(path);
    if (text)
      import_hosts_text(*text, path, "", model_);
    else
      note(line, text.error().detail);
  }
  for (const CorefileOption& option : line.block) {
    if (!IpAddress::parse(option.words[0])) continue;
    import_hosts_line(fmt::format("{}", fmt::join(option.words, " ")), option.place, "", model_);
  }
  model_->set_ttl(0);
  if (!falls_through) {
    note(line,
         "hosts without fallthrough: names that are not in it are asked upstream here, and "
         "fail there");
  }
}

void Importer::file(const Block& block, const CorefilePlugin& line) {
  if (line.words.size() < 2) return note(line, "file: a zone file is wanted");
  bool falls_through = false;
  for (const CorefileOption& option : line.block) {
    if (option.words[0] == "fallthrough")
      falls_through = true;
    else if (option.words[0] != "reload" && option.words[0] != "upstream")
      note(option, fmt::format("file {}: nothing here does this", option.words[0]));
  }
  const std::string path = path_in(block, line, line.words[1]);
  for (const std::string& zone : zones_from(block, line, 2)) {
    const auto name = dns::Name::parse(zone);
    if (!name || zone == "." || zone.find('/') != std::string::npos) {
      note(line, fmt::format("file for '{}': name the zone as a domain", zone));
      continue;
    }
    const dns::ZoneLoad load = dns::load_zone(path, name->view());
    if (load.zone == nullptr) {
      note(line, fmt::format("zone '{}': {}", zone,
                             load.problems.empty() ? path + " cannot be read"
                                                   : load.problems.front().to_string()));
    } else {
      model_->add_zone(zone, path, falls_through, line.place);
    }
  }
}

// The common uses: one address for a domain and all below it, and "there is no such domain".
void Importer::template_answer(const Block& block, const CorefilePlugin& line) {
  const auto cannot = [&] {
    note(line,
         "template: only 'answer \"{{ .Name }} TTL IN A ADDRESS\"' and 'rcode NXDOMAIN' for a "
         "whole domain");
  };
  if (line.words.size() < 3) return cannot();
  std::vector<IpAddress> addresses;
  std::uint32_t ttl_s = model_->ttl();
  std::string rcode;
  for (const CorefileOption& option : line.block) {
    if (option.words[0] == "fallthrough" || option.words[0] == "authority") continue;
    if (option.words.size() != 2) return cannot();
    if (option.words[0] == "answer") {
      const auto answer = address_of_answer(option.words[1]);
      if (!answer) return cannot();
      addresses.push_back(answer->address);
      if (answer->ttl_s != 0) ttl_s = answer->ttl_s;
    } else if (option.words[0] == "rcode") {
      rcode = option.words[1];
    } else if (option.words[0] != "match" || option.words[1] != ".*") {
      return cannot();
    }
  }
  const bool no_such_name = rcode == "NXDOMAIN" && addresses.empty() && line.words[2] == "ANY";
  if (addresses.empty() != no_such_name ||
      (!no_such_name && !rcode.empty() && rcode != "NOERROR")) {
    return cannot();
  }
  const std::uint32_t ttl_before_s = model_->ttl();
  model_->set_ttl(ttl_s);
  for (const std::string& zone : zones_from(block, line, 3)) {
    if (zone == "." || zone.find('/') != std::string::npos) {
      cannot();
      continue;
    }
    if (no_such_name) model_->add_empty_zone(zone, line.place);
    for (const IpAddress& address : addresses) {
      model_->add_address(zone, address, ImportRank::kDomain, line.place);
      model_->add_address("*." + zone, address, ImportRank::kDomain, line.place);
    }
  }
  model_->set_ttl(ttl_before_s);
}

// "rewrite [stop] name [exact] FROM TO" is what a CNAME does.
void Importer::rewrite(const Block&, const CorefilePlugin& line) {
  std::vector<std::string> words(line.words.begin() + 1, line.words.end());
  if (!words.empty() && (words[0] == "stop" || words[0] == "continue")) words.erase(words.begin());
  const std::string shown = fmt::format("{}", fmt::join(line.words, " "));
  if (words.size() < 3 || words[0] != "name") {
    return note(line, fmt::format("{}: only 'rewrite name FROM TO' for one name", shown));
  }
  if (words[1] == "exact") words.erase(words.begin() + 1);
  if (words.size() < 3 || words[1] == "suffix" || words[1] == "prefix" || words[1] == "regex" ||
      words[1] == "substring") {
    return note(line, fmt::format("{}: only 'rewrite name FROM TO' for one name", shown));
  }
  const auto from = import_name(words[1]);
  const auto to = import_name(words[2]);
  if (!from || !to) return note(line, (from ? to : from).error().detail);
  if (from->starts_with("*") || to->starts_with("*")) {
    return note(line, fmt::format("{}: no wildcards", shown));
  }
  model_->add_cname(*from, *to, line.place);
}

void Importer::note_duplicates(const CorefileBlock& line, const ServerKey& key) {
  for (const auto& [zone, port] : served_) {
    if (zone != key.zone || port == key.port) continue;
    note(line, fmt::format("zone {} is served differently on the ports {} and {}; here one answer "
                           "holds on all of them",
                           zone, port, key.port));
  }
  served_.emplace_back(key.zone, key.port);
}

Result<void> Importer::read_block(const CorefileBlock& line) {
  Block block;
  for (const std::string& word : line.words) {
    for (const std::string_view part : parts_of(word, ',')) {
      if (part.empty()) continue;
      const auto key = parse_key(part);
      if (!key && key.error().code == Code::kMalformed) {
        return fail(key.error().code,
                    fmt::format("{}: {}", line.place.to_string(), key.error().detail));
      }
      if (!key) {
        note(line, key.error().detail);
        continue;
      }
      note_duplicates(line, *key);
      block.zones.push_back(key->zone);
      block.ports.insert(key->port);
    }
  }
  if (block.zones.empty()) return {};
  const auto has = [&](std::string_view name) {
    return std::any_of(line.plugins.begin(), line.plugins.end(),
                       [&](const CorefilePlugin& plugin) { return plugin.words[0] == name; });
  };
  for (const CorefilePlugin& plugin : line.plugins) {
    if (plugin.words[0] == "root" && plugin.words.size() > 1) block.root = plugin.words[1];
  }
  if (!has("bind")) {
    for (const std::uint16_t port : block.ports) {
      model_->listen(fmt::format("0.0.0.0:{}", port));
      model_->listen(fmt::format("[::]:{}", port));
    }
  }
  for (const CorefilePlugin& plugin : line.plugins) {
    const auto all = plugins();
    const auto known = std::find_if(all.begin(), all.end(),
                                    [&](const Plugin& one) { return one.name == plugin.words[0]; });
    if (known != all.end()) {
      (this->*known->handler)(block, plugin);
    } else if (const auto elsewhere = std::find_if(
                   std::begin(kElsewhere), std::end(kElsewhere),
                   [&](const Elsewhere& one) { return one.plugin == plugin.words[0]; });
               elsewhere != std::end(kElsewhere)) {
      note(plugin, fmt::format("plugin {}: {}", plugin.words[0], elsewhere->where));
    } else if (std::find(std::begin(kNeedless), std::end(kNeedless), plugin.words[0]) ==
               std::end(kNeedless)) {
      note(plugin, fmt::format("plugin {}: nothing here does this", plugin.words[0]));
    }
  }
  return {};
}

Result<void> Importer::read(const std::string& path) {
  const auto blocks = read_corefile(path);
  if (!blocks) return tl::unexpected(blocks.error());
  for (const CorefileBlock& block : *blocks) {
    if (auto read = read_block(block); !read) return read;
  }
  // Without a forward of "." the system's resolvers are asked, as there.
  if (!model_->forward_domains().empty()) {
    for (const CorefilePlugin& line : by_system_) {
      note(line, "forward to /etc/resolv.conf, beside other forwards: name its servers");
    }
  }
  return {};
}

}  // namespace

Result<void> import_corefile(const std::string& path, ImportModel* model) {
  return Importer(model).read(path);
}

}  // namespace postern::cli
