// Zones out of text in a test, and one server that has nothing but zones.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "dns/answer.h"
#include "dns/zone.h"
#include "packet_text.h"

namespace postern::dns {

/// A directory for the files of one test.
class ZoneDirectory {
 public:
  ZoneDirectory() {
    std::string pattern = std::filesystem::temp_directory_path() / "postern-zone-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~ZoneDirectory() { std::filesystem::remove_all(path_); }
  ZoneDirectory(const ZoneDirectory&) = delete;
  ZoneDirectory& operator=(const ZoneDirectory&) = delete;

  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  std::string text() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Name zone_name(std::string_view text) { return Name::parse(text).value(); }

inline ZoneLoad load_text(std::string_view apex, std::string_view text,
                          const ZoneLoadLimits& limits = {}) {
  const ZoneDirectory directory;
  return load_zone(directory.write("zone", text), zone_name(apex).view(), limits);
}

/// "LINE:COLUMN: [warning: ]text", one a line.
inline std::string problems_text(const ZoneLoad& load) {
  std::string text;
  for (const ZoneProblem& problem : load.problems) {
    text += std::to_string(problem.line) + ":" + std::to_string(problem.column) + ": " +
            (problem.warning ? "warning: " : "") + problem.text + "\n";
  }
  return text;
}

struct ZoneServer {
  ZoneServer() {
    settings.allow.push_back(Network::parse("192.168.0.0/16").value());
    settings.forward_names.push_back(zone_name("."));
  }

  void zone(std::string_view apex, std::string_view text) {
    ZoneLoad load = load_text(apex, text);
    INFO(problems_text(load));
    REQUIRE(load.zone != nullptr);
    ZoneSettings one;
    one.name = zone_name(apex);
    settings.zones.push_back(one);
    zones.push_back(load.zone);
  }

  /// The reply as packet_text() writes it, or "forward NAME TYPE" when the rest is not here.
  std::string ask(const char* qname, const char* type) {
    if (policy == nullptr) policy = compile_policy(settings, zones);
    AnswerInput input;
    input.policy = policy.get();
    input.cache = &cache;
    input.client = IpAddress::parse("192.168.10.7").value();
    Packet buffer(65535);
    Decision decision;
    QueryOptions options;
    options.edns = true;
    options.payload = 4096;
    answer(input, make_query(qname, type, options), buffer, &decision);
    if (decision.verdict == Decision::Verdict::kForward) {
      return "forward " + name_text(decision.question.name.name()) + " " +
             type_text(decision.question.type);
    }
    buffer.resize(decision.reply_size);
    return packet_text(buffer);
  }

  PolicySettings settings;
  std::vector<std::shared_ptr<const Zone>> zones;
  std::unique_ptr<const Policy> policy;
  Cache cache{CacheSettings{}};
};

}  // namespace postern::dns
