#include "cli/doctor.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "cli/doctor_probe.h"
#include "cli/record_text.h"
#include "dns/message.h"
#include "server/snapshot.h"

namespace postern::cli {
namespace {

constexpr std::size_t kNamesMax = 100;

/// And the key of [dns.canary] that answers for it.
struct Canary {
  std::string_view name;
  std::string_view key;
};
constexpr std::array<Canary, 3> kCanaries{{{"use-application-dns.net", "firefox_doh"},
                                           {"mask.icloud.com", "private_relay"},
                                           {"mask-h2.icloud.com", "private_relay"}}};

/// Whether an HTTPS record of the reply offers h3, or ech (RFC 9460 section 2.2, 7.1). The records
/// begin behind the one question.
bool leaks(Bytes reply, dns::NameView asked) {
  std::size_t offset = dns::kHeaderBytes + asked.wire().size() + 4;
  for (int left = dns::read_header(reply).count(dns::Section::kAnswer); left > 0; --left) {
    dns::RecordPosition record;
    if (!dns::read_record(reply, offset, &record)) return false;
    offset = record.end;
    if (record.type != dns::RrType::kHttps) continue;
    const Bytes rdata = reply.subspan(record.rdata, record.rdata_size);
    std::size_t at = 2;
    while (at < rdata.size() && rdata[at] != 0) at += rdata[at] + 1U;
    for (++at; at + 4 <= rdata.size();) {
      const unsigned key = rdata[at] * 256U + rdata[at + 1];
      const std::size_t size = rdata[at + 2] * 256U + rdata[at + 3];
      if (key == dns::kSvcEch) return true;
      at += 4;
      if (key == dns::kSvcAlpn && at + size <= rdata.size()) {
        for (std::size_t i = at; i + 2 < at + size; i += rdata[i] + 1U) {
          if (rdata[i] >= 2 && rdata[i + 1] == 'h' && rdata[i + 2] == '3') return true;
        }
      }
      at += size;
    }
  }
  return false;
}

class Doctor {
 public:
  Doctor(const server::Config& config, int timeout_ms) : config_(config), timeout_ms_(timeout_ms) {}

  void say(bool bad, std::string_view layer, std::string_view name, std::string_view text) {
    fmt::print("{:4} {:9} {}: {}\n", bad ? "RED" : "ok", layer, name, text);
    red_ = red_ || bad;
  }
  bool red() const { return red_; }

  /// The names by which browsers and systems are kept from nameservers of their own.
  void look_round(const Endpoint& server) {
    for (const auto& [text, key] : kCanaries) {
      const auto name = dns::Name::parse(text);
      if (!name) continue;
      const auto reply = ask_dns(server, name->view(), dns::RrType::kA, timeout_ms_);
      if (reply.empty()) continue;  // said of the other names
      const bool open = !answer_addresses(reply).empty();
      say(open, "bypass", text,
          open ? fmt::format("resolves at {}: DNS may go round Postern; remedy: in [dns.canary] "
                             "{} = true",
                             server.to_string(), key)
               : "has no address, as it should be");
    }
  }

  void look(const std::string& text, const Endpoint& own, const std::vector<Endpoint>& resolvers) {
    const auto name = dns::Name::parse(text);
    if (!name) return say(true, "dns", text, "is no domain name");
    const auto reply = ask_dns(own, name->view(), dns::RrType::kA, timeout_ms_);
    if (reply.empty()) {
      return say(
          true, "dns", text,
          fmt::format("no answer from {}; remedy: systemctl start postern", own.to_string()));
    }
    const auto inside = answer_addresses(reply);
    say(false, "dns", text, fmt::format("{} addresses from Postern", inside.size()));
    look_https("dns", text, own, *name);
    for (const Endpoint& resolver : resolvers) look_resolver(text, *name, resolver, inside);
    for (const IpAddress& ip : inside) look_address(text, ip);
  }

 private:
  void look_https(std::string_view layer, const std::string& text, const Endpoint& server,
                  const dns::Name& name) {
    const auto reply = ask_dns(server, name.view(), dns::RrType::kHttps, timeout_ms_);
    if (reply.empty()) return say(true, layer, text, "HTTPS query not answered: pages stall");
    const unsigned rcode = dns::read_header(reply).flags & 15U;
    if (rcode != 0) {
      return say(true, layer, text, fmt::format("HTTPS query: rcode {}, not NODATA", rcode));
    }
    if (leaks(reply, name.view())) {
      return say(true, layer, text,
                 "the HTTPS record offers h3 or ech: browsers try QUIC, or fail with an ECH error; "
                 "remedy: an override with https = \"gateway\", asked of Postern only");
    }
    say(false, layer, text, fmt::format("HTTPS answered by {}", server.to_string()));
  }

  void look_resolver(const std::string& text, const dns::Name& name, const Endpoint& resolver,
                     std::vector<IpAddress> inside) {
    const auto reply = ask_dns(resolver, name.view(), dns::RrType::kA, timeout_ms_);
    auto theirs = answer_addresses(reply);
    const bool same = !reply.empty() && theirs.size() == inside.size() &&
                      std::is_permutation(theirs.begin(), theirs.end(), inside.begin());
    say(!same, "resolver", text,
        fmt::format("{} {}", resolver.to_string(),
                    same            ? "agrees with Postern"
                    : reply.empty() ? "does not answer"
                                    : "gives other addresses: DNS goes round Postern; remedy: let "
                                      "DHCP hand out Postern as the only nameserver"));
    if (!reply.empty()) look_https("resolver", text, resolver, name);
  }

  std::optional<std::uint16_t> port_of(const IpAddress& ip) const {
    for (const auto& listener : config_.listeners) {
      for (const IpAddress& own : listener.addresses) {
        if (listener.https != 0 && (own == ip || own.is_unspecified())) return listener.https;
      }
    }
    return std::nullopt;
  }

  void look_address(const std::string& text, const IpAddress& ip) {
    const auto port = port_of(ip);
    if (!port) return;  // no listener of ours
    const Endpoint gateway{ip, *port};
    const bool open = connects_tcp(gateway, timeout_ms_);
    say(!open, "tcp", text, fmt::format("{} {}", gateway.to_string(), open ? "open" : "closed"));
    if (!open) return;  // the refuser closes with it
    switch (probe_quic(gateway, timeout_ms_)) {
      case QuicAnswer::kRefused:
        return say(false, "quic", text, "refused at once");
      case QuicAnswer::kIcmp:
        return say(false, "quic", text,
                   "ICMP only, which Firefox ignores for 30-60 s; better: quic = \"refuse\"");
      case QuicAnswer::kSilence:
        return say(
            true, "quic", text,
            "silence: Chromium waits 4 s, Firefox up to 60 s; remedy: quic = \"refuse\", and "
            "let UDP pass the firewall");
      case QuicAnswer::kOther:
        return say(true, "quic", text, "something speaks QUIC there that is not the gateway");
    }
  }

  const server::Config& config_;
  int timeout_ms_;
  bool red_ = false;
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
    fmt::print(stderr, "postern doctor: {}: see postern check\n", options.config_file);
    return 1;
  }
  const server::Config& config = read.snapshot->config;
  Endpoint own = config.listen.front();
  if (own.ip.is_unspecified()) own.ip = *IpAddress::parse(own.ip.is_v4() ? "127.0.0.1" : "::1");
  std::vector<std::string> names = options.names.empty() ? names_of(config) : options.names;
  if (names.size() > kNamesMax) {
    fmt::print("only the first {} of {} names are looked at\n", kNamesMax, names.size());
    names.resize(kNamesMax);
  }
  Doctor doctor(config, static_cast<int>(options.timeout_s * 1000));
  for (const std::string& name : names) doctor.look(name, own, resolvers);
  doctor.look_round(own);
  return doctor.red() ? 1 : 0;
}

}  // namespace postern::cli
