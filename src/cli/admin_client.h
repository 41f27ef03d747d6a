// How commands talk to the running server: HTTP requests to its admin address (RFC 9112). Blocking.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace postern::cli {

/// Where to ask, from the options of a command.
struct AdminOptions {
  std::string config_file;  ///< "": the default one, when it is there
  std::string url;          ///< "http://IP:port", in place of what the configuration says
  std::string token_file;   ///< in place of the configuration's
};

using Parameters = std::vector<std::pair<std::string_view, std::string>>;

struct AdminAnswer {
  int status = 0;
  std::string body;
};

class AdminClient {
 public:
  static constexpr std::size_t kAnswerBytesMax = 64U << 20;
  static constexpr int kTimeoutMs = 65'000;  ///< a reload takes its time

  /// The error says what to do.
  static Result<AdminClient> find(const AdminOptions& options);

  const Endpoint& server() const { return server_; }
  Result<AdminAnswer> ask(std::string_view method, std::string_view path,
                          const Parameters& parameters = {}) const;
  /// Each line as it comes, until `take` says no more or the server ends. A status other than 200
  /// is an error.
  Result<void> follow(std::string_view path, const Parameters& parameters,
                      const std::function<bool(std::string_view line)>& take) const;

 private:
  std::string request(std::string_view method, std::string_view path,
                      const Parameters& parameters) const;

  Endpoint server_;
  std::string token_;
};

}  // namespace postern::cli
