// Response heads of HTTP/1.1 and 1.0 from backends (RFC 9112 sections 4 and 6.3), with the care
// that requests get. Nothing is copied; a steady state allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "http/h1.h"
#include "http/h1_fields.h"
#include "http/h1_framing.h"
#include "http/head.h"

namespace postern::http::h1 {

/// Reads one head after the other from one connection. Belongs to the connection.
class ResponseReader {
 public:
  /// limits.request_line_bytes_max does not matter here.
  explicit ResponseReader(const HeadLimits& limits = {});

  /// Before each head; after an interim response (1xx other than 101) too, for the next one.
  /// `to_head`: it answers a HEAD request, so there is no body (RFC 9112 section 6.3).
  void start(bool to_head);
  void start(bool to_head, const HeadLimits& limits) {
    limits_ = limits;
    start(to_head);
  }

  /// As RequestReader::read. Every fault is a 502.
  Progress read(Bytes input, ResponseHead* head);

  Fault fault() const { return fault_; }

  /// The rest once read() said kDone.
  std::size_t consumed() const { return fields_.end(); }
  /// kNone for 1xx, 204, 304 and answers to HEAD; for the last two Content-Length stays among the
  /// fields, where it tells of another response's body (RFC 9110 section 8.6).
  BodyLength body() const { return body_; }
  unsigned minor_version() const { return minor_version_; }  ///< of HTTP/1: 0 or 1
  /// May the connection be used again after this response (RFC 9112 section 9.3)?
  bool keep_alive() const { return keep_alive_; }

 private:
  enum class Part : std::uint8_t { kLine, kFields, kDone, kFault };

  Progress read_line(std::string_view text);
  Progress parse_line(std::string_view line);
  Progress finish(std::string_view text, ResponseHead* head);
  void take_fields(std::string_view text, ResponseHead* head);
  void set_body(bool has_none);
  bool has_no_body() const;
  Progress refuse(std::string_view reason);

  HeadLimits limits_;
  Part part_ = Part::kLine;
  bool to_head_ = false;
  bool keep_alive_ = false;
  unsigned minor_version_ = 1;
  std::uint16_t status_ = 0;
  std::size_t at_ = 0;  // the first byte of the status line not yet looked at
  FieldSection fields_;
  Framing framing_;
  BodyLength body_;
  Fault fault_;
};

}  // namespace postern::http::h1
