#include "server/admin_request.h"

#include <doctest/doctest.h>

namespace postern::server {
namespace {

AdminRequest request(std::string_view method, std::string_view fields,
                     std::string_view peer = "127.0.0.1") {
  auto parsed =
      parse_admin_request(std::string(method) + " /api/v1/x HTTP/1.1\r\n" + std::string(fields));
  REQUIRE(parsed.has_value());
  parsed->peer = *IpAddress::parse(peer);
  return *parsed;
}

}  // namespace

TEST_CASE("a request is taken apart") {
  const auto parsed = parse_admin_request(
      "GET /api/v1/log?text=a%20b+c&x&text=2 HTTP/1.1\r\nHOST:  localhost:1 \r\nOrigin: o\r\nx: y");
  REQUIRE(parsed.has_value());
  CHECK(parsed->method == "GET");
  CHECK(parsed->path == "/api/v1/log");
  CHECK(parsed->host == "localhost:1");
  CHECK(parsed->origin == "o");
  CHECK(parsed->parameter("text") == "a b c");
  CHECK(parsed->parameter("x") == "");
  CHECK_FALSE(parsed->parameter("y").has_value());
}

TEST_CASE("what is no request of HTTP/1.x is refused") {
  for (const char* head : {"", "GET", "GET /", "GET / HTTP/2", "get / HTTP/1.1", "GET x HTTP/1.1",
                           "GET /\x01 HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\nHost: a"}) {
    CAPTURE(head);
    CHECK_FALSE(parse_admin_request(head).has_value());
  }
}

TEST_CASE("an escape that is none stands for itself") {
  const auto parsed = parse_admin_request("GET /?a=%zz%4&b=%41%6 HTTP/1.1");
  CHECK(parsed->parameter("a") == "%zz%4");
  CHECK(parsed->parameter("b") == "A%6");
}

TEST_CASE("without a token only this machine is served, and only by a fixed name") {
  CHECK(admin_access(request("GET", "Host: 127.0.0.1:9153"), "") == AdminAccess::kGranted);
  CHECK(admin_access(request("GET", "Host: [::1]:9153"), "") == AdminAccess::kGranted);
  CHECK(admin_access(request("GET", "Host: LOCALHOST"), "") == AdminAccess::kGranted);
  CHECK(admin_access(request("GET", "Host: x.localhost:1"), "") == AdminAccess::kGranted);
  for (const char* host : {"", "Host: evil.example", "Host: 127.0.0.1.evil.example",
                           "Host: localhost.evil.example", "Host: notlocalhost"}) {
    CAPTURE(host);
    CHECK(admin_access(request("GET", host), "") == AdminAccess::kForeignHost);
  }
  CHECK(admin_access(request("GET", "Host: 127.0.0.1", "192.168.1.2"), "") ==
        AdminAccess::kLocalOnly);
}

TEST_CASE("with a token it is what counts, from wherever and by whatever name") {
  const std::string_view token = "0123456789abcdef";
  const auto access = [&](std::string_view fields) {
    return admin_access(request("GET", fields, "192.168.1.2"), token);
  };
  CHECK(access("Host: nas.lan\r\nAuthorization: Bearer 0123456789abcdef") == AdminAccess::kGranted);
  CHECK(access("Authorization: bearer  0123456789abcdef ") == AdminAccess::kGranted);
  // printf 'me:0123456789abcdef' | base64
  CHECK(access("Authorization: Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==") == AdminAccess::kGranted);
  for (const char* fields :
       {"", "Authorization: Bearer", "Authorization: Bearer 0123456789abcde",
        "Authorization: Bearer 0123456789abcdefg", "Authorization: Basic ====",
        "Authorization: Basic MDEyMzQ1Njc4OWFiY2RlZg==", "Authorization: 0123456789abcdef"}) {
    CAPTURE(fields);
    CHECK(access(fields) == AdminAccess::kTokenWanted);
  }
}

TEST_CASE("what a page of another site asks of the API is refused, with and without a token") {
  const auto access = [&](std::string_view method, std::string_view fields) {
    return admin_access(request(method, "Host: 127.0.0.1:9153\r\n" + std::string(fields)), "");
  };
  CHECK(access("POST", "") == AdminAccess::kGranted);
  CHECK(access("POST", "Origin: http://127.0.0.1:9153") == AdminAccess::kGranted);
  CHECK(access("POST", "Origin: http://127.0.0.1:9154") == AdminAccess::kCrossSite);
  CHECK(access("POST", "Origin: null") == AdminAccess::kCrossSite);
  CHECK(access("POST", "Sec-Fetch-Site: cross-site") == AdminAccess::kCrossSite);
  CHECK(access("GET", "Sec-Fetch-Site: cross-site") == AdminAccess::kCrossSite);
  CHECK(access("POST", "Sec-Fetch-Site: none") == AdminAccess::kGranted);
  CHECK(access("GET", "Origin: http://evil.example") == AdminAccess::kCrossSite);
  auto link = parse_admin_request(
      "GET / HTTP/1.1\r\nHost: 127.0.0.1:9153\r\nSec-Fetch-Site: cross-site\r\n");
  REQUIRE(link);
  link->peer = *IpAddress::parse("127.0.0.1");
  CHECK(admin_access(*link, "") == AdminAccess::kGranted);
}

TEST_CASE("secrets are equal only when all of them is") {
  CHECK(equal_secrets("abc", "abc"));
  CHECK_FALSE(equal_secrets("abc", "abd"));
  CHECK_FALSE(equal_secrets("abc", "ab"));
  CHECK_FALSE(equal_secrets("", "a"));
}

}  // namespace postern::server
