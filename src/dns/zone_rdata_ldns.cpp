// Types that are rare enough for a library: APL, WKS, CERT, HIP, IPSECKEY, EUI48, NID, ...
#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <ldns/ldns.h>

#include "dns/zone_rdata.h"
#include "dns/zone_rdata_fields.h"

namespace postern::dns {
namespace {

constexpr RrType kApl{42};
constexpr RrType kWks{11};

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

bool is_protocol(std::string_view text) {
  std::uint64_t number = 0;
  std::string why;
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(lower_byte(static_cast<std::uint8_t>(c)));
  return lower == "tcp" || lower == "udp" || parse_number(text, 255, &number, &why);
}

}  // namespace

bool ldns_reads(RrType type, Bytes rdata) {
  const std::unique_ptr<ldns_rr, FreeRr> rr(ldns_rr_new());
  ldns_rr_set_type(rr.get(), static_cast<ldns_rr_type>(type));
  std::vector<std::uint8_t> wire(rdata.size() + 2);
  store_u16(wire.data(), static_cast<std::uint16_t>(rdata.size()));
  std::copy(rdata.begin(), rdata.end(), wire.begin() + 2);
  std::size_t at = 0;
  return ldns_wire2rdf(rr.get(), wire.data(), wire.size(), &at) == LDNS_STATUS_OK &&
         at == wire.size();
}

bool RdataReader::read_with_ldns(RrType type) {
  if (tokens_.empty() && type == kApl) return true;  // RFC 3123 section 4: no prefix at all
  if (tokens_.empty()) return fail_at_end(fmt::format("{} without data", type_text(type)));
  if (type == kWks && tokens_.size() > 1 && !is_protocol(tokens_[1].text)) {
    return fail_at(tokens_[1], fmt::format("'{}' is not tcp, udp or a number", tokens_[1].text));
  }
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
