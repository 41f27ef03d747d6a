#include "dns/image.h"

#include <algorithm>

namespace postern::dns {

namespace {

/// Folds a 128-bit product: every bit of the input reaches every bit of the result.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

void ImageBuffer::set_ede(Ede code, std::string_view text) {
  std::size_t size = std::min(text.size(), kEdeTextMax);
  // RFC 8914 section 2: the text is UTF-8; a character is not cut in two.
  if (size < text.size()) {
    while (size > 0 && (static_cast<std::uint8_t>(text[size]) & 0xc0U) == 0x80U) --size;
  }
  std::copy_n(text.data(), size, ede_text.data());
  head.ede = static_cast<std::uint16_t>(code);
  head.ede_text_size = static_cast<std::uint8_t>(size);
}

std::uint64_t CacheKey::hash() const {
  const std::uint64_t rest = std::uint64_t{static_cast<std::uint16_t>(type)} << 32 |
                             std::uint64_t{static_cast<std::uint16_t>(klass)} << 16 |
                             (dnssec_ok ? 1U : 0U) | (checking_disabled ? 2U : 0U) |
                             (owned ? 4U : 0U) | (guarded ? 8U : 0U);
  // The name's hash is seeded; odd constants keep the factors from being 0.
  return mix(name->hash() ^ (policy_id * 0x9e3779b97f4a7c15ULL), rest * 2 + 0xa0761d6478bd642fULL);
}

}  // namespace postern::dns
