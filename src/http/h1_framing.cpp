#include "http/h1_framing.h"

#include "http/h1_text.h"
#include "http/header_filter.h"

namespace postern::http::h1 {
namespace {

constexpr std::size_t kLengthDigitsMax = 19;

// Cuts the next item off a comma-separated list.
std::string_view next_item(std::string_view* list) {
  const std::size_t comma = list->find(',');
  const std::string_view item = trim_blanks(list->substr(0, comma));
  list->remove_prefix(comma == std::string_view::npos ? list->size() : comma + 1);
  return item;
}

}  // namespace

KnownField known_field(std::string_view name) {
  const auto either = [name](std::string_view lower, KnownField field) {
    return is_named(name, lower) ? field : KnownField::kOther;
  };
  switch (name.size()) {
    case 4:
      return either("host", KnownField::kHost);
    case 6:
      return either("expect", KnownField::kExpect);
    case 7:
      return either("upgrade", KnownField::kUpgrade);
    case 10:
      return either("connection", KnownField::kConnection);
    case 14:
      return either("content-length", KnownField::kContentLength);
    case 17:
      return either("transfer-encoding", KnownField::kTransferEncoding);
    default:
      return KnownField::kOther;
  }
}

std::optional<std::uint64_t> parse_length(std::string_view text) {
  if (text.empty() || text.size() > kLengthDigitsMax) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');  // 10^19 fits 64 bits
  }
  if (value > INT64_MAX) return std::nullopt;
  return value;
}

Framing::Coding Framing::coding_of(std::string_view value) {
  bool foreign = false;
  std::string_view rest = value;
  while (rest.find(',') != std::string_view::npos) {
    const std::string_view coding = next_item(&rest);
    const std::string_view name = trim_blanks(coding.substr(0, coding.find(';')));
    // Chunked twice, or not last (RFC 9112 section 6.1); an empty item is no coding.
    if (!is_token(name) || is_named(name, "chunked")) return Coding::kBad;
    foreign = true;
  }
  // Without chunked as the last coding nobody knows where a request ends (section 6.3); chunked has
  // no parameters (section 7.1).
  const std::string_view last = next_item(&rest);
  if (!is_token(last) || !is_named(last, "chunked")) return Coding::kBad;
  return foreign ? Coding::kForeign : Coding::kChunked;
}

void Framing::note(KnownField known, std::string_view value) {
  switch (known) {
    case KnownField::kContentLength:
      ++lengths_;
      length_ = parse_length(value);
      break;
    case KnownField::kTransferEncoding:
      ++codings_;
      coding_ = coding_of(value);
      break;
    case KnownField::kUpgrade:
      ++upgrades_;
      upgrade_ = value;
      break;
    case KnownField::kConnection:
      close_ = close_ || has_token(value, "close");
      keep_alive_ = keep_alive_ || has_token(value, "keep-alive");
      upgrade_listed_ = upgrade_listed_ || has_token(value, "upgrade");
      break;
    default:
      break;
  }
}

Fault Framing::problem(unsigned minor_version) const {
  if (codings_ != 0) {
    if (minor_version == 0) return {400, "Transfer-Encoding in HTTP/1.0"};  // RFC 9112 section 6.1
    if (lengths_ != 0) return {400, "both Content-Length and Transfer-Encoding"};
    if (codings_ > 1) return {400, "several Transfer-Encoding lines"};
    if (coding_ == Coding::kBad) return {400, "Transfer-Encoding that does not end in one chunked"};
    if (coding_ == Coding::kForeign) return {501, "transfer coding other than chunked"};
  }
  if (lengths_ > 1) return {400, "several Content-Length lines"};
  if (lengths_ == 1 && !length_) return {400, "malformed Content-Length"};
  return {};
}

bool Framing::keep_alive(unsigned minor_version) const {
  return !close_ && (minor_version == 1 || keep_alive_);
}

std::string_view Framing::upgrade() const {
  return upgrades_ == 1 && upgrade_listed_ && is_protocol(upgrade_) ? upgrade_ : std::string_view();
}

}  // namespace postern::http::h1
