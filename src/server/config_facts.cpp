#include "server/config_facts.h"

#include <algorithm>
#include <array>

#include "server/config_document.h"

namespace postern::server {
namespace {

constexpr std::string_view kRequired = "required";

struct Meaning {
  std::string_view path;
  std::string_view fallback;  ///< where the default in the settings does not say it; else ""
  std::string_view text;
};

// One line for each key. To add a key: a line in its table of keys, a line here.
constexpr auto kMeanings = std::to_array<Meaning>({
    {"include", "", "More files, as patterns relative to this file."},
    {"server", "", "The process."},
    {"server.workers", "\"auto\"",
     "Event loops, or \"auto\": as many as the processors this process may use. From the next "
     "start on."},
    {"server.user", "",
     "Becomes this user after binding, when started as root; \"\" stays as started."},
    {"server.log", "", "What is logged to standard error."},
    {"server.log.level", "", "The least important level that is logged."},
    {"server.log.format", "", "Lines for people and journald, or one JSON object each."},
    {"server.log.queries", "", "One line for each DNS query."},
    {"server.log.requests", "", "One line for each request to the gateway."},
    {"server.admin", "", "Where health and metrics are served; \"\" is off."},
    {"server.admin_token_file", "none",
     "A file with the word that others than this machine need for the status page and the API."},
    {"server.state_dir", "",
     "For what is to outlive a restart; nothing is kept there yet, and check says so."},
    {"server.watch", "", "The configuration is read again when it is edited, without SIGHUP."},
    {"dns", "", "The nameserver."},
    {"dns.listen", "", "Where queries are taken, by UDP and TCP."},
    {"dns.allow", "", "Who may ask; all others get REFUSED."},
    {"dns.udp_payload", "", "The longest answer by UDP, in bytes; more is truncated."},
    {"dns.identity", "", "What is said about this server; nothing unless set."},
    {"dns.identity.version", "none", "The answer to CH TXT version.bind."},
    {"dns.identity.id", "none", "The answer to CH TXT id.server."},
    {"dns.tls", "", "DNS over TLS."},
    {"dns.https", "", "DNS over HTTPS."},
    {"dns.cache", "", "Answers of upstreams that are kept."},
    {"dns.cache.size", "", "Memory of the cache, of the whole process."},
    {"dns.cache.min_ttl", "", "Answers are kept at least so long."},
    {"dns.cache.max_ttl", "", "Answers are kept at most so long."},
    {"dns.cache.negative_ttl", "", "\"There is no such name\" is kept at most so long."},
    {"dns.cache.serve_stale", "",
     "How old an answer may be when upstreams fail (RFC 8767); \"0s\" is off."},
    {"dns.cache.prefetch", "", "Popular answers are fetched again before they end."},
    {"dns.override", "", "What this network says in place of the public DNS."},
    {"dns.override.names", kRequired, "Names, or \"*.x\" for every depth below x."},
    {"dns.override.address", "", "IPv4 and IPv6; a family that is not given is NODATA."},
    {"dns.override.cname", "none", "Another name in place of addresses."},
    {"dns.override.forward", "", "An exception: the public answer after all."},
    {"dns.override.ttl", "", "How long clients may keep the answer."},
    {"dns.override.https", "",
     "HTTPS and SVCB records: what the gateway offers, NODATA, or the public record edited."},
    {"dns.override.other", "", "TXT, MX and the rest: the public answer, or NODATA."},
    {"dns.override.views", "", "Holds in these views only; [] is everywhere."},
    {"dns.zone", "", "A zone that is served from a file."},
    {"dns.zone.name", kRequired, "The name at its top."},
    {"dns.zone.file", kRequired, "A master file (RFC 1035), relative to this file."},
    {"dns.zone.fallthrough", "", "What the file does not have is resolved as if it were not here."},
    {"dns.zone.views", "", "Served in these views only; [] is everywhere."},
    {"dns.forward", "", "Where questions go that nobody here answers."},
    {"dns.forward.name", kRequired,
     "A domain, a network for its reverse zones, or \".\" for everything else."},
    {"dns.forward.upstreams", kRequired,
     "At most eight, like \"udp://192.0.2.1\" or \"tcp://[2001:db8::1]:53\"."},
    {"dns.forward.policy", "", "Which upstream is asked first."},
    {"dns.forward.timeout", "", "For a client's query, all attempts together."},
    {"dns.svcb", "", "How HTTPS and SVCB records from outside are edited."},
    {"dns.svcb.strip_alpn", "", "Taken out of alpn; \"h3-*\" is all that begin with it."},
    {"dns.svcb.drop_keys", "", "Parameters that are taken out, for example \"ech\"."},
    {"dns.svcb.except", "", "Domains whose records stay as they are."},
    {"dns.svcb.signed", "", "A signed answer to a client that validates: edited, or left."},
    {"dns.canary", "", "Names that clients ask for to find out about the network."},
    {"dns.canary.firefox_doh", "", "Firefox keeps to this server in place of DNS over HTTPS."},
    {"dns.canary.private_relay", "", "Apple's Private Relay stays off in this network."},
    {"dns.view", "", "Different answers for different clients; the first that fits holds."},
    {"dns.view.name", kRequired, "What overrides and zones call it."},
    {"dns.view.clients", kRequired, "The networks that are in it."},
    {"dns.limits", "", "Limits of the nameserver, of the whole process unless it says otherwise."},
    {"dns.limits.qps_per_client", "", "Queries per second of one client and worker; 0 is off."},
    {"dns.limits.tcp_clients", "", "TCP connections at the same time."},
    {"dns.limits.tcp_idle", "", "A TCP connection without a query is closed after this."},
    {"dns.limits.outstanding", "", "Queries that wait for upstreams at the same time."},
    {"dns.limits.rebind_protection", "", "Private addresses in answers for public names."},
    {"dns.limits.rebind_protection.enabled", "", "They are taken out."},
    {"dns.limits.rebind_protection.except", "", "Domains that may have them."},
    {"dns.query_log", "", "One line for each query, in files of its own."},
    {"dns.query_log.file", "none", "Relative to this file; without it there is no such log."},
    {"dns.query_log.format", "", "Lines of name=value, or one JSON object each."},
    {"dns.query_log.rotate", "", "A file of this size is closed and the next begun."},
    {"dns.query_log.keep", "", "So many closed files are kept."},
    {"dns.dnstap", "", "Whole messages in the format of dnstap, to a reader, a file or both."},
    {"dns.dnstap.socket", "none", "A Unix socket on which a reader listens."},
    {"dns.dnstap.file", "none", "A file of Frame Streams, relative to this file."},
    {"dns.dnstap.identity", "none", "The name of this server in each message."},
    {"dns.dnstap.messages", "[\"client\"]",
     "Those of clients; with \"forwarder\" those with upstreams, too."},
    {"dns.dnstap.rotate", "", "A file of this size is closed and the next begun."},
    {"dns.dnstap.keep", "", "So many closed files are kept."},
    {"tls", "", "Certificates."},
    {"tls.certificate", "", "A certificate and its key; read again when the files change."},
    {"tls.certificate.name", kRequired, "What listeners call it."},
    {"tls.certificate.cert", kRequired, "The chain in PEM, the server's certificate first."},
    {"tls.certificate.key", kRequired, "Its key in PEM."},
    {"gateway", "", "The gateway for HTTP, HTTPS and TCP."},
    {"gateway.listener", "", "Where the gateway listens."},
    {"gateway.listener.name", kRequired, "What routes call it."},
    {"gateway.listener.address", kRequired, "\"0.0.0.0\" and \"::\" are all of this host."},
    {"gateway.listener.http", "", "The port of HTTP; 0 is none."},
    {"gateway.listener.https", "", "The port of HTTPS; 0 is none."},
    {"gateway.listener.tcp", "", "A port whose bytes are passed on as they are; 0 is none."},
    {"gateway.listener.certificates", "[], required for https",
     "Of these the one for the name that the client asks for is taken."},
    {"gateway.listener.alpn", "", "Protocols offered in the TLS handshake, in this order."},
    {"gateway.listener.redirect_to_https", "", "What comes by HTTP is sent to HTTPS."},
    {"gateway.listener.hsts", "", "Strict-Transport-Security with this age; \"0s\" is not sent."},
    {"gateway.listener.alt_svc", "",
     "Alt-Svc of backends: taken away and browsers told to forget, taken away, or passed on."},
    {"gateway.listener.quic", "", "QUIC on the port of https: refused at once, or ignored."},
    {"gateway.listener.trusted_proxies", "", "Networks whose word about the client is believed."},
    {"gateway.listener.client_ip_header", "", "The header in which they say it."},
    {"gateway.listener.publish_dns", "", "Names of routes become overrides to this address."},
    {"gateway.listener.backends", "[], required for tcp", "Where the bytes of tcp go."},
    {"gateway.listener.proxy_protocol", "", "PROXY protocol version 2 towards those backends."},
    {"gateway.listener.idle", "", "A connection of tcp without bytes ends; \"0s\" is never."},
    {"gateway.route", "", "Which requests go where."},
    {"gateway.route.listeners", "", "Those that take such requests; [] is all that speak HTTP."},
    {"gateway.route.hostnames", "", "Names, or \"*.x\"; [] is every host."},
    {"gateway.route.matches", "[]", "One of them has to hold; [] is every request."},
    {"gateway.route.matches.path_prefix", "", "Of whole elements: /api is not /apis."},
    {"gateway.route.matches.path_exact", "none", "The whole path."},
    {"gateway.route.matches.path_regex", "none", "A regular expression (RE2) of the whole path."},
    {"gateway.route.matches.method", "any", "The method, like GET."},
    {"gateway.route.matches.headers", "", "Header lines and their whole values."},
    {"gateway.route.matches.query", "", "Query parameters and their whole values."},
    {"gateway.route.backends", "[]", "Where requests go."},
    {"gateway.route.backends.url", kRequired,
     "A URL with http://, https:// or h2c://, a host and maybe a port."},
    {"gateway.route.backends.weight", "", "Its share of the sum of weights; 0 is none."},
    {"gateway.route.filters", "", "What is changed on the way."},
    {"gateway.route.filters.set_request_headers", "", "In place of what the client sent."},
    {"gateway.route.filters.add_request_headers", "", "Lines more for the backend."},
    {"gateway.route.filters.remove_request_headers", "", "Lines that the backend does not get."},
    {"gateway.route.filters.set_response_headers", "", "In place of what the backend sent."},
    {"gateway.route.filters.add_response_headers", "", "Lines more for the client."},
    {"gateway.route.filters.remove_response_headers", "", "Lines that the client does not get."},
    {"gateway.route.filters.rewrite_host", "none", "Host for the backend."},
    {"gateway.route.filters.rewrite_prefix", "none", "In place of the path_prefix that matched."},
    {"gateway.route.filters.rewrite_path", "none", "In place of the whole path."},
    {"gateway.route.redirect", "", "An answer that sends the client elsewhere."},
    {"gateway.route.redirect.scheme", "as asked", "The scheme, http or https."},
    {"gateway.route.redirect.hostname", "as asked", "The host to go to."},
    {"gateway.route.redirect.port", "of the scheme", "The port to go to."},
    {"gateway.route.redirect.path", "as asked", "The path to go to."},
    {"gateway.route.redirect.status", "", "301, 302, 303, 307 or 308."},
    {"gateway.route.respond", "", "An answer without a backend."},
    {"gateway.route.respond.status", "", "The status, 200 to 599."},
    {"gateway.route.respond.content_type", "", "Content-Type of the body."},
    {"gateway.route.respond.body", "", "The text."},
    {"gateway.route.timeouts", "", "\"0s\" is none."},
    {"gateway.route.timeouts.request", "", "From the request to the end of the answer."},
    {"gateway.route.timeouts.backend", "", "Until the backend begins to answer."},
    {"gateway.route.timeouts.idle", "",
     "Without a byte in either direction; when it is not written, 1h for what was upgraded "
     "(WebSocket)."},
    {"gateway.route.limits", "", "Limits of one request."},
    {"gateway.route.limits.body", "", "A longer body is 413; \"0\" is no limit."},
    {"gateway.route.health", "", "Whether backends are asked how they are."},
    {"gateway.route.health.path", "", "What they are asked; \"\" is not at all."},
    {"gateway.route.health.interval", "", "How often."},
    {"gateway.limits", "", "Limits of the gateway, of the whole process."},
    {"gateway.limits.header_bytes", "", "Of a head; more is 431, of a response 502."},
    {"gateway.limits.headers", "", "Lines of a head; more is 431, of a response 502."},
    {"gateway.limits.header_timeout", "", "For the TLS handshake, and for each head."},
    {"gateway.limits.connections", "", "Connections of clients at the same time."},
    {"gateway.limits.streams", "", "Requests at the same time on one HTTP/2 connection."},
    {"gateway.ech_public_names", "",
     "A client that connects with one of these names has an ECH key from the public DNS."},
});

const Meaning* find_meaning(std::string_view path) {
  const auto* found = std::find_if(kMeanings.begin(), kMeanings.end(),
                                   [&](const Meaning& meaning) { return meaning.path == path; });
  return found == kMeanings.end() ? nullptr : found;
}

}  // namespace

std::vector<KeyFacts> config_keys() {
  std::vector<KeyFacts> keys;
  Reader reader("");
  reader.list_keys(&keys);
  Document document = default_document();
  read_document(reader, Node(), document);
  for (KeyFacts& key : keys) {
    const Meaning* meaning = find_meaning(key.path);
    if (meaning == nullptr) continue;
    key.meaning = meaning->text;
    if (!meaning->fallback.empty()) key.fallback = meaning->fallback;
  }
  return keys;
}

std::vector<std::string> keys_out_of_step() {
  std::vector<std::string> wrong;
  const std::vector<KeyFacts> keys = config_keys();
  for (const KeyFacts& key : keys) {
    if (key.meaning.empty()) wrong.push_back("no meaning: " + key.path);
    if (key.type.empty()) wrong.push_back("no type: " + key.path);
  }
  for (const Meaning& meaning : kMeanings) {
    const bool known = std::any_of(keys.begin(), keys.end(),
                                   [&](const KeyFacts& key) { return key.path == meaning.path; });
    if (!known) wrong.push_back("no key: " + std::string(meaning.path));
  }
  return wrong;
}

}  // namespace postern::server
