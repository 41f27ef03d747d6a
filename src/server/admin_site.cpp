#include "server/admin_site.h"

#include <algorithm>
#include <ctime>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "server/page_data.h"

namespace postern::server {
namespace {

constexpr unsigned kBeatTicks = 10;
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kJsonType = "application/json";

AdminReply text_reply(int status, std::string text) { return {status, kText, std::move(text)}; }

AdminReply json_reply(const Json& json, int status = 200) {
  return {status, kJsonType, json_text(json)};
}

AdminReply wrong(int status, std::string_view text) {
  return json_reply({{"error", text}}, status);
}

// No script but the page's own, nothing from elsewhere, in no frame.
AdminReply page_reply() {
  AdminReply reply{200, "text/html; charset=utf-8", std::string(status_page())};
  reply.fields = fmt::format(
      "Content-Security-Policy: {}\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\n",
      status_page_policy());
  return reply;
}

// An answer of the cache as the message it would be sent in.
std::vector<std::uint8_t> message_of(const dns::LookupName& name, const dns::CachedAnswer& answer) {
  const Bytes wire = name.name().wire();
  std::vector<std::uint8_t> message(dns::kHeaderBytes);
  store_u16(message.data() + 2, static_cast<std::uint16_t>(0x8180U | (answer.head.flags & 0xfU)));
  store_u16(message.data() + 4, 1);
  store_u16(message.data() + 6, answer.head.answers);
  store_u16(message.data() + 8, answer.head.authorities);
  store_u16(message.data() + 10, answer.head.additionals);
  message.insert(message.end(), wire.begin(), wire.end());
  message.resize(message.size() + 4);
  store_u16(message.data() + message.size() - 4, static_cast<std::uint16_t>(answer.type));
  store_u16(message.data() + message.size() - 2, static_cast<std::uint16_t>(answer.klass));
  message.insert(message.end(), answer.body.begin(), answer.body.end());
  return message;
}

std::uint64_t unix_s() { return static_cast<std::uint64_t>(std::time(nullptr)); }

}  // namespace

AdminSite::AdminSite(net::Loop& loop, ApiHost& host, Wording wording)
    : loop_(loop),
      host_(host),
      wording_(std::move(wording)),
      hub_([this](const std::shared_ptr<const FollowFilters>& filters) { host_.follow(filters); }),
      drift_look_(loop),
      tick_(loop, [this] { tick(); }) {}

void AdminSite::tick() {
  if (host_.stopping()) return tick_.stop();
  if (++ticks_ % kBeatTicks == 0) hub_.beat();
  if (ticks_ % kDriftTicks == 0) look_for_drift();
  if (gathering_) return;  // a worker is late
  gathering_ = true;
  host_.gather_counts([this](const WorkerCounts& counts) {
    gathering_ = false;
    history_.add(unix_s(), counts);
  });
}

void AdminSite::reload_begins() { reload_asked_ = std::exchange(reload_waiting_, {}); }

void AdminSite::reload_ended(bool good, const std::string& detail,
                             std::vector<ConfigProblem> problems) {
  if (problems.size() > kReloadProblemsMax) problems.resize(kReloadProblemsMax);
  reload_ = {unix_s(), good, detail, std::move(problems)};
  look_for_drift();
  for (const auto& respond : std::exchange(reload_asked_, {})) {
    respond(json_reply(reload_json(reload_), good ? 200 : 422));
  }
}

// --- what runs and what the files say

// Files are read on another thread. Who asks while they are read may ask for an edit that was made
// since, and waits for the next time.
void AdminSite::look_for_drift() {
  if (drift_look_.busy()) return;
  drift_look_.run([this, served = host_.served(), asked = std::exchange(status_waiting_, {})] {
    Drift drift = drift_of(*served);
    std::vector<std::string> lines = drift_lines(drift, *served);
    return [this, asked, drift = std::move(drift), lines = std::move(lines)] {
      drift_ = drift;
      drift_lines_ = lines;
      for (const auto& respond : asked) respond(status());
      if (!status_waiting_.empty()) look_for_drift();
    };
  });
}

AdminReply AdminSite::status() {
  const ApiState api{reload_, drift_lines_, hub_.subscribers(), hub_.dropped()};
  return json_reply(status_json(host_.state(), host_.listening(), api));
}

// --- requests

void AdminSite::answer(const AdminRequest& request, AdminServer::Respond respond) {
  if (answer_open(request, respond)) return;
  if (auto refused = denial(request)) return respond(std::move(*refused));
  if (request.method == "POST") return answer_post(request, std::move(respond));
  answer_get(request, respond);
}

// What monitors ask for, without a token and by any name.
bool AdminSite::answer_open(const AdminRequest& request, AdminServer::Respond& respond) {
  if (request.method == "POST") return false;
  if (request.path == "/healthz") {
    respond(text_reply(200, "ok\n"));
  } else if (request.path == "/readyz") {
    respond(host_.stopping() ? text_reply(503, "stopping\n") : text_reply(200, "ready\n"));
  } else if (request.path == "/metrics" && host_.stopping()) {
    respond(text_reply(503, "stopping\n"));
  } else if (request.path == "/metrics") {
    host_.gather_counts([this, respond = std::move(respond)](const WorkerCounts& counts) {
      respond({200,
               "text/plain; version=0.0.4; charset=utf-8",
               metrics_text(counts, host_.state()),
               {},
               {},
               {}});
    });
  } else {
    return false;
  }
  return true;
}

std::optional<AdminReply> AdminSite::denial(const AdminRequest& request) {
  const AdminAccess access =
      admin_access(request, host_.state().snapshot->config.server.admin_token);
  if (access == AdminAccess::kGranted) return std::nullopt;
  ++denied_;
  // Browsers ask first without a token: that is no attempt.
  std::uint64_t held_back = 0;
  const bool tried = access != AdminAccess::kTokenWanted || !request.authorization.empty();
  if (tried && denied_log_.allow(loop_.now_ms(), &held_back)) {
    log_warning("admin_denied", "{} {} of {}{}", request.method, request.path,
                request.peer.to_string(), LogLimit::text(held_back));
  }
  switch (access) {
    case AdminAccess::kTokenWanted: {
      AdminReply reply = wrong(401,
                               "the token of server.admin_token_file is wanted, as bearer or "
                               "as password");
      reply.fields = "WWW-Authenticate: Basic realm=\"postern\", charset=\"UTF-8\"\r\n";
      return reply;
    }
    case AdminAccess::kLocalOnly:
      return wrong(403,
                   "without server.admin_token_file other machines get only /metrics, "
                   "/healthz and /readyz");
    case AdminAccess::kForeignHost:
      return wrong(403, "ask by the address, or as localhost; a name could be anybody's");
    default:
      return wrong(403, "a page of another site may not do this");
  }
}

void AdminSite::answer_get(const AdminRequest& request, const AdminServer::Respond& respond) {
  const std::string& path = request.path;
  if (path == "/") return respond(page_reply());
  if (path == "/api/v1/openapi.json") {
    return respond({200, kJsonType, std::string(openapi_document())});
  }
  if (path == "/api/v1/status") {
    status_waiting_.push_back(respond);
    return look_for_drift();
  }
  if (path == "/api/v1/traffic") return show_traffic(respond);
  if (path == "/api/v1/explain") return respond(explain(request));
  if (path == "/api/v1/cache") return respond(show_cache(request));
  if (path == "/api/v1/reload" || path == "/api/v1/cache/flush") {
    return respond(wrong(405, "POST is wanted here"));
  }
  if (host_.stopping()) return respond(wrong(503, "stopping"));
  if (path == "/api/v1/log") return respond(follow(request));
  if (path == "/api/v1/dns" || path == "/api/v1/gateway") {
    const bool dns = path == "/api/v1/dns";
    return host_.gather_counts([this, dns, respond](const WorkerCounts& counts) {
      const ServerState server = host_.state();
      respond(json_reply(dns ? dns_json(server, counts) : gateway_json(server, counts)));
    });
  }
  if (path == "/api/v1/clients") {
    return host_.gather_counts([this, respond](const WorkerCounts& counts) {
      host_.gather_tops([this, respond, counts](const WorkerTops& tops) {
        respond(json_reply(clients_json(counts, tops, host_.client_log())));
      });
    });
  }
  respond(text_reply(404, "there are /, /metrics, /healthz, /readyz and /api/v1/openapi.json\n"));
}

void AdminSite::answer_post(const AdminRequest& request, AdminServer::Respond respond) {
  if (host_.stopping()) return respond(wrong(503, "stopping"));
  if (request.path == "/api/v1/cache/flush") return respond(flush_cache(request));
  if (request.path != "/api/v1/reload") return respond(wrong(405, "only GET and HEAD here"));
  reload_waiting_.push_back(std::move(respond));
  host_.want_reload();
}

// With what came since the last tick: who asks right after a query finds it counted.
void AdminSite::show_traffic(const AdminServer::Respond& respond) {
  const auto say = [this, respond] { respond(json_reply(traffic_json(history_, unix_s()))); };
  if (host_.stopping()) return say();
  host_.gather_counts([this, say](const WorkerCounts& counts) {
    history_.add(unix_s(), counts);
    say();
  });
}

AdminReply AdminSite::explain(const AdminRequest& request) const {
  ExplainQuestion question;
  const auto url = request.parameter("url");
  question.name = url ? *url : request.parameter("name").value_or("");
  question.type = request.parameter("type").value_or(question.type);
  question.method = request.parameter("method").value_or(question.method);
  question.client = request.parameter("client").value_or(question.client);
  if (question.name.empty()) return wrong(400, "name or url is wanted");
  const auto explanation = wording_.explain(question, *host_.state().snapshot);
  if (!explanation) return wrong(400, explanation.error().detail);
  return json_reply(explanation_json(*explanation));
}

AdminReply AdminSite::show_cache(const AdminRequest& request) {
  const auto name = dns::Name::parse(request.parameter("name").value_or(""));
  if (!name) return wrong(400, "name: " + name.error().detail);
  const dns::LookupName wanted(name->view());
  const auto answers = host_.cache().answers_for(wanted, host_.now_s(), kCachedAnswersMax);
  std::vector<std::vector<std::string>> lines;
  lines.reserve(answers.size());
  for (const dns::CachedAnswer& answer : answers) {
    lines.push_back(wording_.answer_lines(message_of(wanted, answer)));
  }
  return json_reply(cache_json(*host_.state().snapshot, name->text(), answers, lines));
}

AdminReply AdminSite::flush_cache(const AdminRequest& request) {
  const auto text = request.parameter("name");
  if (!text) {
    const std::uint64_t entries = host_.cache().stats().entries;
    host_.cache().flush();
    log_info("cache", "flushed: {} answers", entries);
    return json_reply({{"flushed", entries}});
  }
  const auto name = dns::Name::parse(*text);
  if (text->empty() || !name) {
    return wrong(400, "name: " + (name ? std::string("is empty") : name.error().detail));
  }
  const std::size_t flushed = host_.cache().flush(dns::LookupName(name->view()));
  log_info("cache", "flushed {}: {} answers", name->text(), flushed);
  return json_reply({{"flushed", flushed}});
}

AdminReply AdminSite::follow(const AdminRequest& request) {
  const auto filter = parse_follow_filter(request);
  if (!filter) return wrong(400, filter.error().detail);
  return hub_.follow(*filter);
}

}  // namespace postern::server
