#include "net/tls.h"

#include <doctest/doctest.h>

#include "tls_peer.h"

using postern::as_bytes;
using postern::Code;
using postern::test::TestSocket;
using postern::test::TlsLab;

TEST_CASE("a client of either version talks to us and we answer") {
  for (const std::string version : {"TLSv1_2", "TLSv1_3"}) {
    CAPTURE(version);
    TlsLab lab;
    lab.reader.after_each = [&] {
      if (lab.reader.heard == "hello" && lab.reader.ends == 0) {
        CHECK(lab.stream->write(as_bytes("and hello to you")));
        lab.reader.heard += "!";
      }
      if (lab.reader.ends == 1) lab.stream->finish();
    };
    const std::string said = lab.run_python("s = connect(c=context(ssl.TLSVersion." + version +
                                            "))\n"
                                            "s.sendall(b'hello')\n"
                                            "print(s.recv(100), s.version(), s.cipher()[0])\n"
                                            "s.unwrap()\n");
    CHECK(said.find("b'and hello to you'") == 0);
    CHECK(lab.stream->version() == (version == "TLSv1_2" ? "TLSv1.2" : "TLSv1.3"));
    CHECK(said.find(lab.stream->version()) != std::string::npos);
    CHECK(lab.stream->sni() == "one.test");
    CHECK(lab.stream->alpn().empty());
    CHECK_FALSE(lab.stream->resumed());
    CHECK(lab.reader.connections == 1);
    CHECK_FALSE(lab.reader.error);
  }
}

TEST_CASE("SNI picks an exact name before a wildcard, and without SNI the first serves") {
  TlsLab lab({"one", "wild", "exact", "address"});
  lab.reader.after_each = [&] {
    if (lab.reader.connections == 1) lab.stream->finish();
  };
  struct Case {
    const char* options;
    const char* served;
    const char* sni;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"-servername one.test", "CN = one", "one.test"},
           {"-servername ONE.Test", "CN = one", "ONE.Test"},
           {"-servername uno.test", "CN = one", "uno.test"},
           {"-servername x.wild.test", "CN = wild", "x.wild.test"},
           {"-servername X.WILD.TEST -tls1_2", "CN = wild", "X.WILD.TEST"},
           {"-servername a.wild.test", "CN = exact", "a.wild.test"},
           {"-servername sub.one.test", "CN = wild", "sub.one.test"},
           {"-noservername", "CN = one", ""},
           {"-noservername -tls1_2", "CN = one", ""},
           {"-servername 127.0.0.1", "CN = address", "127.0.0.1"},
           {"-servername 2001:DB8:0::1", "CN = address", "2001:DB8:0::1"},
           {"-servername 192.0.2.9", "CN = one", "192.0.2.9"},
       }) {
    CAPTURE(c.options);
    lab.reader.connections = 0;
    const std::string said = lab.run_s_client(c.options);
    CHECK_MESSAGE(
        said.find(std::string("Peer certificate: ") + c.served + "\n") != std::string::npos, said);
    CHECK(lab.stream->sni() == c.sni);
  }
  CHECK_FALSE(lab.reader.error);
}

TEST_CASE("an unknown name is refused with an alert, and the owner learns which it was") {
  TlsLab lab({"one", "wild"});
  std::string sni;
  lab.reader.after_each = [&] {
    sni = lab.stream->sni();
    lab.stream.reset();
  };
  for (const std::string name : {"two.test", "a.b.wild.test", "wild.test", "one.test.", ".test"}) {
    for (const std::string version : {"-tls1_2 -servername ", "-tls1_3 -servername "}) {
      CAPTURE(name);
      lab.reader.error.reset();
      const std::string said = lab.run_s_client(version + name);
      CHECK_MESSAGE(said.find("tlsv1 unrecognized name") != std::string::npos, said);
      REQUIRE(lab.reader.error);
      CHECK(lab.reader.error->code == Code::kNotFound);
      CHECK(lab.reader.error->detail == "no certificate here is for " + name);
      CHECK(sni == name);
      CHECK(lab.reader.connections == 0);
    }
  }
}

TEST_CASE("ALPN goes by the server's order among what the client offers") {
  TlsLab lab({"one"}, {"h2", "http/1.1"});
  lab.reader.after_each = [&] {
    if (lab.reader.ends == 1) lab.stream->finish();
    if (lab.reader.error) lab.stream.reset();
  };
  const auto talk = [&](const std::string& offer) {
    lab.reader.ends = 0;
    return lab.run_python("c = context()\n" + offer +
                          "\ns = connect(c=c)\nprint(s.selected_alpn_protocol())\ns.unwrap()\n");
  };
  CHECK(talk("c.set_alpn_protocols(['http/1.1', 'h2'])") == "h2\n");
  CHECK(lab.stream->alpn() == "h2");
  CHECK(talk("c.set_alpn_protocols(['x', 'http/1.1'])") == "http/1.1\n");
  CHECK(lab.stream->alpn() == "http/1.1");
  CHECK(talk("") == "None\n");
  CHECK(lab.stream->alpn().empty());
  CHECK_FALSE(lab.reader.error);
  for (const std::string version : {"-tls1_2", "-tls1_3"}) {
    lab.reader.error.reset();
    const std::string said = lab.run_s_client("-alpn spdy/3 " + version);
    CHECK(said.find("tlsv1 alert no application protocol") != std::string::npos);
  }
  REQUIRE(lab.reader.error);
  CHECK(lab.reader.error->code == Code::kInvalid);
  CHECK(lab.reader.error->detail.find("ALPN") != std::string::npos);
}

TEST_CASE("a server without ALPN takes a client that offers some") {
  TlsLab lab;
  CHECK(lab.run_python("c = context()\nc.set_alpn_protocols(['h2'])\n"
                       "print(connect(c=c).selected_alpn_protocol())\n") == "None\n");
  CHECK(lab.stream->alpn().empty());
}

TEST_CASE("what is not TLS is told apart") {
  struct Case {
    const char* sent;
    const char* detail;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "plain HTTP sent to the TLS port"},
           {"POST /x HTTP/1.1\r\n\r\n", "plain HTTP sent to the TLS port"},
           {"SSH-2.0-OpenSSH_9.2\r\n", "what the client sent is not TLS (wrong version number)"},
       }) {
    TlsLab lab;
    TestSocket client(SOCK_STREAM);
    client.connect_to(lab.listener->local());
    client.send_all(c.sent);
    CHECK(lab.until([&] { return lab.reader.error.has_value(); }));
    CHECK(lab.reader.error->code == Code::kMalformed);
    CHECK(lab.reader.error->detail == c.detail);
  }
}

TEST_CASE("a peer that vanishes during the handshake is an error of the connection") {
  TlsLab lab;
  TestSocket client(SOCK_STREAM);
  client.connect_to(lab.listener->local());
  client.send_all(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  SUBCASE("closed") {
    client.close_now();
    CHECK(lab.until([&] { return lab.reader.error.has_value(); }));
    CHECK(lab.reader.error->detail == "the client closed the connection during the handshake");
  }
  SUBCASE("reset") {
    CHECK(lab.until([&] { return lab.accepted == 1; }));
    const linger reset{1, 0};
    setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    client.close_now();
    CHECK(lab.until([&] { return lab.reader.error.has_value(); }));
    CHECK(lab.reader.error->detail == "Connection reset by peer");
  }
  CHECK(lab.reader.error->code == Code::kIo);
  CHECK(lab.reader.connections == 0);
}

TEST_CASE("a client that does not trust the certificate says so") {
  for (const std::string version : {"TLSv1_2", "TLSv1_3"}) {
    TlsLab lab;
    const std::string said = lab.run_python(
        "c = ssl.create_default_context()\n"
        "c.maximum_version = ssl.TLSVersion." +
        version +
        "\ntry: connect(c=c)\n"
        "except ssl.SSLError as e: print(e.reason)\n");
    CHECK(said == "CERTIFICATE_VERIFY_FAILED\n");
    CHECK(lab.until([&] { return lab.reader.error.has_value(); }));
    CHECK(lab.reader.error->code == Code::kInvalid);
    CHECK(lab.reader.error->detail == "the client does not trust the certificate (unknown ca)");
  }
}

TEST_CASE("a client that cannot agree with us is refused, and the reason is told") {
  struct Case {
    const char* options;
    const char* detail;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"-tls1_2 -cipher AES128-GCM-SHA256", "no common cipher with the client"},
           {"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", "no common cipher with the client"},
           {"-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", "no common cipher with the client"},
           {"-tls1_1 -cipher DEFAULT@SECLEVEL=0", "the client speaks no TLS version of 1.2 or 1.3"},
           {"-tls1_3 -groups P-521", "no common key exchange with the client"},
       }) {
    TlsLab lab;
    lab.reader.after_each = [&] { lab.stream.reset(); };
    const std::string said = lab.run_s_client(c.options);
    CAPTURE(said);
    REQUIRE(lab.reader.error);
    CHECK(lab.reader.error->code == Code::kInvalid);
    CHECK(lab.reader.error->detail == c.detail);
  }
}

TEST_CASE("ChaCha20 is taken from a client that puts it first, else AES") {
  TlsLab lab;
  const auto cipher = [&](const std::string& options) {
    const std::string said = lab.run_s_client(options);
    return said.substr(said.find("Ciphersuite: "));
  };
  const std::string chacha = "TLS_CHACHA20_POLY1305_SHA256", aes = "TLS_AES_128_GCM_SHA256";
  lab.reader.after_each = [&] { lab.stream->finish(); };
  CHECK(cipher("-ciphersuites " + chacha + ":" + aes).find("Ciphersuite: " + chacha) == 0);
  CHECK(cipher("-ciphersuites TLS_AES_256_GCM_SHA384:" + aes).find("Ciphersuite: " + aes) == 0);
  CHECK(cipher("-tls1_2").find("Ciphersuite: ECDHE-ECDSA-AES128-GCM-SHA256") == 0);
}
