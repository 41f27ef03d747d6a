#include "cli/explain.h"

#include <cstdio>

#include <fmt/format.h>

#include "cli/explain_dns.h"
#include "cli/explain_url.h"
#include "server/snapshot.h"

namespace postern::cli {
namespace {

using server::ExplainQuestion;
using server::Explanation;

Result<Explanation> explain_name(const ExplainQuestion& question, const IpAddress& client,
                                 const server::Snapshot& snapshot) {
  const auto name = dns::Name::parse(question.name);
  if (!name) return tl::unexpected(name.error());
  const auto type = dns::parse_type(question.type);
  if (!type) return tl::unexpected(type.error());
  std::string shown = name->text();
  if (shown.size() > 1) shown.pop_back();
  Lines lines(fmt::format("{} {}", shown, dns::type_text(*type)));
  say_dns(lines, make_question(snapshot, name->view(), *type, client));
  return lines.take();
}

}  // namespace

Result<Explanation> explanation_of(const ExplainQuestion& question,
                                   const server::Snapshot& snapshot) {
  const auto client = IpAddress::parse(question.client);
  if (!client) return fail(Code::kInvalid, "--client: " + client.error().detail);
  if (question.name.find("://") == std::string::npos) {
    return explain_name(question, *client, snapshot);
  }
  return explain_url({question.name, question.method, *client}, snapshot);
}

int explain(const ExplainQuestion& question, const std::string& config_file) {
  const server::SnapshotResult result = server::load_snapshot(config_file, nullptr);
  if (result.snapshot == nullptr) {
    for (const auto& problem : result.problems) fmt::print(stderr, "{}\n", problem.to_string());
    return 1;
  }
  const auto explanation = explanation_of(question, *result.snapshot);
  if (!explanation) {
    fmt::print(stderr, "postern explain: {}\n", explanation.error().detail);
    return 2;
  }
  fmt::print("{}\n", explanation->title);
  for (const server::ExplainLine& line : explanation->lines) {
    fmt::print("  {:<10} {}\n", line.what, line.text);
  }
  return 0;
}

}  // namespace postern::cli
