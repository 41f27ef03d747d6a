#include <algorithm>
#include <cctype>
#include <string>

#include <doctest/doctest.h>

#include "net/tls.h"
#include "tls_peer.h"

using postern::Code;
using postern::Error;
using postern::net::covers;
using postern::net::TlsIdentity;
using postern::test::Certificates;
using Names = std::vector<std::string>;

namespace {

Error error_of(const std::string& cert, const std::string& key) {
  const auto& files = Certificates::get();
  const auto identity = TlsIdentity::load(files.path(cert), files.path(key));
  REQUIRE_FALSE(identity);
  return identity.error();
}

bool says(const Error& error, std::string_view words) {
  INFO(error.detail);
  CHECK(error.detail.find(words) != std::string::npos);
  return error.detail.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a certificate tells its names, its dates and its fingerprint") {
  const auto& files = Certificates::get();
  CHECK(files.identity("one")->names() == Names{"one.test", "uno.test"});
  CHECK(files.identity("address")->names() == Names{"127.0.0.1", "2001:db8::1", "address.test"});

  files.run(
      "openssl x509 -in one.pem -noout -fingerprint -sha256 > print;"
      "date -u -d \"$(openssl x509 -in one.pem -noout -enddate | cut -d= -f2)\" +%s > end;"
      "date -u -d \"$(openssl x509 -in one.pem -noout -startdate | cut -d= -f2)\" +%s > start");
  std::string print = files.read("print");
  print.erase(0, print.find('=') + 1);
  print.erase(
      std::remove_if(print.begin(), print.end(), [](char c) { return c == ':' || c < ' '; }),
      print.end());
  for (char& c : print) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  CHECK(files.identity("one")->fingerprint() == print);
  CHECK(files.identity("one")->not_after_s() == std::stoll(files.read("end")));
  CHECK(files.identity("one")->not_before_s() == std::stoll(files.read("start")));
}

TEST_CASE("a certificate ends when it ends, whatever its issuers do") {
  const auto& files = Certificates::get();
  files.run(
      "openssl x509 -in ca.pem -signkey ca.key -days 3 -out short.pem; cat one.pem short.pem > "
      "chain.pem; cat ca.pem >> chain.pem; cp one.key chain.key;"
      "date -u -d \"$(openssl x509 -in short.pem -noout -enddate | cut -d= -f2)\" +%s > end");
  CHECK(files.identity("chain")->not_after_s() == files.identity("one")->not_after_s());
  CHECK(files.identity("chain")->first_issuer_to_end().not_after_s ==
        std::stoll(files.read("end")));
  CHECK(files.identity("chain")->first_issuer_to_end().subject == "/CN=ca");
  CHECK(files.identity("one")->first_issuer_to_end().not_after_s == 0);
  CHECK(files.identity("chain")->names() == Names{"one.test", "uno.test"});
}

TEST_CASE("certificate and key may be in one file") {
  const auto& files = Certificates::get();
  files.run("cat one.key one.pem ca.pem > both.pem; cp both.pem both.key");
  CHECK(files.identity("both")->names() == Names{"one.test", "uno.test"});
}

TEST_CASE("files that are missing, empty or damaged are told by name") {
  const auto& files = Certificates::get();
  files.write("empty", "");
  files.write("text", "hello\n");
  std::string damaged = files.read("one.pem");
  damaged[200] = damaged[200] == 'A' ? 'B' : 'A';
  damaged[201] = '!';
  files.write("damaged.pem", damaged);
  files.write("damaged.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");

  CHECK(error_of("none", "one.key").code == Code::kIo);
  CHECK(says(error_of("none", "one.key"), "/none: No such file or directory"));
  CHECK(says(error_of("one.pem", "none"), "/none: No such file or directory"));
  CHECK(says(error_of(".", "one.key"), "directory"));
  CHECK(error_of("empty", "one.key").code == Code::kMalformed);
  CHECK(says(error_of("empty", "one.key"), "/empty: no certificate in it"));
  CHECK(says(error_of("one.key", "one.key"), "/one.key: no certificate in it"));
  CHECK(says(error_of("one.pem", "text"), "/text: no key in it"));
  CHECK(says(error_of("damaged.pem", "one.key"), "/damaged.pem: certificate 1 is damaged"));
  CHECK(error_of("damaged.pem", "one.key").code == Code::kMalformed);
  CHECK(says(error_of("one.pem", "damaged.key"), "/damaged.key: the key is damaged"));
  CHECK(error_of("one.pem", "damaged.key").code == Code::kMalformed);
}

TEST_CASE("a pair that cannot work is refused with what to do") {
  const auto& files = Certificates::get();
  files.run(
      "openssl pkey -in one.key -aes128 -passout pass:secret -out locked.key;"
      "cat ca.pem one.pem > order.pem;"
      "openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj /CN=weak "
      "-addext subjectAltName=DNS:weak.test;"
      "openssl req -x509 -key one.key -out bare.pem -subj /CN=bare.test");
  CHECK(says(error_of("one.pem", "wild.key"), "wild.key: is not the key of the certificate in"));
  CHECK(says(error_of("one.pem", "locked.key"), "locked.key: the key is encrypted"));
  CHECK(says(error_of("order.pem", "one.key"), "order.pem: the order is wrong"));
  CHECK(says(error_of("weak.pem", "weak.key"), "weak.key: an RSA key of 1024 bits is too weak"));
  CHECK(says(error_of("bare.pem", "one.key"), "bare.pem: names no host in subjectAltName"));
  for (const auto* pair : {"wild.key", "locked.key"}) {
    CHECK(error_of("one.pem", pair).code == Code::kInvalid);
  }
}

TEST_CASE("a wildcard covers exactly one label") {
  const Names names{"*.home.test", "plain.test", "192.0.2.1"};
  CHECK(covers(names, "a.home.test"));
  CHECK(covers(names, "plain.test"));
  CHECK(covers(names, "192.0.2.1"));
  CHECK_FALSE(covers(names, "home.test"));
  CHECK_FALSE(covers(names, ".home.test"));
  CHECK_FALSE(covers(names, "a.b.home.test"));
  CHECK_FALSE(covers(names, "ahome.test"));
  CHECK_FALSE(covers(names, "a.plain.test"));
  CHECK_FALSE(covers(names, ""));
  CHECK_FALSE(covers({}, "plain.test"));
}
