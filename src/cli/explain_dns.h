// The nameserver's part of `postern explain`: one question, answered from the configuration alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "dns/name.h"
#include "dns/policy.h"
#include "server/explanation.h"
#include "server/snapshot.h"

namespace postern::cli {

/// The question and everything that it is looked at with.
struct Question {
  dns::LookupName name;
  dns::RrType type{};
  IpAddress client;
  const server::Config* config = nullptr;
  const dns::Policy* policy = nullptr;
  const dns::ViewPolicy* view = nullptr;
};

Question make_question(const server::Snapshot& snapshot, dns::NameView name, dns::RrType type,
                       const IpAddress& client);

/// An explanation, as it grows.
class Lines {
 public:
  explicit Lines(std::string_view title);
  /// Without `what` it goes on with the line before.
  void say(std::string_view what, std::string_view text);
  server::Explanation take() { return std::move(explanation_); }

 private:
  server::Explanation explanation_;
};

/// Who asks, what has the name, and what is answered.
void say_dns(Lines& lines, const Question& question);

/// The reply when it is made here, empty when somebody else has to be asked.
std::vector<std::uint8_t> reply_from_here(const Question& question);

/// What becomes of upstream's HTTPS record; empty when upstream is not asked.
std::string edits_of_https(const Question& question);

}  // namespace postern::cli
