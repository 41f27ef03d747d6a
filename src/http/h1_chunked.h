// The chunked transfer coding, taken off as it comes (RFC 9112 section 7.1). Payload is handed on
// where it stands in the input; only trailers are copied, into a buffer that is used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "http/h1.h"
#include "http/h1_fields.h"
#include "http/head.h"

namespace postern::http::h1 {

struct BodyLimits {
  std::size_t chunk_extension_bytes_max = 256;  ///< of one chunk
  /// Bytes of extensions that a body may have beyond its bytes of payload; else they would be a way
  /// to send much and seem to send little.
  std::size_t extension_excess_bytes_max = 16384;
  std::size_t trailer_bytes_max = 8192;  ///< with the empty line
  std::size_t trailers_max = 32;
};

/// One piece of a body.
struct BodyPiece {
  Progress progress = Progress::kMore;
  Bytes payload;             ///< inside the input; may be empty
  std::size_t consumed = 0;  ///< bytes of the input that are done with; the rest is fed again
};

/// May `name` not be a trailer (RFC 9110 section 6.5.1): framing, routing, authentication, request
/// modifiers, response control, and how the content is to be understood?
bool is_forbidden_trailer(std::string_view name);

class ChunkedReader {
 public:
  explicit ChunkedReader(const BodyLimits& limits = {}) : limits_(limits) {}
  void start();

  /// Takes bytes up to the end of a run of payload, of the input, or of the body. kMore with bytes
  /// left over: call again with these. Faults are 400, or 431 for trailers over their limits.
  BodyPiece feed(Bytes input);

  Fault fault() const { return fault_; }
  /// Once done; forbidden ones are left out. They last until start().
  const Fields& trailers() const { return trailers_; }

 private:
  enum class Part : std::uint8_t {
    kSizeStart,  // the first digit has to come
    kSize,
    kBlanks,  // behind the size: only an extension may follow
    kExtension,
    kSizeLf,
    kPayload,
    kPayloadCr,
    kPayloadLf,
    kTrailers,
    kDone,
    kFault,
  };

  bool take_size(char c);
  void begin_payload();
  bool take_extension(std::string_view text, std::size_t* at);
  bool take_byte(std::string_view text, std::size_t* at);
  Progress take_trailers(std::string_view text, std::size_t* at);
  void keep_trailers();
  bool refuse(std::string_view reason, std::uint16_t status = 400);

  BodyLimits limits_;
  Part part_ = Part::kSizeStart;
  unsigned digits_ = 0;
  std::uint64_t left_ = 0;     // of the chunk under way
  std::size_t extension_ = 0;  // bytes of its extensions
  std::size_t excess_ = 0;     // bytes of extensions so far, less those of payload
  std::vector<char> trailer_text_;
  FieldSection section_;
  Fields trailers_;
  Fault fault_;
};

}  // namespace postern::http::h1
