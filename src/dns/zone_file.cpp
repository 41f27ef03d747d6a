#include "dns/zone_file.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dns/zone_generate.h"

namespace postern::dns {
namespace {

constexpr std::size_t kFilesOpenedMax = 10'000;  // $INCLUDE lines followed in one load
constexpr std::size_t kReadBytes = 1U << 20;
constexpr std::size_t kSoaTailBytes = 20;

bool equal_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return lower_byte(static_cast<std::uint8_t>(x)) == lower_byte(static_cast<std::uint8_t>(y));
  });
}

std::string error_text(int number) { return std::generic_category().message(number); }

// The whole file in pages of its own; not mapped, so that one cut short while it is read is only a
// short file. Neither waits at a pipe nor reads a device that has no end.
bool read_file(const std::string& path, MappedArray<char>* out, std::string* why) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    *why = error_text(errno);
    return false;
  }
  struct stat status {};
  ssize_t got = -1;
  if (fstat(fd, &status) != 0) {
    *why = error_text(errno);
  } else if (!S_ISREG(status.st_mode)) {
    *why = S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file";
  } else {
    out->reserve(static_cast<std::size_t>(status.st_size) + 1);
    do {
      const std::size_t size = out->size();
      out->reserve(size + 1);
      const std::size_t room = std::min(out->mapped_bytes() - size, kReadBytes);
      out->resize(size + room);
      got = ::read(fd, out->data() + size, room);
      out->resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0) *why = error_text(errno);
  }
  ::close(fd);
  return got == 0;
}

std::string beside(const std::string& including, std::string_view path) {
  const std::size_t slash = including.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return std::string(path);
  return including.substr(0, slash + 1) + std::string(path);
}

std::optional<RrClass> class_of(std::string_view text) {
  if (equal_text(text, "IN")) return RrClass::kIn;
  if (equal_text(text, "CH") || equal_text(text, "CHAOS")) return RrClass::kCh;
  if (equal_text(text, "HS") || equal_text(text, "HESIOD")) return RrClass::kHs;
  if (equal_text(text, "CS")) return static_cast<RrClass>(2);
  std::uint64_t number = 0;
  std::string why;
  if (text.size() > 5 && equal_text(text.substr(0, 5), "CLASS") &&
      parse_number(text.substr(5), 65535, &number, &why)) {
    return static_cast<RrClass>(number);
  }
  return std::nullopt;
}

// Types of questions and of messages, never of stored data (RFC 6895 section 3.1).
bool is_meta(RrType type) {
  const auto number = static_cast<std::uint16_t>(type);
  return number == 0 || type == RrType::kOpt || (number >= 128 && number <= 255);
}

bool plain_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

struct ZoneFileReader::Frame {
  Frame(std::string file_path, MappedArray<char> bytes)
      : path(std::move(file_path)),
        text(std::move(bytes)),
        lexer(std::string_view(text.data(), text.size())) {}

  std::string path;
  MappedArray<char> text;
  ZoneLexer lexer;
  std::uint16_t file = 0;
  // What the including file goes on with.
  WireName origin;
  WireName owner;
  bool owner_known = false;
  bool owner_in_zone = false;
};

ZoneFileReader::ZoneFileReader(NameView apex, const ZoneLoadLimits& limits, ZoneSink* sink,
                               ZoneProblems* problems)
    : limits_(limits), sink_(sink), problems_(problems), apex_(apex) {
  origin_.assign(apex);
}

ZoneFileReader::~ZoneFileReader() = default;

ZonePlace ZoneFileReader::here(TextPosition where) const {
  if (generated_at_) where = *generated_at_;
  constexpr std::uint32_t kColumnMax = 65535;
  ZonePlace place;
  place.line = where.line;
  place.column = static_cast<std::uint16_t>(std::min(where.column, kColumnMax));
  place.file = frames_.empty() ? std::uint16_t{0} : frames_.back()->file;
  return place;
}

void ZoneFileReader::error(TextPosition where, std::string text) {
  problems_->error(here(where), std::move(text));
}

void ZoneFileReader::warning(TextPosition where, std::string text) {
  problems_->warning(here(where), std::move(text));
}

bool ZoneFileReader::open(const std::string& path, const ZonePlace& from) {
  if (frames_.size() > limits_.include_depth_max || files_opened_ >= kFilesOpenedMax) {
    problems_->error(from, fmt::format("'{}': $INCLUDE goes deeper than {} files", path,
                                       limits_.include_depth_max));
    return false;
  }
  for (const auto& frame : frames_) {
    if (frame->path != path) continue;
    problems_->error(from, fmt::format("'{}' includes itself", path));
    return false;
  }
  ++files_opened_;
  MappedArray<char> text;
  const std::uint16_t file = problems_->add_file(path);
  if (!read_file(path, &text, &why_)) {
    problems_->error(frames_.empty() ? ZonePlace{1, 1, file} : from,
                     fmt::format("cannot read '{}': {}", path, why_));
    return false;
  }
  content_hash_ = extend_hash(content_hash_, as_bytes(std::string_view(text.data(), text.size())));
  auto frame = std::make_unique<Frame>(path, std::move(text));
  frame->file = file;
  frame->origin = origin_;
  frame->owner = owner_;
  frame->owner_known = owner_known_;
  frame->owner_in_zone = owner_in_zone_;
  frames_.push_back(std::move(frame));
  return true;
}

// RFC 1035 section 5.1: the origin of the including file is as it was; so is its owner.
void ZoneFileReader::close() {
  const Frame& frame = *frames_.back();
  origin_changed_ = false;
  origin_ = frame.origin;
  owner_ = frame.owner;
  owner_known_ = frame.owner_known;
  owner_in_zone_ = frame.owner_in_zone;
  frames_.pop_back();
}

void ZoneFileReader::read(const std::string& path) {
  if (!open(path, {})) return;
  ZoneEntry entry;
  while (!frames_.empty() && !full_) {
    if (frames_.back()->lexer.next(&entry)) {
      take_entry(entry);
    } else {
      close();
    }
  }
  frames_.clear();
}

void ZoneFileReader::take_entry(const ZoneEntry& entry) {
  if (!entry.fault.empty()) {
    error(entry.fault_position, entry.fault);
    return;
  }
  const ZoneToken& first = entry.tokens.front();
  if (!entry.indented && !first.quoted && first.text.starts_with('$')) {
    take_directive(entry.tokens);
  } else {
    take_record(entry.tokens, entry.indented);
  }
}

void ZoneFileReader::take_directive(std::span<const ZoneToken> tokens) {
  const ZoneToken& name = tokens[0];
  if (equal_text(name.text, "$ORIGIN")) return take_origin(tokens);
  if (equal_text(name.text, "$TTL")) return take_ttl(tokens);
  if (equal_text(name.text, "$INCLUDE")) return take_include(tokens);
  if (equal_text(name.text, "$GENERATE")) return take_generate(tokens);
  error(name.position,
        fmt::format("'{}' is unknown; $ORIGIN, $TTL, $INCLUDE and $GENERATE are", name.text));
}

void ZoneFileReader::take_origin(std::span<const ZoneToken> tokens) {
  if (tokens.size() != 2) return error(tokens[0].position, "$ORIGIN takes one name");
  WireName name;
  if (!parse_wire_name(tokens[1].text, origin_.view(), &name, &why_)) {
    return error(tokens[1].position, why_);
  }
  origin_ = name;
  origin_changed_ = true;
}

void ZoneFileReader::take_ttl(std::span<const ZoneToken> tokens) {
  std::uint32_t ttl = 0;
  if (tokens.size() != 2) {
    error(tokens[0].position, "$TTL takes one time");
  } else if (!parse_ttl(tokens[1].text, &ttl, &why_)) {
    error(tokens[1].position, why_);
  }
  default_ttl_ = ttl;  // after a fault too, so that it is told once
}

void ZoneFileReader::take_include(std::span<const ZoneToken> tokens) {
  if (tokens.size() < 2 || tokens.size() > 3) {
    return error(tokens[0].position, "$INCLUDE takes a file and maybe an origin");
  }
  WireName origin = origin_;
  if (tokens.size() == 3 && !parse_wire_name(tokens[2].text, origin_.view(), &origin, &why_)) {
    return error(tokens[2].position, why_);
  }
  std::string path;
  if (!decode_text(tokens[1].text, &path, &why_)) return error(tokens[1].position, why_);
  if (!open(beside(frames_.back()->path, path), here(tokens[1].position))) return;
  if (tokens.size() == 3) origin_changed_ = true;
  origin_ = origin;
}

void ZoneFileReader::take_generate(std::span<const ZoneToken> tokens) {
  if (tokens.size() < 5) {
    return error(tokens[0].position,
                 "$GENERATE takes a range, an owner, maybe TTL and class, a type and data");
  }
  GenerateRange range;
  if (!parse_generate_range(tokens[1].text, &range, &why_)) {
    return error(tokens[1].position, why_);
  }
  generated_ += range.count();
  if (generated_ > limits_.generate_records_max) {
    return error(tokens[1].position,
                 fmt::format("$GENERATE makes more than {} records", limits_.generate_records_max));
  }
  const WireName owner = owner_;
  const bool owner_known = owner_known_;
  generated_at_ = tokens[0].position;
  for (std::uint64_t i = 0; i < range.count() && !full_; ++i) {
    const auto number = static_cast<std::uint32_t>(range.start + i * range.step);
    if (!generate_one(tokens.subspan(2), number)) break;
  }
  generated_at_.reset();
  owner_ = owner;
  owner_known_ = owner_known;
  owner_in_zone_ = owner_known_ && is_at_or_below(owner_.view(), apex_.view());
}

// False when there is no point in trying the next number.
bool ZoneFileReader::generate_one(std::span<const ZoneToken> tokens, std::uint32_t number) {
  std::string line;
  for (const ZoneToken& token : tokens) {
    if (!line.empty()) line += ' ';
    if (substitute(token.text, number, &line, &why_)) continue;
    error(token.position, why_);
    return false;
  }
  ZoneLexer lexer(line);
  ZoneEntry entry;
  const std::size_t before = problems_->count();
  if (!lexer.next(&entry)) return true;
  if (!entry.fault.empty()) {
    error(entry.fault_position, entry.fault);
  } else {
    take_record(entry.tokens, false);
  }
  return problems_->count() == before;
}

bool ZoneFileReader::take_owner(const ZoneToken& token) {
  if (token.quoted) {
    error(token.position, "an owner name is not quoted");
    owner_known_ = false;
    owner_faulty_ = true;
    return false;
  }
  if (!parse_wire_name(token.text, origin_.view(), &owner_, &why_)) {
    error(token.position, why_);
    owner_known_ = false;
    owner_faulty_ = true;
    return false;
  }
  owner_known_ = true;
  origin_changed_ = false;
  owner_in_zone_ = is_at_or_below(owner_.view(), apex_.view());
  return true;
}

// True when the token was one of the two; a fault leaves head->type at 0 and is told.
bool ZoneFileReader::take_class_or_ttl(const ZoneToken& token, bool* klass_seen, RecordHead* head) {
  if (token.quoted) return false;
  if (!head->ttl && plain_digit(token.text[0])) {
    std::uint32_t ttl = 0;
    if (!parse_ttl(token.text, &ttl, &why_)) {
      error(token.position, why_);
      ttl = 0;
    }
    head->ttl = ttl;
    return true;
  }
  if (*klass_seen) return false;
  const auto klass = class_of(token.text);
  if (!klass) return false;
  *klass_seen = true;
  if (*klass != RrClass::kIn) {
    error(token.position, fmt::format("class '{}'; only IN is served from zone files", token.text));
  }
  return true;
}

bool ZoneFileReader::take_head(std::span<const ZoneToken> tokens, std::size_t first,
                               RecordHead* head) {
  bool klass_seen = false;
  std::size_t at = first;
  while (at < tokens.size() && !tokens[at].text.empty() &&
         take_class_or_ttl(tokens[at], &klass_seen, head)) {
    ++at;
  }
  if (at >= tokens.size()) {
    error(tokens.back().position, "a record without a type");
    return false;
  }
  const ZoneToken& token = tokens[at];
  head->position = here(token.position);
  if (token.text == "A") {
    head->type = RrType::kA;
  } else {
    const auto type = parse_type(token.text);
    if (!type || token.quoted) {
      error(token.position, fmt::format("'{}' is not a record type", token.text));
      return false;
    }
    head->type = *type;
  }
  head->next = at + 1;
  if (!is_meta(head->type)) return true;
  error(token.position, fmt::format("{} is not a type that a zone can hold", token.text));
  return false;
}

// RFC 1035 section 5.1 and RFC 2308 section 4: stated, else $TTL, else that of the record before.
std::uint32_t ZoneFileReader::ttl_of(const RecordHead& head, bool* known) {
  *known = true;
  if (head.ttl) return *head.ttl;
  if (default_ttl_) return *default_ttl_;
  if (last_ttl_) return *last_ttl_;
  *known = false;
  return 0;
}

void ZoneFileReader::store(const RecordHead& head, std::uint32_t ttl) {
  if (!owner_in_zone_) {
    problems_->warning(head.position, fmt::format("{} is not in the zone {}; the record is ignored",
                                                  name_text(owner_.view()), apex_.text()));
    return;
  }
  if (records_++ < limits_.records_max &&
      sink_->record(owner_.view(), head.type, ttl, rdata_.rdata(), head.position)) {
    return;
  }
  problems_->error(head.position,
                   fmt::format("the zone is too large; at most {} records", limits_.records_max));
  full_ = true;
}

void ZoneFileReader::take_record(std::span<const ZoneToken> tokens, bool indented) {
  if (!indented && !take_owner(tokens[0])) return;
  if (indented && !owner_known_) {
    if (owner_faulty_) return;
    owner_faulty_ = true;  // once
    return error(tokens[0].position, "a record without an owner: there is none above it");
  }
  if (indented && origin_changed_) {
    warning(tokens[0].position, fmt::format("the owner {} comes from before $ORIGIN or $INCLUDE",
                                            name_text(owner_.view())));
    origin_changed_ = false;
  }
  RecordHead head;
  if (!take_head(tokens, indented ? 0 : 1, &head)) return;
  const TextPosition type_position = tokens[head.next - 1].position;
  if (!rdata_.read(head.type, tokens.subspan(head.next), origin_.view(), type_position)) {
    return error(rdata_.fault().position, rdata_.fault().text);
  }
  bool known = false;
  std::uint32_t ttl = ttl_of(head, &known);
  if (!known && head.type == RrType::kSoa && rdata_.rdata().size() > kSoaTailBytes) {
    ttl = std::min(load_u32(rdata_.rdata().data() + rdata_.rdata().size() - 4), kTtlMax);
    warning(type_position, fmt::format("no TTL; the SOA's minimum, {}, is used", ttl));
  } else if (!known) {
    error(type_position, "no TTL: none is stated here, before, or by $TTL");
  }
  last_ttl_ = ttl;
  store(head, ttl);
}

}  // namespace postern::dns
