// Streams that we open: the backend is Python's ssl module.
#include <doctest/doctest.h>

#include "net/tls.h"
#include "tls_peer.h"

using postern::as_bytes;
using postern::Code;
using postern::Endpoint;
using postern::net::Loop;
using postern::net::TlsClient;
using postern::net::TlsClientSettings;
using postern::net::TlsSettings;
using postern::net::TlsStream;
using postern::test::Certificates;
using postern::test::Child;
using postern::test::endpoint;
using postern::test::run_for;
using postern::test::run_until;
using postern::test::TestSocket;
using postern::test::TlsReader;

namespace {

// Arguments: folder of the certificates, name of the one to serve.
constexpr std::string_view kBackend = R"(
import hashlib, os, socket, ssl, sys, time
folder, name = sys.argv[1], sys.argv[2]
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(f'{folder}/{name}.pem', f'{folder}/{name}.key')
c.sni_callback = lambda s, sni, _: print('sni', sni, flush=True)
listener = socket.create_server(('127.0.0.1', 0))
def listening(): print('port', listener.getsockname()[1], 'end', flush=True)
def accept():
    listening()
    return c.wrap_socket(listener.accept()[0], server_side=True)
)";

struct Backend {
  explicit Backend(const std::string& certificate, const std::string& program)
      : child({"/usr/bin/python3", "-c", std::string(kBackend) + program,
               Certificates::get().path(""), certificate}) {
    REQUIRE(run_until(
        loop, [this] { return child.has_said(" end\n"); }, 10'000));
    const std::string& said = child.said();
    address = endpoint("127.0.0.1",
                       static_cast<std::uint16_t>(std::stoi(said.substr(said.find("port") + 5))));
  }
  void connect(const std::string& name, TlsClientSettings wanted = {},
               const TlsSettings& settings = {}) {
    if (wanted.ca_file.empty() && wanted.verify) wanted.ca_file = Certificates::get().ca();
    client = TlsClient::make(wanted).value();
    stream = TlsStream::connect(loop, address, name, reader, client, settings).value();
  }
  bool until(const std::function<bool()>& done) { return run_until(loop, done, 10'000); }
  bool fails() {
    return until([this] { return reader.error.has_value(); });
  }

  Loop loop;
  TlsReader reader;
  Child child;
  Endpoint address;
  std::shared_ptr<const TlsClient> client;
  std::unique_ptr<TlsStream> stream;
};

constexpr const char* kEcho =
    "s = accept()\n"
    "print('alpn', s.selected_alpn_protocol(), flush=True)\n"
    "while d := s.recv(65536): s.sendall(d)\n"
    "s.unwrap()\n";

}  // namespace

TEST_CASE("a backend with the right name and a trusted certificate is talked to") {
  for (const std::string version : {"TLSv1_2", "TLSv1_3"}) {
    Backend backend("one", "c.maximum_version = ssl.TLSVersion." + version +
                               "\nc.set_alpn_protocols(['http/1.1'])\n" + kEcho);
    backend.connect("one.test", {.verify = true, .ca_file = {}, .alpn = {"h2", "http/1.1"}});
    CHECK(backend.stream->write(as_bytes("written before it stands")));
    CHECK(backend.until([&] { return backend.reader.heard == "written before it stands"; }));
    CHECK(backend.reader.connections == 1);
    CHECK(backend.stream->alpn() == "http/1.1");
    CHECK(backend.stream->sni() == "one.test");
    CHECK(backend.stream->version() == (version == "TLSv1_2" ? "TLSv1.2" : "TLSv1.3"));
    CHECK(backend.stream->peer() == backend.address);
    CHECK(backend.child.has_said("sni one.test"));
    backend.stream->finish();
    CHECK(backend.until([&] { return backend.reader.ends == 1; }));
    CHECK(backend.until([&] { return backend.child.has_exited(); }));
    CHECK(backend.child.exit_status() == 0);
  }
}

TEST_CASE("much goes to a backend and back") {
  Backend backend("one", kEcho);
  backend.connect("one.test", {}, {.unsent_bytes_max = 16U << 20});
  std::string data;
  data.resize(10'000'000);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * i >> 7);
  CHECK(backend.stream->write(as_bytes(data)));
  backend.stream->finish();
  CHECK(backend.until([&] { return backend.reader.ends == 1; }));
  CHECK(backend.reader.heard == data);
  CHECK(backend.reader.drains == 1);
}

TEST_CASE("a backend's address is checked in its certificate and not sent as SNI") {
  for (const std::string name : {"127.0.0.1", ""}) {
    Backend backend("address", kEcho);
    backend.connect(name);
    CHECK(backend.until([&] { return backend.reader.connections == 1; }));
    CHECK(backend.stream->sni().empty());
    CHECK(backend.until([&] { return backend.child.has_said("sni None"); }));
  }
  Backend backend("one", kEcho);
  backend.connect("127.0.0.1");
  CHECK(backend.fails());
  CHECK(backend.reader.error->code == Code::kInvalid);
  CHECK(backend.reader.error->detail ==
        "the backend's certificate is not trusted: certificate is for one.test, uno.test; wanted "
        "127.0.0.1");
}

TEST_CASE("a backend whose certificate is not to be trusted is refused with the reason") {
  Certificates::get().run(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key "
      "-out self.pem -subj /CN=self -addext subjectAltName=DNS:one.test;"
      "openssl req -new -key one.key -out late.csr -subj /CN=late "
      "-addext subjectAltName=DNS:one.test; cp one.key late.key;"
      "openssl x509 -req -in late.csr -CA ca.pem -CAkey ca.key -days -1 -copy_extensions copy "
      "-out late.pem");
  struct Case {
    const char* certificate;
    const char* name;
    const char* why;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"one", "two.test", "certificate is for one.test, uno.test; wanted two.test"},
           {"wild", "a.b.wild.test",
            "certificate is for *.wild.test, *.one.test; wanted a.b.wild.test"},
           {"self", "one.test", "self-signed certificate"},
           {"late", "one.test", "certificate has expired"},
       }) {
    Backend backend(c.certificate,
                    "try: accept()\nexcept ssl.SSLError as e: print(e.reason, flush=True)\n");
    backend.connect(c.name);
    CHECK(backend.fails());
    CHECK(backend.reader.error->code == Code::kInvalid);
    CHECK(backend.reader.error->detail ==
          std::string("the backend's certificate is not trusted: ") + c.why);
    CHECK(backend.reader.connections == 0);
    CHECK(backend.until([&] { return backend.child.has_said("ALERT"); }));
  }
}

TEST_CASE("an authority of our own is not the system's, and verification can be off") {
  Backend strict("one", kEcho);
  strict.client = TlsClient::make({}).value();
  strict.stream =
      TlsStream::connect(strict.loop, strict.address, "one.test", strict.reader, strict.client)
          .value();
  CHECK(strict.fails());
  CHECK(strict.reader.error->detail ==
        "the backend's certificate is not trusted: unable to get local issuer certificate");
  Backend lax("one", kEcho);
  lax.connect("two.test", {.verify = false, .ca_file = {}, .alpn = {}});
  CHECK(lax.until([&] { return lax.reader.connections == 1; }));
  CHECK(lax.child.has_said("sni two.test"));
}

TEST_CASE("a backend that does not speak TLS is told apart") {
  Backend backend("one",
                  "listening()\n"
                  "s = listener.accept()[0]\n"
                  "s.recv(1000)\n"
                  "s.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n')\n"
                  "s.recv(1000)\n");
  backend.connect("one.test");
  CHECK(backend.fails());
  CHECK(backend.reader.error->code == Code::kMalformed);
  CHECK(backend.reader.error->detail.find("what the backend sent is not TLS") == 0);
}

TEST_CASE("a backend that refuses, closes or keeps silent is an error of the connection") {
  SUBCASE("refuses") {
    TestSocket closed(SOCK_STREAM, "127.0.0.1");  // bound, not listening
    Loop loop;
    TlsReader reader;
    auto stream =
        TlsStream::connect(loop, closed.local(), "one.test", reader, TlsClient::make({}).value())
            .value();
    CHECK(run_until(loop, [&] { return reader.error.has_value(); }));
    CHECK(reader.error->code == Code::kIo);
    CHECK(reader.error->detail == "Connection refused");
    CHECK_FALSE(stream->write(as_bytes("x")));
  }
  SUBCASE("closes") {
    Backend backend("one", "listening()\ns = listener.accept()[0]\ns.recv(1000)\ns.close()\n");
    backend.connect("one.test");
    CHECK(backend.fails());
    CHECK(backend.reader.error->code == Code::kIo);
    CHECK(backend.reader.error->detail == "the backend closed the connection during the handshake");
  }
  SUBCASE("keeps silent") {
    Backend backend("one", "listening()\ns = listener.accept()[0]\ntime.sleep(60)\n");
    backend.connect("one.test", {}, {.connect_timeout_ms = 50});
    CHECK(backend.fails());
    CHECK(backend.reader.error->code == Code::kLimit);
    CHECK(backend.reader.error->detail == "Connection timed out");
  }
}

TEST_CASE("whether a backend ended with close_notify is known") {
  bool noticed = false;
  std::string end;
  SUBCASE("with") {
    noticed = true;
    end = "s.unwrap()\n";
  }
  SUBCASE("without") { end = "s.shutdown(socket.SHUT_WR)\n"; }
  Backend backend("one", "s = accept()\ns.sendall(b'x' * 40000)\n" + end + "time.sleep(60)\n");
  backend.connect("one.test");
  CHECK(backend.until([&] { return backend.reader.ends == 1; }));
  CHECK(backend.stream->ended_without_notice() == !noticed);
}

TEST_CASE("a stream to a backend may be destroyed by any of its events") {
  std::string program = kEcho;
  std::string name = "one.test";
  TlsSettings settings;
  const char* what = nullptr;
  SUBCASE("connected") { what = "connected"; }
  SUBCASE("drained") { what = "drained"; }
  SUBCASE("received") { what = "received"; }
  SUBCASE("ended") {
    what = "ended";
    program = "accept().unwrap()\n";
  }
  SUBCASE("not trusted") {
    what = "failed";
    name = "two.test";
  }
  SUBCASE("in time") {
    what = "failed";
    program = "listening()\ns = listener.accept()[0]\ntime.sleep(60)\n";
    settings.connect_timeout_ms = 20;
  }
  if (what == nullptr) return;
  Backend backend("one", program);
  const std::string_view event = what;
  auto& reader = backend.reader;
  reader.after_each = [&] {
    const bool now = (event == "connected" && reader.connections > 0) ||
                     (event == "drained" && reader.drains > 0) ||
                     (event == "received" && reader.chunks > 0) ||
                     (event == "ended" && reader.ends > 0) || (event == "failed" && reader.error);
    if (now) backend.stream.reset();
  };
  backend.connect(name, {}, settings);
  backend.stream->write(as_bytes("x"));
  CHECK(backend.until([&] { return !backend.stream; }));
}

TEST_CASE("a stream that is destroyed during the handshake tells nothing") {
  Backend backend("one", kEcho);
  backend.connect("one.test");
  backend.stream.reset();
  run_for(backend.loop, 20);
  CHECK(backend.reader.connections == 0);
  CHECK_FALSE(backend.reader.error);
}

TEST_CASE("a file of authorities that is not there is told by name") {
  const auto client = TlsClient::make({.verify = true, .ca_file = "/nowhere/ca.pem", .alpn = {}});
  REQUIRE_FALSE(client);
  CHECK(client.error().code == Code::kIo);
  CHECK(client.error().detail.find("/nowhere/ca.pem: ") == 0);
}
