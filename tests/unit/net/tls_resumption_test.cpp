#include <doctest/doctest.h>

#include "net/tls.h"
#include "net/tls_tickets.h"
#include "tls_peer.h"

using postern::as_bytes;
using postern::Code;
using postern::net::TicketKeys;
using postern::net::TlsTickets;
using postern::test::TlsLab;

namespace {

// The client gets one byte, so that the ticket of TLS 1.3, which comes before it, has been read.
constexpr std::string_view kVisits = R"(
def visit(c, name='one.test', session=None):
    s = connect(name, c, session)
    s.recv(1)
    print(s.session_reused, end=' ', flush=True)
    kept = s.session
    s.close()
    return kept
)";

struct Visited : TlsLab {
  explicit Visited(const std::vector<std::string>& names = {"one"}) : TlsLab(names) {
    reader.after_each = [this] {
      if (reader.connections == 0) return;
      reader.connections = 0;
      seen += stream->resumed() ? "True " : "False ";
      CHECK(stream->write(as_bytes("x")));
    };
  }
  std::string visits(const std::string& version, const std::string& program) {
    seen.clear();
    return run_python(std::string(kVisits) + "c = context(ssl.TLSVersion." + version + ")\n" +
                      program);
  }
  std::string seen;
};

}  // namespace

TEST_CASE("a session is taken up again by a server that was made anew") {
  for (const std::string version : {"TLSv1_2", "TLSv1_3"}) {
    CAPTURE(version);
    Visited lab({"one", "wild"});
    lab.after_accept = [&] { lab.serve({"wild", "one"}); };
    CHECK(lab.visits(version, "visit(c, session=visit(c))\n") == "False True ");
    CHECK(lab.seen == "False True ");
    CHECK(lab.stream->sni() == "one.test");
  }
}

TEST_CASE("a session is not taken up by a server with other tickets or another certificate") {
  postern::test::Certificates::get().run(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout again.key "
      "-out again.pem -subj /CN=again -days 30 -addext subjectAltName=DNS:one.test "
      "-addext basicConstraints=critical,CA:FALSE -CA ca.pem -CAkey ca.key");
  for (const std::string version : {"TLSv1_2", "TLSv1_3"}) {
    for (const std::string certificate : {"one", "again"}) {
      CAPTURE(version);
      CAPTURE(certificate);
      Visited lab;
      lab.after_accept = [&] {
        if (certificate == "one") lab.tickets = TlsTickets::make();
        lab.serve({certificate});
      };
      CHECK(lab.visits(version, "visit(c, session=visit(c))\n") == "False False ");
      CHECK(lab.seen == "False False ");
    }
  }
}

TEST_CASE("a session made for one name is not taken up for another, and not past the SNI check") {
  for (const std::string version : {"TLSv1_2", "TLSv1_3"}) {
    CAPTURE(version);
    Visited lab({"one", "wild"});
    const std::string said = lab.visits(version,
                                        "s = visit(c)\n"
                                        "visit(c, 'uno.test', s)\n"
                                        "visit(c, 'x.wild.test', s)\n"
                                        "try: visit(c, 'nobody.test', s)\n"
                                        "except ssl.SSLError as e: print(e.reason)\n");
    CHECK(said == "False False False TLSV1_UNRECOGNIZED_NAME\n");
    REQUIRE(lab.reader.error);
    CHECK(lab.reader.error->code == Code::kNotFound);
  }
}

TEST_CASE("tickets are taken for one period after the one they are from, then renewed") {
  for (const std::string version : {"TLSv1_2", "TLSv1_3"}) {
    CAPTURE(version);
    Visited lab;
    std::uint64_t now_s = 1000;
    lab.tickets = std::make_shared<TicketKeys>(100, [&] { return now_s; });
    lab.serve({"one"});
    lab.after_accept = [&] { now_s = lab.accepted < 3 ? 1000 : lab.accepted == 3 ? 1150 : 1250; };
    CHECK(lab.visits(version,
                     "first = visit(c)\n"
                     "visit(c, session=first)\n"            // 1000: the same period
                     "renewed = visit(c, session=first)\n"  // 1150: one later
                     "visit(c, session=renewed)\n"          // 1250
                     "visit(c, session=first)\n") == "False True True True False ");
    CHECK(lab.seen == "False True True True False ");
  }
}

TEST_CASE("the keys of tickets are kept for two periods") {
  std::uint64_t now_s = 5;
  TicketKeys keys(10, [&] { return now_s; });
  const auto first = keys.newest();
  REQUIRE(first);
  bool is_old = false;
  CHECK(keys.find(first->name.data(), is_old));
  CHECK_FALSE(is_old);
  now_s = 14;
  CHECK(keys.newest()->name == first->name);
  now_s = 15;
  const auto second = keys.newest();
  CHECK(second->name != first->name);
  CHECK(second->cipher != first->cipher);
  CHECK(second->mac != first->mac);
  const auto found = keys.find(first->name.data(), is_old);
  REQUIRE(found);
  CHECK(found->cipher == first->cipher);
  CHECK(is_old);
  now_s = 25;
  CHECK_FALSE(keys.find(first->name.data(), is_old));
  CHECK(keys.find(second->name.data(), is_old));
  SUBCASE("and not longer because nobody came by") {
    now_s = 45;
    CHECK_FALSE(keys.find(second->name.data(), is_old));
  }
}
