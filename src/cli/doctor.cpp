#include "cli/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/doctor_http.h"
#include "cli/doctor_lookup.h"
#include "cli/doctor_probe.h"
#include "cli/doctor_records.h"
#include "cli/doctor_report.h"
#include "cli/record_text.h"
#include "dns/message.h"
#include "net/tls_look.h"
#include "server/certificates.h"
#include "server/snapshot.h"

namespace postern::cli {
namespace {

constexpr std::size_t kNamesMax = 100;
constexpr std::int64_t kExpiresSoonS = 14 * std::int64_t{86'400};

constexpr std::string_view kQuicStalls =
    "Chromium waits 4 s and may show ERR_QUIC_PROTOCOL_ERROR, Firefox waits up to 60 s";

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

class Doctor {
 public:
  Doctor(const server::Config& config, const DoctorOptions& options, const Endpoint& own,
         const std::vector<Endpoint>& resolvers)
      : config_(config),
        options_(options),
        own_(own),
        resolvers_(resolvers),
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
    inside6_ = addresses(own_, *name, dns::RrType::kAaaa);
    if (inside_.empty() && inside6_.empty()) {
      bad("dns", fmt::format("Postern has no address for it (rcode {})", look.rcode()),
          "the page is not found",
          fmt::format("[[dns.override]] names = [\"{}\"] address = [\"...\"]", text));
    } else {
      ok("dns", fmt::format("{}{} from Postern at {}", texts_of(inside_), by_chain(look.chain),
                            own_.to_string()));
    }
    look_at_aaaa();
    look_at_https("dns", own_, *name, inside_);
    for (const Endpoint& resolver : resolvers_) look_at_resolver(resolver, *name);
    Addresses all = inside_;
    all.insert(all.end(), inside6_.begin(), inside6_.end());
    for (const IpAddress& ip : all) look_at_gateway(ip);
  }

  /// The names by which browsers and systems are kept from nameservers of their own.
  void look_for_ways_round() {
    for (const Canary& canary : kCanaries) {
      const auto name = dns::Name::parse(canary.name);
      if (!name) continue;
      name_ = canary.name;
      const DnsLook look = look_up(own_, *name, dns::RrType::kA, timeout_ms_);
      if (!look.came()) continue;  // said of the other names
      if (answer_addresses(look.reply).empty()) {
        ok("bypass", "has no address, as it should be");
        continue;
      }
      add(canary.verdict, "bypass", fmt::format("resolves at {}", own_.to_string()),
          fmt::format("{}, and what is inside is not known there", canary.who),
          fmt::format("[dns.canary] {} = true", canary.key));
    }
  }

  /// Of this machine; other devices get theirs by DHCP.
  void look_at_resolv_conf(const std::string& path) {
    std::ifstream file(path);
    name_ = path;
    for (std::string word, address; file >> word;) {
      if (word != "nameserver" || !(file >> address)) continue;
      const auto ip = IpAddress::parse(address);
      const bool ours = ip && (ip->is_loopback() || *ip == own_.ip || listens_on(*ip));
      if (ours) continue;
      add(Verdict::kWarning, "bypass", fmt::format("this machine also asks {}", address),
          "some queries go round Postern",
          fmt::format("nameserver {} alone, by DHCP too", own_.ip.to_string()));
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

  Addresses addresses(const Endpoint& server, const dns::Name& name, dns::RrType type) const {
    return answer_addresses(look_up(server, name, type, timeout_ms_).reply);
  }

  bool listens_on(const IpAddress& ip) const {
    return std::any_of(config_.listen.begin(), config_.listen.end(),
                       [&](const Endpoint& listen) { return listen.ip == ip; });
  }

  const gateway::ListenerSettings* listener_of(const IpAddress& ip) const {
    for (const auto& listener : config_.listeners) {
      if (listener.https == 0) continue;
      for (const IpAddress& own : listener.addresses) {
        if (own == ip || (own.is_unspecified() && own.is_v4() == ip.is_v4())) return &listener;
      }
    }
    return nullptr;
  }

  // IPv4 that leads inside and IPv6 that leads elsewhere is a page that opens at random.
  void look_at_aaaa() {
    if (inside_.empty() || inside6_.empty() || listener_of(inside_.front()) == nullptr) return;
    for (const IpAddress& ip : inside6_) {
      if (listener_of(ip) != nullptr) continue;
      bad("dns", fmt::format("AAAA {} leads away from the gateway", ip.to_string()),
          "IPv6 goes outside, IPv4 inside",
          "give the override IPv6 addresses of the gateway, or none");
    }
  }

  void look_at_https(std::string_view layer, const Endpoint& server, const dns::Name& name,
                     const Addresses& addresses) {
    const std::string at = server.to_string();
    const DnsLook look = look_up(server, name, dns::RrType::kHttps, timeout_ms_);
    if (!look.came()) {
      return bad(layer, fmt::format("{} does not answer a query for HTTPS", at),
                 "pages stall for seconds", "let queries of type 65 pass, or use Postern alone");
    }
    if (look.rcode() != 0) {
      return bad(layer, fmt::format("{} answers a query for HTTPS with rcode {}", at, look.rcode()),
                 "pages stall or are not found", "NODATA is the answer: let Postern give it");
    }
    const HttpsRecords records = https_records(look.reply);
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
    const bool stray =
        std::any_of(records.hints.begin(), records.hints.end(), [&](const auto& hint) {
          return hint.is_v4() &&
                 std::find(addresses.begin(), addresses.end(), hint) == addresses.end();
        });
    if (stray) {
      bad(layer, fmt::format("address hints of the HTTPS record of {} are not its A records", at),
          "some go outside", remedy);
    }
    if (!records.h3 && !records.ech && !stray) {
      ok(layer, records.any ? "HTTPS record without h3 and ech" : "no HTTPS record (NODATA)");
    }
  }

  void look_at_resolver(const Endpoint& resolver, const dns::Name& name) {
    const std::string at = resolver.to_string();
    const DnsLook look = look_up(resolver, name, dns::RrType::kA, timeout_ms_);
    if (!look.came()) {
      return bad("resolver", fmt::format("{} does not answer", at), "nothing opens",
                 "is it the address that devices really use?");
    }
    const Addresses theirs = answer_addresses(look.reply);
    const Addresses theirs6 = addresses(resolver, name, dns::RrType::kAaaa);
    if (!same(theirs, inside_) || !same(theirs6, inside6_)) {
      Addresses all = theirs;
      all.insert(all.end(), theirs6.begin(), theirs6.end());
      bad("resolver",
          fmt::format("{} says {}{}, Postern says otherwise", at, texts_of(all),
                      by_chain(look.chain)),
          "devices that ask it go outside",
          fmt::format("let DHCP hand out {} as the only nameserver, or have {} forward to it",
                      own_.ip.to_string(), at));
    } else {
      ok("resolver", fmt::format("{} agrees with Postern", at));
    }
    look_at_https("resolver", resolver, name, theirs);
  }

  void look_at_gateway(const IpAddress& ip) {
    const gateway::ListenerSettings* const listener = listener_of(ip);
    if (listener == nullptr) {
      return add(Verdict::kWarning, "tcp",
                 fmt::format("{} is no [[gateway.listener]] with https here: not looked at",
                             ip.to_string()));
    }
    const Endpoint gateway{ip, listener->https};
    net::TlsLookSettings settings{
        name_, {"h2", "http/1.1"}, options_.ca_file, nullptr, timeout_ms_};
    const net::TlsLook look = net::look_at_tls(gateway, settings);
    if (!look.connected) {
      return bad("tcp", fmt::format("{}: {}", gateway.to_string(), look.error),
                 "the page can't be reached; with QUIC learned outside, ERR_QUIC_PROTOCOL_ERROR",
                 "systemctl status postern; let TCP pass the firewall");
    }
    ok("tcp", fmt::format("{} takes connections", gateway.to_string()));
    if (!look.error.empty()) {
      bad("certificate", fmt::format("no TLS handshake: {}", look.error),
          "the page can't be reached",
          "a [[tls.certificate]] for this name in the listener's certificates");
    } else {
      look_at_certificate(look);
      look_at_alpn(look);
      look_at_http(get_root(gateway, settings, http_of(*listener)), *listener);
    }
    look_at_quic(gateway);
  }

  void look_at_certificate(const net::TlsLook& look) {
    const std::int64_t now_s = std::time(nullptr);
    const std::string date = server::expiry_text(look.not_after_s, now_s);
    if (!look.untrusted.empty()) {
      return bad(
          "certificate", fmt::format("not trusted: {} ({})", look.untrusted, date),
          "a certificate error, and after a visit outside no way round it (HSTS)",
          "renew it or add the name; with an authority of your own install that on the device, "
          "and say --cacert FILE here");
    }
    const bool soon = look.not_after_s - now_s < kExpiresSoonS;
    add(soon ? Verdict::kWarning : Verdict::kOk, "certificate",
        fmt::format("for {}, {}", fmt::join(look.names, ", "), date), "", soon ? "renew it" : "");
  }

  void look_at_alpn(const net::TlsLook& look) {
    if (look.alpn == "h2") return ok("alpn", "h2");
    add(Verdict::kWarning, "alpn",
        look.alpn.empty() ? "none: HTTP/1.1 only" : fmt::format("{} and no h2", look.alpn),
        "slower pages, no gRPC", "alpn = [\"h2\", \"http/1.1\"] in the listener");
  }

  static std::string_view http_of(const gateway::ListenerSettings& listener) {
    const auto& alpn = listener.alpn;
    return std::find(alpn.begin(), alpn.end(), "http/1.1") != alpn.end() ? "http/1.1" : "h2";
  }

  void look_at_http(const HttpLook& look, const gateway::ListenerSettings& listener) {
    const std::string& status = look.status;
    if (status.empty()) {
      return bad("http",
                 fmt::format("no answer to GET /{}{}", look.error.empty() ? "" : ": ", look.error),
                 "the page never comes", "journalctl -u postern: the request's line says why");
    }
    const bool failed = status.find(" 5") != std::string::npos;
    add(failed ? Verdict::kWarning : Verdict::kOk, "http", status, "",
        failed ? "journalctl -u postern: failure= of the request's line" : "");
    look_at_alt_svc(look.alt_svc, listener);
  }

  void look_at_alt_svc(const std::optional<std::string>& value,
                       const gateway::ListenerSettings& listener) {
    if (value && value->find("h3") != std::string::npos) {
      return bad("alt-svc", fmt::format("offers HTTP/3: {}", *value), std::string(kQuicStalls),
                 "alt_svc = \"clear\" in the listener");
    }
    if (value && *value == "clear") return ok("alt-svc", "clear");
    if (listener.alt_svc != http::AltSvc::kClear) {
      return ok("alt-svc", "none; what was learned outside stays, as configured");
    }
    add(Verdict::kWarning, "alt-svc", "none", "HTTP/3 that was learned outside is tried for a day",
        "alt_svc = \"clear\" in the listener");
  }

  void look_at_quic(const Endpoint& gateway) {
    const std::string at = fmt::format("UDP {}", gateway.to_string());
    switch (probe_quic(gateway, timeout_ms_)) {
      case QuicAnswer::kRefused:
        return ok("quic", fmt::format("{} refuses it at once", at));
      case QuicAnswer::kIcmp:
        return add(Verdict::kWarning, "quic", fmt::format("{} is closed (ICMP)", at),
                   "Firefox does not look at ICMP and waits 30 to 60 s",
                   "quic = \"refuse\" in the listener");
      case QuicAnswer::kSilence:
        return bad(
            "quic", fmt::format("{} is silent: something drops it", at), std::string(kQuicStalls),
            fmt::format("quic = \"refuse\" in the listener, and in the firewall: nft insert rule "
                        "inet filter input udp dport {} accept",
                        gateway.port));
      case QuicAnswer::kOther:
        return bad("quic", fmt::format("{} answers, and not with Version Negotiation", at),
                   "something else takes HTTP/3 there",
                   fmt::format("ss -lunp sport = :{}", gateway.port));
    }
  }

  const server::Config& config_;
  const DoctorOptions& options_;
  const Endpoint own_;
  const std::vector<Endpoint>& resolvers_;
  int timeout_ms_;
  Report report_;
  // Of the name that is looked at.
  std::string name_;
  Addresses inside_, inside6_;
};

std::vector<std::string> names_of(const server::Config& config) {
  std::vector<std::string> names;
  const auto add = [&names](std::string name) {
    if (name.starts_with("*.")) name.replace(0, 1, "postern-doctor");
    if (!name.empty() && name.back() == '.') name.pop_back();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const auto& rule : config.policy.overrides) {
    if (rule.forward) continue;
    for (const dns::Name& name : rule.names) add(name.text());
  }
  for (const auto& route : config.routes) {
    for (const std::string& host : route.hostnames) add(host);
  }
  return names;
}

}  // namespace

int doctor(const DoctorOptions& options) {
  std::vector<Endpoint> resolvers;
  for (const std::string& text : options.resolvers) {
    const auto endpoint = Endpoint::parse(text, 53);
    if (!endpoint) {
      fmt::print(stderr, "postern doctor: --resolver {}: write ADDRESS or ADDRESS:PORT\n", text);
      return 2;
    }
    resolvers.push_back(*endpoint);
  }
  const auto read = server::load_snapshot(options.config_file, nullptr, {});
  if (read.snapshot == nullptr || read.snapshot->config.listen.empty()) {
    fmt::print(stderr,
               "postern doctor: {} can't be used, or has no dns.listen; run: postern check -c {}\n",
               options.config_file, options.config_file);
    return 1;
  }
  const server::Config& config = read.snapshot->config;
  Endpoint own = config.listen.front();
  if (own.ip.is_unspecified()) own.ip = *IpAddress::parse(own.ip.is_v4() ? "127.0.0.1" : "::1");
  std::vector<std::string> names = options.names.empty() ? names_of(config) : options.names;
  if (names.size() > kNamesMax) {
    fmt::print(stderr, "only the first {} of {} names are looked at\n", kNamesMax, names.size());
    names.resize(kNamesMax);
  }
  Doctor doctor(config, options, own, resolvers);
  for (const std::string& name : names) doctor.look_at_name(name);
  doctor.look_for_ways_round();
  doctor.look_at_resolv_conf("/etc/resolv.conf");
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  const bool color = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  fmt::print("{}", options.json ? doctor.report().json() : doctor.report().table(color));
  return doctor.report().bad() ? 1 : 0;
}

}  // namespace postern::cli
