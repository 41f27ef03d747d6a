#include "nameserver/query_counts.h"

#include <algorithm>

namespace postern::nameserver {
namespace {

constexpr std::uint8_t kOtherType = kTypeLabels.size() - 1;
constexpr std::uint8_t kOtherRcode = kRcodeLabels.size() - 2;
constexpr std::uint8_t kNoReply = kRcodeLabels.size() - 1;

// In the order of kTypeLabels.
constexpr std::array<dns::RrType, kOtherType> kTypes{
    dns::RrType::kA,   dns::RrType::kAaaa,  dns::RrType::kHttps,  dns::RrType::kSvcb,
    dns::RrType::kPtr, dns::RrType::kCname, dns::RrType::kNs,     dns::RrType::kSoa,
    dns::RrType::kMx,  dns::RrType::kTxt,   dns::RrType::kSrv,    dns::RrType::kNaptr,
    dns::RrType::kDs,  dns::RrType::kAny,   dns::RrType::kDnskey, dns::RrType::kCaa};

constexpr std::array<std::uint8_t, 258> make_type_slots() {
  std::array<std::uint8_t, 258> slots{};
  for (std::uint8_t& slot : slots) slot = kOtherType;
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    slots[static_cast<std::size_t>(kTypes[i])] = static_cast<std::uint8_t>(i);
  }
  return slots;
}
constexpr auto kTypeSlots = make_type_slots();

std::size_t type_slot(dns::RrType type) {
  const auto number = static_cast<std::size_t>(type);
  return number < kTypeSlots.size() ? kTypeSlots[number] : kOtherType;
}

std::size_t rcode_slot(const dns::Decision& decision) {
  if (decision.verdict != dns::Decision::Verdict::kReply) return kNoReply;
  const auto number = static_cast<std::size_t>(decision.rcode);
  if (number <= 5) return number;
  return decision.rcode == dns::Rcode::kBadVers ? 6 : kOtherRcode;
}

std::string_view label_of(const dns::ViewPolicy& view) {
  return view.name.empty() ? "default" : std::string_view(view.name);
}

}  // namespace

std::size_t ViewQueries::cell(Transport transport, const dns::Decision& decision) {
  const std::size_t from = static_cast<std::size_t>(transport) * kSourceLabels.size() +
                           static_cast<std::size_t>(decision.source);
  return (from * kTypeLabels.size() + type_slot(decision.type)) * kRcodeLabels.size() +
         rcode_slot(decision);
}

ViewQueries::Labels ViewQueries::labels(std::size_t cell) {
  Labels labels;
  labels.rcode = kRcodeLabels[cell % kRcodeLabels.size()];
  cell /= kRcodeLabels.size();
  labels.type = kTypeLabels[cell % kTypeLabels.size()];
  cell /= kTypeLabels.size();
  labels.source = kSourceLabels[cell % kSourceLabels.size()];
  labels.transport = kTransportLabels[cell / kSourceLabels.size()];
  return labels;
}

QueryCounts::QueryCounts() { views_.push_back({.view = "none"}); }

std::size_t QueryCounts::slot(std::string_view view) {
  const auto known = std::find_if(views_.begin(), views_.end(),
                                  [&](const ViewQueries& one) { return one.view == view; });
  if (known != views_.end()) return static_cast<std::size_t>(known - views_.begin());
  // The last place is for all that come after.
  if (views_.size() == kViewsMax) return kViewsMax - 1;
  const bool is_last = views_.size() == kViewsMax - 1;
  views_.emplace_back().view = is_last ? std::string_view("other") : view;
  return views_.size() - 1;
}

void QueryCounts::use(const dns::Policy& policy) {
  by_index_.assign(policy.views.size() + 1, 0);
  by_index_[0] = static_cast<std::uint32_t>(slot(label_of(policy.everyone)));
  for (std::size_t i = 0; i < policy.views.size(); ++i) {
    by_index_[i + 1] = static_cast<std::uint32_t>(slot(label_of(policy.views[i].policy)));
  }
}

void QueryCounts::count(Transport transport, const dns::Decision& decision) {
  const std::size_t at = decision.view == nullptr ? 0 : by_index_[decision.view->index];
  ++views_[at].cells[ViewQueries::cell(transport, decision)];
}

void QueryCounts::count_former(Transport transport, const dns::Decision& decision) {
  const std::size_t at = decision.view == nullptr ? 0 : slot(label_of(*decision.view));
  ++views_[at].cells[ViewQueries::cell(transport, decision)];
}

QueryCounts& QueryCounts::operator+=(const QueryCounts& more) {
  for (const ViewQueries& one : more.views_) {
    std::vector<std::uint64_t>& sum = views_[slot(one.view)].cells;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one.cells[i];
  }
  return *this;
}

}  // namespace postern::nameserver
