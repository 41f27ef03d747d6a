#include "server/config_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace postern::server {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 6> kDurationUnits{{{"w", 604'800'000},
                                              {"d", 86'400'000},
                                              {"h", 3'600'000},
                                              {"m", 60'000},
                                              {"s", 1000},
                                              {"ms", 1}}};
constexpr std::array<Unit, 10> kSizeUnits{{{"TiB", 1ULL << 40},
                                           {"GiB", 1ULL << 30},
                                           {"MiB", 1ULL << 20},
                                           {"KiB", 1ULL << 10},
                                           {"B", 1},
                                           {"", 1},
                                           {"KB", 1'000},
                                           {"MB", 1'000'000},
                                           {"GB", 1'000'000'000},
                                           {"TB", 1'000'000'000'000}}};

constexpr std::uint64_t kNumberMax = std::numeric_limits<std::int64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Takes a number and the letters behind it off the front of `text`; false when they make no sense.
bool take_quantity(std::string_view* text, std::span<const Unit> units, std::uint64_t* out) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{}) return false;
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  const auto letters = std::find_if_not(text->begin(), text->end(), is_letter);
  const std::string_view name = text->substr(0, static_cast<std::size_t>(letters - text->begin()));
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
  if (unit == units.end() || number > kNumberMax / unit->factor) return false;
  text->remove_prefix(name.size());
  *out = number * unit->factor;
  return true;
}

// Parts of a reverse zone may have a name such as 0/25.2.0.192.in-addr.arpa (RFC 2317 section 4).
bool is_reverse_name(std::string_view text) {
  while (text.ends_with('.')) text.remove_suffix(1);
  return text.ends_with(".in-addr.arpa") || text.ends_with(".ip6.arpa");
}

Result<void> check_characters(std::string_view text, std::string_view what) {
  const bool reverse = is_reverse_name(text);
  const auto bad = std::find_if_not(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || (c == '/' && reverse);
  });
  if (bad == text.end()) return {};
  if (text.find("://") != std::string_view::npos) {
    return fail(Code::kInvalid, fmt::format("'{}' is a URL; write the host name alone", text));
  }
  if (static_cast<unsigned char>(*bad) >= 0x80) {
    return fail(
        Code::kInvalid,
        fmt::format("'{}' is not {}; write international names in their xn-- form", text, what));
  }
  return fail(Code::kInvalid,
              fmt::format("'{}' is not {}: '{}' cannot stand there; allowed: letters, "
                          "digits, '-', '_' and dots between labels",
                          text, what, *bad));
}

// The wire form of "<labels>.<suffix>" for the reverse zone of the first `label_count` labels'
// worth of an address; each label is made by `label(i)`, most significant first.
template <class Label>
Result<dns::Name> reverse_name(std::size_t label_count, Label label, std::string_view suffix) {
  std::string text;
  for (std::size_t i = label_count; i-- > 0;) text += fmt::format("{}.", label(i));
  return dns::Name::parse(text.append(suffix));
}

// A label of a reverse name covers `label_bits` bits (8 or 4). A prefix that ends inside a label
// stands for every value that the label can have.
Result<std::vector<dns::Name>> reverse_zones(const Network& network) {
  const bool v4 = network.base().is_v4();
  const unsigned label_bits = v4 ? 8 : 4;
  const std::string_view suffix = v4 ? "in-addr.arpa" : "ip6.arpa";
  const unsigned prefix = network.prefix_bits();
  const unsigned labels = (prefix + label_bits - 1) / label_bits;
  const unsigned count = 1U << (labels * label_bits - prefix);
  const std::uint8_t* bytes = network.base().data();
  std::vector<dns::Name> names;
  for (unsigned extra = 0; extra < count; ++extra) {
    const auto label = [&](std::size_t i) {
      const unsigned value =
          v4 ? bytes[i] : (i % 2 == 0 ? bytes[i / 2] >> 4U : bytes[i / 2] & 0x0fU);
      const unsigned whole = value + (i + 1 == labels ? extra : 0);
      return v4 ? fmt::format("{}", whole) : fmt::format("{:x}", whole);
    };
    auto name = reverse_name(labels, label, suffix);
    if (!name) return tl::unexpected(name.error());
    names.push_back(std::move(*name));
  }
  return names;
}

// Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before;
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

Result<std::uint64_t> parse_duration(std::string_view text) {
  std::string_view rest = text;
  std::uint64_t total = 0;
  bool good = !text.empty();
  while (good && !rest.empty()) {
    std::uint64_t part = 0;
    good = take_quantity(&rest, kDurationUnits, &part) && part <= kNumberMax - total;
    total += good ? part : 0;
  }
  if (good) return total;
  return fail(
      Code::kMalformed,
      fmt::format("'{}' is not a duration; write it like \"500ms\", \"30s\", \"5m\", \"12h\" "
                  "or \"1d\"",
                  text));
}

std::string duration_text(std::uint64_t milliseconds) {
  if (milliseconds == 0) return "0s";
  for (const Unit& unit : kDurationUnits) {
    if (milliseconds % unit.factor == 0)
      return fmt::format("{}{}", milliseconds / unit.factor, unit.name);
  }
  return {};
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  std::uint64_t bytes = 0;
  if (take_quantity(&rest, kSizeUnits, &bytes) && rest.empty()) return bytes;
  return fail(
      Code::kMalformed,
      fmt::format("'{}' is not a size; write it like \"512KiB\", \"64MiB\" or \"2GiB\"", text));
}

std::string size_text(std::uint64_t bytes) {
  for (const Unit& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.factor == 0)
      return fmt::format("{}{}", bytes / unit.factor, unit.name);
  }
  return "0";
}

Result<void> check_brackets(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !IpAddress::parse(text)) return {};
  const std::string_view head = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto ip = IpAddress::parse(head);
  if (!ip || ip->is_v4() || !std::all_of(port.begin(), port.end(), is_digit)) return {};
  return fail(
      Code::kInvalid,
      fmt::format("'{}' is an address, but ends like a port; write \"[{}]:{}\" with a port, "
                  "\"[{}]\" without",
                  text, head, port, text));
}

Result<Network> parse_network(std::string_view text) {
  auto network = Network::parse(text);
  if (network) return network;
  return fail(Code::kInvalid,
              fmt::format("{}; write a network like \"192.168.10.0/24\" or \"fd00::/8\"",
                          network.error().detail));
}

Result<IpAddress> parse_address(std::string_view text) {
  auto address = IpAddress::parse(text);
  if (address) return address;
  return fail(Code::kInvalid,
              fmt::format("'{}' is not an address; write one like \"192.168.10.50\" "
                          "or \"fd00::50\"",
                          text));
}

Result<dns::Name> parse_domain(std::string_view text) {
  if (text.empty()) return fail(Code::kInvalid, "'' is not a name; write one like \"example.com\"");
  if (text.find('*') != std::string_view::npos) {
    return fail(Code::kInvalid,
                fmt::format("'{}': no '*' here; the name holds for all below it", text));
  }
  const auto characters = check_characters(text, "a name");
  if (!characters) return tl::unexpected(characters.error());
  auto name = dns::Name::parse(text);
  if (!name)
    return fail(Code::kInvalid,
                fmt::format("{}; write a name like \"example.com\"", name.error().detail));
  return name;
}

Result<dns::Name> parse_override_name(std::string_view text) {
  const bool wildcard = text.starts_with("*.");
  const std::string_view rest = wildcard ? text.substr(2) : text;
  if (rest.find('*') != std::string_view::npos) {
    return fail(
        Code::kInvalid,
        fmt::format("'{}': '*' can only stand alone as the first label; write \"*.example.com\"",
                    text));
  }
  auto base = parse_domain(rest);
  if (!base) return base;
  return wildcard ? dns::Name::parse(text) : base;
}

Result<std::vector<dns::Name>> parse_forward_names(std::string_view text) {
  const bool has_slash = text.find('/') != std::string_view::npos;
  if (has_slash && text.find("://") == std::string_view::npos && !is_reverse_name(text)) {
    const auto network = Network::parse(text);
    if (!network) {
      return fail(Code::kInvalid,
                  fmt::format("{}; write a network like \"192.168.10.0/24\" or \"fd00::/8\", or a "
                              "name",
                              network.error().detail));
    }
    return reverse_zones(*network);
  }
  auto name = parse_domain(text);
  if (!name) return tl::unexpected(name.error());
  return std::vector<dns::Name>{std::move(*name)};
}

Result<nameserver::UpstreamSettings> parse_upstream(std::string_view text) {
  nameserver::UpstreamSettings upstream;
  upstream.text = text;
  const std::size_t colon = text.find("://");
  const std::string_view scheme = colon == std::string_view::npos ? "udp" : text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? text : text.substr(colon + 3);
  if (scheme == "tls" || scheme == "https") {
    return fail(
        Code::kNotBuiltYet,
        fmt::format("'{}': {}:// upstreams are not built yet in this version; allowed: udp://, "
                    "tcp://",
                    text, scheme));
  }
  if (scheme != "udp" && scheme != "tcp") {
    return fail(Code::kInvalid,
                fmt::format("'{}': no such scheme '{}://'; allowed: udp://, tcp://", text, scheme));
  }
  upstream.scheme =
      scheme == "tcp" ? nameserver::UpstreamScheme::kTcp : nameserver::UpstreamScheme::kUdp;
  const auto endpoint = Endpoint::parse(rest, 53);
  if (!endpoint || endpoint->ip.is_unspecified()) {
    return fail(Code::kInvalid,
                fmt::format("'{}' is not an upstream; write it like \"udp://192.0.2.1\", "
                            "\"tcp://192.0.2.1:5353\" or \"udp://[2001:db8::1]:53\"",
                            text));
  }
  upstream.endpoint = *endpoint;
  return upstream;
}

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> words) {
  std::string_view nearest;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  if (word.size() > 64) return nearest;
  for (const std::string_view candidate : words) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace postern::server
