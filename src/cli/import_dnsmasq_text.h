// Lines and values of dnsmasq.conf(5) as text. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace postern::cli {

inline constexpr char kHiddenComma = '\x01';  ///< one within quotes, which separates nothing

/// A line without its comment, quotes taken away and commas in them hidden; an error when a quote
/// does not end. A '#' begins a comment at the start or behind a blank only.
Result<std::string> plain_line(std::string_view line);

/// "1.2.3.4#53@eth0" in Postern's words; an error with '@', which cannot be said here.
Result<std::string> upstream_of(std::string_view text);

/// Postern does the same anyway, or the option is about the process.
bool is_needless_option(std::string_view name);
/// Why the option of this line is not carried over.
std::string why_not_option(std::string_view name, std::string_view line);

}  // namespace postern::cli
