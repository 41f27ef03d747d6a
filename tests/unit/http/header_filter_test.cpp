#include "http/header_filter.h"

#include <string>

#include <doctest/doctest.h>

namespace postern::http {
namespace {

Fields fields_of(std::initializer_list<Field> lines) {
  Fields fields;
  for (const Field& line : lines) fields.add(line.name, line.value);
  return fields;
}

/// "name: value" lines, each with "|" behind it.
std::string text_of(const Fields& fields) {
  std::string text;
  for (const Field& line : fields) {
    text.append(line.name).append(": ").append(line.value).append("|");
  }
  return text;
}

std::string end_to_end(std::initializer_list<Field> lines, bool keep_upgrade = false) {
  Fields fields = fields_of(lines);
  return remove_hop_by_hop(fields, keep_upgrade) ? text_of(fields) : "refused";
}

}  // namespace

TEST_CASE("edits remove, set in place of all lines, and add one more") {
  HeaderEdits edits;
  edits.remove = {"X-Gone"};
  edits.set = {{"X-Set", "new"}, {"X-Fresh", "1"}};
  edits.add = {{"X-Add", "b,c"}};
  Fields fields = fields_of({{"x-gone", "1"}, {"X-SET", "a"}, {"x-set", "b"}, {"x-add", "a"}});
  apply(edits, fields);
  CHECK(text_of(fields) == "x-add: a|X-Set: new|X-Fresh: 1|X-Add: b,c|");
}

TEST_CASE("names are tokens, values have no controls and no blanks around them") {
  CHECK(is_field_name("X-Real_IP!"));
  for (const char* bad : {"", ":method", "a b", "a:", "\xc3\xa4"}) CHECK_FALSE(is_field_name(bad));
  CHECK(is_field_value(""));
  CHECK(is_field_value("a\tb, \xc3\xa4"));
  for (const char* bad : {" a", "a ", "a\r\nb", "\x7f"}) CHECK_FALSE(is_field_value(bad));
}

TEST_CASE("what frames a message or belongs to a connection may not be edited") {
  for (const char* name : {"Host", "Content-Length", "Transfer-Encoding", "Connection", "TE",
                           "Upgrade", "Trailer", "keep-alive", "Proxy-Connection"}) {
    CHECK_FALSE_MESSAGE(may_be_edited(name), name);
  }
  CHECK(may_be_edited("Authorization"));
}

TEST_CASE("hop-by-hop fields end here (RFC 9110 section 7.6.1)") {
  CHECK(end_to_end({{"Connection", "keep-alive"},
                    {"Keep-Alive", "timeout=5"},
                    {"Proxy-Connection", "keep-alive"},
                    {"Transfer-Encoding", "chunked"},
                    {"Upgrade", "h2c"},
                    {"Accept", "*/*"}}) == "Accept: */*|");
}

TEST_CASE("what Connection names ends here, whatever the case and however many lines") {
  CHECK(end_to_end({{"connection", "close, X-Foo ,,"},
                    {"x-foo", "1"},
                    {"X-FOO", "2"},
                    {"x-bar", "3"},
                    {"x-baz", "4"},
                    {"Connection", "x-bar"}}) == "x-baz: 4|");
}

TEST_CASE("Connection does not take away the length of a body") {
  CHECK(end_to_end({{"connection", "content-length"}, {"content-length", "5"}}) ==
        "content-length: 5|");
}

TEST_CASE("TE stays as trailers, which gRPC needs, and otherwise goes") {
  CHECK(end_to_end({{"TE", "gzip, Trailers"}, {"Connection", "TE"}}) == "te: trailers|");
  CHECK(end_to_end({{"te", "trailers"}}) == "te: trailers|");
  CHECK(end_to_end({{"te", "gzip"}}).empty());
}

TEST_CASE("Upgrade stays when the upgrade is forwarded") {
  CHECK(end_to_end({{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}, true) ==
        "Upgrade: websocket|");
  CHECK(end_to_end({{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}, false).empty());
}

TEST_CASE("credentials for a proxy are not given to a backend, those for the backend are") {
  CHECK(end_to_end({{"Proxy-Authorization", "Basic x"}, {"Authorization", "Basic y"}}) ==
        "Authorization: Basic y|");
  CHECK(end_to_end({{"Proxy-Authenticate", "Basic"}, {"WWW-Authenticate", "Basic"}}) ==
        "WWW-Authenticate: Basic|");
}

TEST_CASE("more connection options than the limit are refused and nothing is changed") {
  std::string many = "a";
  for (std::size_t i = 1; i < kConnectionOptionsMax; ++i) many += ",a";
  CHECK(end_to_end({{"connection", many}, {"a", "1"}}).empty());
  CHECK(end_to_end({{"connection", many}, {"connection", "b"}}) == "refused");
}

TEST_CASE("Alt-Svc of a backend is removed, and clear is sent on TLS only") {
  const auto after = [](AltSvc policy, bool tls) {
    Fields fields = fields_of({{"Alt-Svc", "h3=\":443\""}, {"alt-svc", "h2=\":8443\""}});
    apply_alt_svc(fields, policy, tls);
    return text_of(fields);
  };
  CHECK(after(AltSvc::kClear, true) == "alt-svc: clear|");
  CHECK(after(AltSvc::kClear, false).empty());
  CHECK(after(AltSvc::kStrip, true).empty());
  CHECK(after(AltSvc::kPass, true) == "Alt-Svc: h3=\":443\"|alt-svc: h2=\":8443\"|");
  Fields none;
  apply_alt_svc(none, AltSvc::kClear, true);
  CHECK(text_of(none) == "alt-svc: clear|");
}

TEST_CASE("HSTS is one line on TLS, the listener's before the backend's, and none on plain HTTP") {
  const std::string value = hsts_value(31536000);
  const auto after = [](std::string_view hsts, bool tls) {
    Fields fields = fields_of({{"Strict-Transport-Security", "max-age=1"}});
    apply_hsts(fields, hsts, tls);
    return text_of(fields);
  };
  CHECK(after(value, true) == "strict-transport-security: max-age=31536000|");
  CHECK(after("", true) == "Strict-Transport-Security: max-age=1|");
  CHECK(after(value, false).empty());
}

TEST_CASE("a sane request id stays, all others are made anew") {
  TextArena arena;
  const auto after = [&arena](std::initializer_list<Field> lines) {
    Fields fields = fields_of(lines);
    std::string id(set_request_id(fields, arena, 0x0123456789abcdefU, 0xfU));
    CHECK(fields.value("X-Request-Id") == id);
    CHECK(fields.count("x-request-id") == 1);
    return id;
  };
  const std::string made = "0123456789abcdef000000000000000f";
  CHECK(after({}) == made);
  CHECK(after({{"X-Request-ID", "7b9e-4a.f0"}}) == "7b9e-4a.f0");
  CHECK(after({{"X-Request-ID", ""}}) == made);
  CHECK(after({{"X-Request-ID", "a b"}}) == made);
  CHECK(after({{"X-Request-ID", "a\"b"}}) == made);
  const std::string longest(kRequestIdBytesMax, 'x');
  const std::string too_long(kRequestIdBytesMax + 1, 'x');
  CHECK(after({{"X-Request-ID", longest}}) == longest);
  CHECK(after({{"X-Request-ID", too_long}}) == made);
  CHECK(after({{"X-Request-ID", "a"}, {"x-request-id", "b"}}) == made);
}

}  // namespace postern::http
