// What `postern doctor` found: for people, and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::cli {

enum class Verdict : std::uint8_t { kOk, kWarning, kBad };

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string_view layer;  ///< dns, resolver, tcp, certificate, alpn, http, alt-svc, quic, bypass
  std::string name;
  std::string text;
  std::string effect;  ///< what a browser does; "" nothing
  std::string remedy;  ///< a command, or lines for the configuration; "" none is needed
};

inline constexpr std::string_view kQuicStalls =
    "Chromium waits 4 s and may show ERR_QUIC_PROTOCOL_ERROR, Firefox waits up to 60 s";

class Report {
 public:
  void add(Finding finding) { findings_.push_back(std::move(finding)); }
  bool bad() const;
  /// By name; in color when `color`.
  std::string table(bool color) const;
  std::string json() const;

 private:
  std::vector<Finding> findings_;
};

}  // namespace postern::cli
