#include "nameserver/query_watch.h"

namespace postern::nameserver {

void QueryTops::add(Bytes query, const Client& client, std::uint64_t now_ms, std::uint32_t weight) {
  if (client.internal) return;
  const std::string_view address(reinterpret_cast<const char*>(client.peer.ip.data()),
                                 client.peer.ip.size());
  clients_.add(address, spread_hash(address), now_ms, weight);
  if (query.size() < dns::kHeaderBytes) return;
  dns::LookupName name;
  if (name.read(query, dns::kHeaderBytes) == 0) return;
  names_.add(as_text(name.name().wire()), name.hash(), now_ms, weight);
}

}  // namespace postern::nameserver
