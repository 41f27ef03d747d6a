// Types that are rare enough for a library: LOC, APL, WKS, CERT, HIP, IPSECKEY, EUI48, NID, ...
#include <memory>

#include <fmt/format.h>
#include <ldns/ldns.h>

#include "dns/zone_rdata.h"

namespace postern::dns {
namespace {

struct FreeRdf {
  void operator()(ldns_rdf* rdf) const { ldns_rdf_deep_free(rdf); }
};
struct FreeRr {
  void operator()(ldns_rr* rr) const { ldns_rr_free(rr); }
};

// ldns passes over words behind the last field of a type; those whose last field takes no more than
// one word must not have them.
bool takes(RrType type, std::size_t words) {
  const ldns_rr_descriptor* known = ldns_rr_descript(static_cast<std::uint16_t>(type));
  switch (static_cast<std::uint16_t>(type)) {
    case LDNS_RR_TYPE_EUI48:
    case LDNS_RR_TYPE_EUI64:
    case LDNS_RR_TYPE_NID:
    case LDNS_RR_TYPE_L64:
      return words == ldns_rr_descriptor_maximum(known);
    default:
      return true;
  }
}

}  // namespace

bool RdataReader::read_with_ldns(RrType type) {
  if (tokens_.empty()) return fail_at_end(fmt::format("{} without data", type_text(type)));
  std::string text = fmt::format(". 0 IN {}", type_text(type));
  for (const ZoneToken& token : tokens_) {
    text += token.quoted ? fmt::format(" \"{}\"", token.text) : fmt::format(" {}", token.text);
  }
  const std::unique_ptr<ldns_rdf, FreeRdf> origin(
      ldns_dname_new_frm_data(static_cast<std::uint16_t>(origin_.size()), origin_.wire().data()));
  ldns_rr* parsed = nullptr;
  const ldns_status status = ldns_rr_new_frm_str(&parsed, text.c_str(), 0, origin.get(), nullptr);
  const std::unique_ptr<ldns_rr, FreeRr> rr(parsed);
  if (status != LDNS_STATUS_OK) {
    return fail_at(tokens_[0],
                   fmt::format("{}: {}", type_text(type), ldns_get_errorstr_by_id(status)));
  }
  if (!takes(type, tokens_.size())) {
    return fail_at_end(fmt::format("more than {} takes", type_text(type)));
  }
  for (std::size_t i = 0; i < ldns_rr_rd_count(rr.get()); ++i) {
    const ldns_rdf* rdf = ldns_rr_rdf(rr.get(), i);
    if (rdf == nullptr) return fail_at_end(fmt::format("{} is not whole", type_text(type)));
    rdata_.append(as_text(Bytes(ldns_rdf_data(rdf), ldns_rdf_size(rdf))));
  }
  return true;
}

}  // namespace postern::dns
