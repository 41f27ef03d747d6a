#include "server/fingerprint.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace postern::server {
namespace {

constexpr std::size_t kReadBytes = 256U << 10;

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
  return hash ^ (hash >> 35U);
}

std::uint64_t mix_bytes(std::uint64_t hash, Bytes bytes) {
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash, word);
    bytes = bytes.subspan(8);
  }
  std::uint64_t rest = bytes.size();
  for (const std::uint8_t byte : bytes) rest = (rest << 8U) | byte;
  return mix(hash, rest);
}

// The names in it: which files a pattern finds there.
std::uint64_t mix_directory(std::uint64_t hash, const std::string& path) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    names.insert(entry.path().filename().string());
  }
  for (const std::string& name : names) hash = mix_bytes(hash, as_bytes(name));
  return mix(hash, names.size());
}

std::uint64_t mix_file(std::uint64_t hash, const std::string& path) {
  const net::Fd fd = open_to_read(path);
  if (!fd) return mix(hash, static_cast<std::uint64_t>(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) == 0 && S_ISDIR(status.st_mode)) return mix_directory(hash, path);
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return mix(hash, status.st_mode);
  std::vector<std::uint8_t> buffer(kReadBytes);
  for (;;) {
    const std::size_t filled = read_some(fd, buffer);
    hash = mix_bytes(hash, Bytes(buffer.data(), filled));
    if (filled < buffer.size()) return hash;
  }
}

}  // namespace

std::uint64_t content_fingerprint(const std::vector<std::string>& files) {
  std::uint64_t hash = 0x9e3779b97f4a7c15ULL;
  for (const std::string& file : files) {
    hash = mix_bytes(hash, as_bytes(file));
    hash = mix_file(hash, file);
  }
  return hash;
}

std::uint64_t mixed_fingerprint(std::uint64_t hash, std::string_view text) {
  return mix_bytes(hash, as_bytes(text));
}

net::Fd open_to_read(const std::string& path) {
  return net::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

std::size_t read_some(const net::Fd& fd, MutableBytes buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t got = ::read(fd.get(), buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

}  // namespace postern::server
