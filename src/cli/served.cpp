#include "cli/served.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/check_format.h"
#include "cli/record_text.h"
#include "http/route_order.h"
#include "server/config_values.h"

namespace postern::cli {
namespace {

using server::Config;
using server::duration_text;

template <class Things, class Text>
std::string joined(const Things& things, Text text) {
  std::vector<std::string> texts;
  texts.reserve(std::size(things));
  for (const auto& one : things) texts.push_back(text(one));
  return fmt::format("{}", fmt::join(texts, " "));
}

std::string text_of(const IpAddress& address) { return address.to_string(); }
std::string text_of(const Network& network) { return network.to_string(); }
// Case does not count in names (RFC 4343).
std::string lower_text(dns::NameView name) {
  std::string text = dns::name_text(name);
  for (char& c : text) c = static_cast<char>(dns::lower_byte(static_cast<std::uint8_t>(c)));
  return text;
}

std::string text_of(const dns::Name& name) { return lower_text(name.view()); }
std::string text_of(const http::HeaderValue& one) { return json_text(one.name + "=" + one.value); }

template <class Things>
std::string joined(const Things& things) {
  return joined(things, [](const auto& one) { return text_of(one); });
}

std::string in_views(const std::vector<std::string>& views) {
  return views.empty() ? "" : fmt::format(" in views {}", fmt::join(views, " "));
}

class Lines {
 public:
  template <class... Args>
  void add(std::string_view kind, fmt::format_string<Args...> text, Args&&... args) {
    lines_.push_back({std::string(kind), fmt::format(text, std::forward<Args>(args)...)});
  }
  std::vector<ServedLine> take() {
    std::sort(lines_.begin(), lines_.end());
    return std::move(lines_);
  }

 private:
  std::vector<ServedLine> lines_;
};

/// A path as the configuration would write it: what is in its folder without that.
std::string written(const Config& config, const std::string& path) {
  if (path.empty()) return "none";
  const std::string folder = config.file.substr(0, config.file.rfind('/') + 1);
  return !folder.empty() && path.starts_with(folder) ? path.substr(folder.size()) : path;
}

void add_server(const Config& config, Lines* lines) {
  const server::ServerSettings& server = config.server;
  lines->add("setting", "server.workers {}", server.workers);
  lines->add("setting", "server.user {}", server.user);
  lines->add("setting", "server.admin {}", server.admin ? server.admin->to_string() : "off");
  lines->add("setting", "server.admin_token_file {}", written(config, server.admin_token_file));
  lines->add("setting", "server.state_dir {}", server.state_dir);
  lines->add("setting", "server.watch {}", server.watch);
  lines->add("setting", "server.log level {} format {} queries {} requests {}",
             static_cast<int>(server.log.level), static_cast<int>(server.log.format),
             server.log.queries, server.log.requests);
}

void add_query_log(const Config& config, Lines* lines) {
  const server::QueryLogSettings& log = config.query_log;
  lines->add("setting", "dns.query_log file {} format {} rotate {} keep {}",
             written(config, log.file), static_cast<int>(log.format),
             server::size_text(log.rotate_bytes), log.keep);
  const server::DnstapSettings& tap = config.dnstap;
  lines->add("setting",
             "dns.dnstap socket {} file {} identity {} client {} forwarder {} rotate {} keep {}",
             written(config, tap.socket), written(config, tap.file), tap.identity, tap.client,
             tap.forwarder, server::size_text(tap.rotate_bytes), tap.keep);
}

void add_dns(const Config& config, Lines* lines) {
  const dns::PolicySettings& policy = config.policy;
  for (const Endpoint& one : config.listen) lines->add("listen", "{} dns", one.to_string());
  for (const Network& one : policy.allow) lines->add("allow", "{}", one.to_string());
  lines->add("setting", "dns.udp_payload {}", policy.udp_payload);
  lines->add("setting", "dns.identity version {} id {}", policy.identity.version.value_or("-"),
             policy.identity.id.value_or("-"));
  const dns::CacheSettings& cache = config.cache;
  lines->add("setting",
             "dns.cache size {} min_ttl {}s max_ttl {}s negative_ttl {}s serve_stale {}s "
             "prefetch {}",
             server::size_text(cache.size_bytes), cache.min_ttl_s, cache.max_ttl_s,
             cache.negative_ttl_s, cache.serve_stale_s, cache.prefetch);
  lines->add("setting", "dns.svcb strip_alpn {} drop_keys {} signed {}",
             fmt::join(policy.svcb.strip_alpn, " "), fmt::join(policy.svcb.drop_keys, " "),
             static_cast<int>(policy.svcb.signed_answers));
  for (const dns::Name& name : policy.svcb.except) {
    lines->add("setting", "dns.svcb.except {}", text_of(name));
  }
  lines->add("setting", "dns.canary firefox_doh {} private_relay {}", policy.canary.firefox_doh,
             policy.canary.private_relay);
  lines->add("setting", "dns.limits qps_per_client {} tcp_clients {} tcp_idle {} outstanding {}",
             config.limits.qps_per_client, config.limits.tcp_clients,
             duration_text(config.limits.tcp_idle_ms), config.limits.outstanding);
  lines->add("setting", "dns.limits.rebind_protection {} except {}", policy.rebind.enabled,
             joined(policy.rebind.except));
}

void add_names(const server::Snapshot& snapshot, Lines* lines) {
  const Config& config = snapshot.config;
  std::size_t place = 0;
  for (const dns::ViewSettings& view : config.policy.views) {
    lines->add("view", "{} {} clients {}", ++place, view.name, joined(view.clients));
  }
  constexpr std::array<std::string_view, 3> kHttps{"gateway", "none", "edit"};
  for (const dns::OverrideSettings& one : config.policy.overrides) {
    std::string what = one.forward ? std::string("forward")
                       : one.cname ? "cname " + text_of(*one.cname)
                                   : "address " + joined(one.addresses);
    if (!one.forward) {
      what += fmt::format(" ttl {}s https {}", one.ttl_s,
                          kHttps.at(static_cast<std::size_t>(one.https)));
      for (const dns::ServiceBinding& service : one.services) {
        what += fmt::format(" ({} port {})", fmt::join(service.alpn, ","), service.port);
      }
      what += one.other == dns::OverrideOther::kForward ? " other forward" : " other none";
    }
    for (const dns::Name& name : one.names) {
      lines->add("override", "{} {}{}", text_of(name), what, in_views(one.views));
    }
  }
  constexpr std::array<std::string_view, 3> kPolicies{"fastest", "sequential", "round_robin"};
  for (const nameserver::ForwardSettings& one : config.forwards) {
    lines->add("forward", "{} to {} policy {} timeout {}", text_of(one.name),
               joined(one.upstreams, [](const auto& upstream) { return upstream.text; }),
               kPolicies.at(static_cast<std::size_t>(one.policy)), duration_text(one.timeout_ms));
  }
}

void add_zones(const server::Snapshot& snapshot, Lines* lines) {
  for (std::size_t i = 0; i < snapshot.zones.size(); ++i) {
    const dns::ZoneSettings& settings = snapshot.config.policy.zones[i];
    const std::string views = in_views(settings.views);
    lines->add("zone", "{}{}{}", text_of(settings.name), settings.fallthrough ? " fallthrough" : "",
               views);
    snapshot.zones[i].zone->for_each([&](dns::NameView owner, const dns::RrsetView& set) {
      set.for_each([&](Bytes rdata) {
        lines->add("record", "{} {} IN {} {}{}", lower_text(owner), set.ttl,
                   dns::type_text(set.type), rdata_text(set.type, rdata), views);
        return true;
      });
    });
  }
}

void add_listener(const gateway::ListenerSettings& one, Lines* lines) {
  std::string what;
  if (one.tcp != 0) {
    what = fmt::format("tcp {} to {} proxy_protocol {} idle {}", one.tcp,
                       joined(one.backends,
                              [](const auto& backend) {
                                return fmt::format("{}:{}", backend.host, backend.port);
                              }),
                       one.proxy_protocol, duration_text(one.idle_ms));
  } else {
    what = fmt::format(
        "http {} https {} certificates {} alpn {} redirect_to_https {} hsts {}s alt_svc {} "
        "quic {} client_ip_header {} publish_dns {}",
        one.http, one.https, fmt::join(one.certificates, " "), fmt::join(one.alpn, " "),
        one.redirect_to_https, one.hsts_s, word_of(one.alt_svc),
        one.quic_refuse ? "refuse" : "ignore", one.forwarded.client_ip_header, one.publish_dns);
  }
  lines->add("listener", "{} {} {} trusted_proxies {}", one.name, joined(one.addresses), what,
             joined(one.forwarded.trusted_proxies));
}

std::string text_of_edits(std::string_view name, const http::HeaderEdits& edits) {
  if (edits.set.empty() && edits.add.empty() && edits.remove.empty()) return "";
  return fmt::format(" {} headers set [{}] add [{}] remove [{}]", name, joined(edits.set),
                     joined(edits.add), fmt::join(edits.remove, " "));
}

std::string target_of(const http::RouteSettings& route) {
  if (route.redirect) {
    return fmt::format("redirect {} {}://{}:{}{}", route.redirect->status, route.redirect->scheme,
                       route.redirect->hostname, route.redirect->port, route.redirect->path);
  }
  if (route.respond) {
    return fmt::format("respond {} {} {}", route.respond->status, route.respond->content_type,
                       json_text(route.respond->body));
  }
  return "to " + joined(route.backends, [](const http::BackendSettings& one) {
           return fmt::format("{} weight {}", one.url.to_string(), one.weight);
         });
}

std::string text_of(const http::RouteMatchSettings& match, const std::string& ranks) {
  constexpr std::array<std::string_view, 3> kKinds{"path_exact", "path_regex", "path_prefix"};
  return fmt::format("[{} {}{}{}{}{}]", kKinds.at(static_cast<std::size_t>(match.kind)), match.path,
                     match.method.empty() ? "" : " method " + match.method,
                     match.headers.empty() ? "" : " headers " + joined(match.headers),
                     match.query.empty() ? "" : " query " + joined(match.query), ranks);
}

/// Where only the order in the file puts another route before it, with its rank.
std::string matches_of(const http::RouteSettings& route, std::span<const http::RouteRank> ranks) {
  std::vector<http::RouteMatchSettings> matches = route.matches;
  if (matches.empty()) matches.emplace_back();
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    std::string places;
    for (const http::RouteRank& one : ranks) {
      if (one.match == i) places += fmt::format(" rank {} on {}", one.rank, one.host);
    }
    texts.push_back(text_of(matches[i], places));
  }
  return fmt::format("{}", fmt::join(texts, " "));
}

void add_route(const http::RouteSettings& route, std::span<const http::RouteRank> ranks,
               Lines* lines) {
  const http::RewriteSettings& rewrite = route.filters.rewrite;
  const std::string rewritten = rewrite.host + rewrite.prefix + rewrite.path;
  lines->add(
      "route", "{} {} on {} {}{}{}{} timeouts {} {} {} body {} health {} {}",
      route.hostnames.empty() ? "*" : fmt::format("{}", fmt::join(route.hostnames, " ")),
      matches_of(route, ranks),
      route.listeners.empty() ? "all" : fmt::format("{}", fmt::join(route.listeners, " ")),
      target_of(route), text_of_edits("request", route.filters.request),
      text_of_edits("response", route.filters.response),
      rewritten.empty() ? ""
                        : fmt::format(" rewrite host {} prefix {} path {}", json_text(rewrite.host),
                                      json_text(rewrite.prefix), json_text(rewrite.path)),
      duration_text(route.timeouts.request_ms), duration_text(route.timeouts.backend_ms),
      route.timeouts.idle_given ? duration_text(route.timeouts.idle_ms) : "default",
      route.body_bytes_max, json_text(route.health.path), duration_text(route.health.interval_ms));
}

void add_gateway(const server::Snapshot& snapshot, Lines* lines) {
  const Config& config = snapshot.config;
  for (std::size_t i = 0; i < config.certificates.size(); ++i) {
    const net::TlsIdentity& identity = *snapshot.gateway->certificates[i].identity;
    lines->add("certificate", "{} for {} sha256 {}", config.certificates[i].name,
               fmt::join(identity.names(), " "), identity.fingerprint());
  }
  for (const auto& listener : config.listeners) add_listener(listener, lines);
  const std::vector<http::RouteRank> ranks = http::route_ranks(config.routes);
  auto rank = ranks.begin();
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const auto end =
        std::find_if(rank, ranks.end(), [&](const auto& one) { return one.route != i; });
    add_route(config.routes[i], {rank, end}, lines);
    rank = end;
  }
  const gateway::GatewayLimits& limits = config.gateway_limits;
  lines->add(
      "setting",
      "gateway.limits header_bytes {} headers {} header_timeout {} connections {} streams {}",
      limits.header_bytes, limits.headers, duration_text(limits.header_timeout_ms),
      limits.connections, limits.streams);
  lines->add("setting", "gateway.ech_public_names {}", fmt::join(config.ech_public_names, " "));
}

}  // namespace

std::vector<ServedLine> served_lines(const server::Snapshot& snapshot) {
  Lines lines;
  add_server(snapshot.config, &lines);
  add_dns(snapshot.config, &lines);
  add_query_log(snapshot.config, &lines);
  add_names(snapshot, &lines);
  add_zones(snapshot, &lines);
  add_gateway(snapshot, &lines);
  return lines.take();
}

}  // namespace postern::cli
