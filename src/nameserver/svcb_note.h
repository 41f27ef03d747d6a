// Why a client got something else for HTTPS or SVCB than the public DNS says, in words: for the log
// and the metrics.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::nameserver {

/// The "why" of https_record_edited, and the label of its counter.
inline constexpr std::array<std::string_view, 5> kSvcbWhy{"override_nodata", "override_gateway",
                                                          "override_edit", "svcb", "rebind"};

/// Index into kSvcbWhy. `changes` is dns::Decision::svcb_changes, not 0.
std::size_t svcb_why(std::uint16_t changes);
/// "h3,ech"; "" when nothing is known to have been removed.
std::string svcb_removed(std::uint16_t changes);

}  // namespace postern::nameserver
