// What the fuzzers of HTTP/1.1 have in common: heads and bodies read in several ways have to come
// to the same, and what is written anew reads as what was written.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "check.h"
#include "http/h1_body.h"
#include "http/h1_write.h"
#include "http/head.h"

namespace postern::fuzz {

using FieldTexts = std::vector<std::pair<std::string, std::string>>;

/// A head, copied out of its input.
struct HeadTexts {
  http::h1::Progress progress = http::h1::Progress::kMore;
  unsigned fault = 0;
  std::string reason;
  std::size_t consumed = 0;
  std::vector<std::string> parts;  ///< of the first line, and what follows from the fields
  FieldTexts fields;
  http::BodyLength::Kind body{};
  std::uint64_t body_bytes = 0;

  friend bool operator==(const HeadTexts&, const HeadTexts&) = default;
};

FieldTexts texts_of(const http::Fields& fields);

/// `read(bytes)` until it does not want more, with the input growing to each of `sizes`, every time
/// in another place in memory.
template <class Read>
void read_growing(Bytes input, const std::vector<std::size_t>& sizes, Read read) {
  std::unique_ptr<ExactCopy> last;
  for (const std::size_t size : sizes) {
    auto moved = std::make_unique<ExactCopy>(input.first(size));
    last = std::move(moved);
    if (read(last->bytes()) != http::h1::Progress::kMore) return;
  }
}

/// All sizes from 1 on, or some of them when there are many; the last one is all.
std::vector<std::size_t> every_size(std::size_t size);

/// Reads a body whole and in pieces: the same payload and trailers; and what is written from these
/// in chunks reads as the same again.
void check_body(Bytes input, http::BodyLength length, std::size_t split,
                const http::h1::BodyLimits& limits);

}  // namespace postern::fuzz
