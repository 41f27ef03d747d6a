// A field section of HTTP/1.1, read line by line up to and with its empty line (RFC 9112 section
// 5): of requests, responses and trailers alike. Every byte is looked at once, however the input
// was split; lines are remembered as offsets, so that the input may move between two calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/h1.h"
#include "http/head.h"

namespace postern::http::h1 {

class FieldSection {
 public:
  /// The section begins at this offset of the text to be read.
  void start(std::size_t offset, std::size_t fields_max);

  /// `text` is what it was at the last call, with more behind it. Offsets into it are 32 bits wide:
  /// REQUIRES: text.size() < 4 GiB
  Progress read(std::string_view text);

  /// Offset behind the empty line, once that was read.
  std::size_t end() const { return at_; }
  Fault fault() const { return fault_; }

  std::size_t size() const { return lines_.size(); }
  /// The field of line `i` of the text that was read, without white space around its value.
  Field field(std::string_view text, std::size_t i) const {
    const Line& line = lines_[i];
    return {text.substr(line.name, line.name_size), text.substr(line.value, line.value_size)};
  }

 private:
  struct Line {
    std::uint32_t name = 0;
    std::uint32_t name_size = 0;
    std::uint32_t value = 0;
    std::uint32_t value_size = 0;
  };
  enum class Part : std::uint8_t { kName, kValue };

  bool read_line(std::string_view text);
  void add_line(const char* bytes, std::size_t colon, std::size_t end);
  Progress read_name(std::string_view text);
  Progress read_value(std::string_view text);
  Progress read_last_line(std::string_view text);
  Progress refuse(std::string_view reason, std::uint16_t status = 400);

  std::vector<Line> lines_;
  std::size_t fields_max_ = 0;
  std::size_t line_ = 0;   // where the line under way begins
  std::size_t colon_ = 0;  // its colon, in Part::kValue
  std::size_t at_ = 0;     // the first byte not yet looked at
  Part part_ = Part::kName;
  Fault fault_;
};

}  // namespace postern::http::h1
