// What a request or a response says before its body, whatever protocol carried it (RFC 9110
// section 6). Text is borrowed: from the input of the codec that read it, or from the head's own
// arena for what was added. One head belongs to one exchange and is used again for the next, so a
// steady state allocates nothing. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace postern::http {

/// ASCII case does not count (RFC 9110 section 5.1).
bool same_text(const char* a, const char* b, std::size_t size);
inline bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  if (a.empty()) return true;
  return ((a[0] ^ b[0]) & ~0x20) == 0 && same_text(a.data(), b.data(), a.size());
}

/// Text that stays where it is until clear().
class TextArena {
 public:
  std::string_view copy(std::string_view text);
  /// The parts one after the other as one text.
  std::string_view join(std::span<const std::string_view> parts);
  void clear();
  /// Memory in use.
  std::size_t bytes() const {
    return large_bytes_ + (blocks_.empty() ? 0 : (block_ + 1) * kBlockBytes);
  }

 private:
  static constexpr std::size_t kBlockBytes = 1024;
  char* take(std::size_t size);

  std::vector<std::unique_ptr<char[]>> blocks_;  // of kBlockBytes each
  std::vector<std::unique_ptr<char[]>> large_;   // one text each; freed by clear()
  std::size_t block_ = 0;                        // the one in use
  std::size_t used_ = 0;                         // of it
  std::size_t large_bytes_ = 0;
};

struct Field {
  std::string_view name;   ///< as received: any case in HTTP/1.1, lower case in HTTP/2
  std::string_view value;  ///< without white space around it
};

/// Field lines in their order; several lines of one name stay several.
class Fields {
 public:
  std::size_t size() const { return lines_.size(); }
  const Field* begin() const { return lines_.data(); }
  const Field* end() const { return lines_.data() + lines_.size(); }

  /// The first line of that name; nullptr when there is none.
  const Field* find(std::string_view name) const;
  /// Its value, "" when there is none.
  std::string_view value(std::string_view name) const;
  std::size_t count(std::string_view name) const;

  void add(std::string_view name, std::string_view value) { lines_.push_back({name, value}); }
  /// Removes all lines of that name. Returns how many there were.
  std::size_t remove(std::string_view name);
  /// Removes the lines for which `gone(const Field&)` is true.
  template <class Gone>
  void remove_if(Gone gone) {
    std::erase_if(lines_, gone);
  }
  /// One line of that name with this value, in place of all that there were.
  void set(std::string_view name, std::string_view value);
  void clear() { lines_.clear(); }

 private:
  std::vector<Field> lines_;
};

/// Fields with their text.
struct OwnedFields {
  OwnedFields() = default;
  explicit OwnedFields(const Fields& borrowed);

  TextArena arena;
  Fields fields;
};

/// Is `token` one of the comma-separated items of a value, in any case (RFC 9110 section 5.6.1)?
bool has_token(std::string_view value, std::string_view token);

struct RequestHead {
  std::string_view method;     ///< case counts: "GET"
  std::string_view scheme;     ///< "http" or "https"
  std::string_view authority;  ///< host and maybe port, as the client wrote it
  std::string_view path;       ///< with its query: "/a?b=c"; "*" for OPTIONS
  std::string_view protocol;   ///< extended CONNECT (RFC 8441) or Upgrade: "websocket"; else ""
  /// Without pseudo-fields, and without what other members or BodyLength say: Host, Upgrade,
  /// Content-Length, Transfer-Encoding.
  Fields fields;
  TextArena arena;

  void clear();
};

struct ResponseHead {
  std::uint16_t status = 0;
  std::string_view protocol;  ///< of a 101: what the connection is from now on; of a 426: what
                              ///< it should be; else ""
  /// Without Upgrade and Transfer-Encoding; Content-Length only in answers to HEAD and in a 304,
  /// where it is not about this message.
  Fields fields;
  TextArena arena;

  void clear();
};

/// How long a body is (RFC 9112 section 6.3).
struct BodyLength {
  enum class Kind : std::uint8_t {
    kNone,     ///< no body at all
    kKnown,    ///< `bytes` of it
    kUnknown,  ///< it ends where the protocol says so: chunked, END_STREAM
    kToClose,  ///< HTTP/1.1 responses only: up to the end of the connection
  };
  Kind kind = Kind::kNone;
  std::uint64_t bytes = 0;
};

}  // namespace postern::http
