// TLS 1.2 and 1.3 (RFC 5246, RFC 8446) on the socket itself: OpenSSL reads and writes the
// descriptor, nothing is copied through memory BIOs. A server's certificates, ALPN and ticket keys
// are constant and shared by all workers; a stream belongs to one loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/stream.h"

namespace postern::net {

/// OpenSSL's record buffers come and go with every request: has it take them from
/// base/recycler.h. Before anything else of OpenSSL; later it changes nothing.
void recycle_tls_memory();

/// A certificate chain and its private key, read and checked as a pair. Constant, any thread.
class TlsIdentity {
 public:
  virtual ~TlsIdentity() = default;

  /// PEM files. Errors: a file that cannot be read or holds no certificate or key (kIo,
  /// kMalformed), a key that is not the certificate's, a key too weak (kInvalid). The detail says
  /// which file and what to do. Dates are not looked at.
  static Result<std::shared_ptr<const TlsIdentity>> load(const std::string& cert_file,
                                                         const std::string& key_file);

  /// DNS names and addresses of subjectAltName as text, lower case; "*.x" covers one label
  /// (RFC 9525 section 6.3).
  virtual const std::vector<std::string>& names() const = 0;
  virtual std::int64_t not_before_s() const = 0;  ///< UNIX time, as not_after_s()
  virtual std::int64_t not_after_s() const = 0;   ///< of the leaf
  struct Issuer {
    std::string subject;
    std::int64_t not_after_s = 0;  ///< 0: the leaf stands alone
  };
  virtual const Issuer& first_issuer_to_end() const = 0;
  virtual const std::string& fingerprint() const = 0;  ///< SHA-256 of the leaf, hexadecimal
};

/// Does one of the names cover `host` (lower case, without a dot at the end)?
bool covers(const std::vector<std::string>& names, std::string_view host);

/// Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1): random, new every `rotate_s`, those
/// before are taken for one period more. One for the whole process, shared by its workers and kept
/// over reloads. Any thread.
class TlsTickets {
 public:
  virtual ~TlsTickets() = default;
  static std::shared_ptr<TlsTickets> make(std::uint64_t rotate_s = 43200);  // twelve hours
};

struct TlsServerSettings {
  /// SNI picks: an exact name before a wildcard; without SNI the first. REQUIRES: not empty.
  std::vector<std::shared_ptr<const TlsIdentity>> identities;
  std::vector<std::string> alpn;  ///< in the order of preference
};

/// What a TLS listener offers. Constant, any thread; streams under way keep theirs.
class TlsServer {
 public:
  virtual ~TlsServer() = default;
  static Result<std::shared_ptr<const TlsServer>> make(const TlsServerSettings& settings,
                                                       std::shared_ptr<TlsTickets> tickets);
};

struct TlsClientSettings {
  bool verify = true;
  std::string ca_file;            ///< PEM; "": the system's
  std::vector<std::string> alpn;  ///< offered
};

/// How TLS connections to backends are made. Constant, any thread.
class TlsClient {
 public:
  virtual ~TlsClient() = default;
  static Result<std::shared_ptr<const TlsClient>> make(const TlsClientSettings& settings);
};

struct TlsSettings {
  std::size_t unsent_bytes_max = 1U << 20;
  std::uint32_t connect_timeout_ms = 10000;  ///< TCP and handshake, of connect()
  int fd_end = kNoFdEnd;                     ///< of connect(): see start_connect_tcp()
  /// To a client that speaks HTTP in place of TLS, as it is. Constant.
  std::string_view plain_http_answer = {};
};

/// connected() comes when the handshake is done; before that the reader hears nothing but failed().
/// Its error is one of kMalformed (not TLS at all), kNotFound (SNI is none of our names), kInvalid
/// (handshake refused by either side; certificate of a backend not trusted), kLimit (not connected
/// in time), kIo (as TCP). A peer that closes without close_notify after the handshake is ended()
/// (HTTP has its own framing).
class TlsStream : public Stream {
 public:
  static Result<std::unique_ptr<TlsStream>> accepted(Loop& loop, Fd fd, const Endpoint& peer,
                                                     StreamReader& reader,
                                                     std::shared_ptr<const TlsServer> server,
                                                     const TlsSettings& settings = {});
  /// `server_name` is sent as SNI and checked in the certificate; an address is checked only.
  static Result<std::unique_ptr<TlsStream>> connect(Loop& loop, const Endpoint& peer,
                                                    const std::string& server_name,
                                                    StreamReader& reader,
                                                    std::shared_ptr<const TlsClient> client,
                                                    const TlsSettings& settings = {});

  virtual std::string_view sni() const = 0;   ///< as the client sent it; "" none. Also in failed()
  virtual std::string_view alpn() const = 0;  ///< what was agreed on; "" nothing
  virtual std::string_view version() const = 0;  ///< "TLSv1.3"
  virtual bool resumed() const = 0;
  virtual bool is_connected() const = 0;
  /// Something of the handshake has come.
  virtual bool has_begun() const = 0;
};

}  // namespace postern::net
