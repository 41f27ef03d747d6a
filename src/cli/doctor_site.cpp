#include "cli/doctor_site.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/doctor_http.h"
#include "cli/doctor_probe.h"
#include "net/tls_look.h"
#include "server/certificates.h"

namespace postern::cli {
namespace {

constexpr std::int64_t kExpiresSoonS = 14 * std::int64_t{86'400};

// OpenSSL's words for a chain that lacks the certificate between.
constexpr std::string_view kNoIssuer = "unable to get local issuer certificate";

class SiteLook {
 public:
  SiteLook(const Site& site, const LookSettings& settings, Report* report)
      : site_(site), settings_(settings), report_(*report) {}

  void look() {
    const net::TlsLookSettings tls{
        site_.name, {"h2", "http/1.1"}, settings_.ca_file, nullptr, settings_.timeout_ms};
    const net::TlsLook look = net::look_at_tls(site_.address, tls);
    if (!look.connected) return say_unreachable(look);
    ok("tcp", fmt::format("{} takes connections", site_.address.to_string()));
    if (!look.error.empty()) {
      say_no_handshake(look);
    } else {
      look_at_certificate(look);
      look_at_alpn(look);
      look_at_http(get_root(site_.address, tls, protocol()));
    }
    look_at_quic(look.error.empty() && look.untrusted.empty());
  }

 private:
  bool is_ours() const { return site_.listener != nullptr; }
  double timeout_s() const { return static_cast<double>(settings_.timeout_ms) / 1000; }
  std::string firewall_remedy(std::string_view protocol) const {
    return fmt::format("in the firewall: nft insert rule inet filter input {} dport {} accept",
                       protocol, site_.address.port);
  }

  void add(Verdict verdict, std::string_view layer, std::string text, std::string effect = {},
           std::string remedy = {}) {
    report_.add(
        {verdict, layer, site_.name, std::move(text), std::move(effect), std::move(remedy)});
  }
  void ok(std::string_view layer, std::string text) { add(Verdict::kOk, layer, std::move(text)); }
  /// Of a gateway that is not Postern's nobody knows that it has to be a web site.
  void wrong(std::string_view layer, std::string text, std::string effect, std::string remedy) {
    add(is_ours() || site_.is_asked_for ? Verdict::kBad : Verdict::kWarning, layer, std::move(text),
        std::move(effect), std::move(remedy));
  }

  void say_unreachable(const net::TlsLook& look) {
    std::string text = fmt::format("{}: {}", site_.address.to_string(), look.error);
    if (look.timed_out) {
      text += fmt::format(", {} s: a firewall drops TCP, or no machine is there", timeout_s());
    }
    if (!is_ours() && !site_.is_asked_for) {
      return add(Verdict::kWarning, "tcp", text + "; it is no [[gateway.listener]] of this file",
                 "no page, if it should be a web site", "look at the server there");
    }
    add(Verdict::kBad, "tcp", text,
        "the page can't be reached; with QUIC learned outside, ERR_QUIC_PROTOCOL_ERROR",
        fmt::format("systemctl status postern; {}", firewall_remedy("tcp")));
  }

  void say_no_handshake(const net::TlsLook& look) {
    const std::string why =
        look.timed_out ? fmt::format("nothing came within {} s", timeout_s()) : look.error;
    wrong("certificate", fmt::format("no TLS handshake: {}", why), "the page can't be reached",
          look.spoke_tls ? remedy_of_alert() : remedy_of_stranger());
  }

  std::string remedy_of_alert() const {
    return is_ours() ? "a [[tls.certificate]] for this name in the listener's certificates"
                     : "if it is a web site: a certificate for this name there";
  }

  std::string remedy_of_stranger() const {
    return fmt::format("ss -ltnp sport = :{} there says which program it is; {}",
                       site_.address.port,
                       is_ours() ? "if Postern, journalctl -u postern" : "its log says more");
  }

  void look_at_certificate(const net::TlsLook& look) {
    const std::int64_t now_s = std::time(nullptr);
    const std::string date = server::expiry_text(look.not_after_s, now_s);
    if (!look.untrusted.empty()) {
      return wrong("certificate", fmt::format("not trusted: {} ({})", look.untrusted, date),
                   "a certificate error, and after a visit outside no way round it (HSTS)",
                   remedy_of_certificate(look, now_s));
    }
    const bool soon = look.not_after_s - now_s < kExpiresSoonS;
    add(soon ? Verdict::kWarning : Verdict::kOk, "certificate",
        fmt::format("for {}, {}", fmt::join(look.names, ", "), date), "", soon ? "renew it" : "");
  }

  static std::string remedy_of_certificate(const net::TlsLook& look, std::int64_t now_s) {
    if (look.not_after_s <= now_s) return "renew it";
    if (look.untrusted.find(kNoIssuer) != std::string::npos) {
      return "let the file have the certificates between, too (fullchain.pem); with an authority "
             "of your own install that on the device, and say --cacert FILE here";
    }
    return "add the name; with an authority of your own install that on the device, and say "
           "--cacert FILE here";
  }

  void look_at_alpn(const net::TlsLook& look) {
    if (look.alpn == "h2") return ok("alpn", "h2");
    add(Verdict::kWarning, "alpn",
        look.alpn.empty() ? "none: HTTP/1.1 only" : fmt::format("{} and no h2", look.alpn),
        "slower pages, no gRPC",
        is_ours() ? "alpn = [\"h2\", \"http/1.1\"] in the listener"
                  : "HTTP/2, in the server there");
  }

  std::string_view protocol() const {
    if (!is_ours()) return "http/1.1";
    const auto& alpn = site_.listener->alpn;
    return std::find(alpn.begin(), alpn.end(), "http/1.1") != alpn.end() ? "http/1.1" : "h2";
  }

  void look_at_http(const HttpLook& look) {
    const std::string& status = look.status;
    const std::string remedy = is_ours() ? "journalctl -u postern: the request's line says why"
                                         : "look at the server there";
    if (status.empty() && look.timed_out) {
      return add(Verdict::kWarning, "http",
                 fmt::format("no answer to GET / within {} s", timeout_s()),
                 "a slow page, or one that never comes",
                 fmt::format("--timeout 30 waits longer; {}", remedy));
    }
    if (status.empty()) {
      return wrong(
          "http", fmt::format("no answer to GET /{}{}", look.error.empty() ? "" : ": ", look.error),
          "the page never comes", remedy);
    }
    const bool failed = status.find(" 5") != std::string::npos;
    add(failed ? Verdict::kWarning : Verdict::kOk, "http", status, "", failed ? remedy : "");
    look_at_alt_svc(look.alt_svc);
  }

  void look_at_alt_svc(const std::optional<std::string>& value) {
    if (value && value->find("h3") != std::string::npos) {
      offers_h3_ = true;
      if (!is_ours()) return;  // said with what UDP does
      return add(Verdict::kBad, "alt-svc", fmt::format("offers HTTP/3: {}", *value),
                 std::string(kQuicStalls), "alt_svc = \"clear\" in the listener");
    }
    if (value && *value == "clear") return ok("alt-svc", "clear");
    if (is_ours() && site_.listener->alt_svc != http::AltSvc::kClear) {
      return ok("alt-svc", "none; what was learned outside stays, as configured");
    }
    add(Verdict::kWarning, "alt-svc", "none", "HTTP/3 that was learned outside is tried for a day",
        is_ours() ? "alt_svc = \"clear\" in the listener"
                  : "Alt-Svc: clear, or this gateway in front of it");
  }

  /// `is_web_site`: browsers come here.
  void look_at_quic(bool is_web_site) {
    const QuicAnswer answer = probe_quic(site_.address, settings_.timeout_ms);
    if (!is_ours() && offers_h3_) {
      if (answer == QuicAnswer::kSpoken) return ok("alt-svc", "offers HTTP/3, and UDP answers it");
      add(Verdict::kBad, "alt-svc", "offers HTTP/3, and UDP does not answer it",
          std::string(kQuicStalls), "let the server there not offer h3");
    }
    const std::string at = fmt::format("UDP {}", site_.address.to_string());
    const std::uint16_t port = site_.address.port;
    switch (answer) {
      case QuicAnswer::kRefused:
        return ok("quic", fmt::format("{} refuses it at once{}", at,
                                      site_.is_local && !site_.address.ip.is_loopback()
                                          ? "; asked on this machine, where no firewall is between"
                                          : ""));
      case QuicAnswer::kIcmp:
        return add(is_ours() ? Verdict::kBad : Verdict::kWarning, "quic",
                   fmt::format("{} is closed or rejected (ICMP)", at),
                   "Firefox does not look at ICMP and waits 30 to 60 s",
                   fmt::format("{}; {}",
                               is_ours() ? "quic = \"refuse\" in the listener"
                                         : "a gateway there that refuses QUIC, as Postern does",
                               firewall_remedy("udp")));
      case QuicAnswer::kSilence:
        return add(is_ours() || is_web_site ? Verdict::kBad : Verdict::kWarning, "quic",
                   fmt::format("{} is silent: a firewall drops it, or what listens there", at),
                   std::string(kQuicStalls),
                   fmt::format("{}{}", is_ours() ? "quic = \"refuse\" in the listener, and " : "",
                               firewall_remedy("udp")));
      case QuicAnswer::kSpoken:
        if (!is_ours()) return ok("quic", fmt::format("{} speaks QUIC", at));
        return add(Verdict::kBad, "quic", fmt::format("{} speaks QUIC, and is not Postern", at),
                   "pages of another server, or none", fmt::format("ss -lunp sport = :{}", port));
      case QuicAnswer::kOther:
        return wrong("quic", fmt::format("{} answers, and not with Version Negotiation", at),
                     "something else takes HTTP/3 there",
                     fmt::format("ss -lunp sport = :{}", port));
    }
  }

  const Site& site_;
  const LookSettings& settings_;
  Report& report_;
  bool offers_h3_ = false;
};

}  // namespace

void look_at_site(const Site& site, const LookSettings& settings, Report* report) {
  SiteLook(site, settings, report).look();
}

}  // namespace postern::cli
