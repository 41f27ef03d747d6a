#include "server/change.h"

#include <algorithm>
#include <utility>

#include "server/fingerprint.h"

namespace postern::server {
namespace {

bool is_another(const ReadFiles& part) {
  return content_fingerprint(part.files) != part.fingerprint;
}

template <class Rejection>
const Rejection* find_rejection(const std::vector<Rejection>& all, std::size_t index) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Rejection& one) { return one.index == index; });
  return found == all.end() ? nullptr : &*found;
}

// Beside one that is rejected, all other zones may be waiting for it.
bool are_zones_news(const Snapshot& served, const std::vector<ZoneRejection>& rejected) {
  for (std::size_t i = 0; i < served.zones.size(); ++i) {
    if (!is_another({served.zones[i].files, served.zones[i].fingerprint})) continue;
    const ZoneRejection* const before = find_rejection(rejected, i);
    if (before == nullptr && rejected.empty()) return true;
    if (before != nullptr && is_another({before->files, before->fingerprint})) return true;
  }
  return false;
}

bool are_certificates_news(const Snapshot& served,
                           const std::vector<CertificateRejection>& rejected) {
  const auto& settings = served.config.certificates;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const std::uint64_t now = content_fingerprint(files_of(settings[i]));
    if (now == served.gateway->certificates[i].fingerprint) continue;
    const CertificateRejection* const before = find_rejection(rejected, i);
    if (before == nullptr || before->fingerprint != now) return true;
  }
  return false;
}

std::uint64_t fingerprint_in(const std::vector<ReadFiles>& parts,
                             const std::vector<std::string>& files) {
  const auto found = std::find_if(parts.begin(), parts.end(),
                                  [&](const ReadFiles& part) { return part.files == files; });
  return found == parts.end() ? 0 : found->fingerprint;
}

}  // namespace

bool is_news(const Snapshot& served, const Refusals& refusals) {
  const ReadParts& change = refusals.change;
  if (refusals.has_change()) {
    return std::any_of(change.base.begin(), change.base.end(), is_another) ||
           std::any_of(change.pairs.begin(), change.pairs.end(), is_another);
  }
  return is_another({config_files_of(served.config), served.config_fingerprint}) ||
         (are_certificates_news(served, refusals.certificates) &&
          are_zones_news(served, refusals.zones));
}

std::vector<std::size_t> note_refused(const Snapshot& served, ReadParts change,
                                      Refusals* refusals) {
  const auto before =
      refusals->has_change() ? std::move(refusals->change.base) : parts_of(served).base;
  refusals->change = std::move(change);
  if (refusals->change.base == before) return {};
  std::vector<CertificateRejection> known = std::exchange(refusals->certificates, {});
  std::vector<std::size_t> held_now;
  for (std::size_t i = 0; i < served.config.certificates.size(); ++i) {
    const std::uint64_t read =
        fingerprint_in(refusals->change.pairs, files_of(served.config.certificates[i]));
    if (read == served.gateway->certificates[i].fingerprint) continue;
    const CertificateRejection* const rejected = find_rejection(known, i);
    if (rejected != nullptr && rejected->fingerprint == read) {
      refusals->certificates.push_back(*rejected);
      continue;
    }
    refusals->certificates.push_back(
        {i, read, "they came with a change that was refused, and wait with it", true});
    held_now.push_back(i);
  }
  return held_now;
}

std::vector<std::string> files_of(const ReadParts& change) {
  std::vector<std::string> files;
  for (const auto* parts : {&change.base, &change.pairs}) {
    for (const ReadFiles& part : *parts) {
      files.insert(files.end(), part.files.begin(), part.files.end());
    }
  }
  return files;
}

}  // namespace postern::server
