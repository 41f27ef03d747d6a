// The master-file reader: the text of a zone, and behind a zero byte that of a second file, "more",
// which it may $INCLUDE. What was loaded is searched, asked for, written out and loaded again.
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "check.h"
#include "dns/answer.h"
#include "dns/svcb.h"
#include "dns/zone.h"
#include "wire.h"

namespace postern::fuzz {
namespace {

using dns::Name;
using dns::NameView;
using dns::RrsetView;
using dns::RrType;
using dns::ZoneMatch;

constexpr std::size_t kRrsetsAskedMax = 12;
constexpr const char* kMain = "main";
constexpr const char* kMore = "more";
constexpr const char* kAgain = "again";

const std::array<RrType, 6> kAskedTypes{RrType::kA,  RrType::kCname, RrType::kHttps,
                                        RrType::kDs, RrType::kAny,   RrType::kNs};

/// What a zone file includes is looked for in its folder: one of its own.
const std::string& folder() {
  static const struct Folder {
    Folder() {
      std::string name = std::filesystem::temp_directory_path() / "postern-fuzz-zone-XXXXXX";
      require(::mkdtemp(name.data()) != nullptr, "a folder is there");
      path = name + "/";
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
  } made;
  return made.path;
}

void write(const char* file, std::string_view text) {
  std::ofstream(folder() + file, std::ios::binary) << text;
}

Name apex() { return *Name::parse("home.arpa."); }

// A file outside of the folder could be anything, a terminal too.
bool leads_outside(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower.find("$include") != std::string::npos &&
         lower.find_first_of("/\\") != std::string::npos;
}

dns::ZoneLoad load(const char* file) {
  dns::ZoneLoadLimits limits;
  limits.generate_records_max = 500;
  limits.records_max = 3000;
  limits.problems_max = 10;
  return dns::load_zone(folder() + file, apex().view(), limits);
}

void check_problems(const dns::ZoneLoad& load) {
  std::size_t errors = 0;
  for (const dns::ZoneProblem& problem : load.problems) {
    errors += problem.warning ? 0 : 1;
    require(!problem.text.empty() && problem.line > 0, "a problem has a text and a line");
    require(std::find(load.files.begin(), load.files.end(), problem.file) != load.files.end(),
            "a problem is in one of the files");
    const std::string line = problem.to_string();
    require(line.find_first_of(std::string_view("\n\r\0\x1b", 4)) == std::string::npos,
            "a problem is one line of text");
  }
  require(load.problems.size() <= load.problem_count, "all problems are counted");
  require((load.zone == nullptr) == (errors > 0), "a zone is served when nothing is wrong with it");
}

/// All of a zone, by owner and type.
using Content =
    std::map<std::pair<std::string, std::uint16_t>, std::pair<std::uint32_t, std::string>>;

Content content_of(const dns::Zone& zone) {
  Content content;
  std::size_t records = 0;
  zone.for_each([&](NameView owner, const RrsetView& rrset) {
    records += rrset.count;
    const auto key = std::pair(Name(owner).lower_wire(), static_cast<std::uint16_t>(rrset.type));
    const bool added =
        content.emplace(key, std::pair(rrset.ttl, std::string(as_text(rrset.packed)))).second;
    require(added, "an owner has one RRset of a type");
  });
  require(records == zone.record_count(), "records are counted");
  return content;
}

void check_rrset(const dns::Zone& zone, NameView owner, const RrsetView& rrset) {
  require(rrset.count > 0, "an RRset is not empty");
  require(dns::is_at_or_below(owner, zone.apex()), "all owners are in the zone");
  std::size_t size = 0;
  rrset.for_each([&](Bytes rdata) {
    size += 2 + rdata.size();
    const bool svcb = rrset.type == RrType::kHttps || rrset.type == RrType::kSvcb;
    require(!svcb || dns::svcb_well_formed(rdata), "SVCB records are well formed");
    return true;
  });
  require(size == rrset.packed.size(), "an RRset's records fill it");
  const dns::LookupName name(owner);
  const RrsetView exact = zone.find_exact(name, rrset.type);
  require(exact && equal_bytes(exact.packed, rrset.packed), "every RRset is found");
  const ZoneMatch match = zone.find(name, rrset.type);
  if (match.kind == ZoneMatch::Kind::kAnswer && rrset.type != RrType::kAny) {
    require(match.rrset.type == rrset.type && match.rrset.count == rrset.count, "as it is");
  } else {
    const bool covered =
        match.kind == ZoneMatch::Kind::kReferral || match.kind == ZoneMatch::Kind::kDname;
    require(covered && dns::is_at_or_below(owner, match.owner),
            "what is there is answered, unless it is below a cut or a DNAME");
  }
}

/// The zone behind a whole nameserver.
class Server {
 public:
  explicit Server(std::shared_ptr<const dns::Zone> zone) {
    dns::PolicySettings settings;
    settings.allow.push_back(*Network::parse("0.0.0.0/0"));
    settings.zones.emplace_back();
    settings.zones.back().name = apex();
    policy_ = dns::compile_policy(settings, {std::move(zone)});
    static dns::Cache cache{dns::CacheSettings{.size_bytes = 1U << 20}};
    input_.policy = policy_.get();
    input_.cache = &cache;
  }

  void ask(NameView name, RrType type, bool stream) {
    std::vector<std::uint8_t> query{0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    query.insert(query.end(), name.wire().begin(), name.wire().end());
    const auto number = static_cast<std::uint16_t>(type);
    query.insert(query.end(),
                 {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number), 0, 1});
    input_.stream = stream;
    dns::Decision decision;
    dns::answer(input_, query, buffer_, &decision);
    require(decision.verdict == dns::Decision::Verdict::kReply, "a zone never needs an upstream");
    require(stream || decision.reply_size <= 512, "a reply by UDP has 512 bytes at most");
    const Bytes reply = Bytes(buffer_).first(decision.reply_size);
    WireMessage walked;
    require(walk_message(reply, &walked) && walked.end == reply.size(), "a reply can be read");
    require(ldns_reads(reply), "ldns reads a reply");
  }

 private:
  std::unique_ptr<const dns::Policy> policy_;
  dns::AnswerInput input_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(dns::kMessageBytesMax);
};

void ask_all(const dns::ZoneLoad& load) {
  Server server(load.zone);
  std::size_t asked = 0;
  load.zone->for_each([&](NameView owner, const RrsetView& rrset) {
    if (++asked > kRrsetsAskedMax) return;
    server.ask(owner, rrset.type, true);
    for (const RrType type : kAskedTypes) server.ask(owner, type, false);
    const auto below = Name::parse("x.y", owner);
    if (below) server.ask(below->view(), RrType::kA, false);
  });
}

// RFC 3597 section 5: every record can be written as unknown.
std::string text_of(const dns::Zone& zone) {
  std::string text;
  zone.for_each([&](NameView owner, const RrsetView& rrset) {
    rrset.for_each([&](Bytes rdata) {
      text += fmt::format("{} {} IN TYPE{} \\# {} ", dns::name_text(owner), rrset.ttl,
                          static_cast<std::uint16_t>(rrset.type), rdata.size());
      for (const std::uint8_t byte : rdata) text += fmt::format("{:02x}", byte);
      text += '\n';
      return true;
    });
  });
  return text;
}

void check_again(const dns::Zone& zone) {
  write(kAgain, text_of(zone));
  const dns::ZoneLoad again = load(kAgain);
  check_problems(again);
  for (const dns::ZoneProblem& problem : again.problems) {
    if (!problem.warning) std::fprintf(stderr, "%s\n", problem.to_string().c_str());
  }
  require(again.zone != nullptr, "a zone that was written out loads again");
  require(content_of(*again.zone) == content_of(zone), "and is the same");
}

void run(std::string_view text) {
  if (leads_outside(text)) return;
  const std::size_t zero = text.find('\0');
  write(kMain, text.substr(0, zero));
  write(kMore, zero == std::string_view::npos ? "" : text.substr(zero + 1));
  const dns::ZoneLoad loaded = load(kMain);
  require(!loaded.files.empty(), "the file is among the files");
  check_problems(loaded);
  if (loaded.zone == nullptr) return;
  const dns::Zone& zone = *loaded.zone;
  require(zone.soa().count == 1 && dns::equal_names(zone.apex(), apex().view()), "one SOA");
  zone.for_each([&](NameView owner, const RrsetView& rrset) { check_rrset(zone, owner, rrset); });
  ask_all(loaded);
  check_again(zone);
}

}  // namespace
}  // namespace postern::fuzz

// ldns 1.8.3 forgets some words and addresses of IPSECKEY when it cannot read the rest. A record
// that we forget would still be seen: that begins in ldns_rr_new().
extern "C" const char* __lsan_default_suppressions();  // NOLINT: the sanitizer's name
extern "C" const char* __lsan_default_suppressions() {
  return "leak:ldns_str2rdf_\nleak:ldns_rdf_new_frm_data\n";
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run(postern::as_text({data, size}));
  return 0;
}
