// Request heads of HTTP/1.1 and 1.0 (RFC 9112 sections 2, 3 and 5; RFC 9110 section 7.2), read in
// one pass however they arrive. Nothing is copied; a steady state allocates nothing.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "http/h1.h"
#include "http/h1_fields.h"
#include "http/h1_framing.h"
#include "http/head.h"

namespace postern::http::h1 {

/// Reads one head after the other from one connection. Belongs to the connection.
class RequestReader {
 public:
  explicit RequestReader(const HeadLimits& limits = {});

  /// Before each request but the first.
  void start();
  void start(const HeadLimits& limits) {
    limits_ = limits;
    start();
  }

  /// `input` is all that came since the request began: what it was at the last call, with more
  /// behind it; it may have moved. When done, `head` refers into this input, which has to stay
  /// until the head is no longer used, and consumed() bytes of it were the head; a body or the next
  /// request follows. Faults: 400, 414, 431, 501 and 505; the same fault however the input was
  /// split. Afterwards, until start(), the answer stays the same.
  Progress read(Bytes input, RequestHead* head);

  Fault fault() const { return fault_; }

  /// The rest once read() said kDone.
  std::size_t consumed() const { return fields_.end(); }
  BodyLength body() const { return body_; }
  unsigned minor_version() const { return minor_version_; }  ///< of HTTP/1: 0 or 1
  /// May the connection be used again after this request (RFC 9112 section 9.3)?
  bool keep_alive() const { return framing_.keep_alive(minor_version_); }
  /// Does the client wait for a 100 before it sends the body (RFC 9110 section 10.1.1)?
  bool expects_continue() const { return expects_continue_; }

 private:
  enum class Part : std::uint8_t { kBegin, kLine, kFields, kDone, kFault };

  Progress begin(std::string_view text);
  Progress read_line(std::string_view text);
  Progress parse_line(std::string_view text);
  Progress read_fields(std::string_view text);
  Progress finish(std::string_view text, RequestHead* head);
  Progress take_fields(std::string_view text, RequestHead* head);
  Progress take_host(unsigned hosts, std::string_view host, RequestHead* head);
  Progress refuse(Fault fault);

  HeadLimits limits_;
  Part part_ = Part::kBegin;
  unsigned minor_version_ = 1;
  bool expects_continue_ = false;
  std::size_t line_ = 0;         // where the request line begins
  std::size_t at_ = 0;           // the first byte of it not yet looked at
  std::size_t method_size_ = 0;  // of the request line, once it was read
  std::size_t target_size_ = 0;
  FieldSection fields_;
  Framing framing_;
  BodyLength body_;
  Fault fault_;
};

}  // namespace postern::http::h1
