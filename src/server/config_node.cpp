#include "server/config_node.h"

#include <algorithm>
#include <array>
#include <utility>

#include <toml++/toml.h>

namespace postern::server {
namespace {

struct Pending {
  const toml::node* from;
  Node* to;
};

Place place_of(const toml::source_region& region, std::uint32_t file) {
  return {file, region.begin.line, region.begin.column};
}

void add_items(const toml::array& array, Node* to, std::vector<Pending>* pending) {
  to->kind = Node::Kind::kArray;
  to->items.resize(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) pending->push_back({&array[i], &to->items[i]});
}

void add_members(const toml::table& table, std::uint32_t file, Node* to,
                 std::vector<Pending>* pending) {
  to->kind = Node::Kind::kTable;
  to->members.reserve(table.size());  // pointers into it are kept in `pending`
  for (const auto& [key, value] : table) {
    to->members.push_back({std::string(key.str()), place_of(key.source(), file), {}});
    pending->push_back({&value, &to->members.back().value});
  }
}

void add_value(const toml::node& from, Node* to) {
  if (const auto* text = from.as_string()) {
    to->kind = Node::Kind::kString;
    to->text = text->get();
  } else if (const auto* integer = from.as_integer()) {
    to->kind = Node::Kind::kInteger;
    to->integer = integer->get();
  } else if (const auto* boolean = from.as_boolean()) {
    to->kind = Node::Kind::kBoolean;
    to->boolean = boolean->get();
  } else if (from.is_floating_point()) {
    to->kind = Node::Kind::kFloat;
  } else {
    to->kind = Node::Kind::kDate;
  }
}

Node copy_tree(const toml::table& table, std::uint32_t file) {
  Node root;
  std::vector<Pending> pending{{&table, &root}};
  while (!pending.empty()) {
    const Pending next = pending.back();
    pending.pop_back();
    next.to->place = place_of(next.from->source(), file);
    if (const toml::table* inner = next.from->as_table()) {
      add_members(*inner, file, next.to, &pending);
    } else if (const toml::array* array = next.from->as_array()) {
      add_items(*array, next.to, &pending);
    } else {
      add_value(*next.from, next.to);
    }
  }
  return root;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

std::string_view kind_text(Node::Kind kind) {
  constexpr std::array<std::string_view, 7> kTexts{
      "a table", "an array", "a string", "an integer", "a number", "true or false", "a date"};
  return kTexts[static_cast<std::size_t>(kind)];
}

ParsedText parse_toml(std::string_view text, std::uint32_t file) {
  ParsedText parsed;
  try {
    const toml::table table = toml::parse(text);
    parsed.root = copy_tree(table, file);
    parsed.ok = true;
  } catch (const toml::parse_error& error) {
    parsed.error_place = place_of(error.source(), file);
    parsed.error = error.description();
  }
  return parsed;
}

}  // namespace postern::server
