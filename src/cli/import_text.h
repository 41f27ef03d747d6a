// Cutting text into lines and words. Views into the text given.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace postern::cli {

/// Without line ends, of either kind.
std::vector<std::string_view> lines_of(std::string_view text);
/// By blanks.
std::vector<std::string_view> words_of(std::string_view line);
/// By `separator`; empty parts stay.
std::vector<std::string_view> parts_of(std::string_view text, char separator);
/// Digits only.
std::optional<std::uint32_t> number_of(std::string_view text);
std::string_view trimmed(std::string_view text);
/// Of names in lower case without a final dot; "." is above all.
bool is_at_or_below(std::string_view name, std::string_view zone);

}  // namespace postern::cli
