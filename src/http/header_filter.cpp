#include "http/header_filter.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "http/h1_text.h"

namespace postern::http {
namespace {

/// Names of fields, of fewer than 64 bytes. Most others are told apart by their size.
template <std::size_t count>
class NameSet {
 public:
  template <class... Name>
  constexpr explicit NameSet(Name... names) : names_{names...} {
    for (const std::string_view name : names_) sizes_ |= std::uint64_t{1} << name.size();
  }

  bool has(std::string_view name) const {
    return name.size() < 64 && (sizes_ >> name.size() & 1) != 0 &&
           std::any_of(names_.begin(), names_.end(),
                       [name](std::string_view other) { return same_name(other, name); });
  }

 private:
  std::array<std::string_view, count> names_;
  std::uint64_t sizes_ = 0;
};
template <class... Name>
NameSet(Name...) -> NameSet<sizeof...(Name)>;

/// For one connection only (RFC 9110 section 7.6.1), or for the next proxy only (section 11.7).
constexpr NameSet kHopByHop("connection", "keep-alive", "proxy-connection", "te",
                            "transfer-encoding", "proxy-authenticate", "proxy-authorization",
                            "proxy-authentication-info");

constexpr NameSet kFraming("host", "content-length", "trailer", "upgrade");

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_request_id_byte(char c) {
  constexpr std::string_view kOthers = "-_.:=+/@~,;{}";
  return is_alphanumeric(c) || kOthers.find(c) != std::string_view::npos;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// The names that the Connection lines list.
class ConnectionOptions {
 public:
  /// False: too many.
  bool read(const Fields& fields) {
    for (const Field& line : fields) {
      if (same_name(line.name, "connection") && !read_line(line.value)) return false;
    }
    return true;
  }

  bool has(std::string_view name) const {
    return std::any_of(names_.begin(), names_.begin() + size_,
                       [name](std::string_view other) { return same_name(other, name); });
  }

 private:
  bool read_line(std::string_view value) {
    while (!value.empty()) {
      const std::size_t end = std::min(value.find(','), value.size());
      const std::string_view name = trim(value.substr(0, end));
      value.remove_prefix(std::min(end + 1, value.size()));
      if (name.empty()) continue;
      if (size_ == names_.size()) return false;
      names_[size_++] = name;
    }
    return true;
  }

  std::array<std::string_view, kConnectionOptionsMax> names_;
  std::size_t size_ = 0;
};

bool wants_trailers(const Fields& fields) {
  return std::any_of(fields.begin(), fields.end(), [](const Field& line) {
    return same_name(line.name, "te") && has_token(line.value, "trailers");
  });
}

bool is_request_id(std::string_view id) {
  return !id.empty() && id.size() <= kRequestIdBytesMax &&
         std::all_of(id.begin(), id.end(), is_request_id_byte);
}

}  // namespace

bool is_field_name(std::string_view name) { return h1::is_token(name); }

bool is_protocol(std::string_view text) {
  const std::size_t slash = text.find('/');
  return h1::is_token(text.substr(0, slash)) &&
         (slash == std::string_view::npos || h1::is_token(text.substr(slash + 1)));
}

bool is_field_value(std::string_view value) {
  return trim(value) == value && std::none_of(value.begin(), value.end(), [](char c) {
           return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
         });
}

bool may_be_edited(std::string_view name) { return !kHopByHop.has(name) && !kFraming.has(name); }

void apply(const HeaderEdits& edits, Fields& fields) {
  for (const std::string& name : edits.remove) fields.remove(name);
  for (const HeaderValue& line : edits.set) fields.set(line.name, line.value);
  for (const HeaderValue& line : edits.add) fields.add(line.name, line.value);
}

bool remove_hop_by_hop(Fields& fields, bool keep_upgrade) {
  const auto is_concerned = [](const Field& line) {
    return kHopByHop.has(line.name) || same_name(line.name, "upgrade");
  };
  if (std::none_of(fields.begin(), fields.end(), is_concerned)) return true;
  ConnectionOptions options;
  if (!options.read(fields)) return false;
  const bool trailers = wants_trailers(fields);
  fields.remove_if([&](const Field& line) {
    if (same_name(line.name, "upgrade")) return !keep_upgrade;
    if (kHopByHop.has(line.name)) return true;
    return !same_name(line.name, "content-length") && options.has(line.name);
  });
  if (trailers) fields.add("te", "trailers");
  return true;
}

void apply_alt_svc(Fields& response, AltSvc policy, bool tls) {
  if (policy == AltSvc::kPass) return;
  response.remove("alt-svc");
  if (policy == AltSvc::kClear && tls) response.add("alt-svc", "clear");
}

std::string hsts_value(std::uint64_t max_age_s) { return fmt::format("max-age={}", max_age_s); }

void apply_hsts(Fields& response, std::string_view value, bool tls) {
  if (!tls) {
    response.remove("strict-transport-security");
  } else if (!value.empty()) {
    response.set("strict-transport-security", value);
  }
}

std::string_view set_request_id(Fields& request, TextArena& arena, std::uint64_t random_high,
                                std::uint64_t random_low) {
  constexpr std::string_view kName = "x-request-id";
  const Field* const given = request.find(kName);
  if (given != nullptr && is_request_id(given->value) && request.count(kName) == 1) {
    return given->value;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<char, 32> digits;
  for (std::size_t i = 0; i < 16; ++i) {
    digits[15 - i] = kDigits[(random_high >> (4 * i)) & 0xf];
    digits[31 - i] = kDigits[(random_low >> (4 * i)) & 0xf];
  }
  const std::string_view id = arena.copy({digits.data(), digits.size()});
  if (given != nullptr) request.remove(kName);
  request.add(kName, id);
  return id;
}

}  // namespace postern::http
