#include "cli/import_corefile.h"

#include <algorithm>
#include <filesystem>
#include <span>

#include <fmt/format.h>

#include "cli/corefile.h"
#include "cli/import_corefile_text.h"
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

constexpr std::uint32_t kTtlMaxSeconds = 604'800;  // of an override
constexpr std::uint32_t kCacheTtlMaxSeconds = 86'400;

constexpr std::string_view kResolvConf = "/etc/resolv.conf";

bool is_in(std::string_view word, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

template <class Line>
std::string shown(const Line& line) {
  return fmt::format("{}", fmt::join(line.words, " "));
}

template <class Value>
void add_once(const Value& value, std::vector<Value>* values) {
  if (std::find(values->begin(), values->end(), value) == values->end()) values->push_back(value);
}

bool holds_for_all(const std::vector<std::string>& zones) {
  return std::find(zones.begin(), zones.end(), ".") != zones.end();
}

class Importer {
 public:
  explicit Importer(ImportModel* model) : model_(model) {}
  Result<void> read(const std::string& path);

 private:
  struct Block {
    std::vector<std::string> zones;
    std::vector<std::uint16_t> ports;
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
  Result<Block> read_keys(const CorefileBlock& line);
  void note_duplicates(const CorefileBlock& line, const std::vector<ServerKey>& keys);
  void note_system_zones();
  void run(const Block& block, const CorefilePlugin& plugin);
  std::string path_in(const Block& block, const CorefilePlugin& line,
                      const std::string& path) const;
  std::vector<std::string> zones_from(const Block& block, const CorefilePlugin& line,
                                      std::size_t first) const;

  std::vector<std::string> zones_within(const Block& block, const CorefilePlugin& line,
                                        std::size_t first) const;

  void bind(const Block& block, const CorefilePlugin& line);
  void bufsize(const Block& block, const CorefilePlugin& line);
  void note_cache_of(const std::vector<std::string>& zones, const CorefilePlugin& line);
  void cache(const Block& block, const CorefilePlugin& line);
  void cache_option(const CorefileOption& option);
  void forward(const Block& block, const CorefilePlugin& line);
  void forward_option(const std::vector<std::string>& zones, const CorefileOption& option);
  void hosts(const Block& block, const CorefilePlugin& line);
  bool hosts_options(const CorefilePlugin& line);
  void file(const Block& block, const CorefilePlugin& line);
  void template_answer(const Block& block, const CorefilePlugin& line);
  void rewrite(const Block& block, const CorefilePlugin& line);
  void log(const Block& block, const CorefilePlugin& line);
  std::vector<std::string> upstreams(const CorefilePlugin& line) const;

  struct SystemZone {
    std::string name;
    ImportPlace place;
  };

  ImportModel* model_;
  std::vector<ServerKey> served_;
  std::vector<SystemZone> system_zones_;  ///< that the resolvers of the system are asked for
};

const std::span<const Importer::Plugin> Importer::plugins() {
  static constexpr Plugin kPlugins[] = {
      {"bind", &Importer::bind},
      {"bufsize", &Importer::bufsize},
      {"cache", &Importer::cache},
      {"forward", &Importer::forward},
      {"hosts", &Importer::hosts},
      {"file", &Importer::file},
      {"template", &Importer::template_answer},
      {"rewrite", &Importer::rewrite},
      {"log", &Importer::log},
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

/// The same, as far as questions for them come to this server block.
std::vector<std::string> Importer::zones_within(const Block& block, const CorefilePlugin& line,
                                                std::size_t first) const {
  std::vector<std::string> within;
  for (const std::string& zone : zones_from(block, line, first)) {
    const std::size_t before = within.size();
    for (const std::string& served : block.zones) {
      if (is_at_or_below(zone, served))
        within.push_back(zone);
      else if (is_at_or_below(served, zone))
        within.push_back(served);
    }
    if (within.size() == before) {
      model_->note(line.place, fmt::format("{} {}: is not in the zones of its server block",
                                           line.words[0], zone));
    }
  }
  return within;
}

void Importer::log(const Block&, const CorefilePlugin&) {
  model_->set("server", "log", "{ queries = true }");
}

void Importer::bind(const Block& block, const CorefilePlugin& line) {
  for (std::size_t i = 1; i < line.words.size(); ++i) {
    const auto ip = IpAddress::parse(line.words[i]);
    if (!ip) {
      note(line, fmt::format("bind {}: name its addresses in dns.listen", line.words[i]));
      continue;
    }
    for (const std::uint16_t port : block.ports) model_->listen(Endpoint{*ip, port, 0}.to_string());
  }
  for (const CorefileOption& option : line.block) {
    note(option, fmt::format("bind {}: nothing here does this", option.words[0]));
  }
}

void Importer::bufsize(const Block& block, const CorefilePlugin& line) {
  const auto size =
      line.words.size() > 1 ? number_of(line.words[1]) : std::optional<std::uint32_t>(1232);
  if (!holds_for_all(block.zones)) {
    note(line, fmt::format("{}: dns.udp_payload is for all zones", shown(line)));
  } else if (!size || *size < kImportUdpPayloadMin || *size > kImportUdpPayloadMax) {
    note(line, fmt::format("{}: dns.udp_payload is from {} to {}", shown(line),
                           kImportUdpPayloadMin, kImportUdpPayloadMax));
  } else {
    model_->set("dns", "udp_payload", fmt::format("{}", *size));
  }
}

void Importer::cache_option(const CorefileOption& option) {
  const auto& words = option.words;
  const auto time = [&](std::size_t at, const char* key) {
    if (words.size() <= at) return;
    const auto ttl = number_of(words[at]);
    if (ttl && *ttl > 0 && *ttl <= kCacheTtlMaxSeconds)
      model_->set("dns.cache", key, fmt::format("\"{}s\"", *ttl));
    else
      note(option,
           fmt::format("cache {}: {} is not a time that can be set here", words[0], words[at]));
  };
  if (words[0] == "success" || words[0] == "denial") {
    time(2, words[0] == "success" ? "max_ttl" : "negative_ttl");
    if (words.size() > 3) {
      note(option, fmt::format("{}: the least time is dns.cache.min_ttl, for answers of both kinds",
                               shown(option)));
    }
    if (words.size() > 1) {
      note(option, fmt::format("cache {} {}: counts entries; dns.cache.size is in bytes", words[0],
                               words[1]));
    }
  } else if (words[0] == "serve_stale") {
    const auto stale = server::parse_duration(words.size() > 1 ? words[1] : "1h");
    if (stale && *stale % 1000 == 0) {
      model_->set("dns.cache", "serve_stale", fmt::format("\"{}s\"", *stale / 1000));
    } else {
      note(option, "cache serve_stale: not a time that can be set here");
    }
  } else if (words[0] != "prefetch") {  // on anyway
    note(option, fmt::format("cache {}: nothing here does this", words[0]));
  }
}

// What is set for some zones only would hold for all.
void Importer::note_cache_of(const std::vector<std::string>& zones, const CorefilePlugin& line) {
  if (line.words.size() > 1) {
    note(line, fmt::format("{} (for {}): there is one cache for all zones", shown(line),
                           fmt::join(zones, ", ")));
  }
  for (const CorefileOption& option : line.block) {
    if (option.words[0] == "prefetch") continue;
    note(option, fmt::format("cache {}: there is one cache for all zones", shown(option)));
  }
}

void Importer::cache(const Block& block, const CorefilePlugin& line) {
  const auto ttl = line.words.size() > 1 ? number_of(line.words[1]) : std::nullopt;
  const std::vector<std::string> zones = zones_within(block, line, ttl ? 2 : 1);
  if (!holds_for_all(zones)) return note_cache_of(zones, line);
  if (ttl && (*ttl == 0 || *ttl > kCacheTtlMaxSeconds)) {
    note(line, fmt::format("cache {}: is not a time that can be set here", *ttl));
  } else if (ttl) {
    model_->set("dns.cache", "max_ttl", fmt::format("\"{}s\"", *ttl));
    if (*ttl < 300) model_->set("dns.cache", "negative_ttl", fmt::format("\"{}s\"", *ttl));
  }
  for (const CorefileOption& option : line.block) cache_option(option);
}

std::vector<std::string> Importer::upstreams(const CorefilePlugin& line) const {
  std::vector<std::string> found;
  for (std::size_t i = 2; i < line.words.size(); ++i) {
    std::string_view word = line.words[i];
    if (word.starts_with('/')) {
      if (word != kResolvConf || line.words.size() != 3) {
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

void Importer::forward_option(const std::vector<std::string>& zones, const CorefileOption& option) {
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
    if (line.words.size() == 3 && line.words[2] == kResolvConf) {
      system_zones_.push_back({zone, line.place});
    }
  }
  for (const CorefileOption& option : line.block) forward_option(zones, option);
}

// Whether names that it does not have go on to the next plugin.
bool Importer::hosts_options(const CorefilePlugin& line) {
  bool falls_through = false;
  for (const CorefileOption& option : line.block) {
    const std::string& word = option.words[0];
    if (word == "fallthrough") {
      falls_through = true;
    } else if (word == "ttl" && option.words.size() > 1) {
      const auto ttl = number_of(option.words[1]);
      if (ttl && *ttl <= kTtlMaxSeconds)
        model_->set_ttl(*ttl);
      else
        note(option,
             fmt::format("hosts {}: a ttl has at most {} seconds", shown(option), kTtlMaxSeconds));
    } else if (word != "reload" && word != "no_reverse" && !IpAddress::parse(word)) {
      note(option, fmt::format("hosts {}: nothing here does this", word));
    }
  }
  return falls_through;
}

void Importer::hosts(const Block& block, const CorefilePlugin& line) {
  const bool falls_through = hosts_options(line);
  const HostsScope scope{"", zones_within(block, line, 2)};
  const bool has_file = line.words.size() > 1;
  const bool has_lines = std::any_of(line.block.begin(), line.block.end(), [](const auto& option) {
    return IpAddress::parse(option.words[0]).has_value();
  });
  if (has_file || !has_lines) {
    const std::string path =
        path_in(block, line, has_file ? line.words[1] : std::string("/etc/hosts"));
    const auto text = read_import_file(path);
    if (text)
      import_hosts_text(*text, path, scope, model_);
    else
      note(line, text.error().detail);
  }
  for (const CorefileOption& option : line.block) {
    if (!IpAddress::parse(option.words[0])) continue;
    import_hosts_line(fmt::format("{}", fmt::join(option.words, " ")), option.place, scope, model_);
  }
  model_->set_ttl(std::nullopt);
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
  std::vector<AddressAnswer> answers;
  std::string rcode;
  for (const CorefileOption& option : line.block) {
    if (option.words[0] == "fallthrough" || option.words[0] == "authority") continue;
    if (option.words.size() != 2) return cannot();
    if (option.words[0] == "answer") {
      const auto answer = address_of_answer(option.words[1]);
      if (!answer || answer->ttl_s > kTtlMaxSeconds) return cannot();
      answers.push_back(*answer);
    } else if (option.words[0] == "rcode") {
      rcode = option.words[1];
    } else if (option.words[0] != "match" || option.words[1] != ".*") {
      return cannot();
    }
  }
  const bool no_such_name = rcode == "NXDOMAIN" && answers.empty() && line.words[2] == "ANY";
  if (answers.empty() != no_such_name || (!no_such_name && !rcode.empty() && rcode != "NOERROR")) {
    return cannot();
  }
  for (const std::string& zone : zones_from(block, line, 3)) {
    if (zone == "." || zone.find('/') != std::string::npos) {
      cannot();
      continue;
    }
    if (no_such_name) model_->add_empty_zone(zone, line.place);
    for (const AddressAnswer& answer : answers) {
      model_->set_ttl(answer.ttl_s);
      model_->add_address(zone, answer.address, ImportRank::kDomain, line.place);
      model_->add_address("*." + zone, answer.address, ImportRank::kDomain, line.place);
    }
  }
  model_->set_ttl(std::nullopt);
}

// "rewrite [stop] name [exact] FROM TO" is what a CNAME does.
void Importer::rewrite(const Block&, const CorefilePlugin& line) {
  std::vector<std::string> words(line.words.begin() + 1, line.words.end());
  if (!words.empty() && (words[0] == "stop" || words[0] == "continue")) words.erase(words.begin());
  if (words.size() < 3 || words[0] != "name") {
    return note(line, fmt::format("{}: only 'rewrite name FROM TO' for one name", shown(line)));
  }
  if (words[1] == "exact") words.erase(words.begin() + 1);
  if (words.size() < 3 || words[1] == "suffix" || words[1] == "prefix" || words[1] == "regex" ||
      words[1] == "substring") {
    return note(line, fmt::format("{}: only 'rewrite name FROM TO' for one name", shown(line)));
  }
  const auto from = import_name(words[1]);
  const auto to = import_name(words[2]);
  if (!from || !to) return note(line, (from ? to : from).error().detail);
  if (from->starts_with("*") || to->starts_with("*")) {
    return note(line, fmt::format("{}: no wildcards", shown(line)));
  }
  model_->add_cname(*from, *to, line.place);
}

// The longest zone counts: without upstreams of its own such a zone would be asked where the zone
// above it is.
void Importer::note_system_zones() {
  const std::vector<std::string> forwards = model_->forward_domains();
  for (const SystemZone& zone : system_zones_) {
    const std::string* above = nullptr;
    for (const std::string& one : forwards) {
      if (!is_zone_below(zone.name, one)) continue;
      if (above == nullptr || is_zone_below(one, *above)) above = &one;
    }
    if (above == nullptr) continue;
    model_->note(zone.place, fmt::format("forward {0} to {1}: here the upstreams of {2} are asked; "
                                         "give {0} a [[dns.forward]] with the servers in that file",
                                         zone.name, kResolvConf, *above));
  }
}

void Importer::note_duplicates(const CorefileBlock& line, const std::vector<ServerKey>& keys) {
  for (const ServerKey& key : keys) {
    for (const ServerKey& other : served_) {
      if (other.zone != key.zone || other.port == key.port) continue;
      note(line, fmt::format("zone {} is served differently on the ports {} and {}; here one "
                             "answer holds on all of them",
                             key.zone, other.port, key.port));
    }
  }
  served_.insert(served_.end(), keys.begin(), keys.end());
}

Result<Importer::Block> Importer::read_keys(const CorefileBlock& line) {
  std::vector<ServerKey> keys;
  for (const std::string& word : line.words) {
    for (const std::string_view part : parts_of(word, ',')) {
      if (part.empty()) continue;
      const auto key = parse_key(part);
      if (!key && key.error().code == Code::kMalformed) {
        return fail(key.error().code,
                    fmt::format("{}: {}", line.place.to_string(), key.error().detail));
      }
      if (key)
        keys.push_back(*key);
      else
        note(line, key.error().detail);
    }
  }
  note_duplicates(line, keys);
  Block block;
  for (const ServerKey& key : keys) {
    add_once(key.zone, &block.zones);
    add_once(key.port, &block.ports);
  }
  for (const CorefilePlugin& plugin : line.plugins) {
    if (plugin.words[0] == "root" && plugin.words.size() > 1) block.root = plugin.words[1];
  }
  return block;
}

void Importer::run(const Block& block, const CorefilePlugin& plugin) {
  const auto all = plugins();
  const auto known = std::find_if(all.begin(), all.end(),
                                  [&](const Plugin& one) { return one.name == plugin.words[0]; });
  if (known != all.end()) return (this->*known->handler)(block, plugin);
  if (is_in(plugin.words[0], kNeedless)) return;
  if (plugin.words[0] == "prometheus") {
    if (plugin.words.size() == 1 || plugin.words[1] == "localhost:9153") return;  // as server.admin
    return note(plugin, fmt::format("{}: metrics are served at server.admin, 127.0.0.1:9153 unless "
                                    "set",
                                    shown(plugin)));
  }
  note(plugin, fmt::format("plugin {}: nothing here does this", shown(plugin)));
}

Result<void> Importer::read_block(const CorefileBlock& line) {
  const auto block = read_keys(line);
  if (!block) return tl::unexpected(block.error());
  if (block->zones.empty()) return {};
  const bool binds = std::any_of(line.plugins.begin(), line.plugins.end(),
                                 [](const auto& plugin) { return plugin.words[0] == "bind"; });
  for (const std::uint16_t port : block->ports) {
    if (binds) break;
    model_->listen(fmt::format("0.0.0.0:{}", port));
    model_->listen(fmt::format("[::]:{}", port));
  }
  for (const CorefilePlugin& plugin : line.plugins) run(*block, plugin);
  return {};
}

Result<void> Importer::read(const std::string& path) {
  const auto blocks = read_corefile(path);
  if (!blocks) return tl::unexpected(blocks.error());
  for (const CorefileBlock& block : *blocks) {
    if (auto read = read_block(block); !read) return read;
  }
  note_system_zones();
  return {};
}

}  // namespace

Result<void> import_corefile(const std::string& path, ImportModel* model) {
  return Importer(model).read(path);
}

}  // namespace postern::cli
