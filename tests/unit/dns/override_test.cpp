#include "dns/override.h"

#include <algorithm>
#include <random>

#include <doctest/doctest.h>

namespace postern::dns {
namespace {

OverrideSettings rule(std::initializer_list<const char*> names, const char* source) {
  OverrideSettings settings;
  for (const char* name : names) settings.names.push_back(Name::parse(name).value());
  settings.addresses.push_back(IpAddress::parse("192.168.10.50").value());
  settings.source = source;
  return settings;
}

OverrideTable compile(const std::vector<OverrideSettings>& all) {
  std::vector<const OverrideSettings*> pointers;
  for (const OverrideSettings& s : all) pointers.push_back(&s);
  return OverrideTable::compile(pointers);
}

std::string find(const OverrideTable& table, const char* name, RrType type = RrType::kA) {
  const auto match = table.find(LookupName(Name::parse(name).value().view()), type);
  return match ? match.rule->source : "none";
}

}  // namespace

TEST_CASE("a wildcard covers every depth below its name and not the name itself") {
  const OverrideTable table = compile({rule({"*.vanillax.me"}, "wild")});
  CHECK(find(table, "llama.vanillax.me.") == "wild");
  CHECK(find(table, "a.b.c.VANILLAX.me.") == "wild");
  CHECK(find(table, "vanillax.me.") == "none");
  CHECK(find(table, "xvanillax.me.") == "none");
  CHECK(find(table, "me.") == "none");
  CHECK(find(table, ".") == "none");
}

TEST_CASE("the most specific name wins whatever the order") {
  std::vector<OverrideSettings> all{rule({"*.vanillax.me"}, "wild"),
                                    rule({"vanillax.me"}, "apex"),
                                    rule({"llama.vanillax.me"}, "exact"),
                                    rule({"*.lab.vanillax.me"}, "lab"),
                                    rule({"."}, "root"),
                                    rule({"*.me"}, "me")};
  std::mt19937 random(1);
  for (int i = 0; i < 24; ++i) {
    std::shuffle(all.begin(), all.end(), random);
    const OverrideTable table = compile(all);
    CHECK(find(table, "vanillax.me.") == "apex");
    CHECK(find(table, "llama.vanillax.me.") == "exact");
    CHECK(find(table, "x.llama.vanillax.me.") ==
          "wild");  // below an exact name the wildcard still holds
    CHECK(find(table, "a.lab.vanillax.me.") == "lab");
    CHECK(find(table, "lab.vanillax.me.") == "wild");
    CHECK(find(table, "other.me.") == "me");
    CHECK(find(table, ".") == "root");
  }
}

TEST_CASE("a service name of HTTPS or SVCB belongs to the override of the name behind it") {
  const OverrideTable table = compile({rule({"llama.vanillax.me"}, "exact"),
                                       rule({"*.lab.me"}, "wild"), rule({"auth.lab.me"}, "auth")});
  CHECK(find(table, "_443._https.llama.vanillax.me.", RrType::kHttps) == "exact");
  CHECK(find(table, "_dns.llama.vanillax.me.", RrType::kSvcb) == "exact");
  CHECK(find(table, "_443._https.llama.vanillax.me.", RrType::kA) == "none");
  CHECK(find(table, "_443._https.llama.vanillax.me.", RrType::kTxt) == "none");
  CHECK(find(table, "_8443._https.auth.lab.me.", RrType::kHttps) == "auth");
  CHECK(find(table, "_8443._https.x.lab.me.", RrType::kHttps) == "wild");
}

TEST_CASE("ten thousand names are all found and nothing else is") {
  std::vector<OverrideSettings> all;
  for (int i = 0; i < 10000; ++i) {
    const std::string name = "host" + std::to_string(i) + ".example.";
    all.push_back(rule({name.c_str()}, name.c_str()));
  }
  const OverrideTable table = compile(all);
  CHECK(table.size() == 10000);
  for (int i = 0; i < 10000; i += 7) {
    const std::string name = "host" + std::to_string(i) + ".example.";
    CHECK(find(table, name.c_str()) == name);
  }
  CHECK(find(table, "host10000.example.") == "none");
  CHECK(find(table, "example.") == "none");
}

}  // namespace postern::dns
