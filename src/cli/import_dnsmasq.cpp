#include "cli/import_dnsmasq.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "cli/import_dnsmasq_text.h"
#include "cli/import_hosts.h"
#include "cli/import_text.h"
#include "server/config_values.h"

namespace postern::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kConfDepthMax = 8;
constexpr std::string_view kHostsOfTheSystem = "/etc/hosts";

class Importer {
 public:
  Importer(std::string file, ImportModel* model) : model_(model), file_(std::move(file)) {}

  Result<void> read_file(const std::string& path, std::size_t depth);
  Result<void> finish();

 private:
  using Handler = Result<void> (Importer::*)(std::string_view value);
  struct Option {
    std::string_view name;
    Handler handler;
  };
  static std::span<const Option> options();

  Result<void> bad(std::string_view what) const {
    return fail(Code::kMalformed, fmt::format("{}: {}", place_.to_string(), what));
  }
  void note(std::string text) { model_->note(place_, std::move(text)); }
  Result<void> read_option(const std::string& line);
  Result<std::vector<std::string>> domains_of(std::string_view value, std::string_view* rest);

  Result<void> address(std::string_view value);
  Result<void> server(std::string_view value);
  Result<void> reverse_server(std::string_view value);
  Result<void> host_record(std::string_view value);
  Result<void> cname(std::string_view value);
  Result<void> more_hosts(std::string_view value);
  Result<void> conf_file(std::string_view value);
  Result<void> conf_dir(std::string_view value);
  Result<void> servers_file(std::string_view value) { return conf_file(value); }
  Result<void> port(std::string_view value);
  Result<void> listen_address(std::string_view value);
  Result<void> domain(std::string_view value);
  Result<void> packet_max(std::string_view value);
  Result<void> domain_needed(std::string_view);
  Result<void> no_resolv(std::string_view) {
    no_resolv_ = place_;
    return {};
  }
  Result<void> no_hosts(std::string_view) {
    no_hosts_ = true;
    return {};
  }
  Result<void> expand_hosts(std::string_view) {
    expand_ = true;
    return {};
  }
  Result<void> strict_order(std::string_view) {
    strict_ = true;
    return {};
  }
  Result<void> log_queries(std::string_view);
  Result<void> local_ttl(std::string_view value);
  Result<void> min_ttl(std::string_view value) { return duration("min_ttl", value); }
  Result<void> max_ttl(std::string_view value) { return duration("max_ttl", value); }
  Result<void> negative_ttl(std::string_view value) { return duration("negative_ttl", value); }
  Result<void> no_negative(std::string_view) { return duration("negative_ttl", "0"); }
  Result<void> rebind_ok(std::string_view value);
  Result<void> duration(const std::string& key, std::string_view value);
  void add_file_of_hosts(const std::string& path);
  void add_nowhere(const std::string& name);
  void use_usual_upstreams();
  void keep_more_exact();
  void note_what_is_usual();

  struct Hosts {
    std::string path;
    ImportPlace place;
  };
  struct Domain {
    std::string name;
    ImportPlace place;
  };

  ImportModel* model_;
  std::string file_;  ///< the first
  ImportPlace place_;
  std::size_t files_ = 0, depth_ = 0;
  std::vector<Hosts> hosts_;  // read last: domain= may stand behind them
  std::vector<Domain> addressed_, usual_;
  std::set<std::string> nowhere_, rebind_ok_;
  std::string suffix_;
  std::vector<std::string> listen_;
  std::uint32_t port_ = 53;
  std::optional<std::uint32_t> ttl_s_;
  std::optional<ImportPlace> no_resolv_;
  bool expand_ = false, strict_ = false, port_given_ = false, no_hosts_ = false;
};

std::span<const Importer::Option> Importer::options() {
  static constexpr std::array<Option, 26> kOptions{{
      {"address", &Importer::address},
      {"server", &Importer::server},
      {"local", &Importer::server},
      {"rev-server", &Importer::reverse_server},
      {"host-record", &Importer::host_record},
      {"cname", &Importer::cname},
      {"addn-hosts", &Importer::more_hosts},
      {"hostsdir", &Importer::more_hosts},
      {"conf-file", &Importer::conf_file},
      {"conf-dir", &Importer::conf_dir},
      {"servers-file", &Importer::servers_file},
      {"port", &Importer::port},
      {"listen-address", &Importer::listen_address},
      {"domain", &Importer::domain},
      {"domain-needed", &Importer::domain_needed},
      {"edns-packet-max", &Importer::packet_max},
      {"no-hosts", &Importer::no_hosts},
      {"no-resolv", &Importer::no_resolv},
      {"expand-hosts", &Importer::expand_hosts},
      {"strict-order", &Importer::strict_order},
      {"log-queries", &Importer::log_queries},
      {"local-ttl", &Importer::local_ttl},
      {"min-cache-ttl", &Importer::min_ttl},
      {"max-cache-ttl", &Importer::max_ttl},
      {"neg-ttl", &Importer::negative_ttl},
      {"no-negcache", &Importer::no_negative},
  }};
  return kOptions;
}

/// "/a/b/VALUE": a and b, and VALUE in `rest`. No '/' in front: no domains.
Result<std::vector<std::string>> Importer::domains_of(std::string_view value,
                                                      std::string_view* rest) {
  std::vector<std::string> names;
  *rest = value;
  if (!value.starts_with('/')) return names;
  std::vector<std::string_view> parts = parts_of(value.substr(1), '/');
  *rest = parts.back();
  parts.pop_back();
  if (parts.empty())
    return fail(Code::kMalformed,
                fmt::format("{}: '{}': no '/' behind the domain", place_.to_string(), value));
  for (std::string_view part : parts) {
    if (part.starts_with('.') && part.size() > 1) part.remove_prefix(1);
    if (part.empty()) {
      note("'//': names without a dot cannot have upstreams of their own");
    } else if (part == "#") {
      note("'/#/': all names at once cannot be given an address; name domains");
    } else if (part.starts_with('*')) {
      note(fmt::format("'/{}/': only whole labels can be compared", part));
    } else if (const auto name = import_name(part); name) {
      names.push_back(*name);
    } else {
      note(name.error().detail);
    }
  }
  return names;
}

void Importer::add_nowhere(const std::string& name) {
  nowhere_.insert(name);
  model_->add_empty_zone(name, place_);
}

Result<void> Importer::address(std::string_view value) {
  std::string_view where;
  const auto names = domains_of(value, &where);
  if (!names) return tl::unexpected(names.error());
  if (!value.starts_with('/')) return bad("address: '/DOMAIN/ADDRESS' is wanted");
  std::vector<IpAddress> addresses;
  if (where == "#") {
    addresses = {*IpAddress::parse("0.0.0.0"), *IpAddress::parse("::")};
  } else if (!where.empty()) {
    const auto one = IpAddress::parse(where);
    if (!one) return bad(fmt::format("address: '{}' is not an IP address", where));
    addresses = {*one};
  }
  for (const std::string& name : *names) {
    if (addresses.empty()) {
      add_nowhere(name);
      continue;
    }
    addressed_.push_back({name, place_});
    for (const IpAddress& one : addresses) {
      model_->add_address(name, one, ImportRank::kDomain, place_);
      model_->add_address("*." + name, one, ImportRank::kDomain, place_);
    }
  }
  return {};
}

Result<void> Importer::server(std::string_view value) {
  std::string_view where;
  const auto names = domains_of(value, &where);
  if (!names) return tl::unexpected(names.error());
  if (where.empty()) {
    for (const std::string& name : *names) add_nowhere(name);
    return {};
  }
  if (where == "#") {
    for (const std::string& name : *names) usual_.push_back({name, place_});
    return {};
  }
  const auto upstream = upstream_of(where);
  if (!upstream && where.find('@') == std::string_view::npos) return bad(upstream.error().detail);
  if (!upstream) {
    note(upstream.error().detail);
    return {};
  }
  if (!value.starts_with('/')) model_->add_upstream(".", *upstream, place_);
  for (const std::string& name : *names) model_->add_upstream(name, *upstream, place_);
  return {};
}

Result<void> Importer::reverse_server(std::string_view value) {
  const auto parts = parts_of(value, ',');
  const auto network = server::parse_network(parts[0]);
  if (!network) return bad(fmt::format("rev-server: {}", network.error().detail));
  if (parts.size() != 2) {
    note(
        "rev-server without an address: what Postern knows of a private network is answered by it "
        "anyway");
    return {};
  }
  const auto upstream = upstream_of(parts[1]);
  if (!upstream) {
    note(upstream.error().detail);
    return {};
  }
  model_->add_upstream(network->to_string(), *upstream, place_);
  return {};
}

Result<void> Importer::host_record(std::string_view value) {
  std::vector<std::string> names;
  std::vector<IpAddress> addresses;
  for (const std::string_view part : parts_of(value, ',')) {
    const std::string_view word = trimmed(part);
    if (const auto one = IpAddress::parse(word)) {
      addresses.push_back(*one);
    } else if (!addresses.empty() && number_of(word)) {
      note(fmt::format("host-record: the time to live {}; set ttl on the override", word));
    } else if (const auto name = import_name(word); name) {
      names.push_back(*name);
    } else {
      return bad(fmt::format("host-record: {}", name.error().detail));
    }
  }
  if (names.empty()) return bad("host-record: a name is wanted");
  if (addresses.empty()) note("host-record without an address");
  for (const std::string& name : names) {
    for (const IpAddress& one : addresses) {
      model_->add_address(name, one, ImportRank::kHost, place_);
    }
  }
  return {};
}

Result<void> Importer::cname(std::string_view value) {
  std::vector<std::string> names;
  auto parts = parts_of(value, ',');
  if (parts.size() > 2 && number_of(trimmed(parts.back()))) {
    note(fmt::format("cname: the time to live {}; set ttl on the override", trimmed(parts.back())));
    parts.pop_back();
  }
  if (parts.size() < 2) return bad("cname: 'cname=ALIAS,TARGET' is wanted");
  for (const std::string_view part : parts) {
    const auto name = import_name(trimmed(part));
    if (!name) return bad(fmt::format("cname: {}", name.error().detail));
    names.push_back(*name);
  }
  if (names.back().starts_with("*")) return bad("cname: the target cannot be a wildcard");
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    model_->add_cname(names[i], names.back(), place_);
  }
  return {};
}

Result<void> Importer::more_hosts(std::string_view value) {
  std::error_code error;
  const fs::path path(value);
  if (!fs::is_directory(path, error)) {
    hosts_.push_back({path.string(), place_});
    return {};
  }
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.') || name.ends_with('~') || name.starts_with('#')) continue;
    if (entry.is_regular_file(error)) files.push_back(entry.path().string());
  }
  if (error) return bad(fmt::format("{}: {}", value, error.message()));
  std::sort(files.begin(), files.end());
  for (std::string& file : files) hosts_.push_back({std::move(file), place_});
  return {};
}

Result<void> Importer::conf_file(std::string_view value) {
  const ImportPlace before = place_;
  auto read = read_file(std::string(value), depth_ + 1);
  place_ = before;
  if (!read) {
    return fail(read.error().code,
                fmt::format("{} (named by {})", read.error().detail, before.to_string()));
  }
  return {};
}

// "DIR,.bak,*.conf": all files but those with the endings given, or only those with a "*" in front.
Result<void> Importer::conf_dir(std::string_view value) {
  const auto parts = parts_of(value, ',');
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fs::path(parts[0]), error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.') || name.ends_with('~') ||
        (name.starts_with('#') && name.ends_with('#'))) {
      continue;
    }
    bool only = false, wanted = false, unwanted = false;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const bool positive = parts[i].starts_with('*');
      const bool ends = name.ends_with(parts[i].substr(positive ? 1 : 0));
      only = only || positive;
      wanted = wanted || (positive && ends);
      unwanted = unwanted || (!positive && ends);
    }
    if (unwanted || (only && !wanted)) continue;
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) files.push_back(entry.path().string());
  }
  if (error) return bad(fmt::format("conf-dir: {}: {}", parts[0], error.message()));
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    if (auto read = conf_file(file); !read) return read;
  }
  return {};
}

Result<void> Importer::port(std::string_view value) {
  const auto number = number_of(value);
  if (!number || *number > 65535) return bad("port: a number up to 65535 is wanted");
  if (*number == 0) note("port=0: no nameserver");
  port_ = *number == 0 ? 53 : *number;
  port_given_ = true;
  return {};
}

Result<void> Importer::listen_address(std::string_view value) {
  for (const std::string_view part : parts_of(value, ',')) {
    const auto one = IpAddress::parse(trimmed(part));
    if (!one) return bad(fmt::format("listen-address: '{}' is not an IP address", part));
    listen_.push_back(one->to_string());
  }
  return {};
}

Result<void> Importer::domain(std::string_view value) {
  const auto parts = parts_of(value, ',');
  if (parts.size() > 1) note("domain: a domain of its own for a range of addresses");
  if (parts.size() > 1 || value == "#") return {};
  const auto name = import_name(value);
  if (!name) return bad(fmt::format("domain: {}", name.error().detail));
  suffix_ = *name;
  return {};
}

Result<void> Importer::log_queries(std::string_view) {
  model_->set("server", "log", "{ queries = true }");
  return {};
}

Result<void> Importer::local_ttl(std::string_view value) {
  const auto number = number_of(value);
  if (!number || *number > 86'400) return bad("local-ttl: seconds up to 86400 are wanted");
  ttl_s_ = *number;
  return {};
}

Result<void> Importer::domain_needed(std::string_view) {
  note("domain-needed: names of one label that nobody here knows are asked upstream");
  return {};
}

Result<void> Importer::packet_max(std::string_view value) {
  const auto number = number_of(value);
  if (!number) return bad("edns-packet-max: a number is wanted");
  if (*number < kImportUdpPayloadMin || *number > kImportUdpPayloadMax) {
    note(fmt::format("edns-packet-max={}: dns.udp_payload is from {} to {}", *number,
                     kImportUdpPayloadMin, kImportUdpPayloadMax));
    return {};
  }
  model_->set("dns", "udp_payload", fmt::format("{}", *number));
  return {};
}

Result<void> Importer::duration(const std::string& key, std::string_view value) {
  const auto number = number_of(value);
  if (!number || *number > 86'400) {
    return bad(fmt::format("'{}': seconds up to 86400 are wanted", value));
  }
  if (key == "max_ttl" && *number == 0) return {};
  model_->set("dns.cache", key, fmt::format("\"{}s\"", *number));
  return {};
}

Result<void> Importer::rebind_ok(std::string_view value) {
  for (std::string_view part : parts_of(value, '/')) {
    if (const auto name = import_name(part); !part.empty() && name) rebind_ok_.insert(*name);
  }
  return {};
}

Result<void> Importer::read_option(const std::string& line) {
  const std::size_t equals = line.find('=');
  const std::string name(trimmed(std::string_view(line).substr(0, equals)));
  const std::string value(equals == std::string::npos
                              ? std::string_view()
                              : trimmed(std::string_view(line).substr(equals + 1)));
  if (name.empty() ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != std::string::npos) {
    return bad(fmt::format("'{}' is not a line of dnsmasq; 'option' or 'option=value' is wanted",
                           comment_text(line.substr(0, 60))));
  }
  if (name == "rebind-domain-ok") return rebind_ok(value);
  if (is_needless_option(name)) return {};
  const auto all = options();
  const auto known = std::find_if(all.begin(), all.end(),
                                  [&](const Option& option) { return option.name == name; });
  if (known == all.end()) {
    note(why_not_option(name, line));
    return {};
  }
  static constexpr std::string_view kFlags[] = {"domain-needed", "expand-hosts", "log-queries",
                                                "no-hosts",      "no-negcache",  "no-resolv",
                                                "strict-order"};
  const bool flag = std::find(std::begin(kFlags), std::end(kFlags), name) != std::end(kFlags);
  if (!flag && value.empty()) {
    if (name == "conf-file" || name == "addn-hosts") return {};
    return bad(fmt::format("{}: a value is wanted", name));
  }
  return (this->*known->handler)(value);
}

Result<void> Importer::read_file(const std::string& path, std::size_t depth) {
  if (depth > kConfDepthMax) {
    return fail(Code::kLimit,
                fmt::format("{}: files name each other; allowed: {} deep", path, kConfDepthMax));
  }
  if (++files_ > kImportFilesMax) {
    return fail(Code::kLimit,
                fmt::format("{}: too many files; allowed: {} at most", path, kImportFilesMax));
  }
  const auto text = read_import_file(path);
  if (!text) return tl::unexpected(text.error());
  std::size_t number = 0;
  for (const std::string_view raw : lines_of(*text)) {
    place_ = {path, ++number};
    depth_ = depth;
    const auto line = plain_line(raw);
    if (!line) return bad(line.error().detail);
    if (line->empty()) continue;
    if (auto read = read_option(*line); !read) return read;
  }
  return {};
}

void Importer::add_file_of_hosts(const std::string& path) {
  const auto text = read_import_file(path);
  if (!text) {
    note(text.error().detail);
    return;
  }
  import_hosts_text(*text, path, {expand_ ? suffix_ : "", {"."}}, model_);
}

// "#" is what everything else gets; without servers that is what the system asks.
void Importer::use_usual_upstreams() {
  const std::vector<std::string> upstreams = model_->upstreams_of(".");
  for (const Domain& one : usual_) {
    for (const std::string& upstream : upstreams) {
      model_->add_upstream(one.name, upstream, one.place);
    }
    if (!upstreams.empty()) continue;
    model_->add_exception(one.name, one.place);
    model_->add_exception("*." + one.name, one.place);
  }
}

// There the most exact domain of server and address counts; here overrides go before zones, and
// zones before forwards.
void Importer::keep_more_exact() {
  std::set<std::string> zones(nowhere_), addressed;
  for (const Domain& one : addressed_) addressed.insert(one.name);
  const auto is_below = [](std::string_view name, const std::set<std::string>& domains) {
    for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
      name.remove_prefix(dot + 1);
      if (domains.count(std::string(name)) != 0) return true;
    }
    return false;
  };
  for (const std::string& name : zones) {
    if (is_below(name, addressed)) {
      note(fmt::format("'{}' is to have no names, but is below a domain with an address", name));
    }
  }
  for (const std::string& name : model_->forward_domains()) {
    if (!is_below(name, addressed) && !is_below(name, zones) && zones.count(name) == 0) continue;
    model_->add_exception(name, place_);
    model_->add_exception("*." + name, place_);
  }
}

// What dnsmasq does, or with the option given does not, where Postern does the contrary.
void Importer::note_what_is_usual() {
  if (no_resolv_ && model_->upstreams_of(".").empty()) {
    model_->note(*no_resolv_,
                 "no-resolv without a server for all names: the resolvers of the system are asked "
                 "unless there is a [[dns.forward]] name = \".\"");
  }
  const bool added = std::any_of(hosts_.begin(), hosts_.end(), [](const Hosts& hosts) {
    return hosts.path == kHostsOfTheSystem;
  });
  if (no_hosts_ || added) return;
  model_->note({file_, 0}, fmt::format("without no-hosts {0} is read as well, here it is not: "
                                       "'postern import hosts {0}' prints its names",
                                       kHostsOfTheSystem));
}

Result<void> Importer::finish() {
  for (const Hosts& hosts : hosts_) {
    if (++files_ > kImportFilesMax) {
      return fail(Code::kLimit,
                  fmt::format("too many files; allowed: {} at most", kImportFilesMax));
    }
    place_ = hosts.place;
    add_file_of_hosts(hosts.path);
  }
  use_usual_upstreams();
  keep_more_exact();
  if (ttl_s_) model_->set_ttl_of_all(*ttl_s_);
  note_what_is_usual();
  if (listen_.empty() && port_given_) listen_ = {"0.0.0.0", "::"};
  for (const std::string& address : listen_) {
    const auto ip = IpAddress::parse(address);
    model_->listen(Endpoint{*ip, static_cast<std::uint16_t>(port_), 0}.to_string());
  }
  model_->set_policy("", strict_ ? "sequential" : "fastest");
  if (!rebind_ok_.empty()) {
    std::string except;
    for (const std::string& name : rebind_ok_) {
      except += fmt::format("{}\"{}\"", except.empty() ? "" : ", ", name);
    }
    model_->set("dns.limits", "rebind_protection", fmt::format("{{ except = [{}] }}", except));
  }
  return {};
}

}  // namespace

Result<void> import_dnsmasq(const std::string& path, ImportModel* model) {
  Importer importer(path, model);
  if (auto read = importer.read_file(path, 0); !read) return read;
  return importer.finish();
}

}  // namespace postern::cli
