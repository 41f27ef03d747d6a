// What comes back from upstream: responses as dnspython writes them.
#include <memory>
#include <string_view>
#include <vector>

#include "bench.h"
#include "dns/accept.h"
#include "dns/policy.h"
#include "dns/svcb.h"

namespace postern::bench {

namespace {

using Wire = std::vector<std::uint8_t>;

constexpr std::string_view kOneAddress =
    "12348180000100010000000103777777076578616d706c6503636f6d0000010001c00c000100010000012c0004c000"
    "020100002904d0000000000000";
constexpr std::string_view kChain =  // two CNAMEs, four addresses
    "12348180000100060000000103777777076578616d706c6503636f6d0000010001c00c000500010000012c00210377"
    "7777076578616d706c6503636f6d0363646e076578616d706c65036e657400c02d000500010000003c000f05653132"
    "333401610465646765c041c05a00010001000000140004c0000203c05a00010001000000140004c0000201c05a0001"
    "0001000000140004c0000202c05a00010001000000140004c000020400002904d0000000000000";
constexpr std::string_view kHttps =  // alpn=h3,h2, two hints of each family, ech
    "12348180000100010000000103777777076578616d706c6503636f6d0000410001c00c004100010000012c00880001"
    "00000100060268330268320004000868107b6068107c60000500470045fe0d0041a400200020e18885ca96f0b30b66"
    "70156cb144ac3d4fd87140c291cf415a05f0661cba86310004000100010012636c6f7564666c6172652d6563682e63"
    "6f6d00000006002026064700000000000000000068107b6026064700000000000000000068107c6000002904d00000"
    "00000000";
constexpr std::string_view kNxDomain =
    "123481830001000000010001046e6f7065076578616d706c6503636f6d0000010001c011000600010000012c002c02"
    "6e73056963616e6e036f726700036e6f6303646e73c031000007e800001c2000000e10001275000000012c00002904"
    "d0000000000000";

int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

Wire bytes_of(std::string_view hex) {
  Wire out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return out;
}

std::unique_ptr<const dns::Policy> ordinary_policy() {
  dns::PolicySettings settings;
  settings.forward_names = {dns::Name()};
  dns::OverrideSettings rule;
  rule.names = {dns::Name::parse("*.home.example.").value()};
  settings.overrides = {rule};
  return dns::compile_policy(settings, {});
}

void bench_response(Bench& bench, const std::string& what, std::string_view hex,
                    const dns::Policy& policy) {
  const Wire message = bytes_of(hex);
  std::size_t end = dns::kHeaderBytes;
  while (message[end] != 0) end += message[end] + 1U;
  dns::ForwardQuestion question;
  const Bytes name = Bytes(message).subspan(dns::kHeaderBytes, end + 1 - dns::kHeaderBytes);
  question.name.assign(dns::NameView(name));
  question.type = static_cast<dns::RrType>(load_u16(message.data() + end + 1));
  question.klass = dns::RrClass::kIn;
  question.view = &policy.everyone;
  const auto image = std::make_unique<dns::ImageBuffer>();
  const dns::CacheSettings cache;
  dns::AcceptCounts counts;
  bench.run("accept: " + what, [&](std::uint64_t) {
    keep(dns::accept(message, question, cache, image.get(), &counts));
    keep(image->head);
  });
}

}  // namespace

void bench_accept(Bench& bench) {
  const auto policy = ordinary_policy();
  bench_response(bench, "one address", kOneAddress, *policy);
  bench_response(bench, "two CNAMEs and four addresses", kChain, *policy);
  bench_response(bench, "an HTTPS record, edited", kHttps, *policy);
  bench_response(bench, "NXDOMAIN", kNxDomain, *policy);
}

void bench_svcb(Bench& bench) {
  constexpr std::size_t kRdataAt = 45;
  constexpr std::size_t kRdataBytes = 136;
  const Wire message = bytes_of(kHttps);
  const Bytes rdata = Bytes(message).subspan(kRdataAt, kRdataBytes);
  const dns::SvcbSettings settings;
  dns::SvcbEdits edits;
  edits.strip_alpn = &settings.strip_alpn;
  std::array<std::uint8_t, kRdataBytes> out;
  std::size_t size = 0;
  bench.run("edit_svcb: h3 withdrawn", [&](std::uint64_t) {
    keep(dns::edit_svcb(rdata, edits, out, &size));
    keep(out);
  });
  bench.run("edit_svcb: nothing to edit",
            [&](std::uint64_t) { keep(dns::edit_svcb(rdata, dns::SvcbEdits{}, out, &size)); });
}

}  // namespace postern::bench
