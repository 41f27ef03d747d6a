// Domain names. On the wire: labels of 1 to 63 bytes behind a length byte, the root (0) at the end,
// 255 bytes at most (RFC 1035, sections 2.3.4 and 3.1). Case is kept and does not count in a
// comparison (RFC 4343). Text form: RFC 1035 section 5.1, with \. and \DDD escapes.
//
// NameView   borrowed, valid, uncompressed wire form        Name   the same, owned
// LookupName lower-cased copy with a hash for every suffix: what all tables are searched with
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace postern::dns {

inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::size_t kLabelBytesMax = 63;
inline constexpr std::size_t kLabelsMax = 127;  ///< without the root

inline std::uint8_t lower_byte(std::uint8_t c) {
  return static_cast<std::uint8_t>(c + (static_cast<std::uint8_t>(c - 'A') < 26 ? 32 : 0));
}

/// REQUIRES: the bytes are one valid uncompressed name, root label included.
class NameView {
 public:
  NameView();  ///< the root
  explicit NameView(Bytes wire) : wire_(wire) {}

  Bytes wire() const { return wire_; }
  std::size_t size() const { return wire_.size(); }
  bool is_root() const { return wire_.size() == 1; }
  bool is_wildcard() const { return wire_.size() > 2 && wire_[0] == 1 && wire_[1] == '*'; }
  std::size_t label_count() const;  ///< the root has none
  Bytes first_label() const { return wire_.subspan(1, wire_[0]); }
  /// REQUIRES: !is_root()
  NameView parent() const { return NameView(wire_.subspan(std::size_t{wire_[0]} + 1)); }

 private:
  Bytes wire_;
};

bool equal_names(NameView a, NameView b);
/// True for `parent` itself and every name under it.
bool is_at_or_below(NameView child, NameView parent);
/// Canonical order, RFC 4034 section 6.1: negative, zero or positive.
int compare_names(NameView a, NameView b);
/// Absolute text with a final dot; "." for the root.
std::string name_text(NameView name);

/// An owned name; a value for cold paths (configuration, zones being read, logs).
class Name {
 public:
  Name() : wire_(1, '\0') {}  ///< the root
  explicit Name(NameView view) : wire_(as_text(view.wire())) {}

  /// Absolute ("a.example." or, without a final dot, relative to `origin`). "@" is the origin.
  /// Error detail says what is wrong with which label.
  static Result<Name> parse(std::string_view text, NameView origin = NameView());

  NameView view() const { return NameView(as_bytes(wire_)); }
  std::string text() const { return name_text(view()); }
  std::string lower_wire() const;

  friend bool operator==(const Name& a, const Name& b) { return equal_names(a.view(), b.view()); }

 private:
  std::string wire_;
};

/// Reads the name at `message[*position]`, following compression pointers backwards only
/// (RFC 1035 section 4.1.4), into `out`; moves `*position` behind it. Returns its length, or 0
/// when it is malformed. Case is kept.
std::size_t read_name(Bytes message, std::size_t* position,
                      std::array<std::uint8_t, kNameBytesMax>& out);
/// Moves `*position` behind the name at it without reading it. False when it runs past the end.
bool skip_name(Bytes message, std::size_t* position);

/// The hash of a suffix is computed from the right, label by label, with a seed of this process,
/// so that a stranger cannot choose names that collide.
inline constexpr std::uint64_t kRootHash = 0x9e3779b97f4a7c15ULL;
std::uint64_t process_hash_seed();
/// `lower_label` without its length byte.
std::uint64_t extend_hash(std::uint64_t suffix_hash, Bytes lower_label);
/// Hash of a whole name in any case; equals LookupName::hash() of the same name.
std::uint64_t hash_name(NameView name);

/// A name prepared for look-ups: one pass over its bytes, no allocation. Suffix 0 is the whole
/// name, suffix i lacks the first i labels, suffix label_count() is the root.
class LookupName {
 public:
  LookupName();  ///< the root
  explicit LookupName(NameView name) { assign(name); }
  LookupName(const LookupName& other) { *this = other; }
  LookupName& operator=(const LookupName& other);

  void assign(NameView name);
  /// Reads the uncompressed name at message[position]. Returns its size, 0 when there is none.
  std::size_t read(Bytes message, std::size_t position);

  std::size_t label_count() const { return labels_; }
  NameView suffix(std::size_t skipped_labels) const {
    return NameView(
        Bytes(lower_.data() + offset_[skipped_labels], size_ - offset_[skipped_labels]));
  }
  std::uint64_t hash(std::size_t skipped_labels = 0) const { return hash_[skipped_labels]; }
  NameView name() const { return suffix(0); }
  /// Hash of "*.<suffix>".
  std::uint64_t wildcard_hash(std::size_t skipped_labels) const;

 private:
  void prepare(const std::uint8_t* wire);  // size_, labels_ and offset_ are set

  static constexpr std::size_t kPadding = 8;  // so that whole words may be read
  std::uint8_t size_;                         // bytes used in lower_
  std::uint8_t labels_;                       // without the root
  std::array<std::uint8_t, kNameBytesMax + kPadding> lower_;
  std::array<std::uint8_t, kLabelsMax + 1> offset_;
  std::array<std::uint64_t, kLabelsMax + 1> hash_;
};

}  // namespace postern::dns
