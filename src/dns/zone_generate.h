// $GENERATE START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA, as in BIND: "$" is the number, "\$" a
// dollar sign, "${OFFSET,WIDTH,BASE}" the number plus OFFSET, filled with zeros to WIDTH, as d o x
// X or as nibbles in reverse (n N).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace postern::dns {

struct GenerateRange {
  std::uint32_t start = 0;
  std::uint32_t stop = 0;
  std::uint32_t step = 1;

  std::uint64_t count() const { return (std::uint64_t{stop} - start) / step + 1; }
};

bool parse_generate_range(std::string_view text, GenerateRange* out, std::string* why);
/// Appends `text` with every "$" replaced by `number`.
bool substitute(std::string_view text, std::uint32_t number, std::string* out, std::string* why);

}  // namespace postern::dns
