#include "server/example.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "certificate_files.h"
#include "server/example_certificate.h"

namespace postern::server {
namespace {

using test::Folder;

const std::vector<std::string> kNames{"vanillax.me", "*.vanillax.me"};

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("the example's certificate is what clients of its authority accept") {
  const Folder folder;
  const auto files = example_certificate_in(folder.path("made/here"), kNames);
  REQUIRE(files);
  test::shell(folder,
              "cd made/here; openssl verify -x509_strict -purpose sslserver "
              "-verify_hostname hello.vanillax.me -CAfile ca.crt tls.crt; "
              "openssl verify -verify_hostname vanillax.me -CAfile ca.crt tls.crt; "
              "! openssl verify -verify_hostname example.com -CAfile ca.crt tls.crt");
  struct stat status {};
  REQUIRE(stat(files->key.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0600U);
}

TEST_CASE("the example's certificate is kept while it is good") {
  const Folder folder;
  const std::string directory = folder.path("made");
  const auto files = example_certificate_in(directory, kNames);
  REQUIRE(files);
  const std::string first = content(files->cert);
  REQUIRE(example_certificate_in(directory, kNames));
  CHECK(content(files->cert) == first);
  SUBCASE("other names") { REQUIRE(example_certificate_in(directory, {"home.test"})); }
  SUBCASE("less than a month left") {
    test::make_pair(folder, "made/tls", "DNS:vanillax.me,DNS:*.vanillax.me", 20);
    const std::string old = content(files->cert);
    REQUIRE(example_certificate_in(directory, kNames));
    CHECK(content(files->cert) != old);
  }
  SUBCASE("a key of something else") {
    test::make_pair(folder, "x", "DNS:x.test");
    test::shell(folder, "cp x.key made/tls.key");
    REQUIRE(example_certificate_in(directory, kNames));
  }
  CHECK(content(files->cert) != first);
  test::shell(folder, "cd made; openssl verify -CAfile ca.crt tls.crt");
}

}  // namespace postern::server
