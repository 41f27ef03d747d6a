#include "server/example_certificate.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"
#include "net/tls.h"
#include "net/tls_make.h"
#include "server/certificates.h"

namespace postern::server {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kDays = 365;
constexpr std::int64_t kDaysLeftMin = 30;
constexpr std::int64_t kDayS = 86'400;

tl::unexpected<Error> io_error(const std::string& path) {
  const std::string reason = std::generic_category().message(errno);
  return fail(Code::kIo, fmt::format("cannot write {}: {}", path, reason));
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::write(fd, text.data(), text.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// Renamed into place: another example that starts now reads the one or the other.
Result<void> write_file(const std::string& path, std::string_view text, mode_t mode) {
  std::string draft = path + ".XXXXXX";
  const net::Fd fd(::mkostemp(draft.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return io_error(path);
  const bool written = write_all(fd.get(), text) && ::fchmod(fd.get(), mode) == 0 &&
                       ::rename(draft.c_str(), path.c_str()) == 0;
  if (written) return {};
  const auto error = io_error(path);
  ::unlink(draft.c_str());
  return error;
}

bool is_good(const ExampleCertificate& files, const std::vector<std::string>& names) {
  const auto identity = net::TlsIdentity::load(files.cert, files.key);
  if (!identity || ::access(files.authority.c_str(), R_OK) != 0) return false;
  const auto& has = (*identity)->names();
  return (*identity)->not_after_s() - unix_now_s() > kDaysLeftMin * kDayS &&
         std::all_of(names.begin(), names.end(), [&](const std::string& name) {
           return std::find(has.begin(), has.end(), name) != has.end();
         });
}

// The main thread is the only one when the example is written, so nobody changes the environment.
std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

std::string usual_directory() {
  const std::string state = variable("XDG_STATE_HOME");
  if (state.starts_with('/')) return state + "/postern/example";
  const std::string home = variable("HOME");
  return home.starts_with('/') ? home + "/.local/state/postern/example" : "";
}

}  // namespace

Result<ExampleCertificate> example_certificate_in(const std::string& directory,
                                                  const std::vector<std::string>& names) {
  const ExampleCertificate files{directory + "/ca.crt", directory + "/tls.crt",
                                 directory + "/tls.key"};
  if (is_good(files, names)) return files;
  std::error_code error;
  fs::create_directories(directory, error);
  const auto made = net::make_certificate(names, kDays);
  if (!made) return tl::unexpected(made.error());
  // What clients are to trust comes last: once it is there, the others are.
  Result<void> written = write_file(files.key, made->key, 0600);
  if (written) written = write_file(files.cert, made->certificate, 0644);
  if (written) written = write_file(files.authority, made->authority, 0644);
  if (!written) return tl::unexpected(written.error());
  return files;
}

Result<ExampleCertificate> example_certificate(const std::vector<std::string>& names,
                                               const std::string& fallback) {
  const std::string usual = usual_directory();
  if (!usual.empty()) {
    if (auto files = example_certificate_in(usual, names)) return files;
  }
  return example_certificate_in(fallback, names);
}

}  // namespace postern::server
