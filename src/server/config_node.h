// A TOML document as a plain tree that remembers where each key and value stands. Only
// config_node.cpp knows the TOML library; all readers of the configuration work on this tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::server {

/// Where something stands: an index into the list of files, line and column from 1.
struct Place {
  std::uint32_t file = 0;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Member;

struct Node {
  enum class Kind : std::uint8_t { kTable, kArray, kString, kInteger, kFloat, kBoolean, kDate };
  Kind kind = Kind::kTable;
  Place place;
  std::string text;  ///< kString
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<Node> items;      ///< kArray
  std::vector<Member> members;  ///< kTable, by key

  /// nullptr when this is no table or has no such key.
  const Node* find(std::string_view key) const;
};

struct Member {
  std::string key;
  Place place;
  Node value;
};

/// "a string", "a table": for messages.
std::string_view kind_text(Node::Kind kind);

struct ParsedText {
  bool ok = false;
  Node root;          ///< a table, when ok
  Place error_place;  ///< when not ok
  std::string error;
};

/// TOML 1.0. `file` goes into every Place.
ParsedText parse_toml(std::string_view text, std::uint32_t file);

}  // namespace postern::server
