// Failure is a value. A function that can fail returns Result<T>; the caller looks or passes it on.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace postern {

/// What kind of failure, for machines. People read `Error::detail`.
enum class Code : std::uint8_t {
  kMalformed,    ///< bytes or text that do not follow their format
  kInvalid,      ///< well formed, but not allowed here
  kNotFound,     ///< a name, file or address that is not there
  kLimit,        ///< a limit was hit
  kIo,           ///< the system said no; detail has strerror
  kNotBuiltYet,  ///< part of the configuration contract, not part of this version
};

/// `detail` is empty on the hot path.
struct Error {
  Code code = Code::kInvalid;
  std::string detail;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Code code, std::string detail = {}) {
  return tl::unexpected<Error>(Error{code, std::move(detail)});
}

}  // namespace postern
