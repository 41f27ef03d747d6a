// Queries made and replies read by ldns, so that tests do not check our wire code against itself.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include <ldns/ldns.h>

#include "base/bytes.h"

namespace postern::dns {

using Packet = std::vector<std::uint8_t>;

struct QueryOptions {
  bool recursion_desired = true;
  bool edns = false;
  bool dnssec_ok = false;
  std::uint16_t payload = 1232;
  ldns_rr_class klass = LDNS_RR_CLASS_IN;
};

inline Packet make_query(const char* name, const char* type, const QueryOptions& options = {}) {
  ldns_pkt* packet = nullptr;
  const auto flags = static_cast<std::uint16_t>(options.recursion_desired ? LDNS_RD : 0);
  ldns_pkt_query_new_frm_str(&packet, name, ldns_get_rr_type_by_name(type), options.klass, flags);
  ldns_pkt_set_id(packet, 0x1234);
  if (options.edns || options.dnssec_ok) {
    ldns_pkt_set_edns_udp_size(packet, options.payload);
    ldns_pkt_set_edns_do(packet, options.dnssec_ok);
  }
  std::uint8_t* wire = nullptr;
  std::size_t size = 0;
  ldns_pkt2wire(&wire, packet, &size);
  Packet bytes(wire, wire + size);
  std::free(wire);
  ldns_pkt_free(packet);
  return bytes;
}

namespace packet_text_detail {

inline std::string rr_lines(const char* section, const ldns_rr_list* list) {
  std::string text;
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
    char* line = ldns_rr2str(ldns_rr_list_rr(list, i));
    text += std::string(section) + " ";
    for (const char* c = line; *c != 0 && *c != '\n'; ++c) text += *c == '\t' ? ' ' : *c;
    text += "\n";
    std::free(line);
  }
  return text;
}

inline std::string flag(bool set, const char* name) {
  return set ? std::string(" ") + name : std::string();
}

}  // namespace packet_text_detail

/// "NOERROR aa ra\nAN www.example. 60 IN A 192.0.2.1\n..." ; "unreadable" when ldns cannot parse
/// it.
inline std::string packet_text(Bytes message) {
  using namespace packet_text_detail;
  ldns_pkt* packet = nullptr;
  if (ldns_wire2pkt(&packet, message.data(), message.size()) != LDNS_STATUS_OK) return "unreadable";
  char* rcode = ldns_pkt_rcode2str(ldns_pkt_get_rcode(packet));
  std::string text = rcode;
  std::free(rcode);
  text += flag(ldns_pkt_aa(packet), "aa") + flag(ldns_pkt_tc(packet), "tc") +
          flag(ldns_pkt_ra(packet), "ra") + flag(ldns_pkt_ad(packet), "ad") + "\n";
  text += rr_lines("AN", ldns_pkt_answer(packet));
  text += rr_lines("NS", ldns_pkt_authority(packet));
  text += rr_lines("AR", ldns_pkt_additional(packet));
  ldns_pkt_free(packet);
  return text;
}

/// The body of an image: what follows the question when ldns builds a response with these records.
inline Packet make_body(const char* name, const char* type, const std::vector<std::string>& answers,
                        const std::vector<std::string>& authority = {}) {
  ldns_pkt* packet = nullptr;
  ldns_pkt_query_new_frm_str(&packet, name, ldns_get_rr_type_by_name(type), LDNS_RR_CLASS_IN, 0);
  const auto push = [&](ldns_pkt_section section, const std::string& text) {
    ldns_rr* rr = nullptr;
    if (ldns_rr_new_frm_str(&rr, text.c_str(), 0, nullptr, nullptr) != LDNS_STATUS_OK) std::abort();
    ldns_pkt_push_rr(packet, section, rr);
  };
  for (const std::string& text : answers) push(LDNS_SECTION_ANSWER, text);
  for (const std::string& text : authority) push(LDNS_SECTION_AUTHORITY, text);
  std::uint8_t* wire = nullptr;
  std::size_t size = 0;
  ldns_pkt2wire(&wire, packet, &size);
  std::size_t at = 12;
  while (wire[at] != 0) at += wire[at] + 1U;
  Packet body(wire + at + 5, wire + size);
  std::free(wire);
  ldns_pkt_free(packet);
  return body;
}

}  // namespace postern::dns
