#include "server/certificates.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string_view>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/text.h"
#include "server/fingerprint.h"

namespace postern::server {
namespace {

constexpr std::int64_t kDayS = 86'400;

std::string date_text(std::int64_t time_s) {
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(time_s)));
}

Result<LoadedCertificate> read_pair(const CertificateSettings& settings) {
  LoadedCertificate loaded;
  // Before the reading: a change while it is read is then seen at the next look.
  loaded.fingerprint = content_fingerprint(files_of(settings));
  auto identity = net::TlsIdentity::load(settings.cert, settings.key);
  if (!identity) return tl::unexpected(identity.error());
  loaded.identity = std::move(*identity);
  return loaded;
}

/// What was read from these files before.
const LoadedCertificate* find_served(const CertificateSettings& wanted,
                                     const std::vector<CertificateSettings>& settings_before,
                                     const std::vector<LoadedCertificate>& before) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    const CertificateSettings& known = settings_before[i];
    if (known.cert == wanted.cert && known.key == wanted.key) return &before[i];
  }
  return nullptr;
}

bool is_valid_now(const net::TlsIdentity& identity) {
  const std::int64_t now_s = unix_now_s();
  return identity.not_before_s() <= now_s && now_s < identity.not_after_s();
}

/// Why this pair may not take the place of the one that is served; "": it may. By its dates it has
/// to be as good.
std::string unfit(const CertificateSettings& settings, const net::TlsIdentity& next,
                  const LoadedCertificate* served) {
  if (served == nullptr || is_valid_now(next) || !is_valid_now(*served->identity)) return {};
  const std::int64_t now_s = unix_now_s();
  if (next.not_before_s() > now_s) {
    return fmt::format(
        "{}: the certificate is not valid before {}; it is taken then, or now when this machine's "
        "clock is put right",
        settings.cert, date_text(next.not_before_s()));
  }
  return fmt::format("{}: the certificate {}; renew it", settings.cert,
                     expiry_text(next.not_after_s(), now_s));
}

Result<LoadedCertificate> read_renewal(const CertificateSettings& settings,
                                       const LoadedCertificate* served) {
  auto pair = read_pair(settings);
  if (!pair) return pair;
  std::string why = unfit(settings, *pair->identity, served);
  if (!why.empty()) return fail(Code::kInvalid, std::move(why));
  return pair;
}

bool is_overdue(const net::TlsIdentity& identity) {
  return server::is_overdue(identity.not_before_s(), identity.not_after_s(), unix_now_s());
}

void warn_of_dates(const CertificateSettings& settings, const LoadedCertificate& loaded,
                   CertificatesRead* read) {
  const std::int64_t now_s = unix_now_s();
  const std::int64_t not_before_s = loaded.identity->not_before_s();
  if (not_before_s > now_s) {
    read->problems.push_back(
        problem_at(settings.source,
                   fmt::format("tls.certificate \"{}\" ({}) is not valid before {}, so browsers "
                               "refuse it; is the clock of this machine right?",
                               settings.name, settings.cert, date_text(not_before_s)),
                   true));
  }
  for (std::string& ends : expiry_warnings(settings, *loaded.identity, now_s)) {
    read->problems.push_back(problem_at(settings.source, std::move(ends), true));
  }
}

}  // namespace

std::vector<std::string> files_of(const CertificateSettings& settings) {
  return {settings.cert, settings.key};
}

ConfigProblem problem_at(const std::string& source, std::string text, bool warning) {
  ConfigProblem problem{source, 0, 0, std::move(text), warning};
  const std::size_t colon = source.rfind(':');
  if (colon == std::string::npos) return problem;
  const char* end = source.data() + source.size();
  std::uint32_t line = 0;
  if (std::from_chars(source.data() + colon + 1, end, line).ptr != end) return problem;
  problem.file.resize(colon);
  problem.line = line;
  problem.column = 1;
  return problem;
}

CertificatesRead read_certificates(const std::vector<CertificateSettings>& settings,
                                   const std::vector<CertificateSettings>& settings_before,
                                   const std::vector<LoadedCertificate>& before) {
  CertificatesRead read;
  for (const CertificateSettings& one : settings) {
    LoadedCertificate loaded;
    const LoadedCertificate* served = find_served(one, settings_before, before);
    if (served != nullptr && content_fingerprint(files_of(one)) == served->fingerprint) {
      loaded = *served;
    } else if (!one.cert.empty() && !one.key.empty()) {  // else reported as a missing key
      loaded.fingerprint = content_fingerprint(files_of(one));
      auto pair = read_renewal(one, served);
      if (pair) {
        loaded = std::move(*pair);
      } else {
        ++read.error_count;
        read.problems.push_back(problem_at(
            one.source, fmt::format("tls.certificate \"{}\": {}", one.name, pair.error().detail)));
      }
    }
    if (loaded.identity != nullptr) warn_of_dates(one, loaded, &read);
    read.certificates.push_back(std::move(loaded));
  }
  return read;
}

std::int64_t unix_now_s() { return static_cast<std::int64_t>(std::time(nullptr)); }

std::string expiry_text(std::int64_t not_after_s, std::int64_t now_s) {
  if (not_after_s <= now_s) return fmt::format("has expired on {}", date_text(not_after_s));
  const auto days = static_cast<std::size_t>((not_after_s - now_s) / kDayS);
  return fmt::format("expires in {}, on {}", counted(days, "day"), date_text(not_after_s));
}

std::vector<std::string> expiry_warnings(const CertificateSettings& settings,
                                         const net::TlsIdentity& identity, std::int64_t now_s) {
  std::vector<std::string> warnings;
  const std::string pair = fmt::format("tls.certificate \"{}\" ({})", settings.name, settings.cert);
  const std::int64_t end_s = identity.not_after_s();
  if (end_s - now_s < kExpiryWarningS) {
    warnings.push_back(fmt::format("{} {}; renew it", pair, expiry_text(end_s, now_s)));
  }
  const auto& issuer = identity.first_issuer_to_end();
  const bool ends_first = issuer.not_after_s != 0 && issuer.not_after_s < end_s;
  if (ends_first && issuer.not_after_s - now_s < kExpiryWarningS) {
    warnings.push_back(fmt::format(
        "{}: the certificate of {} in it {}; some clients refuse the chain {}: take it out, or "
        "put the new one there",
        pair, issuer.subject, expiry_text(issuer.not_after_s, now_s),
        issuer.not_after_s <= now_s ? "for it" : "then"));
  }
  return warnings;
}

bool is_overdue(std::int64_t not_before_s, std::int64_t not_after_s, std::int64_t now_s) {
  const std::int64_t life_s = not_after_s - not_before_s;
  return not_after_s - now_s < std::min(kOverdueS, life_s / kOverdueLifeDivisor);
}

CertificateChanges look_for_changes(const std::vector<CertificateSettings>& settings,
                                    const std::vector<LoadedCertificate>& served,
                                    const std::vector<CertificateRejection>& rejected) {
  CertificateChanges changes;
  changes.certificates = served;
  for (std::size_t i = 0; i < served.size(); ++i) {
    const auto before = std::find_if(rejected.begin(), rejected.end(),
                                     [&](const CertificateRejection& r) { return r.index == i; });
    const std::uint64_t now = content_fingerprint(files_of(settings[i]));
    if (now == served[i].fingerprint) {
      if (before != rejected.end()) changes.mended.push_back(i);
      continue;
    }
    const bool known = before != rejected.end() && now == before->fingerprint;
    const bool its_time_has_come =
        known && before->valid_from_s != 0 && before->valid_from_s <= unix_now_s();
    const bool is_due = known && before->held && is_overdue(*served[i].identity);
    if (known && !is_due && !its_time_has_come) continue;
    auto pair = read_pair(settings[i]);
    const std::string why =
        pair ? unfit(settings[i], *pair->identity, &served[i]) : pair.error().detail;
    if (!why.empty()) {
      changes.rejected.push_back({i, now, why});
      if (pair && pair->identity->not_before_s() > unix_now_s()) {
        changes.rejected.back().valid_from_s = pair->identity->not_before_s();
      }
      continue;
    }
    if (is_due && pair->identity->not_after_s() <= served[i].identity->not_after_s()) continue;
    changes.certificates[i] = std::move(*pair);
    changes.reloaded.push_back(i);
    if (is_due) changes.overdue.push_back(i);
  }
  return changes;
}

}  // namespace postern::server
