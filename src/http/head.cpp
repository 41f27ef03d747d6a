#include "http/head.h"

#include <algorithm>
#include <cstring>

namespace postern::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

bool same_text(const char* a, const char* b, std::size_t size) {
  if (std::memcmp(a, b, size) == 0) return true;
  return std::equal(a, a + size, b, [](char x, char y) { return lower(x) == lower(y); });
}

char* TextArena::take(std::size_t size) {
  if (size > kBlockBytes) {
    large_bytes_ += size;
    return large_.emplace_back(std::make_unique<char[]>(size)).get();
  }
  if (!blocks_.empty() && kBlockBytes - used_ < size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.push_back(std::make_unique<char[]>(kBlockBytes));
  char* const place = blocks_[block_].get() + used_;
  used_ += size;
  return place;
}

std::string_view TextArena::copy(std::string_view text) {
  return join(std::span<const std::string_view>(&text, 1));
}

std::string_view TextArena::join(std::span<const std::string_view> parts) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  if (size == 0) return {};
  char* const place = take(size);
  char* at = place;
  for (const std::string_view part : parts) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return {place, size};
}

void TextArena::clear() {
  large_.clear();
  large_bytes_ = 0;
  block_ = 0;
  used_ = 0;
}

const Field* Fields::find(std::string_view name) const {
  const auto found = std::find_if(lines_.begin(), lines_.end(),
                                  [&](const Field& line) { return same_name(line.name, name); });
  return found == lines_.end() ? nullptr : &*found;
}

std::string_view Fields::value(std::string_view name) const {
  const Field* const line = find(name);
  return line == nullptr ? std::string_view() : line->value;
}

std::size_t Fields::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(
      lines_.begin(), lines_.end(), [&](const Field& line) { return same_name(line.name, name); }));
}

std::size_t Fields::remove(std::string_view name) {
  return std::erase_if(lines_, [&](const Field& line) { return same_name(line.name, name); });
}

void Fields::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

OwnedFields::OwnedFields(const Fields& borrowed) {
  for (const Field& field : borrowed) {
    const std::string_view name = arena.copy(field.name);
    fields.add(name, arena.copy(field.value));
  }
}

bool has_token(std::string_view value, std::string_view token) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    if (same_name(trim(value.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    value.remove_prefix(comma + 1);
  }
  return false;
}

void RequestHead::clear() {
  method = scheme = authority = path = protocol = {};
  fields.clear();
  arena.clear();
}

void ResponseHead::clear() {
  status = 0;
  protocol = {};
  fields.clear();
  arena.clear();
}

}  // namespace postern::http
