// Whether files hold what they held: a number over names and content. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "net/socket.h"

namespace postern::server {

/// Names and content of the files as a number; a file that cannot be read counts as its error, a
/// directory as the names in it.
std::uint64_t content_fingerprint(const std::vector<std::string>& files);

/// `hash` with a text mixed in: the same in every process.
std::uint64_t mixed_fingerprint(std::uint64_t hash, std::string_view text);

/// For reading files of any kind without waiting; the descriptor is empty when it cannot.
net::Fd open_to_read(const std::string& path);
/// Fills `buffer` as far as the file goes; how much that was.
std::size_t read_some(const net::Fd& fd, MutableBytes buffer);

}  // namespace postern::server
