#include "net/tls.h"

#include <doctest/doctest.h>

#include "tls_peer.h"

using postern::as_bytes;
using postern::Code;
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
