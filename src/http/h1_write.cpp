#include "http/h1_write.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

#include "http/h1_chunked.h"
#include "http/h1_framing.h"
#include "http/h1_text.h"

namespace postern::http::h1 {
namespace {

constexpr std::size_t kLengthDigitsMax = 20;
constexpr std::size_t kFramingBytesMax = 160;  // lines of a head that are not among its fields

struct Reason {
  std::uint16_t status;
  std::string_view text;
};
// By status; RFC 9110 section 15, and RFC 5842, 6585, 8297 and 8470.
constexpr auto kReasons = std::to_array<Reason>({
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {508, "Loop Detected"},
});

/// Appends text and remembers that something did not fit or may not be sent.
class Output {
 public:
  explicit Output(MutableBytes out) : out_(out) {}

  template <class... Text>
  void put(const Text&... parts) {
    (put_one(parts), ...);
  }

  void line(std::string_view name, std::string_view value) {
    const std::size_t size = name.size() + value.size() + 4;
    if (size > out_.size() - at_) {
      fits_ = false;
      require(is_token(name) && is_value(value));
      return;
    }
    char* to = reinterpret_cast<char*>(out_.data()) + at_;
    at_ += size;
    require(copy_token(name, to));
    to += name.size();
    std::memcpy(to, ": ", 2);
    require(copy_value(value, to + 2));
    std::memcpy(to + 2 + value.size(), "\r\n", 2);
  }

  void number(std::uint64_t value) {
    std::array<char, kLengthDigitsMax> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    put(std::string_view(digits.data(), static_cast<std::size_t>(end.ptr - digits.data())));
  }

  void content_length(std::uint64_t bytes) {
    put("Content-Length: ");
    number(bytes);
    put("\r\n");
  }

  void require(bool holds) { allowed_ = allowed_ && holds; }

  Written done() const {
    if (!allowed_) return {WriteStatus::kRefused, 0};
    if (!fits_) return {WriteStatus::kNoRoom, 0};
    return {WriteStatus::kWritten, at_};
  }

 private:
  void put_one(std::string_view text) {
    if (text.size() > out_.size() - at_) {
      fits_ = false;
      return;
    }
    copy(text);
  }

  // REQUIRES: there is room
  void copy(std::string_view text) {
    if (!text.empty()) std::memcpy(out_.data() + at_, text.data(), text.size());
    at_ += text.size();
  }

  MutableBytes out_;
  std::size_t at_ = 0;
  bool fits_ = true;
  bool allowed_ = true;
};

// Fields that nobody but the writer may set.
bool is_own(KnownField field) {
  return field != KnownField::kOther && field != KnownField::kExpect;
}

void put_connection(std::string_view connection, std::string_view protocol, Output* out) {
  if (!protocol.empty()) {
    out->line("Connection", connection == "close" ? "upgrade, close" : "upgrade");
    out->line("Upgrade", protocol);
  } else if (!connection.empty()) {
    out->line("Connection", connection);
  }
}

bool expects_content(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

std::size_t fields_size(const Fields& fields) {
  std::size_t size = 0;
  for (const Field& field : fields) size += field.name.size() + field.value.size() + 4;
  return size;
}

bool has_no_content(std::uint16_t status) { return status < 200 || status == 204 || status == 304; }

// The fields of a response; Content-Length only where it tells of another response's body.
void put_response_fields(const ResponseHead& head, bool length_allowed, bool* has_length,
                         Output* out) {
  for (const Field& field : head.fields) {
    const KnownField known = known_field(field.name);
    if (known == KnownField::kContentLength) {
      out->require(length_allowed && !*has_length && parse_length(field.value).has_value());
      *has_length = true;
    } else {
      out->require(!is_own(known) || known == KnownField::kHost);
    }
    out->line(field.name, field.value);
  }
}

void put_response_framing(BodyLength body, bool none_possible, Output* out) {
  switch (body.kind) {
    case BodyLength::Kind::kNone:
      if (!none_possible) out->content_length(0);
      break;
    case BodyLength::Kind::kKnown:
      out->content_length(body.bytes);
      break;
    case BodyLength::Kind::kUnknown:
      out->line("Transfer-Encoding", "chunked");
      break;
    case BodyLength::Kind::kToClose:
      break;
  }
}

}  // namespace

Written write_request(const RequestHead& head, BodyLength body, MutableBytes buffer) {
  Output out(buffer);
  out.require(is_token(head.method) && head.method != "CONNECT");
  out.require(is_visible(head.path) && (head.path.front() == '/' || head.path == "*"));
  out.require(head.authority.empty() || is_visible(head.authority));
  out.require(body.kind != BodyLength::Kind::kToClose);
  out.put(head.method, " ", head.path, " HTTP/1.1\r\n");
  out.line("Host", head.authority);
  bool has_te = false;
  for (const Field& field : head.fields) {
    out.require(!is_own(known_field(field.name)));
    out.line(field.name, field.value);
    has_te = has_te || is_named(field.name, "te");
  }
  if (body.kind == BodyLength::Kind::kKnown) {
    out.content_length(body.bytes);
  } else if (body.kind == BodyLength::Kind::kUnknown) {
    out.line("Transfer-Encoding", "chunked");
  } else if (expects_content(head.method)) {
    out.content_length(0);  // RFC 9110 section 8.6
  }
  put_connection(has_te ? "TE" : "", head.protocol, &out);
  out.put("\r\n");
  return out.done();
}

Written write_response(const ResponseHead& head, BodyLength body, bool to_head,
                       std::string_view connection, MutableBytes buffer) {
  Output out(buffer);
  const bool none_possible = to_head || has_no_content(head.status);
  out.require(head.status >= 100 && head.status <= 599);
  out.require(!none_possible || body.kind == BodyLength::Kind::kNone);
  out.put("HTTP/1.1 ");
  out.number(head.status);
  out.put(" ", reason_phrase(head.status), "\r\n");
  bool has_length = false;
  const bool length_allowed = head.status >= 200 && head.status != 204 && none_possible;
  put_response_fields(head, length_allowed, &has_length, &out);
  put_response_framing(body, none_possible, &out);
  const bool closes = body.kind == BodyLength::Kind::kToClose;
  const bool upgrades = (head.status == 101 || head.status == 426) && !head.protocol.empty();
  out.require(head.status != 101 || upgrades);
  put_connection(closes ? "close" : connection, upgrades ? head.protocol : "", &out);
  out.put("\r\n");
  return out.done();
}

std::size_t request_size_max(const RequestHead& head) {
  return head.method.size() + head.path.size() + head.authority.size() + head.protocol.size() +
         fields_size(head.fields) + kFramingBytesMax;
}

std::size_t response_size_max(const ResponseHead& head) {
  return head.protocol.size() + fields_size(head.fields) + kFramingBytesMax;
}

ChunkSizeLine::ChunkSizeLine(std::uint64_t size) : text_{}, begin_(text_.size() - 2) {
  assert(size > 0);  // that would be the last chunk
  text_[begin_] = '\r';
  text_[begin_ + 1] = '\n';
  for (; size != 0; size >>= 4) text_[--begin_] = "0123456789abcdef"[size & 15];
}

Written write_last_chunk(const Fields& trailers, MutableBytes buffer) {
  Output out(buffer);
  out.put("0\r\n");
  for (const Field& field : trailers) {
    if (!is_forbidden_trailer(field.name)) out.line(field.name, field.value);
  }
  out.put("\r\n");
  return out.done();
}

std::string_view reason_phrase(std::uint16_t status) {
  const auto* const found = std::lower_bound(
      kReasons.begin(), kReasons.end(), status,
      [](const Reason& reason, std::uint16_t wanted) { return reason.status < wanted; });
  return found != kReasons.end() && found->status == status ? found->text : std::string_view();
}

}  // namespace postern::http::h1
