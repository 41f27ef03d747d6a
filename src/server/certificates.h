// The certificates of the configuration, as read from their files: always certificate and key
// together. Any thread; takes as long as reading the files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/tls.h"
#include "server/config.h"

namespace postern::server {

/// So long before its end a certificate that is served gives way to one that is held.
inline constexpr std::int64_t kOverdueS = 86'400;
inline constexpr std::int64_t kOverdueLifeDivisor = 10;  ///< of a shorter life: so much of it
inline constexpr std::int64_t kExpiryWarningS = std::int64_t{14} * 86'400;

struct LoadedCertificate {
  std::shared_ptr<const net::TlsIdentity> identity;
  std::uint64_t fingerprint = 0;  ///< of both files' content, as it was before they were read
};

struct CertificatesRead {
  std::vector<LoadedCertificate> certificates;  ///< by index of config.certificates
  std::vector<ConfigProblem> problems;
  std::size_t error_count = 0;
};

/// The files of [[tls.certificate]], for content_fingerprint() and for watching.
std::vector<std::string> files_of(const CertificateSettings& settings);

/// "FILE:LINE" of a setting, as the place of a problem with it.
ConfigProblem problem_at(const std::string& source, std::string text, bool warning = false);

/// Reads all of them. One whose files did not change since `before` was read is taken from there.
/// `before` is by index of `settings_before`. A certificate that expires soon or has expired is a
/// warning: with it browsers can go on by hand, and the rest is served. An error it is in place of
/// one that has not expired.
CertificatesRead read_certificates(const std::vector<CertificateSettings>& settings,
                                   const std::vector<CertificateSettings>& settings_before,
                                   const std::vector<LoadedCertificate>& before);

/// Seconds since 1970, as in certificates.
std::int64_t unix_now_s();

/// "expires in 3 days, on 2026-12-01", "has expired on 2026-12-01".
std::string expiry_text(std::int64_t not_after_s, std::int64_t now_s);

/// At most two: the certificate has ended or ends within kExpiryWarningS; so does an issuer's in
/// its file, when that ends first.
std::vector<std::string> expiry_warnings(const CertificateSettings& settings,
                                         const net::TlsIdentity& identity, std::int64_t now_s);

/// Whether a certificate that ends then is so near its end that waiting does more harm.
bool is_overdue(std::int64_t not_before_s, std::int64_t not_after_s, std::int64_t now_s);

/// A pair of files that is not taken up.
struct CertificateRejection {
  std::size_t index = 0;  ///< in config.certificates
  std::uint64_t fingerprint = 0;
  std::string reason;
  bool held = false;              ///< it may be good, but came with a change that was refused
  std::int64_t valid_from_s = 0;  ///< it is good from then on; 0: never
};

struct CertificateChanges {
  std::vector<LoadedCertificate> certificates;  ///< all of them, with the new ones
  std::vector<std::size_t> reloaded;            ///< indexes of those that are new
  std::vector<std::size_t> overdue;             ///< of these, those that were held until now
  std::vector<CertificateRejection> rejected;   ///< refused now for the first time
  std::vector<std::size_t> mended;              ///< rejected before, now as served again
};

/// Reads again the pairs whose content is neither what is served nor what was rejected before, and
/// those that are held while what is served is overdue. A pair that cannot be served leaves the one
/// that is.
CertificateChanges look_for_changes(const std::vector<CertificateSettings>& settings,
                                    const std::vector<LoadedCertificate>& served,
                                    const std::vector<CertificateRejection>& rejected);

}  // namespace postern::server
