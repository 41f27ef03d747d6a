#include "cli/explain.h"

#include <cstdio>

#include <fmt/format.h>

#include "cli/explain_dns.h"
#include "cli/explain_url.h"
#include "server/snapshot.h"

namespace postern::cli {
namespace {

int wrong(std::string_view text) {
  fmt::print(stderr, "postern explain: {}\n", text);
  return 2;
}

server::SnapshotResult read(const ExplainOptions& options) {
  server::SnapshotResult result = server::load_snapshot(options.config_file, nullptr);
  if (result.snapshot != nullptr) return result;
  for (const auto& problem : result.problems) fmt::print(stderr, "{}\n", problem.to_string());
  return result;
}

int explain_name(const ExplainOptions& options, const IpAddress& client) {
  const auto name = dns::Name::parse(options.name);
  if (!name) return wrong(name.error().detail);
  const auto type = dns::parse_type(options.type);
  if (!type) return wrong(type.error().detail);
  const server::SnapshotResult result = read(options);
  if (result.snapshot == nullptr) return 1;
  std::string shown = name->text();
  if (shown.size() > 1) shown.pop_back();
  fmt::print("{} {}\n", shown, dns::type_text(*type));
  say_dns(make_question(*result.snapshot, name->view(), *type, client));
  return 0;
}

}  // namespace

int explain(const ExplainOptions& options) {
  const auto client = IpAddress::parse(options.client);
  if (!client) return wrong("--client: " + client.error().detail);
  if (options.name.find("://") == std::string::npos) return explain_name(options, *client);
  const server::SnapshotResult result = read(options);
  if (result.snapshot == nullptr) return 1;
  return explain_url({options.name, options.method, *client}, *result.snapshot);
}

}  // namespace postern::cli
