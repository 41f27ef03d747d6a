#include "dns/name.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <sys/random.h>

namespace postern::dns {
namespace {

constexpr std::array<std::uint8_t, 1> kRootWire{0};
constexpr std::uint8_t kPointerBits = 0xc0;
constexpr std::uint64_t kHashMultiplier = 0xa0761d6478bd642fULL;
constexpr std::size_t kHeaderSize = 12;  // no name stands in a message's header

bool equal_lower(const std::uint8_t* a, const std::uint8_t* b, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    if (lower_byte(a[i]) != lower_byte(b[i])) return false;
  }
  return true;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Lower-cases eight bytes at once. Length bytes are at most 63, below 'A', so a whole wire name can
// be passed through.
std::uint64_t lower_word(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  constexpr std::uint64_t kHigh = 0x80 * kOnes;
  const std::uint64_t seven_bits = word & ~kHigh;
  const std::uint64_t above_z = seven_bits + (0x7f - 'Z') * kOnes;
  const std::uint64_t from_a = seven_bits + (0x80 - 'A') * kOnes;
  const std::uint64_t upper = ~word & kHigh & (from_a ^ above_z);
  return word | (upper >> 2);
}

// One label into the hash. REQUIRES: seven bytes may be read behind it.
std::uint64_t extend_hash_padded(std::uint64_t suffix_hash, const std::uint8_t* label,
                                 std::size_t size) {
  std::uint64_t h = suffix_hash ^ (size * kHashMultiplier);
  std::uint64_t word = 0;
  for (; size >= sizeof(word); label += sizeof(word), size -= sizeof(word)) {
    std::memcpy(&word, label, sizeof(word));
    h = mix(h ^ word, kHashMultiplier);
  }
  std::memcpy(&word, label, sizeof(word));
  word &= (std::uint64_t{1} << (size * 8)) - 1;
  return mix(h ^ word, kHashMultiplier ^ kRootHash);
}

// Offsets of the labels of `name`; returns how many, without the root.
std::size_t label_offsets(NameView name, std::array<std::uint8_t, kLabelsMax + 1>& offsets) {
  const std::uint8_t* wire = name.wire().data();
  std::size_t at = 0;
  std::size_t count = 0;
  while (wire[at] != 0) {
    offsets[count++] = static_cast<std::uint8_t>(at);
    at += wire[at] + 1U;
  }
  offsets[count] = static_cast<std::uint8_t>(at);
  return count;
}

int compare_labels(Bytes a, Bytes b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    const int difference = int{lower_byte(a[i])} - int{lower_byte(b[i])};
    if (difference != 0) return difference;
  }
  return static_cast<int>(a.size()) - static_cast<int>(b.size());
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads one character of a label at text[*at], escapes resolved (RFC 1035 section 5.1).
Result<char> read_character(std::string_view text, std::size_t* at) {
  const char c = text[(*at)++];
  if (c != '\\') return c;
  if (*at >= text.size())
    return fail(Code::kMalformed, fmt::format("'{}' ends in a backslash", text));
  if (!is_digit(text[*at])) return text[(*at)++];
  if (*at + 3 > text.size() || !is_digit(text[*at + 1]) || !is_digit(text[*at + 2])) {
    return fail(Code::kMalformed,
                fmt::format("'{}': \\ is followed by three digits or one other character", text));
  }
  const int value = (text[*at] - '0') * 100 + (text[*at + 1] - '0') * 10 + (text[*at + 2] - '0');
  if (value > 255)
    return fail(Code::kMalformed, fmt::format("'{}': \\{} is above 255", text, value));
  *at += 3;
  return static_cast<char>(static_cast<unsigned char>(value));
}

Result<std::string> with_origin(std::string wire, bool absolute, NameView origin,
                                std::string_view text) {
  if (absolute) {
    wire.push_back('\0');
  } else {
    wire.append(as_text(origin.wire()));
  }
  if (wire.size() > kNameBytesMax) {
    return fail(Code::kLimit,
                fmt::format("'{}' is {} bytes long; a name has at most 255", text, wire.size()));
  }
  return wire;
}

std::uint64_t root_hash() {
  static const std::uint64_t hash = mix(kRootHash, process_hash_seed());
  return hash;
}

}  // namespace

NameView::NameView() : wire_(kRootWire) {}

std::size_t NameView::label_count() const {
  std::size_t count = 0;
  for (std::size_t at = 0; wire_[at] != 0; at += wire_[at] + 1U) ++count;
  return count;
}

bool equal_names(NameView a, NameView b) {
  return a.size() == b.size() && equal_lower(a.wire().data(), b.wire().data(), a.size());
}

bool is_at_or_below(NameView child, NameView parent) {
  if (child.size() < parent.size()) return false;
  const std::size_t cut = child.size() - parent.size();
  std::size_t at = 0;
  while (at < cut) at += child.wire()[at] + 1U;
  return at == cut && equal_lower(child.wire().data() + cut, parent.wire().data(), parent.size());
}

int compare_names(NameView a, NameView b) {
  std::array<std::uint8_t, kLabelsMax + 1> offsets_a;
  std::array<std::uint8_t, kLabelsMax + 1> offsets_b;
  const std::size_t count_a = label_offsets(a, offsets_a);
  const std::size_t count_b = label_offsets(b, offsets_b);
  const auto label = [](NameView name, std::size_t at) {
    return name.wire().subspan(at + 1, name.wire()[at]);
  };
  for (std::size_t i = 1; i <= std::min(count_a, count_b); ++i) {
    const int order =
        compare_labels(label(a, offsets_a[count_a - i]), label(b, offsets_b[count_b - i]));
    if (order != 0) return order;
  }
  return static_cast<int>(count_a) - static_cast<int>(count_b);
}

std::string name_text(NameView name) {
  if (name.is_root()) return ".";
  std::string text;
  const Bytes wire = name.wire();
  for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1U) {
    for (const std::uint8_t byte : wire.subspan(at + 1, wire[at])) {
      const char c = static_cast<char>(byte);
      if (byte <= 0x20 || byte >= 0x7f) {
        text += fmt::format("\\{:03}", byte);
      } else if (std::strchr(".\\\"();@$", c) != nullptr) {
        text += '\\';
        text += c;
      } else {
        text += c;
      }
    }
    text += '.';
  }
  return text;
}

Result<Name> Name::parse(std::string_view text, NameView origin) {
  Name name;
  if (text == "@") return Name(origin);
  if (text == ".") return name;
  if (text.empty()) return fail(Code::kMalformed, "an empty name");
  std::string wire;
  std::string label;
  bool absolute = false;
  std::size_t at = 0;
  const auto finish_label = [&]() -> Result<bool> {
    if (label.empty()) return fail(Code::kMalformed, fmt::format("'{}' has an empty label", text));
    if (label.size() > kLabelBytesMax) {
      return fail(Code::kLimit, fmt::format("'{}': label '{}' is {} bytes long; at most 63", text,
                                            label, label.size()));
    }
    wire.push_back(static_cast<char>(label.size()));
    wire += label;
    label.clear();
    return true;
  };
  while (at < text.size()) {
    if (text[at] == '.') {
      if (auto done = finish_label(); !done) return tl::unexpected(done.error());
      absolute = ++at == text.size();
      continue;
    }
    const auto c = read_character(text, &at);
    if (!c) return tl::unexpected(c.error());
    label.push_back(*c);
  }
  if (!absolute) {
    if (auto done = finish_label(); !done) return tl::unexpected(done.error());
  }
  auto whole = with_origin(std::move(wire), absolute, origin, text);
  if (!whole) return tl::unexpected(whole.error());
  name.wire_ = std::move(*whole);
  return name;
}

std::string Name::lower_wire() const {
  std::string lower = wire_;
  for (char& c : lower) c = static_cast<char>(lower_byte(static_cast<std::uint8_t>(c)));
  return lower;
}

std::size_t read_name(Bytes message, std::size_t* position,
                      std::array<std::uint8_t, kNameBytesMax>& out) {
  std::size_t at = *position;
  std::size_t size = 0;
  std::size_t lowest = at;  // a pointer has to lead to before everything read so far
  bool jumped = false;
  std::size_t jumps = 0;
  for (;;) {
    if (at >= message.size()) return 0;
    const std::uint8_t length = message[at];
    if ((length & kPointerBits) == kPointerBits) {
      if (at + 1 >= message.size()) return 0;
      const std::size_t target = load_u16(message.data() + at) & 0x3fffU;
      if (!jumped) *position = at + 2;
      jumped = true;
      // Pointers to pointers: nobody needs more than one per label, and a long chain of them would
      // make every name of a message as dear as the whole message.
      if (++jumps > kLabelsMax) return 0;
      if (target >= lowest || target < kHeaderSize) return 0;
      lowest = target;
      at = target;
      continue;
    }
    if (length > kLabelBytesMax || size + length + 1U > kNameBytesMax) return 0;
    if (at + length + 1U > message.size()) return 0;
    std::memcpy(out.data() + size, message.data() + at, length + 1U);
    size += length + 1U;
    at += length + 1U;
    if (length == 0) break;
  }
  if (!jumped) *position = at;
  return size;
}

bool skip_name(Bytes message, std::size_t* position) {
  std::size_t at = *position;
  while (at < message.size()) {
    const std::uint8_t length = message[at];
    if ((length & kPointerBits) == kPointerBits) {
      *position = at + 2;
      return *position <= message.size();
    }
    if (length > kLabelBytesMax) return false;
    at += length + 1U;
    if (length == 0) {
      *position = at;
      return at <= message.size();
    }
  }
  return false;
}

std::uint64_t process_hash_seed() {
  static const std::uint64_t seed = [] {
    std::uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) random = kRootHash;
    return random | 1;
  }();
  return seed;
}

std::uint64_t extend_hash(std::uint64_t suffix_hash, Bytes lower_label) {
  std::array<std::uint8_t, kLabelBytesMax + sizeof(std::uint64_t)> padded{};
  std::uint64_t h = suffix_hash;
  do {  // texts longer than a label are taken piece by piece
    const std::size_t size = std::min(lower_label.size(), kLabelBytesMax);
    if (size != 0) std::memcpy(padded.data(), lower_label.data(), size);
    h = extend_hash_padded(h, padded.data(), size);
    lower_label = lower_label.subspan(size);
  } while (!lower_label.empty());
  return h;
}

std::uint64_t hash_name(NameView name) { return LookupName(name).hash(); }

LookupName::LookupName() : size_(1), labels_(0) {
  lower_[0] = 0;
  offset_[0] = 0;
  hash_[0] = root_hash();
}

LookupName& LookupName::operator=(const LookupName& other) {
  if (this == &other) return *this;
  size_ = other.size_;
  labels_ = other.labels_;
  std::memcpy(lower_.data(), other.lower_.data(), size_);
  std::memcpy(offset_.data(), other.offset_.data(), labels_ + 1U);
  std::memcpy(hash_.data(), other.hash_.data(), (labels_ + 1U) * sizeof(hash_[0]));
  return *this;
}

void LookupName::assign(NameView name) {
  labels_ = static_cast<std::uint8_t>(label_offsets(name, offset_));
  size_ = static_cast<std::uint8_t>(name.size());
  prepare(name.wire().data());
}

std::size_t LookupName::read(Bytes message, std::size_t position) {
  const std::size_t size_max = std::min(message.size() - position, kNameBytesMax);
  const std::uint8_t* wire = message.data() + position;
  std::size_t at = 0;
  std::size_t labels = 0;
  while (at < size_max && wire[at] != 0) {
    if (wire[at] > kLabelBytesMax) return 0;
    offset_[labels++] = static_cast<std::uint8_t>(at);
    at += wire[at] + 1U;
  }
  if (at >= size_max) return 0;
  offset_[labels] = static_cast<std::uint8_t>(at);
  labels_ = static_cast<std::uint8_t>(labels);
  size_ = static_cast<std::uint8_t>(at + 1);
  prepare(wire);
  return size_;
}

void LookupName::prepare(const std::uint8_t* wire) {
  std::memcpy(lower_.data(), wire, size_);
  std::uint64_t word = 0;
  for (std::size_t at = 0; at < size_; at += sizeof(word)) {
    std::memcpy(&word, lower_.data() + at, sizeof(word));
    word = lower_word(word);
    std::memcpy(lower_.data() + at, &word, sizeof(word));
  }
  std::uint64_t hash = root_hash();
  hash_[labels_] = hash;
  for (std::size_t i = labels_; i-- > 0;) {
    const std::uint8_t* label = lower_.data() + offset_[i];
    hash = extend_hash_padded(hash, label + 1, label[0]);
    hash_[i] = hash;
  }
}

std::uint64_t LookupName::wildcard_hash(std::size_t skipped_labels) const {
  static constexpr std::uint8_t kStar = '*';
  return extend_hash(hash_[skipped_labels], Bytes(&kStar, 1));
}

}  // namespace postern::dns
