// Reads a tree of nodes into settings structs by tables of keys: one Key says what a key is called
// and what reads its value. Unknown keys, wrong types and keys given twice are found here, once for
// all sections.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/result.h"
#include "server/config.h"
#include "server/config_facts.h"
#include "server/config_node.h"
#include "server/config_values.h"

namespace postern::server {

/// Gathers problems and knows which key is being read.
class Reader {
 public:
  explicit Reader(std::string first_file) : files_{std::move(first_file)} {}

  std::uint32_t add_file(std::string file);
  const std::vector<std::string>& files() const { return files_; }
  const std::string& file_of(const Place& place) const { return files_[place.file]; }
  std::string place_text(const Place& place) const;  ///< "FILE:LINE:COLUMN"
  std::string line_text(const Place& place) const;   ///< "FILE:LINE"

  void error(const Place& place, std::string text);
  void warning(const Place& place, std::string text);
  std::size_t error_count() const { return error_count_; }
  /// Sorted by file (in order of reading), line and column.
  std::vector<ConfigProblem> take_problems();

  /// "dns.cache.size": the key at hand.
  const std::string& path() const { return path_; }
  void wrong_type(const Node& node, std::string_view wanted);
  void given_twice(const Node& entry, const Place& first);
  void unknown_key(const Member& member, std::span<const std::string_view> known);
  /// False, and an error, when a value was given for this key before, in whatever file.
  bool first_time(const Member& member);

  /// From now on the tables of keys are listed in place of being read: every key adds what it takes
  /// to `facts`, with the default that its target has.
  void list_keys(std::vector<KeyFacts>* facts) { facts_ = facts; }
  bool listing() const { return facts_ != nullptr; }
  void begin_facts() { facts_->push_back({path_, {}, {}, {}, {}}); }
  /// The first word counts: what is inside a value does not change what the value is.
  void say(std::string type, std::string allowed, std::string fallback);
  void say_list(std::string_view fallback);

  /// While it lives, `key` is part of the path; an element of an array of tables may have the keys
  /// that its neighbours have.
  class Within {
   public:
    Within(Reader& reader, std::string_view key);
    explicit Within(Reader& reader);  ///< an element of an array of tables
    ~Within();
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;

   private:
    Reader& reader_;
    std::size_t path_size_;
    bool in_element_;
  };

 private:
  struct Found {
    std::uint32_t file_order;
    ConfigProblem problem;
  };
  std::vector<std::string> files_;
  std::vector<Found> problems_;
  std::size_t error_count_ = 0;
  std::string path_;
  bool in_element_ = false;
  std::map<std::string, Place> first_;
  std::vector<KeyFacts>* facts_ = nullptr;
};

template <class T>
struct Key {
  std::string_view name;
  void (*read)(Reader&, const Node&, T&);
};

template <class T, std::size_t N>
void list_table(Reader& reader, const Node& node, const std::array<Key<T>, N>& keys, T& target) {
  reader.say("table", {}, {});
  for (const Key<T>& key : keys) {
    const Reader::Within within(reader, key.name);
    reader.begin_facts();
    key.read(reader, node, target);
  }
}

template <class T, std::size_t N>
void read_table(Reader& reader, const Node& node, const std::array<Key<T>, N>& keys, T& target) {
  if (reader.listing()) return list_table(reader, node, keys, target);
  if (node.kind != Node::Kind::kTable) return reader.wrong_type(node, "a table");
  for (const Member& member : node.members) {
    std::size_t i = 0;
    while (i < N && keys[i].name != member.key) ++i;
    if (i == N) {
      std::array<std::string_view, N> known;
      for (std::size_t k = 0; k < N; ++k) known[k] = keys[k].name;
      reader.unknown_key(member, known);
      continue;
    }
    const Reader::Within within(reader, member.key);
    if (reader.first_time(member)) keys[i].read(reader, member.value, target);
  }
}

template <class>
struct MemberPointer;
template <class Owner, class Field>
struct MemberPointer<Field Owner::*> {
  using OwnerType = Owner;
  using FieldType = Field;
};
template <auto Pointer>
using OwnerOf = typename MemberPointer<decltype(Pointer)>::OwnerType;

// What a Key's `read` can be.

/// One value; `Read` is one of the functions below.
template <auto Pointer, auto Read>
void field(Reader& reader, const Node& node, OwnerOf<Pointer>& target) {
  Read(reader, node, &(target.*Pointer));
}

/// A table inside a table.
template <auto Pointer, const auto& Keys>
void table(Reader& reader, const Node& node, OwnerOf<Pointer>& target) {
  read_table(reader, node, Keys, target.*Pointer);
}

/// An element of an array of tables, with its node for checks that come later.
template <class T>
struct Element {
  const Node* node = nullptr;
  T value;
};

/// [[name]]: elements are appended.
template <auto Pointer, const auto& Keys>
void elements(Reader& reader, const Node& node, OwnerOf<Pointer>& target) {
  if (reader.listing()) {
    reader.say("array of tables", {}, {});
    return list_table(reader, node, Keys, (target.*Pointer).emplace_back().value);
  }
  if (node.kind != Node::Kind::kArray) {
    return reader.wrong_type(node, fmt::format("[[{}]], in double brackets", reader.path()));
  }
  for (const Node& item : node.items) {
    auto& element = (target.*Pointer).emplace_back();
    element.node = &item;
    const Reader::Within within(reader);
    read_table(reader, item, Keys, element.value);
  }
}

/// An array of tables inside an element: values only.
template <auto Pointer, const auto& Keys>
void tables(Reader& reader, const Node& node, OwnerOf<Pointer>& target) {
  if (reader.listing()) {
    reader.say("array of tables", {}, {});
    return list_table(reader, node, Keys, (target.*Pointer).emplace_back());
  }
  if (node.kind != Node::Kind::kArray) {
    return reader.wrong_type(node, "an array of tables, [{ ... }]");
  }
  for (const Node& item : node.items) {
    const Reader::Within within(reader);
    read_table(reader, item, Keys, (target.*Pointer).emplace_back());
  }
}

/// A table that has a meaning by being there: std::optional.
template <auto Pointer, const auto& Keys>
void optional_table(Reader& reader, const Node& node, OwnerOf<Pointer>& target) {
  read_table(reader, node, Keys, (target.*Pointer).emplace());
}

/// Part of the contract, not of this version: never ignored.
template <const auto& Remedy>
void not_built_yet(Reader& reader, const Node& node, auto&) {
  if (reader.listing()) return reader.say("not built yet", {}, {});
  reader.error(node.place,
               fmt::format("{} is not built yet in this version; {}", reader.path(), Remedy));
}

// Readers of one value. False when there was a problem, which is then reported.

bool read_text(Reader& reader, const Node& node, std::string* out);
bool read_boolean(Reader& reader, const Node& node, bool* out);
bool read_integer(Reader& reader, const Node& node, std::int64_t least, std::int64_t most,
                  std::int64_t* out);
bool read_duration(Reader& reader, const Node& node, std::uint64_t least_ms, std::uint64_t most_ms,
                   std::uint64_t* out);
bool read_bytes(Reader& reader, const Node& node, std::uint64_t least, std::uint64_t most,
                std::uint64_t* out);

/// A table whose keys are free names and whose values are strings, in the order of the keys.
bool read_pairs(Reader& reader, const Node& node, std::vector<http::HeaderValue>* out);

template <std::int64_t Least, std::int64_t Most, class T>
bool integer(Reader& reader, const Node& node, T* out) {
  auto value = static_cast<std::int64_t>(*out);
  if (!read_integer(reader, node, Least, Most, &value)) return false;
  *out = static_cast<T>(value);
  return true;
}

template <std::uint64_t LeastMs, std::uint64_t MostMs, class T>
bool milliseconds(Reader& reader, const Node& node, T* out) {
  std::uint64_t value = *out;
  if (!read_duration(reader, node, LeastMs, MostMs, &value)) return false;
  *out = static_cast<T>(value);
  return true;
}

/// Whole seconds; a fraction is an error.
template <std::uint64_t Least, std::uint64_t Most>
bool seconds(Reader& reader, const Node& node, std::uint32_t* out) {
  std::uint64_t value = *out * std::uint64_t{1000};
  if (!read_duration(reader, node, Least * 1000, Most * 1000, &value)) return false;
  if (value % 1000 != 0) {
    reader.error(node.place, fmt::format("{}: '{}' is not a whole number of seconds; write it like "
                                         "\"30s\"",
                                         reader.path(), node.text));
    return false;
  }
  *out = static_cast<std::uint32_t>(value / 1000);
  return true;
}

template <std::uint64_t Least, std::uint64_t Most, class T>
bool bytes(Reader& reader, const Node& node, T* out) {
  std::uint64_t value = *out;
  if (!read_bytes(reader, node, Least, Most, &value)) return false;
  *out = static_cast<T>(value);
  return true;
}

/// A string that `Parse` turns into a value: Result<T>(std::string_view).
template <auto Parse, class T>
bool parsed(Reader& reader, const Node& node, T* out) {
  if (reader.listing()) {
    reader.say(std::string(kind_of(*out)), {}, value_text(*out));
    return false;
  }
  std::string text;
  if (!read_text(reader, node, &text)) return false;
  auto value = Parse(text);
  if (!value) {
    reader.error(node.place, fmt::format("{}: {}", reader.path(), value.error().detail));
    return false;
  }
  *out = std::move(*value);
  return true;
}

/// One word of a table of words.
template <class T>
struct Choice {
  std::string_view word;
  T value;
};

bool read_choice(Reader& reader, const Node& node, std::span<const std::string_view> words,
                 std::size_t* index);

template <const auto& Choices, class T>
bool choice(Reader& reader, const Node& node, T* out) {
  std::array<std::string_view, Choices.size()> words;
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = Choices[i].word;
  std::size_t index = 0;
  if (reader.listing()) {
    while (index + 1 < words.size() && Choices[index].value != *out) ++index;
  }
  if (!read_choice(reader, node, words, &index)) return false;
  *out = Choices[index].value;
  return true;
}

// What makes two entries of a list the same.
inline std::string entry_key(const std::string& text) { return text; }
inline std::string entry_key(std::uint16_t number) { return fmt::format("{}", number); }
inline std::string entry_key(const IpAddress& ip) { return ip.to_string(); }
inline std::string entry_key(const Network& network) { return network.to_string(); }
inline std::string entry_key(const dns::Name& name) { return name.lower_wire(); }
inline std::string entry_key(const nameserver::UpstreamSettings& upstream) {
  return fmt::format("{} {}", static_cast<int>(upstream.scheme), upstream.endpoint.to_string());
}

inline std::string entry_key(const gateway::TcpBackend& backend) {
  return fmt::format("{} {}", backend.host, backend.port);
}

template <auto Read, class T>
bool say_list_of(Reader& reader, const Node& node, const std::vector<T>& values) {
  T value{};
  Read(reader, node, &value);
  std::string text;
  for (const T& item : values) text += (text.empty() ? "" : ", ") + value_text(item);
  reader.say_list(text);
  return false;
}

/// An array of values, each of them once; `Read` reads one. Values with a problem are left out.
template <auto Read, class T>
bool unique_list(Reader& reader, const Node& node, std::vector<T>* out) {
  if (reader.listing()) return say_list_of<Read>(reader, node, *out);
  if (node.kind != Node::Kind::kArray) {
    reader.wrong_type(node, "an array [\"...\"]");
    return false;
  }
  out->clear();
  std::map<std::string, Place> first;
  for (const Node& item : node.items) {
    T value{};
    if (!Read(reader, item, &value)) continue;
    const auto [at, added] = first.try_emplace(entry_key(value), item.place);
    if (added) {
      out->push_back(std::move(value));
    } else {
      reader.given_twice(item, at->second);
    }
  }
  return true;
}

/// The same for values whose repetition is looked for elsewhere, or does no harm.
template <auto Read, class T>
bool list(Reader& reader, const Node& node, std::vector<T>* out) {
  if (reader.listing()) return say_list_of<Read>(reader, node, *out);
  if (node.kind != Node::Kind::kArray) {
    reader.wrong_type(node, "an array [\"...\"]");
    return false;
  }
  out->clear();
  for (const Node& item : node.items) {
    T value{};
    if (Read(reader, item, &value)) out->push_back(std::move(value));
  }
  return true;
}

constexpr auto kReadNetworks = unique_list<parsed<parse_network, Network>, Network>;

}  // namespace postern::server
