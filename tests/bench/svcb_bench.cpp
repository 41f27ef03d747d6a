#include "dns/svcb.h"

#include <array>

#include "bench.h"
#include "packets.h"

namespace postern::bench {

void bench_svcb(Bench& bench) {
  const dns::SvcbSettings settings;
  dns::SvcbEdits edits;
  edits.strip_alpn = &settings.strip_alpn;
  std::array<std::uint8_t, 1024> out{};
  std::size_t size = 0;
  const auto edit = [&](const Packet& rdata) {
    keep(dns::edit_svcb(rdata, edits, out, &size));
    keep(out);
  };
  const Packet both = https_rdata();
  Packet h2 = both;
  h2[9] = '1';  // "h1": nothing to take out
  bench.run("edit_svcb: alpn h3,h2 and hints, h3 goes", [&](std::uint64_t) { edit(both); });
  bench.run("edit_svcb: nothing to take out", [&](std::uint64_t) { edit(h2); });
}

}  // namespace postern::bench
