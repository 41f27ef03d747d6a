// Values as people write them: durations, sizes, names, upstreams. Text in, value or a sentence
// that says what is wrong and what is allowed out. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "dns/name.h"
#include "nameserver/forwarder.h"

namespace postern::server {

/// "500ms", "30s", "5m", "12h", "1d", "2w" and sums such as "1h30m". Milliseconds.
Result<std::uint64_t> parse_duration(std::string_view text);
/// The shortest way to write it: 90000 is "90s", 86400000 is "1d".
std::string duration_text(std::uint64_t milliseconds);

/// "65536", "512B", "64KiB", "64MiB", "2GiB", and KB, MB, GB in steps of 1000. Bytes.
Result<std::uint64_t> parse_size(std::string_view text);
std::string size_text(std::uint64_t bytes);

/// Error for an IPv6 address without brackets that ends like a port, "::1:53": two things at once.
Result<void> check_brackets(std::string_view text);

Result<Network> parse_network(std::string_view text);
/// Also 0.0.0.0 and ::, by which block lists say that there is nobody.
Result<IpAddress> parse_address(std::string_view text);

/// A host or domain name: letters, digits, '-' and '_', dots between labels; "." is the root.
Result<dns::Name> parse_domain(std::string_view text);
/// The same, or "*." in front of one.
Result<dns::Name> parse_override_name(std::string_view text);
/// A domain, or a network in CIDR that stands for its reverse zones (RFC 1035 section 3.5, RFC 3596
/// section 2.5): several when the prefix does not end at a label.
Result<std::vector<dns::Name>> parse_forward_names(std::string_view text);

/// "192.0.2.1", "udp://192.0.2.1", "tcp://[2001:db8::1]:5353"; port 53 unless given.
Result<nameserver::UpstreamSettings> parse_upstream(std::string_view text);

/// The word nearest to `word`, "" when none is near enough to be what was meant.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> words);

}  // namespace postern::server
