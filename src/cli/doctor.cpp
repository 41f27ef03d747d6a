#include "cli/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/doctor_house.h"
#include "cli/doctor_lookup.h"
#include "cli/doctor_probe.h"
#include "cli/doctor_records.h"
#include "cli/doctor_report.h"
#include "cli/doctor_site.h"
#include "cli/record_text.h"
#include "server/report.h"
#include "server/snapshot.h"

namespace postern::cli {
namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::size_t kNamesMax = 100;
constexpr unsigned kServFail = 2, kRefused = 5;
constexpr const char* kResolvedConf = "/run/systemd/resolve/resolv.conf";
/// And the key of [dns.canary] that answers for it.
struct Canary {
  std::string_view name, key, who;
  Verdict verdict;
};
constexpr std::array<Canary, 3> kCanaries{
    {{"use-application-dns.net", "firefox_doh", "Firefox may use DNS over HTTPS of its own",
      Verdict::kBad},
     {"mask.icloud.com", "private_relay", "Safari with Private Relay asks Apple",
      Verdict::kWarning},
     {"mask-h2.icloud.com", "private_relay", "Safari with Private Relay asks Apple",
      Verdict::kWarning}}};

using Addresses = std::vector<IpAddress>;

bool same(const Addresses& a, const Addresses& b) {
  return a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin());
}

std::string texts_of(const Addresses& addresses) {
  std::vector<std::string> texts;
  for (const IpAddress& ip : addresses) texts.push_back(ip.to_string());
  return texts.empty() ? "no address" : fmt::format("{}", fmt::join(texts, ", "));
}

/// " by CNAME a, b"
std::string by_chain(const std::vector<std::string>& chain) {
  return chain.empty() ? "" : fmt::format(" by CNAME {}", fmt::join(chain, ", "));
}

std::string text_of(unsigned rcode) { return dns::rcode_text(static_cast<dns::Rcode>(rcode)); }

struct Nameserver {
  std::string text;  ///< with the zone of a link-local address
  IpAddress ip;

  // systemd-resolved; whom it asks stands in another file.
  bool is_resolved() const { return text == "127.0.0.53" || text == "127.0.0.54"; }
};

std::vector<Nameserver> nameservers_in(const std::string& path) {
  std::vector<Nameserver> all;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key, value;
    words >> key >> value;
    const auto ip = IpAddress::parse(std::string_view(value).substr(0, value.find('%')));
    if (key == "nameserver" && ip) all.push_back({value, *ip});
  }
  return all;
}

// Beside the file of its stub, to which /etc/resolv.conf is a link, there is one with the servers.
std::vector<Nameserver> asked_by_resolved(const std::string& path) {
  std::error_code ignored;
  const auto real = std::filesystem::canonical(path, ignored);
  const bool is_link = real.filename() == "stub-resolv.conf";
  return nameservers_in(is_link ? real.parent_path() / "resolv.conf" : kResolvedConf);
}

class Doctor {
 public:
  Doctor(const House& house, const DoctorOptions& options, const Endpoint& own,
         const std::vector<Endpoint>& resolvers)
      : house_(house),
        options_(options),
        own_(own),
        resolvers_(resolvers),
        client_(source_address(own).value_or(IpAddress())),
        timeout_ms_(static_cast<int>(options.timeout_s * 1000)) {}

  const Report& report() const { return report_; }

  void look_at_name(const std::string& text) {
    name_ = text;
    const auto name = dns::Name::parse(text);
    if (!name) return bad("dns", "is no domain name");
    const DnsLook look = look_up(own_, *name, dns::RrType::kA, timeout_ms_);
    if (!look.came()) {
      return bad("dns", fmt::format("no answer from Postern at {}", own_.to_string()),
                 "no page of this house opens",
                 "systemctl start postern, then systemctl status postern");
    }
    inside_ = answer_addresses(look.reply);
    const auto six = addresses6("dns", own_, *name, !inside_.empty());
    inside6_ = six.value_or(Addresses());
    // Whoever says otherwise, or fails at the other types, is not to blame.
    if (inside_.empty() && inside6_.empty()) return say_no_address(look.rcode());
    Addresses all = inside_;
    all.insert(all.end(), inside6_.begin(), inside6_.end());
    ok("dns", fmt::format("{}{} from Postern at {}{}", texts_of(all), by_chain(look.chain),
                          own_.to_string(), house_.has_views() ? ": " + whose_view() : ""));
    if (home_name_.empty() && leads_inside(inside_)) {
      home_name_ = name_;
      home_ = inside_;
    }
    look_at_views();
    look_at_route();
    look_at_aaaa();
    look_at_https("dns", own_, *name, inside_, inside6_);
    for (const Endpoint& resolver : resolvers_) look_at_resolver(resolver, *name);
    look_at_sites();
  }

  /// The names by which browsers and systems are kept from nameservers of their own.
  void look_for_ways_round() {
    for (const Canary& canary : kCanaries) {
      const auto name = dns::Name::parse(canary.name);
      if (!name) continue;
      name_ = canary.name;
      look_at_canary(canary, *name, own_, fmt::format("[dns.canary] {} = true", canary.key));
      for (const Endpoint& resolver : resolvers_) {
        look_at_canary(canary, *name, resolver, "let DHCP hand out Postern as the only nameserver");
      }
    }
  }

  /// Of this machine; other devices get theirs by DHCP.
  void look_at_resolv_conf(const std::string& path) {
    name_ = path;
    std::vector<Nameserver> asked = nameservers_in(path);
    if (std::erase_if(asked, [](const Nameserver& one) { return one.is_resolved(); }) != 0) {
      const std::vector<Nameserver> behind = asked_by_resolved(path);
      asked.insert(asked.end(), behind.begin(), behind.end());
      if (behind.empty()) {
        add(Verdict::kWarning, "bypass",
            "this machine asks systemd-resolved, and whom that asks is not known",
            "queries may go round Postern",
            "resolvectl dns; --resolv-conf FILE, with the file that has its servers");
      }
    }
    for (const auto& [text, ip] : asked) {
      if (ip.is_loopback() || ip == own_.ip || house_.has_nameserver_at(ip)) continue;
      const std::string otherwise = said_otherwise({ip, kDnsPort});
      add(otherwise.empty() ? Verdict::kWarning : Verdict::kBad, "bypass",
          fmt::format("this machine also asks {}{}", text, otherwise),
          "some queries go round Postern",
          fmt::format("nameserver {} alone, by DHCP too", own_.ip.to_string()));
    }
  }

  /// Without names to look at, whether anybody answers.
  void look_at_servers() {
    const auto root = dns::Name::parse(".");
    std::vector<Endpoint> servers{own_};
    servers.insert(servers.end(), resolvers_.begin(), resolvers_.end());
    for (const Endpoint& server : servers) {
      name_ = server.to_string();
      if (look_up(server, *root, dns::RrType::kNs, timeout_ms_).came()) continue;
      bad(server == own_ ? "dns" : "resolver", "does not answer", "no page opens",
          server == own_ ? "systemctl start postern, then systemctl status postern"
                         : "is it the address that devices really use?");
    }
  }

 private:
  void add(Verdict verdict, std::string_view layer, std::string text, std::string effect = {},
           std::string remedy = {}) {
    report_.add({verdict, layer, name_, std::move(text), std::move(effect), std::move(remedy)});
  }
  void ok(std::string_view layer, std::string text) { add(Verdict::kOk, layer, std::move(text)); }
  void bad(std::string_view layer, std::string text, std::string effect = {},
           std::string remedy = {}) {
    add(Verdict::kBad, layer, std::move(text), std::move(effect), std::move(remedy));
  }

  void look_at_canary(const Canary& canary, const dns::Name& name, const Endpoint& server,
                      const std::string& remedy) {
    const DnsLook look = look_up(server, name, dns::RrType::kA, timeout_ms_);
    if (!look.came()) return;  // said of the other names
    const std::string at = server.to_string();
    if (answer_addresses(look.reply).empty()) {
      return ok("bypass", fmt::format("has no address at {}, as it should be", at));
    }
    add(canary.verdict, "bypass", fmt::format("resolves at {}", at),
        fmt::format("{}, and what is inside is not known there", canary.who), remedy);
  }

  /// "127.0.0.1 is in the view "lan""
  std::string whose_view() const {
    return fmt::format("{} is in {}", client_.to_string(), house_.view_text(client_));
  }

  static std::string holders(const OfOtherViews& others) {
    return fmt::format("{} holds for {} \"{}\"", others.what,
                       others.views.size() == 1 ? "the view" : "the views",
                       fmt::join(others.views, "\", \""));
  }

  std::string remedy_of(const OfOtherViews& others) const {
    return fmt::format(
        "if it should have it: its network in the clients of [[dns.view]] \"{}\", or its view in "
        "the views of {}",
        others.views.front(), others.what);
  }

  /// ", which leads ..." when this server has other addresses for a name of this house, the first
  /// that was looked at.
  std::string said_otherwise(const Endpoint& server) const {
    const auto name = dns::Name::parse(home_name_);
    if (home_name_.empty() || !name) return "";
    const DnsLook look = look_up(server, *name, dns::RrType::kA, timeout_ms_);
    if (!look.came()) return "";
    const Addresses theirs = answer_addresses(look.reply);
    if (look.rcode() == 0 && same(theirs, home_)) return "";
    return fmt::format(", which leads {} to {}", home_name_,
                       theirs.empty() ? std::string(text_of(look.rcode())) : texts_of(theirs));
  }

  // What is meant to be known in another view alone is no mistake there.
  void look_at_views() {
    if (leads_inside(inside_) || leads_inside(inside6_)) return;
    const auto others = house_.of_other_views(name_, client_);
    if (!others) return;
    add(Verdict::kWarning, "dns", fmt::format("{}, and {}", whose_view(), holders(*others)),
        "on this device the page is that of outside", remedy_of(*others));
  }

  // Outside it may work, by QUIC and Cloudflare; here it was to be of this house.
  void look_at_route() {
    bool published = false;
    if (leads_inside(inside_) || leads_inside(inside6_) || house_.of_other_views(name_, client_) ||
        !house_.is_served(name_, &published)) {
      return;
    }
    add(published ? Verdict::kBad : Verdict::kWarning, "dns",
        "a [[gateway.route]] serves it, and its addresses lead outside",
        "devices here go outside and come back in, or do not reach it",
        fmt::format("[[dns.override]] names = [\"{}\"] address = [\"the gateway's\"], without "
                    "forward = true; or publish_dns = true in the listener",
                    name_));
  }

  void say_no_address(unsigned rcode) {
    const std::string at = own_.to_string();
    if (rcode == kRefused) {
      return bad("dns",
                 fmt::format("Postern at {} refuses to answer this machine, {} (REFUSED)", at,
                             client_.to_string()),
                 "no page opens here", "its network in dns.allow");
    }
    if (rcode == kServFail) {
      return bad("dns", fmt::format("Postern at {} cannot find out (SERVFAIL)", at),
                 "the page is not found", fmt::format("postern explain {}; postern status", name_));
    }
    const std::string text = fmt::format("Postern has no address for it ({})", text_of(rcode));
    if (const auto others = house_.of_other_views(name_, client_)) {
      return bad("dns", fmt::format("{}: {}, and {}", text, whose_view(), holders(*others)),
                 "the page is not found", remedy_of(*others));
    }
    bad("dns", text, "the page is not found",
        fmt::format("[[dns.override]] names = [\"{}\"] address = [\"...\"]", name_));
  }

  /// The IPv6 addresses; nullopt: no answer to this type, which is said, since there are others.
  std::optional<Addresses> addresses6(std::string_view layer, const Endpoint& server,
                                      const dns::Name& name, bool has_others) {
    const DnsLook look = look_up(server, name, dns::RrType::kAaaa, timeout_ms_);
    if (look.came() && look.rcode() == 0) return answer_addresses(look.reply);
    if (!has_others) return Addresses();
    bad(layer,
        look.came() ? fmt::format("{} answers a query for AAAA with {}", server.to_string(),
                                  text_of(look.rcode()))
                    : fmt::format("{} does not answer a query for AAAA", server.to_string()),
        "pages stall or are not found", "NODATA is the answer: let Postern give it");
    return std::nullopt;
  }

  bool leads_inside(const Addresses& addresses) const {
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const IpAddress& ip) { return house_.is_inside(ip, name_); });
  }

  // IPv4 that leads inside and IPv6 that leads elsewhere is a page that opens at random.
  void look_at_aaaa() {
    if (inside_.empty() || house_.listener_of(inside_.front(), name_) == nullptr) return;
    for (const IpAddress& ip : inside6_) {
      if (house_.is_inside(ip, name_)) continue;
      bad("dns", fmt::format("AAAA {} leads away from the gateway", ip.to_string()),
          "IPv6 goes outside, IPv4 inside",
          "give the override IPv6 addresses of the gateway, or none");
    }
  }

  void look_at_https(std::string_view layer, const Endpoint& server, const dns::Name& name,
                     const Addresses& addresses, const Addresses& addresses6) {
    const std::string at = server.to_string();
    const DnsLook look = look_up(server, name, dns::RrType::kHttps, timeout_ms_);
    if (!look.came()) {
      return bad(layer, fmt::format("{} does not answer a query for HTTPS", at),
                 "pages stall for seconds", "let queries of type 65 pass, or use Postern alone");
    }
    if (look.rcode() != 0) {
      return bad(layer,
                 fmt::format("{} answers a query for HTTPS with {}", at, text_of(look.rcode())),
                 "pages stall or are not found", "NODATA is the answer: let Postern give it");
    }
    const HttpsRecords records = https_records(look.reply);
    if (!leads_inside(addresses) && !leads_inside(addresses6) &&
        !(layer == "resolver" && (leads_inside(inside_) || leads_inside(inside6_)))) {
      return ok(layer, records.any ? "HTTPS record of outside, as its addresses are"
                                   : "no HTTPS record (NODATA)");
    }
    const std::string remedy =
        layer == "dns" ? "[[dns.override]] for this name with https = \"gateway\" or \"none\""
                       : "let DHCP hand out Postern as the only nameserver";
    if (records.h3) {
      bad(layer, fmt::format("the HTTPS record of {} offers h3", at), std::string(kQuicStalls),
          remedy);
    }
    if (records.ech) {
      bad(layer, fmt::format("the HTTPS record of {} has ech", at),
          "ERR_ECH_FALLBACK_CERTIFICATE_INVALID, or a certificate error that can't be passed",
          remedy);
    }
    Addresses stray = records.hints;
    std::erase_if(stray, [&](const IpAddress& hint) {
      const Addresses& known = hint.is_v4() ? addresses : addresses6;
      return std::find(known.begin(), known.end(), hint) != known.end();
    });
    if (!stray.empty()) {
      bad(layer,
          fmt::format("address hints of the HTTPS record of {} are not its addresses: {}", at,
                      texts_of(stray)),
          "some go outside", remedy);
    }
    if (!records.h3 && !records.ech && stray.empty()) {
      ok(layer, records.any ? "HTTPS record without h3 and ech" : "no HTTPS record (NODATA)");
    }
  }

  // One that forwards to Postern asks as a client of its own.
  std::string other_view(const IpAddress& resolver) const {
    const std::string theirs = house_.view_text(resolver);
    if (theirs == house_.view_text(client_)) return "";
    return fmt::format("; {} is in {}, and {}", resolver.to_string(), theirs, whose_view());
  }

  void look_at_resolver(const Endpoint& resolver, const dns::Name& name) {
    const std::string at = resolver.to_string();
    const DnsLook look = look_up(resolver, name, dns::RrType::kA, timeout_ms_);
    if (!look.came()) {
      return bad("resolver", fmt::format("{} does not answer", at), "nothing opens",
                 "is it the address that devices really use?");
    }
    if (look.rcode() == kRefused || look.rcode() == kServFail) {
      return bad("resolver",
                 look.rcode() == kRefused
                     ? fmt::format("{} refuses to answer this machine (REFUSED)", at)
                     : fmt::format("{} cannot find out (SERVFAIL)", at),
                 "devices that ask it do not find the page",
                 fmt::format("let DHCP hand out {} as the only nameserver, or mend {}",
                             own_.ip.to_string(), at));
    }
    const Addresses theirs = answer_addresses(look.reply);
    const auto six = addresses6("resolver", resolver, name, !theirs.empty());
    const Addresses theirs6 = six.value_or(inside6_);  // what is not known is not compared
    const bool outside = !leads_inside(inside_) && !leads_inside(inside6_) &&
                         !leads_inside(theirs) && !leads_inside(theirs6);
    if (outside &&
        !theirs.empty() == !inside_.empty()) {  // large sites say something else each time
      ok("resolver", fmt::format("{} leads outside, too", at));
    } else if (!same(theirs, inside_) || !same(theirs6, inside6_)) {
      Addresses all = theirs;
      all.insert(all.end(), theirs6.begin(), theirs6.end());
      bad("resolver",
          fmt::format("{} says {}{}, Postern says otherwise{}", at, texts_of(all),
                      by_chain(look.chain), other_view(resolver.ip)),
          "devices that ask it go outside",
          fmt::format("let DHCP hand out {} as the only nameserver, or have {} forward to it",
                      own_.ip.to_string(), at));
    } else if (six) {
      ok("resolver", fmt::format("{} agrees with Postern", at));
    }
    look_at_https("resolver", resolver, name, theirs, theirs6);
  }

  void look_at_sites() {
    Addresses all = inside_;
    all.insert(all.end(), inside6_.begin(), inside6_.end());
    for (const IpAddress& ip : all) {
      if (ip.is_unspecified()) {
        ok("dns", fmt::format("{}: blocked", ip.to_string()));
        continue;
      }
      if (!house_.is_inside(ip, name_)) {
        ok("tcp", fmt::format("{} is outside: not looked at", ip.to_string()));
        continue;
      }
      const gateway::ListenerSettings* const listener = house_.listener_of(ip, name_);
      const std::uint16_t port = listener == nullptr ? 443 : listener->https;
      look_at_site({name_, {ip, port}, listener, house_.is_unknown(), house_.is_local(ip)},
                   {options_.ca_file, timeout_ms_}, &report_);
    }
  }

  const House& house_;
  const DoctorOptions& options_;
  const Endpoint own_;
  const std::vector<Endpoint>& resolvers_;
  const IpAddress client_;  // this machine, as Postern sees it
  int timeout_ms_;
  Report report_;
  // Of the name that is looked at.
  std::string name_;
  Addresses inside_, inside6_;
  // The first name that leads inside.
  std::string home_name_;
  Addresses home_;
};

std::optional<std::vector<Endpoint>> endpoints_of(std::string_view option,
                                                  const std::vector<std::string>& texts) {
  std::vector<Endpoint> endpoints;
  for (const std::string& text : texts) {
    const auto endpoint = Endpoint::parse(text, kDnsPort);
    if (!endpoint) {
      fmt::print(stderr, "postern doctor: {} {}: write ADDRESS or ADDRESS:PORT\n", option, text);
      return std::nullopt;
    }
    endpoints.push_back(*endpoint);
  }
  return endpoints;
}

// With a server and names to ask for, any machine will do, also one without the configuration.
bool read_config(const DoctorOptions& options, server::Config* config) {
  const bool can_do_without = !options.server.empty() && !options.names.empty();
  if (options.config_file.empty() && can_do_without) return true;
  const auto read = server::load_snapshot(options.config_file, nullptr, {});
  if (read.snapshot != nullptr) {
    *config = read.snapshot->config;
    return true;
  }
  server::print_problems(read.problems);
  fmt::print(stderr, "postern doctor: {} can't be used{}\n", options.config_file,
             can_do_without ? "; it is left out" : "");
  return can_do_without;
}

}  // namespace

int doctor(const DoctorOptions& options) {
  const auto resolvers = endpoints_of("--resolver", options.resolvers);
  std::vector<std::string> server;
  if (!options.server.empty()) server.push_back(options.server);
  const auto servers = endpoints_of("--server", server);
  if (!resolvers || !servers) return 2;
  server::Config config;
  if (!read_config(options, &config)) return 2;
  if (config.listen.empty() && servers->empty()) {
    fmt::print(stderr, "postern doctor: {} has no dns.listen; say --server ADDRESS\n",
               options.config_file);
    return 2;
  }
  std::vector<std::string> names;
  for (const std::string& text : options.names) names.push_back(typed_host(text));
  std::size_t all = names.size();
  if (names.empty()) names = doctor_names(config, kNamesMax, &all);
  if (all > names.size()) {
    fmt::print(stderr, "only the first {} of {} names are looked at\n", names.size(), all);
  }
  const House house(config, local_addresses());
  const Endpoint own = servers->empty() ? house.nameserver() : servers->front();
  Doctor doctor(house, options, own, *resolvers);
  for (const std::string& name : names) doctor.look_at_name(name);
  if (names.empty()) doctor.look_at_servers();
  doctor.look_for_ways_round();
  doctor.look_at_resolv_conf(options.resolv_conf);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  const bool color = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  fmt::print("{}", options.json ? doctor.report().json() : doctor.report().table(color));
  return doctor.report().bad() ? 1 : 0;
}

}  // namespace postern::cli
